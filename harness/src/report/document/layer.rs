//! A pair: its figures, what they were judged by, and the verdict.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::baseline::{DocumentBaseline, baseline};
use super::error_shape::error_shape;
use super::findings::{about_diagnosis, about_mismatch};
use super::number::{Number, finite};
use super::tolerance::{DocumentTolerance, tolerance};
use crate::compare::budget::RunErrors;
use crate::compare::comparison::{Compared, Comparison, Layer, Outcome};
use crate::compare::metrics::Metrics;
use crate::compare::worst::Worst;
use crate::limits::known_errors::Trend;
use crate::report::words;

/// A pair that was compared, or could not be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentLayer {
    /// The comparison that it is in, of those in `provenance`.
    pub comparison: usize,
    /// The candidate's name.
    pub name: String,
    /// The reference's name.
    pub reference: String,
    /// The rule that paired them.
    pub rule: String,
    /// The line of that rule in the mapping, from 1.
    pub rule_line: Option<usize>,
    /// The name that the candidate stands for, where it has no tensor of its own.
    pub stands_for: Option<String>,
    /// Why it stands for it, where the mapping says.
    pub alias_reason: Option<String>,
    /// Whether it is the model's input.
    pub is_input: bool,
    /// Extents of the reference, slowest first.
    pub shape: Option<Vec<usize>>,
    /// The type that the candidate is stored in.
    pub candidate_dtype: Option<String>,
    /// The type that the reference is stored in.
    pub reference_dtype: Option<String>,
    /// Position in the order of execution, from 0.
    pub order: usize,
    /// max |d|, with d the candidate minus the reference.
    pub max_abs: Option<f64>,
    /// mean |d|.
    pub mean_abs: Option<f64>,
    /// sqrt(mean d²).
    pub rms: Option<f64>,
    /// mean |d| / (|b| + 1e-8), with b the reference.
    pub mean_rel: Option<f64>,
    /// mean |d| / max(|b|, f) with f = 1e-3 rms(b).
    pub rel_floor_mean: Option<f64>,
    /// max |d| / max(|b|, f).
    pub rel_floor_max: Option<f64>,
    /// ‖d‖ / ‖b‖.
    pub rel_l2: Option<f64>,
    /// max |d| / max |b|.
    pub rel_linf: Option<f64>,
    /// a·b / (‖a‖ ‖b‖), with a the candidate.
    pub cosine: Option<f64>,
    /// a·b / b·b.
    pub scale: Option<f64>,
    /// Largest distance in units of the narrower type.
    pub max_ulp: Option<u64>,
    /// Counts of elements.
    pub counts: Option<Counts>,
    /// The element with the largest error.
    pub worst: Option<DocumentWorst>,
    /// What it was judged by.
    pub tolerance: Option<DocumentTolerance>,
    /// The largest share of a limit that is used up, above 1 where it is broken; null where there is no such number.
    pub used: Option<f64>,
    /// How it stands to its known errors, where there are any.
    pub baseline: Option<DocumentBaseline>,
    /// Where not all of its elements were compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<DocumentSeen>,
    /// Where its figures are those of itself alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_run: Option<DocumentRunErrors>,
    /// What became of it.
    pub verdict: LayerVerdict,
    /// Why it does not pass, a sentence each; empty where it does.
    pub reasons: Vec<String>,
    /// Where its error is, where that was looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_shape: Option<Value>,
    /// A cause that the figures prove, or what kept it from being compared.
    pub diagnosis: Option<String>,
    /// What `diagnosis` is about.
    pub about: Option<Value>,
}

/// What became of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LayerVerdict {
    /// Within its limits, and no worse than known.
    Pass,
    /// Over a limit, or worse than known.
    Fail,
    /// The extents do not fit each other.
    ShapeMismatch,
    /// One of the two cannot be read.
    Unreadable,
}

/// How much of a tensor was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentSeen {
    /// Elements that were.
    pub elements: usize,
    /// All elements.
    pub of: usize,
}

/// Errors of a layer within its run, relative to the reference (‖d‖ / ‖b‖).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentRunErrors {
    /// What came in with its inputs.
    pub inherited: Option<f64>,
    /// All of it.
    pub whole: Option<f64>,
    /// What it makes of the error of its first input, as a factor.
    pub gain: Option<f64>,
}

