//! Dumps that are wrong where the port is right.

use super::held::HeldPair;
use crate::compare::comparison::{Comparison, Layer};
use crate::compare::explanation::{Explanation, ExplanationKind};
use crate::compare::terms::Terms;
use crate::exit_code;
use crate::mapping::order::ExecutionOrder;
use crate::provenance::Dump;
use crate::tensor::{Dtype, Tensor, Values};

/// Failing pairs that are looked at.
const MAX_PAIRS: usize = 12;
/// Other tensors of a shape that a pair is held against.
const MAX_OTHERS: usize = 64;
/// Times its limit that a layer must be wrong by: more than later layers could absorb.
const GROSS: f64 = 100.0;

/// Nothing of the candidate is finite, from the first tensor on.
pub(super) fn nothing_finite(comparison: &Comparison) -> Option<Explanation> {
    let broken = |layer: &Layer| {
        let compared = layer.compared()?;
        let metrics = &compared.metrics;
        Some(metrics.n > 0 && metrics.candidate_non_finite > 0 && metrics.reference_non_finite == 0)
    };
    let broken: Vec<bool> = comparison.layers.iter().filter_map(broken).collect();
    if broken.len() < 2 || broken.contains(&false) {
        return None;
    }
    let explains = comparison.failures().map(|layer| layer.pair_name().to_string()).collect();
    let kind = ExplanationKind::NothingFinite;
    Some(Explanation { kind, explains, tried: broken.len(), ties: Vec::new() })
}

/// The failing layer after which every other is within its limits: what is wrong is its dump.
pub(super) fn isolated(comparison: &Comparison, explained: &[Explanation]) -> Option<Explanation> {
    if matches!(comparison.order, ExecutionOrder::Unknown(_)) {
        return None;
    }
    let failed = |layer: &Layer| layer.exit_code() == exit_code::NUMBERS;
    let mut failing = comparison.layers.iter().enumerate().filter(|(_, layer)| failed(layer));
    let (Some((at, layer)), None) = (failing.next(), failing.next()) else { return None };
    let wholly = explained.iter().filter(|found| !found.kind.is_of_values());
    if wholly.into_iter().any(|found| found.explains.iter().any(|name| name == layer.pair_name())) {
        return None;
    }
    let after = &comparison.layers[at + 1..];
    let whole = |layer: &Layer| layer.compared().is_some_and(|compared| compared.seen.is_none());
    let sound = layer.used() > GROSS
        && !after.is_empty()
        && after.iter().all(|layer| layer.exit_code() == exit_code::PASSED && whole(layer));
    let explains = vec![layer.pair_name().to_string()];
    let (kind, tried) = (ExplanationKind::Isolated, 1);
    sound.then_some(Explanation { kind, explains, tried, ties: Vec::new() })
}

/// What explains the values of pairs whose shapes fit.
pub(super) fn explain(
    terms: &Terms<'_>,
    dump: &Dump,
    held: &[HeldPair],
    comparison: &Comparison,
) -> Vec<Explanation> {
    // Of a tensor without numbers, or of one number throughout, others may be as well.
    let fitting = held.iter().filter(|pair| {
        !pair.misfit && pair.candidate.len() == pair.reference.len() && has_pattern(&pair.candidate)
    });
    let explained = fitting.take(MAX_PAIRS).filter_map(|pair| {
        let kind = bytes_of(terms, pair)
            .or_else(|| values_of(terms, pair, comparison))
            .or_else(|| same_as(terms, dump, pair, comparison))?;
        let explains = vec![comparison.layers[pair.layer].pair_name().to_string()];
        Some(Explanation { kind, explains, tried: 1, ties: Vec::new() })
    });
    explained.collect()
}

/// Whether all values are finite, and not all the same.
fn has_pattern(tensor: &Tensor) -> bool {
    let mut values = tensor.iter();
    let Some(first) = values.next() else { return false };
    let mut differs = false;
    first.is_finite()
        && values.all(|x| {
            differs |= x != first;
            x.is_finite()
        })
        && differs
}

/// Whether a tensor in the candidate's place would be within the pair's limits.
fn holds(terms: &Terms<'_>, pair: &HeldPair, candidate: &Tensor, reference: &Tensor) -> bool {
    let resolved = terms.compare(&pair.pair, candidate.clone(), reference);
    resolved.is_ok_and(|compared| compared.judgement.passed)
}

/// The bytes of numbers of two bytes in a buffer of four or eight.
fn bytes_of(terms: &Terms<'_>, pair: &HeldPair) -> Option<ExplanationKind> {
    let Values::F32(values) = pair.candidate.values() else { return None };
    let bytes: Vec<u8> =
        values.iter().take(pair.candidate.len().div_ceil(2)).flat_map(|x| x.to_le_bytes()).collect();
    let halves = bytes.chunks_exact(2).take(pair.candidate.len()).map(|pair| [pair[0], pair[1]]);
    for dtype in [Dtype::F16, Dtype::Bf16] {
        let widened: Vec<f32> = halves
            .clone()
            .map(|bytes| match dtype {
                Dtype::F16 => half::f16::from_le_bytes(bytes).to_f32(),
                _ => half::bf16::from_le_bytes(bytes).to_f32(),
            })
            .collect();
        let array = Tensor::from_f32(pair.candidate.shape().to_vec(), widened)?;
        let read = Tensor::new(dtype, array.values().clone());
        if holds(terms, pair, &read, &pair.reference) {
            return Some(ExplanationKind::BytesOf { dtype, stored: pair.candidate.dtype() });
        }
    }
    None
}

/// The values of another tensor of the reference.
fn values_of(terms: &Terms<'_>, pair: &HeldPair, comparison: &Comparison) -> Option<ExplanationKind> {
    let dump = terms.reference.dump();
    let others = comparison.layers.iter().filter(|layer| layer.reference != pair.pair.reference);
    let alike = others.filter(|layer| {
        layer.compared().is_some_and(|compared| element_count(&compared.shape) == pair.reference.len())
    });
    for layer in alike.take(MAX_OTHERS) {
        let Ok(other) = dump.read(&layer.reference) else { continue };
        let same_shape = other.shape() == pair.reference.shape();
        if same_shape
            && holds(terms, pair, &pair.candidate, &other)
            && !holds(terms, pair, &other, &pair.reference)
        {
            return Some(ExplanationKind::ValuesOf { reference: layer.reference.clone() });
        }
    }
    None
}

fn element_count(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// Another tensor of the candidate with the same bits, where the reference's two differ.
fn same_as(
    terms: &Terms<'_>,
    dump: &Dump,
    pair: &HeldPair,
    comparison: &Comparison,
) -> Option<ExplanationKind> {
    let others = comparison.layers.iter().filter(|layer| layer.name != pair.pair.candidate);
    let mut alike = others.filter(|layer| {
        dump.identical(&pair.pair.candidate, &layer.name)
            && !terms.reference.dump().identical(&pair.pair.reference, &layer.reference)
    });
    alike.next().map(|layer| ExplanationKind::SameAs { other: layer.pair_name().to_string() })
}
