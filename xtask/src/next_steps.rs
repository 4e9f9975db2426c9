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
    /// Over the tolerance.
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
    let over = |layer: &Layer| layer.compared().is_some_and(|compared| !compared.judgement.passed);
    let worse = |layer: &Layer| {
        let compared = layer.compared().filter(|compared| compared.judgement.passed);
        compared.is_some_and(|compared| matches!(compared.trend, Some(Trend::Worse(_))))
    };
    let any = |code: u8| comparison.layers.iter().any(|layer| layer.exit_code() == code);
    let found = [
        (Cause::Unreadable, any(exit_code::UNREADABLE)),
        (Cause::NotAsRecorded, !comparison.not_as_recorded.is_empty()),
        (Cause::Coverage, comparison.is_uncovered()),
        (Cause::Gaps, !comparison.gaps.is_empty()),
        (Cause::Shape, any(exit_code::SHAPE)),
        (Cause::Numbers, comparison.layers.iter().any(over)),
        (Cause::Worse, comparison.layers.iter().any(worse)),
    ];
    found.into_iter().filter(|(_, found)| *found).map(|(cause, _)| cause).collect()
}

fn step(cause: Cause, profile: &str, mapping: &str) -> String {
    match cause {
        Cause::Unreadable => "next: write the unreadable files again, into an empty folder\n      \
             cargo xtask encode --weights FILE --input FILE --dump DIR writes this project's"
            .to_string(),
        Cause::NotAsRecorded => "next: a dump: write it again with its program, into an empty folder\n      \
             a set: git restore fixtures, then cargo xtask fixtures check"
            .to_string(),
        Cause::Coverage => format!(
            "next: dump what is missing, or say in {mapping} what belongs together\n      \
             cargo xtask mapping check {mapping}"
        ),
        Cause::Gaps => format!(
            "next: where entries are missing: git restore baselines, or, for the set that lacks them\n      \
             {} --set NAME\n      {} --set NAME",
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
            "next: where a layer is worse on purpose:\n      cargo xtask baseline measure{0}\n      \
             cargo xtask baseline review{0}",
            baselines::option(profile)
        ),
    }
}

#[cfg(test)]
mod tests {
    use harness::baseline::Change;
    use harness::comparison::{Compared, Obstacle, Outcome};
    use harness::figures::Metric;
    use harness::gap::{Counterpart, Gap};
    use harness::layout::ShapeMismatch;
    use harness::mapping::Side;
    use harness::metrics::Metrics;
    use harness::verdict::Judgement;

    use super::*;

    fn of_layer(outcome: Outcome) -> Comparison {
        let name = || "a".to_string();
        let layer =
            Layer { name: name(), reference: name(), rule: name(), stands_for: None, order: 0, outcome };
        Comparison { layers: vec![layer], ..Comparison::default() }
    }

    fn judged(passed: bool, worse: bool) -> Outcome {
        let change = Change { metric: Metric::RelL2, old: 1.0, new: 3.0, allowed: 1.05 };
        Outcome::Compared(Box::new(Compared {
            shape: vec![3],
            metrics: Metrics::default(),
            worst: None,
            judgement: Judgement { passed, criteria: Vec::new(), diagnosis: None },
            trend: worse.then_some(Trend::Worse(change)),
        }))
    }

    fn gap() -> Gap {
        Gap { of: "known errors", name: "a".into(), reference: "b".into(), missing: Counterpart::Entry }
    }

    #[test]
    fn a_cause_is_named_where_it_is_and_only_there() {
        let mismatch = ShapeMismatch { candidate: "1".into(), reference: "2".into(), remark: None };
        let unreadable = Outcome::Unreadable { side: Side::Candidate, message: "m".into() };
        let passed = || of_layer(judged(true, false));
        let obstacle = Obstacle { message: "m".into(), exit_code: exit_code::UNREADABLE };
        let cases: [(Comparison, &[Cause]); 9] = [
            (passed(), &[]),
            (of_layer(unreadable), &[Cause::Unreadable]),
            (of_layer(Outcome::ShapeMismatch(mismatch)), &[Cause::Shape]),
            (of_layer(judged(false, false)), &[Cause::Numbers]),
            (of_layer(judged(false, true)), &[Cause::Numbers]),
            (of_layer(judged(true, true)), &[Cause::Worse]),
            (Comparison { not_as_recorded: vec!["f".into()], ..passed() }, &[Cause::NotAsRecorded]),
            (Comparison { gaps: vec![gap()], ..Comparison::default() }, &[Cause::Coverage, Cause::Gaps]),
            // The remedy is the obstacle's own.
            (Comparison { obstacle: Some(obstacle), ..Comparison::default() }, &[]),
        ];
        for (index, (comparison, expected)) in cases.iter().enumerate() {
            assert_eq!(causes(comparison), *expected, "case {index}");
        }
    }

    #[test]
    fn the_causes_of_all_comparisons_are_told_once_the_most_fundamental_first() {
        let stale = Comparison { not_as_recorded: vec!["f".into()], ..of_layer(judged(true, true)) };
        let uncovered = Comparison { gaps: vec![gap()], ..Comparison::default() };
        let mapping = Mapping::read(&paths::default_mapping()).unwrap();
        let run = Run { comparisons: vec![uncovered.clone(), stale, uncovered] };
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
                "next: where entries are missing: git restore baselines, or, for the set that lacks them",
                "next: where a layer is worse on purpose:",
            ]
        );
    }
}
