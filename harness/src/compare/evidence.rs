//! What keeps a comparison that passes from proving anything: sides that are one, and layers that hold one value.

use super::comparison::{Compared, Layer};
use super::remark::{Remark, RemarkKind};
use crate::files::overwrite::are_one;
use crate::provenance::Dump;

/// Of fewer layers some may be equal by themselves.
const FEWEST: usize = 3;

/// What is to be said of layers that passed.
pub(super) fn remarks(candidate: &Dump, reference: &Dump, layers: &[Layer]) -> Vec<Remark> {
    let compared: Vec<(&Layer, &Compared)> = layers
        .iter()
        .filter(|layer| !layer.is_input)
        .filter_map(|layer| Some((layer, layer.compared()?)))
        .collect();
    let of = compared.len();
    let count = |holds: &dyn Fn(&Layer, &Compared) -> bool| {
        compared.iter().filter(|(layer, compared)| holds(layer, compared)).count()
    };
    let one_file = |layer: &Layer, _: &Compared| {
        are_one(&candidate.file_of(&layer.name), &reference.file_of(&layer.reference))
    };
    let equal = |_: &Layer, compared: &Compared| {
        let metrics = &compared.metrics;
        metrics.max_abs == Some(0.0) && !metrics.uniform_reference && compared.seen.is_none()
    };
    let uniform = |_: &Layer, compared: &Compared| compared.metrics.uniform_reference;
    let (one, equal, uniform) = (count(&one_file), count(&equal), count(&uniform));
    let mut remarks = Vec::new();
    if one > 0 {
        remarks.push(RemarkKind::SameFiles { layers: one }.into());
    } else if of >= FEWEST && 2 * equal > of {
        remarks.push(RemarkKind::SameBits { layers: equal, of }.into());
    }
    // Where all are, that is a matter of coverage.
    if uniform > 0 && uniform < of {
        remarks.push(RemarkKind::Uniform { layers: uniform, of }.into());
    }
    remarks
}
