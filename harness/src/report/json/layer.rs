//! A pair: its figures, what they were judged by, and the verdict.

use serde::Serialize;
use serde_json::{Value, json};

use super::error_shape::error_shape;
use super::findings::{about_diagnosis, about_mismatch};
use crate::compare::budget::RunErrors;
use crate::compare::comparison::{Compared, Comparison, Layer, Outcome};
use crate::compare::metrics::Metrics;
use crate::limits::known_errors::Trend;
use crate::limits::tolerance::Basis;
use crate::limits::waiver::Waiver;
use crate::report::words;

#[derive(Serialize)]
pub(super) struct DocumentLayer<'a> {
    comparison: usize,
    name: &'a str,
    reference: &'a str,
    rule: &'a str,
    stands_for: Option<&'a str>,
    shape: Option<&'a [usize]>,
    candidate_dtype: Option<String>,
    reference_dtype: Option<String>,
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
    /// Where not all of its elements were compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<DocumentSeen>,
    /// Where its figures are those of itself alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_run: Option<DocumentRunErrors>,
    verdict: &'static str,
    /// Where its error is, where that was looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_shape: Option<Value>,
    diagnosis: Option<String>,
    /// What `diagnosis` is about.
    about: Option<Value>,
}

#[derive(Serialize)]
struct DocumentSeen {
    elements: usize,
    of: usize,
}

#[derive(Serialize)]
struct DocumentRunErrors {
    inherited: f64,
    whole: f64,
    gain: Option<f64>,
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

pub(super) fn layer<'a>(comparison: usize, of: &Comparison, layer: &'a Layer) -> DocumentLayer<'a> {
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
        candidate_dtype: compared.map(|compared| compared.dtypes.candidate.to_string()),
        reference_dtype: compared.map(|compared| compared.dtypes.reference.to_string()),
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
        seen: compared
            .and_then(|compared| compared.seen)
            .map(|seen| DocumentSeen { elements: seen.elements, of: seen.of }),
        in_run: compared
            .and_then(|compared| compared.in_run)
            .map(|RunErrors { inherited, whole, gain }| DocumentRunErrors { inherited, whole, gain }),
        verdict,
        error_shape: of.error_shapes.iter().find(|shape| shape.layer == layer.pair_name()).map(error_shape),
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
            Basis::Cap => ("cap", None, None),
        };
        let (metric, measured, limit) = (criterion.kind.name(), criterion.measured, criterion.limit);
        let (waiver, passed) = (criterion.waiver.as_ref(), criterion.passed);
        DocumentCriterion { metric, measured, limit, basis, floor, factor, waiver, passed }
    });
    DocumentTolerance { criteria: criteria.collect() }
}
