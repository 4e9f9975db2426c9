//! `cargo xtask selftest`, as far as it goes without the build that has the faults.

use crate::support::*;

#[test]
fn nothing_is_begun_that_ci_may_not_write() {
    xtask(&["selftest", "--accept"])
        .env("CI", "1")
        .timeout(std::time::Duration::from_secs(20))
        .assert()
        .code(2)
        .stderr(contains("CI is set: nothing is written"));
}
