use crate::shell::failure::CommandResult;
use crate::shell::process::{ProgramStep, run_steps};

/// Check formatting and clippy, warnings denied.
#[derive(clap::Args)]
pub(crate) struct Lint {}

impl Lint {
    pub(crate) fn run(self) -> CommandResult {
        run_steps(&steps())
    }
}

pub(crate) fn steps() -> Vec<ProgramStep> {
    vec![
        ProgramStep::cargo(&["fmt", "--all", "--check"]),
        ProgramStep::cargo(&[
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
