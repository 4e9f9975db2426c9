//! One side of a pair, piece by piece: a tensor in memory, or one that is still on disk.

use crate::side::Side;
use crate::store::PIECE;
use crate::store::{Algorithm, Fingerprint, Pieces, StoreError, StoredTensor};
use crate::tensor::{Dtype, Tensor, Values};

/// One side of a pair.
pub(super) struct Operand<'a> {
    source: Source<'a>,
    fingerprint: Option<Fingerprint>,
}

enum Source<'a> {
    Held { tensor: &'a Tensor, at: usize },
    Stored { tensor: &'a StoredTensor, pieces: Pieces<'a> },
}

/// Elements that follow each other.
pub(super) enum OperandPiece<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
}

impl OperandPiece<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            OperandPiece::F32(values) => values.len(),
            OperandPiece::F64(values) => values.len(),
        }
    }
}

impl<'a> Operand<'a> {
    /// A tensor in memory.
    pub(super) fn held(tensor: &'a Tensor) -> Operand<'a> {
        Operand { source: Source::Held { tensor, at: 0 }, fingerprint: None }
    }

    /// A tensor on disk, of which a fingerprint is taken on the way.
    pub(super) fn stored(tensor: &'a StoredTensor, fingerprint: Option<Algorithm>) -> Operand<'a> {
        let pieces = tensor.pieces(fingerprint);
        Operand { source: Source::Stored { tensor, pieces }, fingerprint: None }
    }

    pub(super) fn len(&self) -> usize {
        match &self.source {
            Source::Held { tensor, .. } => tensor.len(),
            Source::Stored { tensor, .. } => tensor.len(),
        }
    }

    pub(super) fn dtype(&self) -> Dtype {
        match &self.source {
            Source::Held { tensor, .. } => tensor.dtype(),
            Source::Stored { tensor, .. } => tensor.dtype(),
        }
    }

    /// The next piece; those of two operands of one length are of one length. `None` after the last one.
    pub(super) fn next(&mut self) -> Result<Option<OperandPiece<'_>>, StoreError> {
        match &mut self.source {
            Source::Held { tensor, at } => {
                let from = *at;
                *at = tensor.len().min(from + PIECE);
                let to = *at;
                // Tensors are in row-major order: their elements are one slice.
                let piece = match tensor.values() {
                    Values::F32(values) => values.as_slice().map(|all| OperandPiece::F32(&all[from..to])),
                    Values::F64(values) => values.as_slice().map(|all| OperandPiece::F64(&all[from..to])),
                };
                Ok(piece.filter(|piece| piece.len() > 0))
            }
            Source::Stored { tensor, pieces } => Ok(match tensor.dtype() {
                Dtype::F64 => pieces.next_f64()?.map(OperandPiece::F64),
                _ => pieces.next_f32()?.map(OperandPiece::F32),
            }),
        }
    }

    /// Begins again, without a fingerprint.
    pub(super) fn rewind(&mut self) {
        match &mut self.source {
            Source::Held { at, .. } => *at = 0,
            Source::Stored { tensor, pieces } => {
                let read = std::mem::replace(pieces, tensor.pieces(None));
                self.fingerprint = self.fingerprint.take().or(read.finish());
            }
        }
    }

    /// Element `flat` in row-major order, exactly.
    pub(super) fn get(&self, flat: usize) -> Result<f64, StoreError> {
        match &self.source {
            Source::Held { tensor, .. } => Ok(tensor.get(flat)),
            Source::Stored { tensor, .. } => tensor.element(flat),
        }
    }

    /// The fingerprint that was taken, where one was wanted.
    pub(super) fn fingerprint(self) -> Option<Fingerprint> {
        let read = match self.source {
            Source::Held { .. } => None,
            Source::Stored { pieces, .. } => pieces.finish(),
        };
        self.fingerprint.or(read)
    }
}

/// Calls `each` with every pair of elements.
pub(super) fn for_each_pair(
    a: &mut Operand<'_>,
    b: &mut Operand<'_>,
    mut each: impl FnMut(f64, f64),
) -> Result<(), (Side, StoreError)> {
    let values = |piece: OperandPiece<'_>| -> Vec<f64> {
        match piece {
            OperandPiece::F32(values) => values.iter().map(|x| f64::from(*x)).collect(),
            OperandPiece::F64(values) => values.to_vec(),
        }
    };
    loop {
        let (a, b) = (of_side(Side::Candidate, a.next())?, of_side(Side::Reference, b.next())?);
        let (Some(a), Some(b)) = (a.map(values), b.map(values)) else { return Ok(()) };
        a.into_iter().zip(b).for_each(|(a, b)| each(a, b));
    }
}

/// What was read of a side; the error with the side.
pub(super) fn of_side<T>(side: Side, read: Result<T, StoreError>) -> Result<T, (Side, StoreError)> {
    read.map_err(|error| (side, error))
}
