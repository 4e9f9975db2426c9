//! The layers in which an error begins, as against those that have it from the layers before them.

use crate::compare::comparison::{Comparison, Layer};
use crate::compare::remark::RemarkKind;
use crate::exit_code;
use crate::mapping::order::ExecutionOrder;

/// Times the largest error since a layer passed from which a layer's is its own.
const OWN: f64 = 8.0;

/// The positions of the layers that fail in their numbers where their error begins: after a layer that passes, or with an
/// error far larger than any since. All that fail, where each is computed from the candidate's own inputs or the order
/// is not known.
pub(super) fn beginnings(comparison: &Comparison) -> Vec<usize> {
    let is_local = |kind: &RemarkKind| matches!(kind, RemarkKind::JudgedLocally { .. });
    let inherits_nothing = matches!(comparison.order, ExecutionOrder::Unknown(_))
        || comparison.remarks.iter().any(|remark| is_local(&remark.kind));
    let (mut found, mut after_a_pass, mut largest) = (Vec::new(), true, 0.0f64);
    for (at, layer) in comparison.layers.iter().enumerate().filter(|(_, layer)| !layer.is_input) {
        if layer.exit_code() == exit_code::PASSED {
            (after_a_pass, largest) = (true, 0.0);
            continue;
        }
        let error = error(layer);
        if over(layer) && (inherits_nothing || after_a_pass || error > OWN * largest) {
            found.push(at);
        }
        (after_a_pass, largest) = (false, largest.max(error));
    }
    found
}

/// Whether it is over its limits, and not only worse than it is known to be.
fn over(layer: &Layer) -> bool {
    layer.compared().is_some_and(|compared| !compared.judgement.passed)
}

fn error(layer: &Layer) -> f64 {
    layer.compared().and_then(|compared| compared.metrics.rel_l2).unwrap_or(f64::INFINITY)
}
