//! Exit codes for `git bisect run`: 0 where the numbers are right, 1 where they are not, and where nothing can be said of them
//! the code that skips a commit.

use std::process::ExitCode;

use harness::exit_code;

use super::failure::{self, Failure};

/// What `git bisect run` takes for a commit that cannot be tested.
pub(crate) const SKIPPED: u8 = 125;

/// Whether this program was called for a bisection; of arguments that it could not read too.
pub(crate) fn is_asked_for() -> bool {
    std::env::args_os().any(|argument| argument == "--bisect")
}

/// The code of a comparison that was made, or of why it was not.
pub(crate) fn code(judged: Result<u8, Failure>) -> ExitCode {
    ExitCode::from(match judged {
        Ok(code @ (exit_code::PASSED | exit_code::NUMBERS)) => code,
        Ok(_) => SKIPPED,
        Err(failure) => {
            failure::report(failure);
            SKIPPED
        }
    })
}
