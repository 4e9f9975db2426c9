use crate::console::Outcome;
use crate::process::{Step, run_steps};

/// Check formatting and clippy, warnings denied.
#[derive(clap::Args)]
pub(crate) struct Lint {}

impl Lint {
    pub(crate) fn run(self) -> Outcome {
        run_steps(&steps())
    }
}

pub(crate) fn steps() -> Vec<Step> {
    vec![
        Step::cargo(&["fmt", "--all", "--check"]),
        Step::cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]),
    ]
}
