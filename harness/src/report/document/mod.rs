//! A run as a document that programs read and every file format is made from: stable, with a `schema_version`.
//!
//! A figure that is undefined is null, never 0 and never NaN. Beside each sentence stands what it is about, under `about`.

mod baseline;
mod budget;
mod error_shape;
mod findings;
mod layer;
mod maps;
mod number;
mod provenance;
mod tolerance;
mod unpaired;
mod value_change;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::baseline::{DocumentBaseline, DocumentTrend};
pub use self::layer::{Counts, DocumentLayer, DocumentRunErrors, DocumentSeen, DocumentWorst, LayerVerdict};
pub use self::maps::DocumentMaps;
pub use self::number::Number;
pub use self::provenance::{DocumentFinding, DocumentOrder, DocumentOrigin, DocumentProvenance};
pub use self::tolerance::{DocumentBasis, DocumentCriterion, DocumentTolerance};
pub use self::unpaired::{
    DocumentAbsent, DocumentAmbiguous, DocumentCounterpart, DocumentGap, DocumentIgnored, DocumentMissing,
    DocumentUnmapped,
};
use crate::compare::comparison::{Comparison, Run};
use crate::exit_code;
use crate::report::words;

/// The version of the schema that this program writes.
pub const SCHEMA_VERSION: u32 = 2;

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportDocument {
    /// The version of this schema.
    pub schema_version: u32,
    /// Counts and verdict.
    pub summary: DocumentSummary,
    /// In the order of execution, where that is known.
    pub layers: Vec<DocumentLayer>,
    /// Not there.
    pub missing: Vec<DocumentMissing>,
    /// Unknown to the mapping.
    pub unmapped: Vec<DocumentUnmapped>,
    /// Taken twice.
    pub ambiguous: Vec<DocumentAmbiguous>,
    /// Not compared, with a reason.
    pub ignored: Vec<DocumentIgnored>,
    /// Optional, and not there.
    pub absent: Vec<DocumentAbsent>,
    /// Pairs that a file of figures does not know, and entries of it without a pair.
    pub gaps: Vec<DocumentGap>,
    /// What was compared with what.
    pub provenance: Vec<DocumentProvenance>,
    /// What to do next, a step each.
    pub next: Vec<String>,
    /// Some layers as maps, for pages; they are not written as JSON.
    #[serde(skip)]
    pub maps: Vec<DocumentMaps>,
}

/// Counts over all tensors, and the verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "most are the number of what they are called")]
pub struct DocumentSummary {
    pub compared: usize,
    pub passed: usize,
    pub failed: usize,
    /// Of those that were compared, where not all elements of all were.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub partly_seen: usize,
    pub missing: usize,
    pub unmapped: usize,
    pub ambiguous: usize,
    pub ignored: usize,
    pub absent: usize,
    pub gaps: usize,
    pub shape_mismatch: usize,
    pub unreadable: usize,
    pub verdict: RunVerdict,
    pub exit_code: u8,
    /// The counts as a sentence.
    pub text: String,
    /// The `stands_for` of a layer that has one, else its `name`.
    pub first_failure: Option<String>,
    /// The comparison that it is in, of those in `provenance`.
    pub first_failure_comparison: Option<usize>,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// The verdict on a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunVerdict {
    /// Exit code 0.
    Pass,
    /// Any other.
    Fail,
}

impl ReportDocument {
    /// The document of a run.
    pub fn of(run: &Run) -> ReportDocument {
        fn each<'a, T: 'a, D>(
            run: &'a Run,
            of: impl Fn(&'a Comparison) -> &'a [T] + 'a,
            document: impl Fn(usize, &'a T) -> D + Copy + 'a,
        ) -> Vec<D> {
            let numbered = run.comparisons.iter().enumerate();
            numbered.flat_map(|(at, one)| of(one).iter().map(move |thing| document(at, thing))).collect()
        }
        let numbered = || run.comparisons.iter().enumerate();
        ReportDocument {
            schema_version: SCHEMA_VERSION,
            summary: summary(run),
            layers: numbered()
                .flat_map(|(at, one)| one.layers.iter().map(move |layer| layer::layer(at, one, layer)))
                .collect(),
            missing: each(run, |one| &one.missing, unpaired::missing),
            unmapped: each(run, |one| &one.unmapped, unpaired::unmapped),
            ambiguous: each(run, |one| &one.ambiguous, unpaired::ambiguous),
            ignored: each(run, |one| &one.ignored, unpaired::ignored),
            absent: each(run, |one| &one.absent, unpaired::absent),
            gaps: each(run, |one| &one.gaps, unpaired::gap),
            provenance: numbered().map(|(at, one)| provenance::provenance(at, one, run)).collect(),
            next: run.next.clone(),
            maps: each(run, |one| &one.maps, maps::maps),
        }
    }

    /// Layers that did not pass.
    pub fn failures(&self) -> impl Iterator<Item = &DocumentLayer> {
        self.layers.iter().filter(|layer| !layer.passed())
    }

    /// The first layer that did not pass, where the order is known.
    pub fn first_failure(&self) -> Option<&DocumentLayer> {
        let DocumentSummary { first_failure, first_failure_comparison, .. } = &self.summary;
        self.failures().find(|layer| {
            Some(layer.comparison) == *first_failure_comparison
                && Some(layer.pair_name()) == first_failure.as_deref()
        })
    }

    /// What explains a layer.
    pub fn causes<'a>(&'a self, layer: &'a DocumentLayer) -> impl Iterator<Item = &'a str> {
        let of = self.provenance.get(layer.comparison).map(|of| of.findings.as_slice()).unwrap_or_default();
        of.iter().filter(|finding| finding.explains(layer.pair_name())).map(|finding| finding.text.as_str())
    }
}

fn summary(run: &Run) -> DocumentSummary {
    let (total, code) = (run.summary(), run.exit_code());
    DocumentSummary {
        compared: total.compared,
        passed: total.passed,
        failed: total.failed,
        partly_seen: total.partly_seen,
        missing: total.missing,
        unmapped: total.unmapped,
        ambiguous: total.ambiguous,
        ignored: total.ignored,
        absent: total.absent,
        gaps: total.gaps,
        shape_mismatch: total.shape_mismatch,
        unreadable: total.unreadable,
        verdict: if code == exit_code::PASSED { RunVerdict::Pass } else { RunVerdict::Fail },
        exit_code: code,
        text: words::verdict(&total, code),
        first_failure: run.first_failure().map(|(_, layer)| layer.pair_name().to_string()),
        first_failure_comparison: run.first_failure().map(|(at, _)| at),
    }
}
