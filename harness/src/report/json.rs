//! The report for programs: stable, with a `schema_version`. A figure that is undefined is null, never 0 and never NaN.
//! Beside each sentence stands what it is about, under `about`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::words;
use crate::compare::comparison::{Compared, Comparison, Layer, Origin, Outcome, Run};
use crate::compare::gap::Counterpart;
use crate::compare::metrics::Metrics;
use crate::compare::remark::{Remark, RemarkKind};
use crate::compare::verdict::Diagnosis;
use crate::exit_code;
use crate::limits::file::FigureKind;
use crate::limits::known_errors::Trend;
use crate::limits::tolerance::Basis;
use crate::limits::waiver::Waiver;
use crate::mapping::order::{ExecutionOrder, UnknownOrder};
use crate::mapping::pairing::{AmbiguityCause, CountedLengths, UnmappedHint, WantedBy};
use crate::mapping::{MappingWarning, position};
use crate::side::Side;
use crate::tensor::layout::{LaidOut, MismatchCause, ShapeMismatch};

/// The version of the schema that this program writes.
pub const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
struct JsonDocument<'a> {
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
    tolerance: Option<DocumentTolerance<'a>>,
    baseline: Option<DocumentBaseline>,
    verdict: &'static str,
    diagnosis: Option<String>,
    /// What `diagnosis` is about.
    about: Option<Value>,
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
struct DocumentTolerance<'a> {
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
    hint: Option<String>,
    about: Option<Value>,
}

#[derive(Serialize)]
struct DocumentAmbiguous<'a> {
    comparison: usize,
    side: Side,
    names: &'a [String],
    detail: String,
    about: Value,
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
    of: String,
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
    order: &'static str,
    obstacle: Option<&'a str>,
    not_as_recorded: Vec<String>,
    remarks: Vec<String>,
    warnings: Vec<String>,
    /// The sentences above once more, each with what it is about.
    findings: Vec<Value>,
    resources: &'a BTreeMap<String, String>,
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
    let figure = |of: fn(&Metrics) -> Option<f64>| metrics.and_then(of);
    let (verdict, diagnosis, about) = match &layer.outcome {
        Outcome::Compared(compared) => {
            let diagnosis = compared.judgement.diagnosis;
            let verdict = if compared.passed() { "pass" } else { "fail" };
            (verdict, diagnosis.map(words::diagnosis), diagnosis.map(about_diagnosis))
        }
        Outcome::ShapeMismatch(mismatch) => {
            ("shape_mismatch", Some(words::mismatch(mismatch)), Some(about_mismatch(mismatch)))
        }
        Outcome::Unreadable { side, cause } => {
            let about = json!({"kind": "unreadable", "side": side});
            ("unreadable", Some(words::unreadable(&layer.name, cause)), Some(about))
        }
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
        about,
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

fn tolerance(compared: &Compared) -> DocumentTolerance<'_> {
    let criteria = compared.judgement.criteria.iter().map(|criterion| {
        let (basis, floor, factor) = match criterion.basis {
            Basis::Derived { floor, factor } => ("derived", Some(floor), Some(factor)),
            Basis::NoiseFloor { floor, factor } => ("noise_floor", Some(floor), Some(factor)),
            Basis::Mapping => ("mapping", None, None),
        };
        let (metric, measured, limit) = (criterion.kind.name(), criterion.measured, criterion.limit);
        let (waiver, passed) = (criterion.waiver.as_ref(), criterion.passed);
        DocumentCriterion { metric, measured, limit, basis, floor, factor, waiver, passed }
    });
    DocumentTolerance { criteria: criteria.collect() }
}

