//! The result of a comparison: what became of every tensor of both sides.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::budget::{ErrorBudget, RunErrors};
use super::error_shape::ErrorShape;
use super::explanation::{Explanation, ExplanationKind};
use super::gap::{Gap, gaps};
use super::maps::LayerMaps;
use super::metrics::Metrics;
use super::obstacle::Obstacle;
use super::remark::Remark;
use super::verdict::{Criterion, Judgement};
use super::worst::Worst;
use crate::exit_code;
use crate::limits::file::FigureKind;
use crate::limits::known_errors::Trend;
use crate::limits::tolerance::Basis;
use crate::mapping::order::ExecutionOrder;
use crate::mapping::pairing::{Absent, Ambiguous, Ignored, Missing, Unmapped, UnmappedHint};
use crate::mapping::{MappingWarning, MinimumCoverage};
use crate::provenance::RecordDifference;
use crate::side::{PerSide, Side};
use crate::store::StoreError;
use crate::tensor::Dtype;
use crate::tensor::layout::ShapeMismatch;

/// One pair and what became of it.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The candidate's name.
    pub name: String,
    /// The reference's name.
    pub reference: String,
    /// The rule that paired them.
    pub rule: String,
    /// The name that the candidate stands for, where it has no tensor of its own.
    pub stands_for: Option<String>,
    /// Why it stands for it, where the mapping says.
    pub alias_reason: Option<String>,
    /// It is the model's input, on both sides.
    pub is_input: bool,
    /// Position in the order of execution, from 0.
    pub order: usize,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a pair.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Compared and judged.
    Compared(Box<Compared>),
    /// The extents do not fit each other.
    ShapeMismatch(Box<ShapeMismatch>),
    /// One of the two cannot be read.
    Unreadable {
        /// Which.
        side: Side,
        /// Why.
        cause: Unreadable,
    },
}

/// Why a tensor of a pair cannot be read.
#[derive(Clone, Debug)]
pub enum Unreadable {
    /// The store says which file, what was expected, what was found.
    Store(Arc<StoreError>),
    /// It was announced, and never computed.
    NeverComputed,
}

impl From<StoreError> for Unreadable {
    fn from(error: StoreError) -> Unreadable {
        Unreadable::Store(Arc::new(error))
    }
}

/// Figures and verdict of a pair.
#[derive(Clone, Debug)]
pub struct Compared {
    /// Extents of the reference.
    pub shape: Vec<usize>,
    /// The types that both sides are stored in.
    pub dtypes: PerSide<Dtype>,
    /// The sides whose files lack the batch axis.
    pub without_batch: Vec<Side>,
    /// The figures.
    pub metrics: Metrics,
    /// The element with the largest error.
    pub worst: Option<Worst>,
    /// The verdict.
    pub judgement: Judgement,
    /// How it stands to the errors that the candidate is known to have, where they are known.
    pub trend: Option<Trend>,
    /// How much of it was seen, where that is not all: the figures are then the least that they can be.
    pub seen: Option<Seen>,
    /// Its errors within the run, where its figures are those of itself alone.
    pub in_run: Option<RunErrors>,
}

/// How much of a tensor was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Elements that were.
    pub elements: usize,
    /// All elements.
    pub of: usize,
}

impl Compared {
    /// Within the tolerance and no worse than known.
    pub fn passed(&self) -> bool {
        self.judgement.passed && !matches!(self.trend, Some(Trend::Worse(_)))
    }
}

impl Layer {
    /// What the pair is called: the candidate's name, or the one that it stands for.
    pub fn pair_name(&self) -> &str {
        self.stands_for.as_deref().unwrap_or(&self.name)
    }

    /// The exit code that this layer alone asks for.
    pub fn exit_code(&self) -> u8 {
        match &self.outcome {
            Outcome::Compared(compared) if compared.passed() => exit_code::PASSED,
            Outcome::Compared(_) => exit_code::NUMBERS,
            Outcome::ShapeMismatch(_) => exit_code::SHAPE,
            Outcome::Unreadable { .. } => exit_code::UNREADABLE,
        }
    }

