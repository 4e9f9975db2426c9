//! What a command prints.

use std::io::Write;

use harness::exit_code;

/// Whether what is printed keeps its colours.
pub(crate) fn has_colours() -> bool {
    anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never
}

/// Prints to the standard output. A reader that closes it has read enough; any other failure to write fails the command:
/// its verdict is not known.
pub(crate) fn say(text: &str) {
    let mut out = anstream::stdout().lock();
    match writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            anstream::eprintln!("error: cannot write to the standard output: {error}");
            std::process::exit(i32::from(exit_code::UNREADABLE));
        }
        _ => {}
    }
}