/// The report as text.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn render(run: &Run) -> Result<String, serde_json::Error> {
    let (total, code) = (run.summary(), run.exit_code());
    let numbered = || run.comparisons.iter().enumerate();
    let document = JsonDocument {
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
            first_failure_comparison: run.first_failure().map(|(at, _)| at),
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
                    hint: u.hint.as_ref().map(|hint| words::unmapped(Some(hint))),
                    about: u.hint.as_ref().map(about_unmapped),
                })
            })
            .collect(),
        ambiguous: numbered()
            .flat_map(|(comparison, c)| {
                c.ambiguous.iter().map(move |a| DocumentAmbiguous {
                    comparison,
                    side: a.side,
                    names: &a.names,
                    detail: words::ambiguity(&a.cause),
                    about: about_ambiguity(&a.cause),
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
                    of: gap.of.to_string(),
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
                order: match c.order {
                    ExecutionOrder::Manifest => "manifest",
                    ExecutionOrder::Mapping => "mapping",
                    ExecutionOrder::Unknown(_) => "unknown",
                },
                obstacle: c.obstacle.as_ref().map(|obstacle| obstacle.message.as_str()),
                not_as_recorded: c.not_as_recorded.iter().map(words::record_difference).collect(),
                remarks: c.remarks.iter().map(words::remark).collect(),
                warnings: c.warnings.iter().map(|warning| words::mapping_warning(warning).message).collect(),
                findings: findings(c),
                resources: &run.resources,
            })
            .collect(),
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// Every sentence about a comparison as a whole, with what it is about.
fn findings(comparison: &Comparison) -> Vec<Value> {
    let with_text = |text: String, mut about: Value| {
        about["text"] = text.into();
        about
    };
    let obstacle = comparison.obstacle.iter().map(|obstacle| {
        with_text(obstacle.message.clone(), json!({"kind": "obstacle", "of": obstacle.kind}))
    });
    let order = match &comparison.order {
        ExecutionOrder::Unknown(unknown) => {
            let rules = match unknown {
                UnknownOrder::Within { rule } => vec![rule],
                UnknownOrder::Between { rule, next } => vec![rule, next],
            };
            Some(with_text(words::unknown_order(unknown), json!({"kind": "order_unknown", "rules": rules})))
        }
        _ => None,
    };
    let changed = comparison.not_as_recorded.iter().map(|difference| {
        let about = json!({
            "kind": "not_as_recorded", "side": difference.side, "how": difference.kind,
            "files": difference.files, "record": difference.record,
        });
        with_text(words::record_difference(difference), about)
    });
    let remarks =
        comparison.remarks.iter().map(|remark| with_text(words::remark(remark), about_remark(remark)));
    let warnings = comparison.warnings.iter().map(|warning| {
        let finding = words::mapping_warning(warning);
        with_text(finding.message, about_warning(warning, &comparison.mapping_text))
    });
    obstacle.chain(order).chain(changed).chain(remarks).chain(warnings).collect()
}

fn about_diagnosis(diagnosis: Diagnosis) -> Value {
    match diagnosis {
        Diagnosis::NoElements => json!({"kind": "no_elements"}),
        Diagnosis::NonFinite(elements) => json!({"kind": "non_finite", "elements": elements}),
        Diagnosis::ZeroCandidate => json!({"kind": "zero_candidate"}),
        Diagnosis::ZeroReference => json!({"kind": "zero_reference"}),
        Diagnosis::Factor(factor) => json!({"kind": "factor", "factor": factor}),
    }
}

fn about_mismatch(mismatch: &ShapeMismatch) -> Value {
    let ShapeMismatch { candidate, reference, cause } = mismatch;
    let side = |LaidOut { layout, shape }: &LaidOut| json!({"layout": layout.to_string(), "shape": shape});
    let cause = match cause {
        MismatchCause::Rank => json!({"kind": "rank"}),
        MismatchCause::Extents => json!({"kind": "extents"}),
        MismatchCause::Exchanged(a, b) => json!({"kind": "exchanged", "axes": [a, b]}),
        MismatchCause::Axis { name, extents } => json!({"kind": "axis", "axis": name, "extents": extents}),
        MismatchCause::Product { axes, extent } => json!({"kind": "product", "axes": axes, "extent": extent}),
        MismatchCause::DifferentAxes => json!({"kind": "different_axes"}),
    };
    json!({"kind": "shape", "candidate": side(candidate), "reference": side(reference), "cause": cause})
}

fn about_lengths(counted: &CountedLengths) -> Value {
    let CountedLengths { placeholder, lengths, given } = counted;
    json!({"placeholder": placeholder, "lengths": lengths, "given": given})
}

fn about_unmapped(hint: &UnmappedHint) -> Value {
    match hint {
        UnmappedHint::BeyondLengths(counted) => {
            let lengths: Vec<Value> = counted.iter().map(about_lengths).collect();
            json!({"kind": "beyond_lengths", "lengths": lengths})
        }
        UnmappedHint::NearMissing(name) => json!({"kind": "near_missing", "name": name}),
        UnmappedHint::NotNamedLike(pattern) => json!({"kind": "not_named_like", "pattern": pattern}),
    }
}

fn about_ambiguity(cause: &AmbiguityCause) -> Value {
    match cause {
        AmbiguityCause::TakenTwice { rules, ignore } => {
            json!({"kind": "taken_twice", "rules": rules, "ignore_line": ignore})
        }
        AmbiguityCause::SeveralFit { rule } => json!({"kind": "several_fit", "rule": rule}),
        AmbiguityCause::Partner => json!({"kind": "partner"}),
    }
}

fn about_remark(remark: &Remark) -> Value {
    let mut about = match &remark.kind {
        RemarkKind::NoManifest => json!({"kind": "no_manifest"}),
        RemarkKind::LengthsFromNames(counted) => {
            json!({"kind": "lengths_from_names", "lengths": about_lengths(counted)})
        }
        RemarkKind::Waived { layer, metric, waiver } => {
            json!({"kind": "waived", "layer": layer, "metric": metric, "waiver": waiver})
        }
        RemarkKind::UnmeasuredConditions { layers, conditions } => {
            json!({"kind": "unmeasured_conditions", "layers": layers, "conditions": conditions})
        }
        RemarkKind::OriginUnknown { side } => json!({"kind": "origin_unknown", "side": side}),
        RemarkKind::CoarserThanJudged { computed, judged } => {
            json!({"kind": "coarser_than_judged", "computed": computed, "judged": judged})
        }
        RemarkKind::NotDerived { layers } => json!({"kind": "not_derived", "layers": layers}),
        RemarkKind::AnotherSet { set } => json!({"kind": "another_set", "set": set}),
        RemarkKind::NoFigures { of, set, profile } => {
            json!({"kind": "no_figures", "of": FigureKind::to_string(of), "set": set, "profile": profile})
        }
    };
    if let Some(advice) = &remark.advice {
        about["advice"] = advice.as_str().into();
    }
    about
}

fn about_warning(warning: &MappingWarning, text: &str) -> Value {
    match warning {
        MappingWarning::CountsOverNothing { placeholder, place } => {
            let (line, column) = position(text, place.start);
            json!({"kind": "counts_over_nothing", "placeholder": placeholder, "line": line, "column": column})
        }
        MappingWarning::RuleTakesNothing { rule, place, near } => {
            let (line, column) = position(text, place.start);
            json!({"kind": "rule_takes_nothing", "rule": rule, "near": near, "line": line, "column": column})
        }
    }
}