    /// Figures and verdict, where there are any.
    pub fn compared(&self) -> Option<&Compared> {
        match &self.outcome {
            Outcome::Compared(compared) => Some(compared),
            _ => None,
        }
    }

    /// The largest share of a limit that is used up; infinite where nothing could be compared.
    pub fn used(&self) -> f64 {
        self.compared().map_or(f64::INFINITY, |compared| compared.judgement.used())
    }
}

/// What one side of a comparison is.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// In a few words, for a heading.
    pub title: String,
    /// Its folder, where it has one.
    pub folder: Option<PathBuf>,
    /// Versions, settings, hashes.
    pub facts: BTreeMap<String, String>,
}

/// Everything that is known once both sides have been compared.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// What the candidate is.
    pub candidate: Origin,
    /// What the reference is.
    pub reference: Origin,
    /// The mapping's file.
    pub mapping: PathBuf,
    /// The mapping's text, into which findings point.
    pub mapping_text: Arc<str>,
    /// The line of each of the mapping's rules, from 1.
    pub rule_lines: BTreeMap<String, usize>,
    /// Where the order of the layers comes from.
    pub order: ExecutionOrder,
    /// The profile of tolerances.
    pub profile: String,
    /// The file that both sides are known to have had as input.
    pub input: Option<String>,
    /// In the order of execution, where that is known.
    pub layers: Vec<Layer>,
    /// Not compared, with a reason.
    pub ignored: Vec<Ignored>,
    /// Not there.
    pub missing: Vec<Missing>,
    /// Unknown to the mapping.
    pub unmapped: Vec<Unmapped>,
    /// Taken twice.
    pub ambiguous: Vec<Ambiguous>,
    /// Optional, and not there.
    pub absent: Vec<Absent>,
    /// Pairs that a file of figures does not know, and entries of it without a pair.
    pub gaps: Vec<Gap>,
    /// What must be compared at the least.
    pub minimum: MinimumCoverage,
    /// What kept the comparison from being made.
    pub obstacle: Option<Obstacle>,
    /// Files that are not those that were recorded. They fail a comparison only if no other check failed: numbers of such
    /// files prove nothing by passing.
    pub not_as_recorded: Vec<RecordDifference>,
    /// What the error at the end is made of, where parts were judged alone.
    pub budget: Option<ErrorBudget>,
    /// What explains findings: tried, and found to hold.
    pub explanations: Vec<Explanation>,
    /// Where the error of layers is in which it begins.
    pub error_shapes: Vec<ErrorShape>,
    /// Both sides of some layers as maps, where these were asked for; in the order of the layers.
    pub maps: Vec<LayerMaps>,
    /// What a reader should know, such as what is not recorded.
    pub remarks: Vec<Remark>,
    /// What the mapping's rules lack.
    pub warnings: Vec<MappingWarning>,
}

/// How much less was compared than the mapping asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// What there is too little of.
    pub of: Counted,
    /// How many were compared.
    pub compared: usize,
    /// How many are asked for.
    pub minimum: usize,
}

/// What coverage counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Pairs.
    Layers,
    /// Elements of all pairs.
    Elements,
    /// Pairs whose reference is neither zero nor of one magnitude throughout.
    Evidence,
}

/// Counts over all tensors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the number of what it is called")]
pub struct Summary {
    pub compared: usize,
    pub passed: usize,
    pub failed: usize,
    pub shape_mismatch: usize,
    pub unreadable: usize,
    pub missing: usize,
    pub unmapped: usize,
    pub ambiguous: usize,
    pub ignored: usize,
    pub absent: usize,
    pub gaps: usize,
    pub partly_seen: usize,
}

impl std::ops::Add for Summary {
    type Output = Summary;

