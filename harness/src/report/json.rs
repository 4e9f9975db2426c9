//! The report for programs: stable, with a `schema_version`. A figure that is undefined is null, never 0 and never NaN.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::baseline::Trend;
use crate::comparison::{Compared, Layer, Origin, Outcome, Run};
use crate::exit_code;
use crate::gap::Counterpart;
use crate::mapping::Side;
use crate::pairing::WantedBy;
use crate::tolerance::Basis;
use crate::waiver::Waiver;

/// The version of the schema that this program writes.
pub const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    summary: DocumentSummary<'a>,
    layers: Vec<DocumentLayer<'a>>,
    missing: Vec<DocumentMissing<'a>>,
    unmapped: Vec<DocumentUnmapped<'a>>,
    ambiguous: Vec<DocumentAmbiguous<'a>>,
    ignored: Vec<DocumentIgnored<'a>>,
    absent: Vec<DocumentAbsent<'a>>,
    gaps: Vec<DocumentGap<'a>>,
    provenance: Vec<DocumentProvenance<'a>>,
}

#[derive(Serialize)]
struct DocumentSummary<'a> {
    compared: usize,
    passed: usize,
    failed: usize,
    missing: usize,
    unmapped: usize,
    ambiguous: usize,
    ignored: usize,
    absent: usize,
    gaps: usize,
    shape_mismatch: usize,
    unreadable: usize,
    verdict: &'static str,
    exit_code: u8,
    /// The `stands_for` of a layer that has one, else its `name`.
    first_failure: Option<&'a str>,
    /// The comparison that it is in, of those in `provenance`.
    first_failure_comparison: Option<usize>,
}

#[derive(Serialize)]
struct DocumentLayer<'a> {
    comparison: usize,
    name: &'a str,
    reference: &'a str,
    rule: &'a str,
    stands_for: Option<&'a str>,
    shape: Option<&'a [usize]>,
    order: usize,
    max_abs: Option<f64>,
    mean_abs: Option<f64>,
    rms: Option<f64>,
    mean_rel: Option<f64>,
    rel_floor_mean: Option<f64>,
    rel_floor_max: Option<f64>,
    rel_l2: Option<f64>,
    rel_linf: Option<f64>,
    cosine: Option<f64>,
    scale: Option<f64>,
    max_ulp: Option<u64>,
    counts: Option<Counts>,
    worst: Option<DocumentWorst<'a>>,
    tolerance: Option<Tolerance<'a>>,
    baseline: Option<DocumentBaseline>,
    verdict: &'static str,
    diagnosis: Option<String>,
}

#[derive(Serialize)]
struct DocumentBaseline {
    trend: &'static str,
    metric: Option<&'static str>,
    old: Option<f64>,
    new: Option<f64>,
    allowed: Option<f64>,
}

#[derive(Serialize)]
struct Counts {
    elements: usize,
    candidate_non_finite: usize,
    reference_non_finite: usize,
    non_finite_mismatches: usize,
    under_floor: usize,
}

/// The values are strings where they are NaN or infinite, which JSON cannot say.
#[derive(Serialize)]
struct DocumentWorst<'a> {
    index: &'a [usize],
    candidate_index: &'a [usize],
    candidate: Number,
    reference: Number,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    Other(String),
}

impl From<f64> for Number {
    fn from(x: f64) -> Number {
        if x.is_finite() { Number::Finite(x) } else { Number::Other(x.to_string()) }
    }
}

#[derive(Serialize)]
struct Tolerance<'a> {
    criteria: Vec<DocumentCriterion<'a>>,
}

#[derive(Serialize)]
struct DocumentCriterion<'a> {
    metric: &'a str,
    measured: Option<f64>,
    limit: f64,
    basis: &'static str,
    floor: Option<f64>,
    factor: Option<f64>,
    waiver: Option<&'a Waiver>,
    passed: bool,
}

#[derive(Serialize)]
struct DocumentMissing<'a> {
    comparison: usize,
    side: Side,
    expected: &'a [String],
    wanted_by: &'a str,
}

#[derive(Serialize)]
struct DocumentUnmapped<'a> {
    comparison: usize,
    side: Side,
    name: &'a str,
    hint: Option<&'a str>,
}

#[derive(Serialize)]
struct DocumentAmbiguous<'a> {
    comparison: usize,
    side: Side,
    names: &'a [String],
    detail: &'a str,
}

