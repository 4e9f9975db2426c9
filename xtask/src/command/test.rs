use encoder::Isa;

use crate::shell::console::tell;
use crate::shell::failure::CommandResult;
use crate::shell::process::{ProgramStep, run_steps, succeeds};

/// Run all tests: nextest where it is installed, else cargo test; documentation tests either way.
#[derive(clap::Args)]
pub(crate) struct Test {
    /// Fail where this CPU lacks an instruction set instead of skipping its tests.
    #[arg(long)]
    require_all_isas: bool,
}

impl Test {
    pub(crate) fn run(self) -> CommandResult {
        for isa in Isa::ALL.into_iter().filter(|isa| !isa.is_available()) {
            tell(&format!(
                "SKIPPED: tests of {isa}, which this CPU has not; --require-all-isas makes that a failure"
            ));
        }
        let steps = steps(self.require_all_isas);
        run_steps(&steps)
    }
}

pub(crate) fn steps(require_all_isas: bool) -> Vec<ProgramStep> {
    let tests = if succeeds("cargo", &["nextest", "--version"]) {
        ProgramStep::cargo(&["nextest", "run", "--workspace", "--locked", "--no-fail-fast"])
    } else {
        ProgramStep::cargo(&["test", "--workspace", "--all-targets", "--locked", "--no-fail-fast"])
    };
    let tests = if require_all_isas { tests.env("ENCODER_REQUIRE_ALL_ISAS", "1") } else { tests };
    // The self-test's own: faults are no part of the build that the other tests run on.
    let of_faults =
        ["--features", "xtask/faults", "--lib", "--bins", "--locked", "--", "faults::", "selftest::"];
    // Of the whole workspace, so that features are those of the other tests and nothing else is compiled again.
    let of_faults = ["test", "--workspace"].into_iter().chain(of_faults).collect::<Vec<_>>();
    vec![
        ProgramStep::cargo(&["test", "--workspace", "--doc", "--locked"]),
        tests,
        ProgramStep::cargo(&of_faults),
    ]
}
