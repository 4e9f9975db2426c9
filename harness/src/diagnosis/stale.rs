//! Values of an earlier dump that were written out again.

use super::background::Background;
use crate::compare::comparison::{Comparison, Layer};
use crate::compare::value_change::ValueChange;
use crate::mapping::order::ExecutionOrder;
use crate::provenance::Dump;
use crate::tensor::Tensor;

/// Layers before one that are held against the earlier dump.
const MAX_BEFORE: usize = 16;

/// Whether a layer has the values of an earlier dump though layers before it differ there: then it was not computed again.
pub(super) fn explain(
    background: &Background<'_>,
    dump: &Dump,
    comparison: &Comparison,
    at: usize,
) -> Option<ValueChange> {
    let earlier = background.earlier?;
    if matches!(comparison.order, ExecutionOrder::Unknown(_)) {
        return None;
    }
    let layer = &comparison.layers[at];
    let (now, then) = both(dump, earlier, layer)?;
    // Zeros are those of no dump.
    if now != then || now.iter().all(|x| x == 0.0) {
        return None;
    }
    let differs = |layer: &&Layer| both(dump, earlier, layer).is_some_and(|(now, then)| now != then);
    let others = comparison.layers[..at].iter().rev().filter(|other| other.name != layer.name);
    let before = others.take(MAX_BEFORE).filter(differs).count();
    let earlier = earlier.store().location().to_path_buf();
    (before > 0).then_some(ValueChange::Stale { earlier, before })
}

/// A layer's tensor in both dumps.
fn both(dump: &Dump, earlier: &Dump, layer: &Layer) -> Option<(Tensor, Tensor)> {
    Some((dump.read(&layer.name).ok()?, earlier.read(&layer.name).ok()?))
}
