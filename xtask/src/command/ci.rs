use crate::command::{lint, test};
use crate::console::Outcome;
use crate::process::{Step, run_steps};

/// Do what decides whether a change lands: lint, mapping, parity, fixtures, self-test, tests.
#[derive(clap::Args)]
pub(crate) struct Ci {}

impl Ci {
    pub(crate) fn run(self) -> Outcome {
        let mut steps = lint::steps();
        steps.push(Step::cargo(&["xtask", "mapping", "check"]));
        steps.push(Step::cargo(&["xtask", "parity", "--quiet", "--report", "json=target/parity.json"]));
        for precision in ["bf16x3", "bf16"] {
            steps.push(Step::cargo(&["xtask", "parity", "--quiet", "--precision", precision]));
        }
        steps.push(Step::cargo(&["xtask", "fixtures", "check"]));
        steps.push(Step::cargo(&["xtask", "selftest"]));
        steps.extend(test::steps(false));
        run_steps(&steps)
    }
}