#[derive(Serialize)]
struct DocumentIgnored<'a> {
    comparison: usize,
    side: Side,
    name: &'a str,
    reason: &'a str,
    line: usize,
}

#[derive(Serialize)]
struct DocumentAbsent<'a> {
    comparison: usize,
    name: &'a str,
    reference: &'a str,
}

#[derive(Serialize)]
struct DocumentGap<'a> {
    comparison: usize,
    of: &'static str,
    name: &'a str,
    reference: &'a str,
    missing: &'static str,
}

#[derive(Serialize)]
struct DocumentProvenance<'a> {
    comparison: usize,
    program: &'static str,
    mapping: String,
    profile: &'a str,
    same_input: Option<&'a str>,
    candidate: DocumentOrigin<'a>,
    reference: DocumentOrigin<'a>,
    obstacle: Option<&'a str>,
    not_as_recorded: &'a [String],
    remarks: &'a [String],
    warnings: &'a [String],
}

#[derive(Serialize)]
struct DocumentOrigin<'a> {
    title: &'a str,
    folder: Option<String>,
    facts: &'a BTreeMap<String, String>,
}

fn origin(origin: &Origin) -> DocumentOrigin<'_> {
    let folder = origin.folder.as_ref().map(|folder| folder.display().to_string());
    DocumentOrigin { title: &origin.title, folder, facts: &origin.facts }
}

fn layer(comparison: usize, layer: &Layer) -> DocumentLayer<'_> {
    let compared = layer.compared();
    let metrics = compared.map(|compared| &compared.metrics);
    let figure = |of: fn(&crate::metrics::Metrics) -> Option<f64>| metrics.and_then(of);
    let (verdict, diagnosis) = match &layer.outcome {
        Outcome::Compared(compared) => {
            (if compared.passed() { "pass" } else { "fail" }, compared.judgement.diagnosis.clone())
        }
        Outcome::ShapeMismatch(mismatch) => ("shape_mismatch", Some(mismatch.to_string())),
        Outcome::Unreadable { message, .. } => ("unreadable", Some(message.clone())),
    };
    DocumentLayer {
        comparison,
        name: &layer.name,
        reference: &layer.reference,
        rule: &layer.rule,
        stands_for: layer.stands_for.as_deref(),
        shape: compared.map(|compared| compared.shape.as_slice()),
        order: layer.order,
        max_abs: figure(|m| m.max_abs),
        mean_abs: figure(|m| m.mean_abs),
        rms: figure(|m| m.rms),
        mean_rel: figure(|m| m.mean_rel),
        rel_floor_mean: figure(|m| m.rel_floor_mean),
        rel_floor_max: figure(|m| m.rel_floor_max),
        rel_l2: figure(|m| m.rel_l2),
        rel_linf: figure(|m| m.rel_linf),
        cosine: figure(|m| m.cosine),
        scale: figure(|m| m.scale),
        max_ulp: metrics.and_then(|m| m.max_ulp),
        counts: metrics.map(|m| Counts {
            elements: m.n,
            candidate_non_finite: m.candidate_non_finite,
            reference_non_finite: m.reference_non_finite,
            non_finite_mismatches: m.non_finite_mismatches,
            under_floor: m.under_floor,
        }),
        worst: compared.and_then(|compared| compared.worst.as_ref()).map(|worst| DocumentWorst {
            index: &worst.index,
            candidate_index: &worst.candidate_index,
            candidate: worst.candidate.into(),
            reference: worst.reference.into(),
        }),
        tolerance: compared.map(tolerance),
        baseline: compared.and_then(|compared| compared.trend).map(baseline),
        verdict,
        diagnosis,
    }
}

fn baseline(trend: Trend) -> DocumentBaseline {
    let (trend, change) = match trend {
        Trend::Worse(change) => ("worse", Some(change)),
        Trend::Better(change) => ("better", Some(change)),
        Trend::Same => ("same", None),
    };
    DocumentBaseline {
        trend,
        metric: change.map(|change| change.metric.name()),
        old: change.map(|change| change.old),
        new: change.map(|change| change.new).filter(|new| new.is_finite()),
        allowed: change.map(|change| change.allowed),
    }
}

