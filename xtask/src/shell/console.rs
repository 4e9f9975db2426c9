//! What a command prints: whatever stands in it that would steer the terminal, as names out of files may, is escaped.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::exit_code;
use harness::text::shown;

use super::program;

/// Whether what is printed keeps its colours.
pub(crate) fn has_colours() -> bool {
    anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never
}

/// Whether what people read goes to the standard error, since a report has the standard output.
static TO_STANDARD_ERROR: AtomicBool = AtomicBool::new(false);

/// From now on what people read goes to the standard error.
pub(crate) fn say_to_standard_error() {
    TO_STANDARD_ERROR.store(true, Ordering::Relaxed);
}

/// Prints a report to the standard output, as it is.
pub(crate) fn hand_over(report: &str) {
    let mut out = std::io::stdout().lock();
    end_unless_told(out.write_all(report.as_bytes()).and_then(|()| out.flush()));
}

/// Prints to the standard output, or to the standard error where a report has that. A reader that closes it has read enough;
/// any other failure to write fails the command: its verdict is not known.
pub(crate) fn say(text: &str) {
    if TO_STANDARD_ERROR.load(Ordering::Relaxed) {
        return tell(text);
    }
    let mut out = anstream::stdout().lock();
    let text = program::told(text.trim_end_matches('\n'));
    let text = shown::for_terminal(&text);
    end_unless_told(writeln!(out, "{text}").and_then(|()| out.flush()));
}

/// Ends the program where the standard output could not be written.
fn end_unless_told(written: std::io::Result<()>) {
    if let Some(code) = untold(written.err().as_ref()) {
        std::process::exit(i32::from(code));
    }
}

/// Prints to the standard error. Where nobody can be told there, the exit code still tells.
pub(crate) fn tell(text: &str) {
    let mut out = anstream::stderr().lock();
    let text = program::told(text.trim_end_matches('\n'));
    let text = shown::for_terminal(&text);
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
