use crate::command::{lint, test};
use crate::shell::failure::CommandResult;
use crate::shell::process::{CargoStep, run_steps};

/// Do what decides whether a change lands: lint, mapping, parity, fixtures, self-test, tests.
#[derive(clap::Args)]
pub(crate) struct Ci {}

impl Ci {
    pub(crate) fn run(self) -> CommandResult {
        let mut steps = lint::steps();
        steps.push(CargoStep::cargo(&["xtask", "mapping", "check"]));
        steps.push(CargoStep::cargo(&["xtask", "parity", "--quiet", "--report", "json=target/parity.json"]));
        for precision in ["bf16x3", "bf16"] {
            steps.push(CargoStep::cargo(&["xtask", "parity", "--quiet", "--precision", precision]));
        }
        let inner = ["--mapping", "mappings/gemma3n-inner.toml", "--reference", "fixtures/inner/operations"];
        let parity = ["xtask", "parity", "--quiet"].into_iter().chain(inner).collect::<Vec<_>>();
        steps.push(CargoStep::cargo(&parity));
        steps.push(CargoStep::cargo(&["xtask", "fixtures", "check"]));
        steps.push(CargoStep::cargo(&["xtask", "selftest", "--ports"]));
        steps.push(CargoStep::cargo(&["xtask", "selftest"]));
        steps.extend(test::steps(false));
        run_steps(&steps)
    }
}
