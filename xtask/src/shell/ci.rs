//! Continuous integration, where nothing of the checkout may be written.

use harness::report::annotations;
use harness::report::document::ReportDocument;

use super::console::say;
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

/// Prints what fails as annotations, where GitHub Actions reads them.
pub(crate) fn annotate(document: &ReportDocument) {
    if std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true") {
        annotations::lines(document).iter().for_each(|line| say(line));
    }
}
