//! What fails a run, one by one, as reports for machines list it.

use super::document::{DocumentLayer, DocumentProvenance, LayerVerdict, ReportDocument};

/// Names in a message, before the others are counted instead of named.
const NAMES: usize = 4;

/// A kind of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ProblemKind {
    Obstacle,
    Numbers,
    Shape,
    Unreadable,
    Missing,
    Unmapped,
    Ambiguous,
    Shortfall,
    Gap,
    NotAsRecorded,
}

impl ProblemKind {
    pub(super) const ALL: [ProblemKind; 10] = [
        ProblemKind::Obstacle,
        ProblemKind::Numbers,
        ProblemKind::Shape,
        ProblemKind::Unreadable,
        ProblemKind::Missing,
        ProblemKind::Unmapped,
        ProblemKind::Ambiguous,
        ProblemKind::Shortfall,
        ProblemKind::Gap,
        ProblemKind::NotAsRecorded,
    ];

    /// A stable name.
    pub(super) fn name(self) -> &'static str {
        match self {
            ProblemKind::Obstacle => "obstacle",
            ProblemKind::Numbers => "numbers",
            ProblemKind::Shape => "shape",
            ProblemKind::Unreadable => "unreadable",
            ProblemKind::Missing => "missing",
            ProblemKind::Unmapped => "unmapped",
            ProblemKind::Ambiguous => "ambiguous",
            ProblemKind::Shortfall => "coverage",
            ProblemKind::Gap => "gap",
            ProblemKind::NotAsRecorded => "not_as_recorded",
        }
    }

    /// What it says of a tensor.
    pub(super) fn description(self) -> &'static str {
        match self {
            ProblemKind::Obstacle => "The comparison could not be made.",
            ProblemKind::Numbers => "A figure of a layer is over its limit, or worse than its known error.",
            ProblemKind::Shape => "The extents of a pair do not fit each other.",
            ProblemKind::Unreadable => "A tensor of a pair cannot be read.",
            ProblemKind::Missing => "A tensor has no partner on the other side.",
            ProblemKind::Unmapped => "No rule of the mapping takes a tensor, and no ignore lists it.",
            ProblemKind::Ambiguous => "It cannot be said what a tensor belongs to.",
            ProblemKind::Shortfall => "Less was compared than the mapping asks for.",
            ProblemKind::Gap => "A layer has no entry in a file of figures, or an entry has no layer.",
            ProblemKind::NotAsRecorded => "Files are not those that were recorded.",
        }
    }

    /// Whether values were compared and are wrong, where others could not be compared.
    pub(super) fn is_of_numbers(self) -> bool {
        matches!(self, ProblemKind::Numbers)
    }
}

/// What fails a run.
pub(super) struct RunProblem<'a> {
    pub(super) kind: ProblemKind,
    pub(super) comparison: &'a DocumentProvenance,
    pub(super) layer: Option<&'a DocumentLayer>,
    /// The layer or tensor; the comparison's own name where it is about none.
    pub(super) name: String,
    pub(super) message: String,
}

impl RunProblem<'_> {
    /// The line of the mapping that it is about, from 1: that of the rule that made the pair, else the first.
    pub(super) fn line(&self) -> usize {
        self.layer.and_then(|layer| layer.rule_line).unwrap_or(1)
    }
}

/// Everything that fails a run: the first failing layer first, then layers in order, then what was not compared.
pub(super) fn problems(document: &ReportDocument) -> Vec<RunProblem<'_>> {
    let mut found: Vec<RunProblem<'_>> = Vec::new();
    let first = document.first_failure();
    let is_first = |layer: &&DocumentLayer| first.is_some_and(|first| std::ptr::eq(first, *layer));
    for of in &document.provenance {
        found.extend(of.obstacle.iter().map(|message| of_comparison(ProblemKind::Obstacle, of, message)));
    }
    let others = document.failures().filter(|layer| !is_first(layer));
    found.extend(first.into_iter().chain(others).filter_map(|layer| of_layer(document, layer)));
    let at = |comparison: usize| document.provenance.get(comparison);
    found.extend(document.missing.iter().filter_map(|one| {
        let name = one.expected.join(" or ");
        let message = format!("{name} of the {}: {}", one.side, one.detail);
        Some(RunProblem {
            kind: ProblemKind::Missing,
            comparison: at(one.comparison)?,
            layer: None,
            name,
            message,
        })
    }));
    found.extend(document.unmapped.iter().filter_map(|one| {
        let message = format!("{} of the {}: {}", one.name, one.side, one.detail);
        let (kind, name) = (ProblemKind::Unmapped, one.name.clone());
        Some(RunProblem { kind, comparison: at(one.comparison)?, layer: None, name, message })
    }));
    found.extend(document.ambiguous.iter().filter_map(|one| {
        let name = listed(&one.names);
        let message = format!("{name} of the {}: {}", one.side, one.detail);
        Some(RunProblem {
            kind: ProblemKind::Ambiguous,
            comparison: at(one.comparison)?,
            layer: None,
            name,
            message,
        })
    }));
    found.extend(document.gaps.iter().filter_map(|one| {
        let (name, message) = (one.name.clone(), format!("{} {}", one.name, one.detail));
        Some(RunProblem {
            kind: ProblemKind::Gap,
            comparison: at(one.comparison)?,
            layer: None,
            name,
            message,
        })
    }));
    for of in &document.provenance {
        found.extend(of.shortfall.iter().map(|message| of_comparison(ProblemKind::Shortfall, of, message)));
        let changed = of.not_as_recorded.iter();
        found.extend(changed.map(|message| of_comparison(ProblemKind::NotAsRecorded, of, message)));
    }
    found
}

fn of_comparison<'a>(kind: ProblemKind, comparison: &'a DocumentProvenance, message: &str) -> RunProblem<'a> {
    let (name, message) = (suite(comparison), message.to_string());
    RunProblem { kind, comparison, layer: None, name, message }
}

fn of_layer<'a>(document: &'a ReportDocument, layer: &'a DocumentLayer) -> Option<RunProblem<'a>> {
    let kind = match layer.verdict {
        LayerVerdict::Pass => return None,
        LayerVerdict::Fail => ProblemKind::Numbers,
        LayerVerdict::ShapeMismatch => ProblemKind::Shape,
        LayerVerdict::Unreadable => ProblemKind::Unreadable,
    };
    let (name, message) = (layer.pair_name().to_string(), layer.reasons.join("; "));
    Some(RunProblem {
        kind,
        comparison: document.provenance.get(layer.comparison)?,
        layer: Some(layer),
        name,
        message,
    })
}

/// What a comparison is called: the reference's title up to how it was made.
pub(super) fn suite(provenance: &DocumentProvenance) -> String {
    provenance.reference.title.split(',').next().unwrap_or_default().to_string()
}

/// The first names of several.
fn listed(names: &[String]) -> String {
    match names.len() {
        0..=NAMES => names.join(" and "),
        n => format!("{} and {} more", names[..NAMES].join(", "), n - NAMES),
    }
}