    fn add(self, other: Summary) -> Summary {
        Summary {
            compared: self.compared + other.compared,
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            shape_mismatch: self.shape_mismatch + other.shape_mismatch,
            unreadable: self.unreadable + other.unreadable,
            missing: self.missing + other.missing,
            unmapped: self.unmapped + other.unmapped,
            ambiguous: self.ambiguous + other.ambiguous,
            ignored: self.ignored + other.ignored,
            absent: self.absent + other.absent,
            gaps: self.gaps + other.gaps,
            partly_seen: self.partly_seen + other.partly_seen,
        }
    }
}

impl Comparison {
    /// Holds the pairs against the entries (candidate's name, reference's name) of a file of figures: each pair must have
    /// an entry, and `both_ways` each entry a pair; one that has none is a matter of coverage.
    pub fn expect_entries<'a>(
        &mut self,
        of: FigureKind,
        entries: impl Iterator<Item = (&'a str, &'a str)>,
        both_ways: bool,
    ) {
        let pairs: Vec<_> =
            self.computed().map(|layer| (layer.pair_name(), layer.reference.as_str())).collect();
        self.gaps.extend(gaps(of, &pairs, entries, both_ways));
    }

    /// Layers that the model computes: all but its input.
    pub fn computed(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter().filter(|layer| !layer.is_input)
    }

    /// Counts over all tensors.
    pub fn summary(&self) -> Summary {
        let count = |code| self.layers.iter().filter(|layer| layer.exit_code() == code).count();
        let (passed, failed) = (count(exit_code::PASSED), count(exit_code::NUMBERS));
        Summary {
            compared: passed + failed,
            passed,
            failed,
            shape_mismatch: count(exit_code::SHAPE),
            unreadable: count(exit_code::UNREADABLE),
            missing: self.missing.len(),
            unmapped: self.unmapped.len(),
            ambiguous: self.ambiguous.len(),
            ignored: self.ignored.len(),
            absent: self.absent.len(),
            gaps: self.gaps.len(),
            partly_seen: self.layers.iter().filter_map(Layer::compared).filter(|c| c.seen.is_some()).count(),
        }
    }

    /// The exit code of the most fundamental finding; a comparison of nothing is one.
    pub fn exit_code(&self) -> u8 {
        let coverage = (self.is_uncovered() || !self.gaps.is_empty()).then_some(exit_code::COVERAGE);
        let obstacle = self.obstacle.as_ref().map(|obstacle| obstacle.kind.exit_code());
        let end = self.budget.as_ref().filter(|budget| !budget.passed()).map(|_| exit_code::NUMBERS);
        let codes = self.layers.iter().map(Layer::exit_code).chain(coverage).chain(obstacle).chain(end);
        match exit_code::most_fundamental(codes) {
            exit_code::PASSED if !self.not_as_recorded.is_empty() => exit_code::UNREADABLE,
            code => code,
        }
    }

    /// Whether a tensor of either side has no counterpart, or less was compared than the mapping asks for.
    pub fn is_uncovered(&self) -> bool {
        self.computed().next().is_none()
            || self.shortfall().is_some()
            || !(self.missing.is_empty() && self.unmapped.is_empty() && self.ambiguous.is_empty())
    }

    /// Whether all unmapped names are explained, so that what is missing follows from that. A number beyond the lengths that
    /// the reference's names show follows from the names of the reference.
    pub fn names_are_explained(&self) -> bool {
        let of_names = || self.explanations.iter().filter(|found| found.kind.is_of_names());
        let explained = |unmapped: &Unmapped| {
            matches!(unmapped.hint, Some(UnmappedHint::BeyondLengths(_)))
                || of_names().any(|found| found.explains.contains(&unmapped.name))
        };
        of_names().next().is_some() && self.ambiguous.is_empty() && self.unmapped.iter().all(explained)
    }

    /// How much less was compared than the mapping asks for. Pairs whose shapes do not fit count: they are findings of
    /// their own.
    pub fn shortfall(&self) -> Option<Shortfall> {
        let layers = self.computed().count();
        // A log that prints a few values of each tensor has found the tensors.
        let elements: usize = self.computed().filter_map(Layer::compared).map(|c| c.metrics.n).sum();
        let MinimumCoverage { layers: min_layers, elements: min_elements } = self.minimum;
        if layers < min_layers {
            return Some(Shortfall { of: Counted::Layers, compared: layers, minimum: min_layers });
        }
        let is_uniform = |layer: &Layer| layer.compared().is_some_and(|c| c.metrics.uniform_reference);
        if layers > 0 && self.computed().all(is_uniform) {
            return Some(Shortfall { of: Counted::Evidence, compared: 0, minimum: 1 });
        }
        let all_compared = self.computed().all(|layer| layer.compared().is_some());
        let too_few = all_compared && elements < min_elements;
        too_few.then_some(Shortfall { of: Counted::Elements, compared: elements, minimum: min_elements })
    }

    /// Takes away what explains the values alone of layers of which it is known what the model does otherwise: one cause is
    /// told once.
    pub fn keep_one_cause_of_each(&mut self) {
        let of_model = self.explanations.iter().filter(|found| found.kind.is_of_the_model());
        let whole = of_model.clone().any(|found| found.kind.is_of_the_whole());
        let known: Vec<String> = of_model.flat_map(|found| found.explains.iter().cloned()).collect();
        self.explanations.retain_mut(|found| {
            if !found.kind.is_of_values() {
                return true;
            }
            let explained = found.explains.len();
            found.explains.retain(|name| !whole && !known.contains(name));
            found.tried -= explained - found.explains.len();
            !found.explains.is_empty()
        });
        // A part whose values are explained is not unexplained.
        let is_unexplained =
            |found: &&Explanation| matches!(found.kind, ExplanationKind::PartUnexplained { .. });
        let others = self.explanations.iter().filter(|found| !is_unexplained(found));
        let known: Vec<String> = others.flat_map(|found| found.explains.iter().cloned()).collect();
        self.explanations.retain(|found| {
            !(is_unexplained(&found) && found.explains.iter().all(|name| known.contains(name)))
        });
    }

    /// Layers that did not pass.
    pub fn failures(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter().filter(|layer| layer.exit_code() != exit_code::PASSED)
    }

    /// The first layer in the order of execution that did not pass; `None` where the order is not known.
    pub fn first_failure(&self) -> Option<&Layer> {
        match self.order {
            ExecutionOrder::Unknown(_) => None,
            _ => self.failures().next(),
        }
    }

    /// The compared layer that uses up most of its limit.
    pub fn worst(&self) -> Option<&Layer> {
        let compared = self.layers.iter().filter(|layer| layer.compared().is_some());
        compared.max_by(|a, b| a.used().total_cmp(&b.used()))
    }

    /// Whether limits were multiples of the noise floor, and whether they were the mapping's own.
    pub fn bases(&self) -> (bool, bool) {
        let criteria = || self.layers.iter().filter_map(Layer::compared).flat_map(|c| &c.judgement.criteria);
        let of_mapping = |criterion: &Criterion| matches!(criterion.basis, Basis::Mapping | Basis::Cap);
        (criteria().any(|c| !of_mapping(c)), criteria().any(of_mapping))
    }
}

