use crate::command::{lint, test};
use crate::committed::coverage::LockedCoverage;
use crate::shell::failure::{CommandResult, Failure};
use crate::shell::process::{ProgramStep, run_steps};

/// Do what decides whether a change lands: lint, mapping, parity, fixtures, self-test, tests.
#[derive(clap::Args)]
pub(crate) struct Ci {}

/// The comparisons of everything that must be compared: the sets under each profile, which is a precision, and those of
/// operations under their mapping.
fn parity_steps(locked: &LockedCoverage) -> Result<Vec<ProgramStep>, Failure> {
    let parity = ["parity", "--quiet", "--strict"];
    let step = |options: &[&str]| ProgramStep::own(&[&parity, options].concat());
    let mut steps = Vec::new();
    for profile in locked.profiles() {
        steps.push(match profile {
            "f32" => step(&["--report", "json=target/parity.json"]),
            precision => step(&["--precision", precision]),
        });
    }
    for set in locked.inner()? {
        let set = set.to_string_lossy().into_owned();
        steps.push(step(&["--mapping", "mappings/gemma3n-inner.toml", "--reference", &set]));
    }
    Ok(steps)
}

impl Ci {
    pub(crate) fn run(self) -> CommandResult {
        let mut steps = lint::steps();
        steps.push(ProgramStep::own(&["mapping", "check"]));
        steps.extend(parity_steps(&LockedCoverage::required()?)?);
        steps.push(ProgramStep::own(&["fixtures", "check"]));
        steps.push(ProgramStep::own(&["selftest", "--ports"]));
        steps.push(ProgramStep::own(&["selftest"]));
        steps.extend(test::steps(false));
        run_steps(&steps)
    }
}
