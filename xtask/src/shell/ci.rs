//! Continuous integration, where nothing may be written.

use super::failure::Failure;

/// Whether this is continuous integration.
pub(crate) fn is_set() -> bool {
    std::env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false" && ci != "0")
}

/// Refuses to write where `CI` is set.
pub(crate) fn refuse() -> Result<(), Failure> {
    match is_set() {
        true => Err(Failure::usage(
            "CI is set: nothing is written",
            "run this where you work, and commit what it writes",
        )),
        false => Ok(()),
    }
}