/// All comparisons that one command makes.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// In the order in which they were made.
    pub comparisons: Vec<Comparison>,
    /// Where the program's own files were found, by name.
    pub resources: BTreeMap<String, String>,
    /// What to do next, a step each, in the words of the program that made the comparisons.
    pub next: Vec<String>,
}

impl Run {
    /// Counts over all tensors of all comparisons.
    pub fn summary(&self) -> Summary {
        self.comparisons.iter().map(Comparison::summary).fold(Summary::default(), std::ops::Add::add)
    }

    /// The exit code of the most fundamental finding; a run without a comparison is one.
    pub fn exit_code(&self) -> u8 {
        let nothing = self.comparisons.is_empty().then_some(exit_code::COVERAGE);
        exit_code::most_fundamental(self.comparisons.iter().map(Comparison::exit_code).chain(nothing))
    }

    /// The first layer that did not pass, with the position of its comparison. `None` where the order within the first
    /// comparison that failed is not known.
    pub fn first_failure(&self) -> Option<(usize, &Layer)> {
        let fails = |comparison: &Comparison| comparison.failures().next().is_some();
        let at = self.comparisons.iter().position(fails)?;
        Some((at, self.comparisons[at].first_failure()?))
    }

    /// The compared layer that uses up most of its limit, with its comparison.
    pub fn worst(&self) -> Option<(&Comparison, &Layer)> {
        let worst = self.comparisons.iter().filter_map(|comparison| Some((comparison, comparison.worst()?)));
        worst.max_by(|(_, a), (_, b)| a.used().total_cmp(&b.used()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::obstacle::ObstacleKind;

    #[test]
    fn trap_01_nothing_compared_is_no_pass() {
        assert_eq!(Run::default().exit_code(), exit_code::COVERAGE);
        assert_eq!(Comparison::default().exit_code(), exit_code::COVERAGE);
    }

    #[test]
    fn too_little_is_no_pass() {
        let layer = |outcome| Layer {
            name: "a".into(),
            reference: "a".into(),
            rule: "a".into(),
            stands_for: None,
            alias_reason: None,
            is_input: false,
            order: 0,
            outcome,
        };
        let compared = Compared {
            shape: vec![3],
            dtypes: PerSide { candidate: Dtype::F32, reference: Dtype::F32 },
            without_batch: Vec::new(),
            metrics: Metrics { n: 3, ..Metrics::default() },
            worst: None,
            judgement: Judgement { passed: true, criteria: Vec::new(), rounded: Vec::new(), diagnosis: None },
            trend: None,
            seen: None,
            in_run: None,
        };
        let with = |layers, elements| Comparison {
            minimum: MinimumCoverage { layers, elements },
            layers: vec![layer(Outcome::Compared(Box::new(compared.clone())))],
            ..Comparison::default()
        };
        assert_eq!(with(1, 3).exit_code(), exit_code::PASSED);
        assert_eq!(with(2, 3).exit_code(), exit_code::COVERAGE);
        let changed = |comparison| Comparison {
            not_as_recorded: vec![RecordDifference {
                side: Side::Candidate,
                kind: crate::provenance::RecordDifferenceKind::Changed,
                files: vec!["a.npy".into()],
                record: "dump.json",
            }],
            ..comparison
        };
        assert_eq!(changed(with(1, 3)).exit_code(), exit_code::UNREADABLE);
        assert_eq!(changed(with(2, 3)).exit_code(), exit_code::COVERAGE);
        assert_eq!(with(1, 4).exit_code(), exit_code::COVERAGE);
    }

    #[test]
    fn trap_01_an_input_alone_is_no_pass() {
        let compared = Compared {
            shape: vec![3],
            dtypes: PerSide { candidate: Dtype::F32, reference: Dtype::F32 },
            without_batch: Vec::new(),
            metrics: Metrics { n: 3, ..Metrics::default() },
            worst: None,
            judgement: Judgement { passed: true, criteria: Vec::new(), rounded: Vec::new(), diagnosis: None },
            seen: None,
            in_run: None,
            trend: None,
        };
        let layer = Layer {
            name: "a".into(),
            reference: "a".into(),
            rule: "input".into(),
            stands_for: None,
            alias_reason: None,
            is_input: true,
            order: 0,
            outcome: Outcome::Compared(Box::new(compared)),
        };
        let comparison = Comparison { layers: vec![layer], ..Comparison::default() };
        assert_eq!(comparison.exit_code(), exit_code::COVERAGE);
    }

    #[test]
    fn an_obstacle_decides() {
        let (kind, message) = (ObstacleKind::Unreadable, "gone".into());
        let obstacle = Some(Obstacle { kind, about: None, message, mistakes: Vec::new() });
        let comparison = Comparison { obstacle, ..Comparison::default() };
        assert_eq!(
            Run { comparisons: vec![comparison], ..Run::default() }.exit_code(),
            exit_code::UNREADABLE
        );
    }
}
