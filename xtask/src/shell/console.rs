//! What a command prints.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::exit_code;

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
    ended(out.write_all(report.as_bytes()).and_then(|()| out.flush()));
}

/// Prints to the standard output, or to the standard error where a report has that. A reader that closes it has read enough; any other failure to write fails the command:
/// its verdict is not known.
pub(crate) fn say(text: &str) {
    let text = text.trim_end_matches('\n');
    match TO_STANDARD_ERROR.load(Ordering::Relaxed) {
        true => anstream::eprintln!("{text}"),
        false => {
            let mut out = anstream::stdout().lock();
            ended(writeln!(out, "{text}").and_then(|()| out.flush()));
        }
    }
}

fn ended(written: std::io::Result<()>) {
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            anstream::eprintln!("error: cannot write to the standard output: {error}");
            std::process::exit(i32::from(exit_code::UNREADABLE));
        }
        _ => {}
    }
}
