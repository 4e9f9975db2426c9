//! Failing pairs whose tensors are held in memory.

use super::MAX_ELEMENTS;
use crate::compare::comparison::{Comparison, Outcome};
use crate::compare::terms::Terms;
use crate::mapping::pairing::Pair;
use crate::provenance::Dump;
use crate::tensor::Tensor;

/// Pairs that are looked at.
const MAX_PAIRS: usize = 96;

/// A failing pair.
pub(super) struct HeldPair {
    pub(super) pair: Pair,
    /// The position of its layer in the comparison.
    pub(super) layer: usize,
    /// Whether its extents do not fit.
    pub(super) misfit: bool,
    /// As its file has it.
    pub(super) candidate: Tensor,
    pub(super) reference: Tensor,
}

/// The pairs that failed by their numbers or extents, first ones first, as many as may be held.
pub(super) fn failing(terms: &Terms<'_>, dump: &Dump, comparison: &Comparison) -> Vec<HeldPair> {
    let mut elements = 0;
    let mut held = Vec::new();
    for (at, layer) in comparison.layers.iter().enumerate() {
        let misfit = match &layer.outcome {
            Outcome::Compared(compared) if compared.judgement.passed => continue,
            Outcome::Compared(_) => false,
            Outcome::ShapeMismatch(_) => true,
            Outcome::Unreadable { .. } => continue,
        };
        let Some(pair) = terms.pair_of(layer) else { continue };
        let opened = (dump.open_tensor(&pair.candidate), terms.reference.dump().open_tensor(&pair.reference));
        let (Ok(candidate), Ok(reference)) = opened else { continue };
        elements += candidate.len().max(reference.len());
        if elements > MAX_ELEMENTS || held.len() == MAX_PAIRS {
            break;
        }
        if let (Ok(candidate), Ok(reference)) = (candidate.read(), reference.read()) {
            held.push(HeldPair { pair, layer: at, misfit, candidate, reference });
        }
    }
    held
}
