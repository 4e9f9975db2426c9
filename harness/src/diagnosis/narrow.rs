//! Sides whose every value is a number of a narrower type than they are stored in: they were computed or stored in it.

use crate::compare::comparison::{Comparison, Layer};
use crate::compare::remark::{Remark, RemarkKind};
use crate::compare::terms::Terms;
use crate::provenance::Dump;
use crate::side::Side;
use crate::store::StoredTensor;
use crate::tensor::Dtype;

/// Layers whose values are looked at.
const MAX_LAYERS: usize = 8;
/// Values of a layer that are looked at.
const MAX_VALUES: usize = 1 << 16;
/// Values that have to be looked at before anything is said.
const MIN_VALUES: usize = 256;

/// What is known of both sides' values.
pub(super) fn remarks(terms: &Terms<'_>, candidate: &Dump, comparison: &Comparison) -> Vec<Remark> {
    let of_side = |side: Side| {
        let (dump, name): (&Dump, fn(&Layer) -> &str) = match side {
            Side::Candidate => (candidate, |layer| &layer.name),
            Side::Reference => (terms.reference.dump(), |layer| &layer.reference),
        };
        let layers = comparison.computed().filter(|layer| layer.compared().is_some()).take(MAX_LAYERS);
        let tensors = layers.filter_map(|layer| dump.open_tensor(name(layer)).ok());
        let kind = RemarkKind::NarrowValues { side, dtype: narrowest(tensors)? };
        Some(Remark::from(kind))
    };
    [Side::Candidate, Side::Reference].into_iter().filter_map(of_side).collect()
}

/// The type that every value is a number of, where it is narrower than the one that the tensors are stored in.
fn narrowest(tensors: impl Iterator<Item = StoredTensor>) -> Option<Dtype> {
    let (mut bf16, mut f16, mut seen) = (true, true, 0);
    for tensor in tensors {
        if tensor.dtype() == Dtype::F64 {
            return None;
        }
        let mut pieces = tensor.pieces(None);
        let mut of_tensor = 0;
        while let Ok(Some(piece)) = pieces.next_f32() {
            bf16 &= piece.iter().all(|x| half::bf16::from_f32(*x).to_f32().to_bits() == x.to_bits());
            f16 &= piece.iter().all(|x| half::f16::from_f32(*x).to_f32().to_bits() == x.to_bits());
            seen += piece.iter().filter(|x| **x != 0.0).count();
            of_tensor += piece.len();
            if !(bf16 || f16) {
                return None;
            }
            if of_tensor >= MAX_VALUES {
                break;
            }
        }
    }
    match (bf16, f16) {
        _ if seen < MIN_VALUES => None,
        (true, _) => Some(Dtype::Bf16),
        (false, true) => Some(Dtype::F16),
        (false, false) => None,
    }
}