/// Counts of elements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// All of them.
    pub elements: usize,
    /// NaN and ±Inf of the candidate.
    pub candidate_non_finite: usize,
    /// NaN and ±Inf of the reference.
    pub reference_non_finite: usize,
    /// Elements that differ in NaN or Inf.
    pub non_finite_mismatches: usize,
    /// Elements with |b| under 1e-3 rms(b).
    pub under_floor: usize,
}

/// The element with the largest error. The values are strings where they are NaN or infinite, which JSON cannot say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentWorst {
    /// Its index in the reference.
    pub index: Vec<usize>,
    /// Its index in the candidate.
    pub candidate_index: Vec<usize>,
    /// The candidate's value.
    pub candidate: Number,
    /// The reference's value.
    pub reference: Number,
}

impl DocumentLayer {
    /// The share of its limit that it uses up: infinite where a figure is undefined; `None` where it was not compared.
    pub fn used_up(&self) -> Option<f64> {
        self.used.or(self.tolerance.as_ref().map(|_| f64::INFINITY))
    }

    /// What the pair is called: the candidate's name, or the one that it stands for.
    pub fn pair_name(&self) -> &str {
        self.stands_for.as_deref().unwrap_or(&self.name)
    }

    /// Whether it is within its limits, and no worse than known.
    pub fn passed(&self) -> bool {
        self.verdict == LayerVerdict::Pass
    }
}

pub(super) fn layer(comparison: usize, of: &Comparison, layer: &Layer) -> DocumentLayer {
    let compared = layer.compared();
    let metrics = compared.map(|compared| &compared.metrics);
    let figure = |of: fn(&Metrics) -> Option<f64>| metrics.and_then(of);
    let (verdict, diagnosis, about) = match &layer.outcome {
        Outcome::Compared(compared) => {
            let diagnosis = compared.judgement.diagnosis;
            let verdict = if compared.passed() { LayerVerdict::Pass } else { LayerVerdict::Fail };
            (verdict, diagnosis.map(words::diagnosis), diagnosis.map(about_diagnosis))
        }
        Outcome::ShapeMismatch(mismatch) => {
            (LayerVerdict::ShapeMismatch, Some(words::mismatch(mismatch)), Some(about_mismatch(mismatch)))
        }
        Outcome::Unreadable { side, cause } => {
            let about = json!({"kind": "unreadable", "side": side});
            (LayerVerdict::Unreadable, Some(words::unreadable(&layer.name, cause)), Some(about))
        }
    };
    let reasons = match compared {
        Some(compared) => reasons(compared),
        None => diagnosis.clone().into_iter().collect(),
    };
    DocumentLayer {
        comparison,
        name: layer.name.clone(),
        reference: layer.reference.clone(),
        rule: layer.rule.clone(),
        rule_line: of.rule_lines.get(&layer.rule).copied(),
        stands_for: layer.stands_for.clone(),
        alias_reason: layer.alias_reason.clone(),
        is_input: layer.is_input,
        shape: compared.map(|compared| compared.shape.clone()),
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
        worst: compared.and_then(|compared| compared.worst.as_ref()).map(worst),
        tolerance: compared.map(tolerance),
        used: finite(layer.used()),
        baseline: compared.and_then(|compared| compared.trend).map(baseline),
        seen: compared
            .and_then(|compared| compared.seen)
            .map(|seen| DocumentSeen { elements: seen.elements, of: seen.of }),
        in_run: compared.and_then(|compared| compared.in_run).map(|RunErrors { inherited, whole, gain }| {
            DocumentRunErrors {
                inherited: finite(inherited),
                whole: finite(whole),
                gain: gain.and_then(finite),
            }
        }),
        verdict,
        reasons,
        error_shape: of.error_shapes.iter().find(|shape| shape.layer == layer.pair_name()).map(error_shape),
        diagnosis,
        about,
    }
}

pub(super) fn worst(worst: &Worst) -> DocumentWorst {
    DocumentWorst {
        index: worst.index.clone(),
        candidate_index: worst.candidate_index.clone(),
        candidate: worst.candidate.into(),
        reference: worst.reference.into(),
    }
}

/// Why a compared layer does not pass.
fn reasons(compared: &Compared) -> Vec<String> {
    let broken = compared.judgement.criteria.iter().filter(|criterion| !criterion.passed).map(words::broken);
    let worse = match &compared.trend {
        Some(Trend::Worse(change)) => Some(words::trend(change)),
        _ => None,
    };
    broken.chain(worse).collect()
}
