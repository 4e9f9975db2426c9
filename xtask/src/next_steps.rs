//! What to type or edit after a comparison that failed.

use harness::baseline::Trend;
use harness::comparison::{Comparison, Layer, Run};
use harness::exit_code;
use harness::mapping::Mapping;

use crate::baselines::{self, Kind};
use crate::paths;

/// Why a comparison failed, the most fundamental first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    Unreadable,
    NotAsRecorded,
    /// Tensors are missing, unmapped or ambiguous.
    Coverage,
    /// Entries of a profile's tolerances or known errors are missing, or have no layer.
    Gaps,
    Shape,
    Numbers,
    /// Within the tolerance, but worse than the baseline.
    Worse,
}

/// The lines that end the report of a run under a profile; what kept a comparison from being made has its own remedy.
pub(crate) fn next_steps(run: &Run, profile: &str, mapping: &Mapping) -> Vec<String> {
    let mut causes: Vec<Cause> = run.comparisons.iter().flat_map(causes).collect();
    causes.sort_unstable();
    causes.dedup();
    let mapping = paths::shown(&mapping.path);
    causes.into_iter().map(|cause| step(cause, profile, &mapping)).collect()
}

fn causes(comparison: &Comparison) -> Vec<Cause> {
    if comparison.obstacle.is_some() {
        return Vec::new();
    }
    let worse = |layer: &Layer| {
        layer.compared().is_some_and(|c| c.judgement.passed && matches!(c.trend, Some(Trend::Worse(_))))
    };
    let any = |code: u8| comparison.layers.iter().any(|layer| layer.exit_code() == code);
    let uncovered = comparison.layers.is_empty()
        || !(comparison.missing.is_empty()
            && comparison.unmapped.is_empty()
            && comparison.ambiguous.is_empty()
            && comparison.shortfall().is_none());
    let found = [
        (Cause::Unreadable, any(exit_code::UNREADABLE)),
        (Cause::NotAsRecorded, !comparison.not_as_recorded.is_empty()),
        (Cause::Coverage, uncovered),
        (Cause::Gaps, !comparison.gaps.is_empty()),
        (Cause::Shape, any(exit_code::SHAPE)),
        (Cause::Numbers, any(exit_code::NUMBERS)),
        (Cause::Worse, comparison.layers.iter().any(worse)),
    ];
    found.into_iter().filter(|(_, found)| *found).map(|(cause, _)| cause).collect()
}

fn step(cause: Cause, profile: &str, mapping: &str) -> String {
    match cause {
        Cause::Unreadable => "next: write the unreadable files again, into an empty folder\n      \
             cargo xtask encode --dump DIR writes those of this project's encoder"
            .to_string(),
        Cause::NotAsRecorded => "next: a dump: write it again with its program, into an empty folder\n      \
             a set: git restore fixtures, then cargo xtask fixtures check"
            .to_string(),
        Cause::Coverage => format!(
            "next: dump what is missing, or say in {mapping} what belongs together\n      \
             cargo xtask mapping check {mapping}"
        ),
        Cause::Gaps => format!(
            "next: where entries are missing: git restore baselines, or\n      {}\n      {}",
            Kind::Tolerances.again(profile),
            Kind::Errors.again(profile)
        ),
        Cause::Shape => format!(
            "next: was the port given the same input as the reference? If it stores an axis\n      \
             elsewhere, say so in {mapping}: candidate_layout = \"b c w h\""
        ),
        Cause::Numbers => {
            "next: look at the first failing layer; what comes after it inherits its error\n      \
             --verbose shows the reference's names, --report json=FILE every figure"
                .to_string()
        }
        Cause::Worse => format!(
            "next: where a layer is worse on purpose: cargo xtask baseline measure{}, then review",
            baselines::option(profile)
        ),
    }
}

#[cfg(test)]
mod tests {
    use harness::comparison::Obstacle;
    use harness::gap::{Counterpart, Gap};

    use super::*;

    #[test]
    fn each_cause_is_named_and_none_hides_another() {
        let gap =
            Gap { of: "known errors", name: "a".into(), reference: "b".into(), missing: Counterpart::Entry };
        let uncovered = Comparison { gaps: vec![gap], ..Comparison::default() };
        assert_eq!(causes(&uncovered), [Cause::Coverage, Cause::Gaps], "nothing compared, and a gap");
        let obstacle = Obstacle { message: "m".into(), exit_code: exit_code::UNREADABLE };
        let told = Comparison { obstacle: Some(obstacle), ..Comparison::default() };
        assert_eq!(causes(&told), [], "the remedy is the obstacle's own");
        let stale = Comparison { not_as_recorded: vec!["f".into()], ..Comparison::default() };
        let mapping = Mapping::read(&paths::default_mapping()).unwrap();
        let run = Run { comparisons: vec![uncovered, told, stale] };
        let steps = next_steps(&run, "bf16", &mapping);
        let begins: Vec<&str> = steps.iter().map(|step| step.lines().next().unwrap()).collect();
        assert_eq!(
            begins,
            [
                "next: a dump: write it again with its program, into an empty folder",
                &format!(
                    "next: dump what is missing, or say in {} what belongs together",
                    mapping.path.display()
                ),
                "next: where entries are missing: git restore baselines, or",
            ]
        );
    }
}