fn tolerance(compared: &Compared) -> Tolerance<'_> {
    let criteria = compared.judgement.criteria.iter().map(|criterion| {
        let (basis, floor, factor) = match criterion.basis {
            Basis::Derived { floor, factor } => ("derived", Some(floor), Some(factor)),
            Basis::NoiseFloor { floor, factor } => ("noise_floor", Some(floor), Some(factor)),
            Basis::Mapping => ("mapping", None, None),
        };
        let (metric, measured, limit) = (criterion.name, criterion.measured, criterion.limit);
        let (waiver, passed) = (criterion.waiver.as_ref(), criterion.passed);
        DocumentCriterion { metric, measured, limit, basis, floor, factor, waiver, passed }
    });
    Tolerance { criteria: criteria.collect() }
}

/// The report as text.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn render(run: &Run) -> Result<String, serde_json::Error> {
    let (total, code) = (run.summary(), run.exit_code());
    let numbered = || run.comparisons.iter().enumerate();
    let document = Document {
        schema_version: SCHEMA_VERSION,
        summary: DocumentSummary {
            compared: total.compared,
            passed: total.passed,
            failed: total.failed,
            missing: total.missing,
            unmapped: total.unmapped,
            ambiguous: total.ambiguous,
            ignored: total.ignored,
            absent: total.absent,
            gaps: total.gaps,
            shape_mismatch: total.shape_mismatch,
            unreadable: total.unreadable,
            verdict: if code == exit_code::PASSED { "pass" } else { "fail" },
            exit_code: code,
            first_failure: run.first_failure().map(|(_, layer)| layer.pair_name()),
            first_failure_comparison: run.comparisons.iter().position(|c| c.first_failure().is_some()),
        },
        layers: numbered().flat_map(|(i, c)| c.layers.iter().map(move |l| layer(i, l))).collect(),
        missing: numbered()
            .flat_map(|(comparison, c)| {
                c.missing.iter().map(move |m| DocumentMissing {
                    comparison,
                    side: m.side,
                    expected: &m.expected,
                    wanted_by: match &m.wanted_by {
                        WantedBy::Partner(partner) => partner,
                        WantedBy::Manifest => "manifest",
                    },
                })
            })
            .collect(),
        unmapped: numbered()
            .flat_map(|(comparison, c)| {
                c.unmapped.iter().map(move |u| DocumentUnmapped {
                    comparison,
                    side: u.side,
                    name: &u.name,
                    hint: u.hint.as_deref(),
                })
            })
            .collect(),
        ambiguous: numbered()
            .flat_map(|(comparison, c)| {
                c.ambiguous.iter().map(move |a| DocumentAmbiguous {
                    comparison,
                    side: a.side,
                    names: &a.names,
                    detail: &a.detail,
                })
            })
            .collect(),
        ignored: numbered()
            .flat_map(|(comparison, c)| {
                c.ignored.iter().map(move |ignored| DocumentIgnored {
                    comparison,
                    side: ignored.side,
                    name: &ignored.name,
                    reason: &ignored.reason,
                    line: ignored.line,
                })
            })
            .collect(),
        absent: numbered()
            .flat_map(|(comparison, c)| {
                c.absent.iter().map(move |a| DocumentAbsent {
                    comparison,
                    name: &a.candidate,
                    reference: &a.reference,
                })
            })
            .collect(),
        gaps: numbered()
            .flat_map(|(comparison, c)| {
                c.gaps.iter().map(move |gap| DocumentGap {
                    comparison,
                    of: gap.of,
                    name: &gap.name,
                    reference: &gap.reference,
                    missing: match gap.missing {
                        Counterpart::Entry => "entry",
                        Counterpart::Pair => "pair",
                    },
                })
            })
            .collect(),
        provenance: numbered()
            .map(|(comparison, c)| DocumentProvenance {
                comparison,
                program: concat!("harness ", env!("CARGO_PKG_VERSION")),
                mapping: c.mapping.display().to_string(),
                profile: &c.profile,
                same_input: c.input.as_deref(),
                candidate: origin(&c.candidate),
                reference: origin(&c.reference),
                obstacle: c.obstacle.as_ref().map(|obstacle| obstacle.message.as_str()),
                not_as_recorded: &c.not_as_recorded,
                remarks: &c.remarks,
                warnings: &c.warnings,
            })
            .collect(),
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// Writes the report, aside and then renamed.
///
/// # Errors
/// Whatever the file system says.
pub fn write(path: &Path, run: &Run) -> std::io::Result<()> {
    let text = render(run)?;
    crate::atomic::write(path, |out| out.write_all(text.as_bytes()))
}
