//! What a command prints: whatever stands in it that would steer the terminal, as names out of files may, is escaped.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use harness::exit_code;
use harness::text::shown;

/// Whether what is printed keeps its colours.
pub(crate) fn has_colours() -> bool {
    anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never
}

/// Prints to the standard output. A reader that closes it has read enough; any other failure to write fails the command:
/// its verdict is not known.
pub(crate) fn say(text: &str) {
    let mut out = anstream::stdout().lock();
    let text = shown::for_terminal(text.trim_end_matches('\n'));
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    if let Some(code) = untold(written.err().as_ref()) {
        std::process::exit(i32::from(code));
    }
}

/// Prints to the standard error. Where nobody can be told there, the exit code still tells.
pub(crate) fn tell(text: &str) {
    let mut out = anstream::stderr().lock();
    let text = shown::for_terminal(text.trim_end_matches('\n'));
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// What a command ends with that could not write all of what it had to say to the standard output.
pub(crate) fn ended(untold: Option<&std::io::Error>) -> ExitCode {
    self::untold(untold).map_or(ExitCode::SUCCESS, ExitCode::from)
}

/// The exit code of a failure to write to the standard output, of which the user is told.
fn untold(error: Option<&std::io::Error>) -> Option<u8> {
    let error = error.filter(|error| error.kind() != ErrorKind::BrokenPipe)?;
    tell(&format!("error: cannot write to the standard output: {error}"));
    Some(exit_code::UNREADABLE)
}
