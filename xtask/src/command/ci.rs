use crate::command::{lint, test};
use crate::console::Outcome;
use crate::process::{Step, run_steps};

/// Do what continuous integration does: lint, test, parity.
#[derive(clap::Args)]
pub(crate) struct Ci {}

impl Ci {
    pub(crate) fn run(self) -> Outcome {
        let mut steps = lint::steps();
        steps.extend(test::steps(false));
        steps.push(Step::cargo(&["xtask", "parity"]));
        run_steps(&steps)
    }
}
