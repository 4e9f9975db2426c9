//! What findings are about, beside their sentences.

use serde_json::{Value, json};

use super::value_change::value_change;
use crate::compare::comparison::Comparison;
use crate::compare::explanation::{Explanation, ExplanationKind, MappingPlace};
use crate::compare::remark::{Remark, RemarkKind};
use crate::compare::verdict::Diagnosis;
use crate::limits::file::FigureKind;
use crate::mapping::order::{ExecutionOrder, UnknownOrder};
use crate::mapping::pairing::{AmbiguityCause, CountedLengths, UnmappedHint};
use crate::mapping::{MappingWarning, position};
use crate::report::words;
use crate::tensor::layout::{LaidOut, MismatchCause, ShapeMismatch};

/// Every sentence about a comparison as a whole, with what it is about.
pub(super) fn findings(comparison: &Comparison) -> Vec<Value> {
    let with_text = |text: String, mut about: Value| {
        about["text"] = text.into();
        about
    };
    let obstacle = comparison.obstacle.iter().map(|obstacle| {
        with_text(
            obstacle.message.clone(),
            json!({
                "kind": "obstacle", "of": obstacle.kind, "about": obstacle.about, "mistakes": obstacle.mistakes,
            }),
        )
    });
    let order = match &comparison.order {
        ExecutionOrder::Unknown(unknown) => {
            let rules = match unknown {
                UnknownOrder::Within { rule } | UnknownOrder::Words { rule } => vec![rule],
                UnknownOrder::Between { rule, next } => vec![rule, next],
                UnknownOrder::NoOrder => Vec::new(),
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
    let explanations = comparison
        .explanations
        .iter()
        .map(|explanation| with_text(words::explanation(explanation), about_explanation(explanation)));
    let obstacle = obstacle.chain(explanations);
    obstacle.chain(order).chain(changed).chain(remarks).chain(warnings).collect()
}

pub(super) fn about_diagnosis(diagnosis: Diagnosis) -> Value {
    match diagnosis {
        Diagnosis::NoElements => json!({"kind": "no_elements"}),
        Diagnosis::NonFinite(elements) => json!({"kind": "non_finite", "elements": elements}),
        Diagnosis::ZeroCandidate => json!({"kind": "zero_candidate"}),
        Diagnosis::ZeroReference => json!({"kind": "zero_reference"}),
        Diagnosis::Factor(factor) => json!({"kind": "factor", "factor": factor}),
    }
}

pub(super) fn about_mismatch(mismatch: &ShapeMismatch) -> Value {
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

fn about_explanation(explanation: &Explanation) -> Value {
    let Explanation { kind, explains, tried, ties } = explanation;
    let place = |place: &MappingPlace| match place {
        MappingPlace::Side => json!("candidate"),
        MappingPlace::Rules(rules) => json!(rules),
        MappingPlace::Nowhere => json!(null),
    };
    let about = match kind {
        ExplanationKind::Layout { layout, place: at, exchanged } => json!({
            "of": "layout", "layout": layout.to_string(), "place": place(at),
            "exchanged": exchanged.as_ref().map(|(a, b)| [a, b]),
        }),
        ExplanationKind::ReferenceLayout { layout } => {
            json!({"of": "reference_layout", "layout": layout.to_string()})
        }
        ExplanationKind::PartChange { part, change, before, after, margin, .. } => json!({
            "of": "part_change", "part": part, "change": change, "before": before, "after": after, "margin": margin,
        }),
        ExplanationKind::PartUnexplained { part, changes, before, nearest, between } => json!({
            "right_before": between.as_ref().map(|(right, _)| right),
            "wrong_at": between.as_ref().map(|(_, wrong)| wrong),
            "of": "part_unexplained", "part": part, "changes": changes, "before": before,
            "nearest": nearest.as_ref().map(|(change, after)| json!({"change": change, "after": after})),
        }),
        ExplanationKind::NotGoneOnWith { part, later } => {
            json!({"of": "not_gone_on_with", "part": part, "later": later})
        }
        ExplanationKind::ReversedExtents => json!({"of": "reversed_extents"}),
        ExplanationKind::Memory { layout, place: at } => {
            json!({"of": "memory", "layout": layout.to_string(), "place": place(at)})
        }
        ExplanationKind::Flipped { axis } => json!({"of": "flipped", "axis": axis}),
        ExplanationKind::TransposedTokens { axis } => json!({"of": "transposed_tokens", "axis": axis}),
        ExplanationKind::NoReading { orders } => json!({"of": "no_reading", "orders": orders}),
        ExplanationKind::Values { change, before, after, isolated } => json!({
            "of": "values", "change": value_change(change), "before": before, "after": after,
            "isolated": isolated,
        }),
        ExplanationKind::NothingFinite => json!({"of": "nothing_finite"}),
        ExplanationKind::ValuesOf { reference } => json!({"of": "values_of", "reference": reference}),
        ExplanationKind::BytesOf { dtype, stored } => {
            json!({"of": "bytes_of", "dtype": dtype.to_string(), "stored": stored.to_string()})
        }
        ExplanationKind::IntegersOf { dtype } => json!({"of": "integers_of", "dtype": dtype.to_string()}),
        ExplanationKind::SameAs { other } => json!({"of": "same_as", "other": other}),
        ExplanationKind::Isolated => json!({"of": "isolated"}),
        ExplanationKind::Prefix { side, prefixes } => {
            json!({"of": "prefix", "side": side, "prefixes": prefixes})
        }
        ExplanationKind::Runs { side, pattern, numbers } => {
            json!({"of": "runs", "side": side, "pattern": pattern, "numbers": numbers})
        }
        ExplanationKind::Separators { side, separators } => {
            json!({"of": "separators", "side": side, "separators": separators})
        }
        ExplanationKind::Input { changes, .. } => {
            let changes: Vec<String> = changes.iter().map(|change| format!("{change:?}")).collect();
            json!({"of": "input", "changes": changes})
        }
        ExplanationKind::Change { change } => json!({"of": "change", "change": change}),
    };
    let mut about = about;
    about["kind"] = "explanation".into();
    about["explains"] = json!(explains);
    about["tried"] = json!(tried);
    about["ties"] = json!(ties);
    about
}

fn about_lengths(counted: &CountedLengths) -> Value {
    let CountedLengths { placeholder, lengths, given } = counted;
    json!({"placeholder": placeholder, "lengths": lengths, "given": given})
}

pub(super) fn about_unmapped(hint: &UnmappedHint) -> Value {
    match hint {
        UnmappedHint::BeyondLengths(counted) => {
            let lengths: Vec<Value> = counted.iter().map(about_lengths).collect();
            json!({"kind": "beyond_lengths", "lengths": lengths})
        }
        UnmappedHint::NearMissing(name) => json!({"kind": "near_missing", "name": name}),
        UnmappedHint::NotNamedLike(pattern) => json!({"kind": "not_named_like", "pattern": pattern}),
    }
}

pub(super) fn about_ambiguity(cause: &AmbiguityCause) -> Value {
    match cause {
        AmbiguityCause::TakenTwice { rules, ignore } => {
            json!({"kind": "taken_twice", "rules": rules, "ignore_line": ignore})
        }
        AmbiguityCause::SeveralFit { rule } => json!({"kind": "several_fit", "rule": rule}),
        AmbiguityCause::Partner => json!({"kind": "partner"}),
        AmbiguityCause::OneName { name, runs } => json!({"kind": "one_name", "name": name, "runs": runs}),
        AmbiguityCause::RunsDiffer { name } => json!({"kind": "runs_differ", "name": name}),
    }
}

fn about_remark(remark: &Remark) -> Value {
    let mut about = match &remark.kind {
        RemarkKind::JudgedLocally { parts, joined, rounding, is_known, next } => json!({
            "kind": "judged_locally", "parts": parts, "joined": joined.len(), "joined_parts": joined, "rounding": rounding,
            "rounding_is_known": is_known,
            "next": next.as_ref().map(|(rounding, times)| json!({"rounding": rounding, "times": times})),
        }),
        RemarkKind::NoManifest => json!({"kind": "no_manifest"}),
        RemarkKind::LooseKnownErrors { layers } => json!({"kind": "loose_known_errors", "layers": layers}),
        RemarkKind::SameFiles { layers } => json!({"kind": "same_files", "layers": layers}),
        RemarkKind::SameBits { layers, of } => json!({"kind": "same_bits", "layers": layers, "of": of}),
        RemarkKind::Uniform { layers, of } => json!({"kind": "uniform", "layers": layers, "of": of}),
        RemarkKind::NarrowValues { side, dtype } => {
            json!({"kind": "narrow_values", "side": side, "dtype": dtype.to_string()})
        }
        RemarkKind::NoMinimum => json!({"kind": "no_minimum"}),
        RemarkKind::FarOverFloor { layers, layer, times } => {
            json!({"kind": "far_over_floor", "layers": layers, "layer": layer, "times": times})
        }
        RemarkKind::LooserLimits { than, layers, layer, limit, other } => {
            json!({"kind": "looser_limits", "than": than, "layers": layers, "layer": layer, "limit": limit, "other": other})
        }
        RemarkKind::LeftOut { by_mapping, references } => {
            json!({"kind": "left_out", "by_mapping": by_mapping, "references": references})
        }
        RemarkKind::WithinProfile { profile, layers, .. } => {
            json!({"kind": "within_profile", "profile": profile, "layers": layers})
        }
        RemarkKind::WholeNames { side, patterns } => {
            json!({"kind": "whole_names", "side": side, "patterns": patterns})
        }
        RemarkKind::WithoutBatch { side, layers } => {
            json!({"kind": "without_batch", "side": side, "layers": layers})
        }
        RemarkKind::RoundedByStorage { side, dtype, layers } => {
            json!({"kind": "rounded_by_storage", "side": side, "dtype": dtype.to_string(), "layers": layers})
        }
        RemarkKind::PartlySeen { layers, elements, of } => {
            json!({"kind": "partly_seen", "layers": layers, "elements": elements, "of": of})
        }
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
        RemarkKind::RoundedWeights { dtype, tensors, of } => {
            json!({"kind": "rounded_weights", "dtype": dtype.to_string(), "tensors": tensors, "of": of})
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
