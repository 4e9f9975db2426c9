//! Why comparisons failed, in kinds that each have one remedy.

use super::comparison::{Comparison, Counted, Layer, Run};
use super::gap::Gap;
use crate::exit_code;
use crate::limits::file::FigureKind;
use crate::limits::known_errors::Trend;

/// Why a comparison failed, the most fundamental first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A tensor cannot be read.
    Unreadable,
    /// Files are not as they were recorded.
    NotAsRecorded,
    /// Tensors are missing, unmapped or ambiguous.
    Coverage,
    /// Nothing that was compared could have shown anything.
    Evidence,
    /// What is compared is not what the list of it says.
    Listed,
    /// Entries of files of figures are missing, or have no layer.
    Gaps,
    /// Extents do not fit.
    Shape,
    /// Figures over their limits.
    Numbers,
    /// Figures within their limits, but worse than the known errors.
    Worse,
}

/// The causes of all comparisons of a run, each once. What kept a comparison from being made is told with its own remedy.
pub fn causes(run: &Run) -> Vec<Cause> {
    let mut causes: Vec<Cause> = run.comparisons.iter().flat_map(of_comparison).collect();
    causes.sort_unstable();
    causes.dedup();
    causes
}

fn of_comparison(comparison: &Comparison) -> Vec<Cause> {
    if comparison.obstacle.is_some() {
        return Vec::new();
    }
    let over = |layer: &Layer| layer.compared().is_some_and(|compared| !compared.judgement.passed);
    let worse = |layer: &Layer| {
        let compared = layer.compared().filter(|compared| compared.judgement.passed);
        compared.is_some_and(|compared| matches!(compared.trend, Some(Trend::Worse(_))))
    };
    let is_of_list = |gap: &Gap| gap.of == FigureKind::Coverage;
    let no_evidence = comparison.shortfall().is_some_and(|shortfall| shortfall.of == Counted::Evidence);
    let any = |code: u8| comparison.layers.iter().any(|layer| layer.exit_code() == code);
    let found = [
        (Cause::Unreadable, any(exit_code::UNREADABLE)),
        (Cause::NotAsRecorded, !comparison.not_as_recorded.is_empty()),
        (Cause::Coverage, comparison.is_uncovered() && !no_evidence),
        (Cause::Evidence, no_evidence),
        (Cause::Listed, comparison.gaps.iter().any(is_of_list)),
        (Cause::Gaps, comparison.gaps.iter().any(|gap| !is_of_list(gap))),
        (Cause::Shape, any(exit_code::SHAPE)),
        (Cause::Numbers, comparison.layers.iter().any(over)),
        (Cause::Worse, comparison.layers.iter().any(worse)),
    ];
    found.into_iter().filter(|(_, found)| *found).map(|(cause, _)| cause).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::comparison::{Compared, Outcome, Unreadable};
    use crate::compare::gap::Counterpart;
    use crate::compare::metrics::Metrics;
    use crate::compare::obstacle::{Obstacle, ObstacleKind};
    use crate::compare::verdict::Judgement;
    use crate::limits::known_errors::Change;
    use crate::limits::metric::Metric;
    use crate::provenance::{RecordDifference, RecordDifferenceKind};
    use crate::side::{PerSide, Side};
    use crate::tensor::Dtype;
    use crate::tensor::layout::{LaidOut, Layout, MismatchCause, ShapeMismatch};

    fn of_layer(outcome: Outcome) -> Comparison {
        let name = || "a".to_string();
        let layer = Layer {
            name: name(),
            reference: name(),
            rule: name(),
            stands_for: None,
            alias_reason: None,
            is_input: false,
            order: 0,
            outcome,
        };
        Comparison { layers: vec![layer], ..Comparison::default() }
    }

    fn judged(passed: bool, worse: bool) -> Outcome {
        let change = Change { metric: Metric::RelL2, old: 1.0, new: 3.0, allowed: 1.05 };
        Outcome::Compared(Box::new(Compared {
            shape: vec![3],
            dtypes: PerSide { candidate: Dtype::F32, reference: Dtype::F32 },
            without_batch: Vec::new(),
            metrics: Metrics::default(),
            worst: None,
            judgement: Judgement { passed, criteria: Vec::new(), rounded: Vec::new(), diagnosis: None },
            trend: worse.then_some(Trend::Worse(change)),
            seen: None,
            in_run: None,
        }))
    }

    fn gap() -> Gap {
        let of = FigureKind::KnownErrors;
        Gap { of, name: "a".into(), reference: "b".into(), missing: Counterpart::Entry }
    }

    fn changed() -> RecordDifference {
        let (side, kind) = (Side::Candidate, RecordDifferenceKind::Changed);
        RecordDifference { side, kind, files: vec!["f".into()], record: "dump.json" }
    }

    #[test]
    fn a_cause_is_named_where_it_is_and_only_there() {
        let laid_out = |extent| LaidOut { layout: Layout::parse("n").unwrap(), shape: vec![extent] };
        let (candidate, reference) = (laid_out(1), laid_out(2));
        let mismatch = ShapeMismatch { candidate, reference, cause: MismatchCause::Extents };
        let unreadable = Outcome::Unreadable { side: Side::Candidate, cause: Unreadable::NeverComputed };
        let passed = || of_layer(judged(true, false));
        let obstacle = Obstacle {
            kind: ObstacleKind::Unreadable,
            about: None,
            message: "m".into(),
            mistakes: Vec::new(),
        };
        let cases: [(Comparison, &[Cause]); 9] = [
            (passed(), &[]),
            (of_layer(unreadable), &[Cause::Unreadable]),
            (of_layer(Outcome::ShapeMismatch(Box::new(mismatch))), &[Cause::Shape]),
            (of_layer(judged(false, false)), &[Cause::Numbers]),
            (of_layer(judged(false, true)), &[Cause::Numbers]),
            (of_layer(judged(true, true)), &[Cause::Worse]),
            (Comparison { not_as_recorded: vec![changed()], ..passed() }, &[Cause::NotAsRecorded]),
            (Comparison { gaps: vec![gap()], ..Comparison::default() }, &[Cause::Coverage, Cause::Gaps]),
            // The remedy is the obstacle's own.
            (Comparison { obstacle: Some(obstacle), ..Comparison::default() }, &[]),
        ];
        for (index, (comparison, expected)) in cases.iter().enumerate() {
            assert_eq!(of_comparison(comparison), *expected, "case {index}");
        }
    }

    #[test]
    fn the_causes_of_all_comparisons_are_told_once_the_most_fundamental_first() {
        let stale = Comparison { not_as_recorded: vec![changed()], ..of_layer(judged(true, true)) };
        let uncovered = Comparison { gaps: vec![gap()], ..Comparison::default() };
        let run = Run { comparisons: vec![uncovered.clone(), stale, uncovered], ..Run::default() };
        assert_eq!(causes(&run), [Cause::NotAsRecorded, Cause::Coverage, Cause::Gaps, Cause::Worse]);
    }
}
