//! A failing pair laid out alike, on which changes of values are tried.

use super::held::HeldPair;
use crate::compare::terms::Terms;
use crate::mapping::pairing::Pair;
use crate::tensor::{Dtype, NamedAxis, Tensor, Values};

/// A change explains a layer where it leaves this part of ‖d‖ at the most: no change of a few numbers makes so much of
/// noise.
pub(super) const LEFT: f64 = 0.25;

/// A failing pair, both sides laid out as the reference is.
pub(super) struct AlignedPair<'a> {
    terms: &'a Terms<'a>,
    pair: &'a Pair,
    pub(super) axes: Vec<NamedAxis>,
    pub(super) candidate: Tensor,
    pub(super) reference: Tensor,
    /// ‖d‖ / ‖b‖.
    pub(super) before: f64,
}

/// The elements of a tensor, in row-major order.
#[derive(Clone, Copy)]
pub(super) enum Flat<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
}

impl<'a> Flat<'a> {
    pub(super) fn of(tensor: &'a Tensor) -> Option<Flat<'a>> {
        match tensor.values() {
            Values::F32(values) => values.as_slice().map(Flat::F32),
            Values::F64(values) => values.as_slice().map(Flat::F64),
        }
    }

    pub(super) fn len(self) -> usize {
        match self {
            Flat::F32(values) => values.len(),
            Flat::F64(values) => values.len(),
        }
    }

    /// Element `at`; NaN where there is none.
    pub(super) fn at(self, at: usize) -> f64 {
        match self {
            Flat::F32(values) => values.get(at).map_or(f64::NAN, |x| f64::from(*x)),
            Flat::F64(values) => values.get(at).copied().unwrap_or(f64::NAN),
        }
    }
}

impl<'a> AlignedPair<'a> {
    /// Lays a held pair out; `None` where its extents do not fit, an element is not finite, or there is no error.
    pub(super) fn of(terms: &'a Terms<'a>, held: &'a HeldPair) -> Option<AlignedPair<'a>> {
        let (candidate, reference, axes) =
            terms.aligned(&held.pair, held.candidate.clone(), held.reference.clone())?;
        let (before, _) = terms.measured(&held.pair, &candidate, &reference)?;
        let sound = before > 0.0 && candidate.iter().chain(reference.iter()).all(f64::is_finite);
        sound.then_some(AlignedPair { terms, pair: &held.pair, axes, candidate, reference, before })
    }

    /// Elements of both sides.
    pub(super) fn flat(&self) -> Option<(Flat<'_>, Flat<'_>)> {
        Some((Flat::of(&self.candidate)?, Flat::of(&self.reference)?))
    }

    /// What a change of the reference leaves: ‖a - b'‖ / ‖b'‖, where that explains the layer.
    pub(super) fn left(&self, changed: Vec<f64>) -> Option<f64> {
        self.left_of_part(&self.candidate, &like(&self.reference, self.reference.shape(), changed)?)
    }

    /// The same of parts of both sides.
    pub(super) fn left_of_part(&self, candidate: &Tensor, changed: &Tensor) -> Option<f64> {
        let (after, used) = self.terms.measured(self.pair, candidate, changed)?;
        (used <= 1.0 && after <= LEFT * self.before).then_some(after)
    }

    /// The largest |d| that the layer's limits leave to an element, so far as they say.
    pub(super) fn slack(&self) -> f64 {
        let limits = self.terms.resolve(self.pair).limits;
        let size = self.reference.iter().fold(0.0, |most: f64, b| most.max(b.abs()));
        let relative = limits.rel_linf.or(limits.rel_l2).unwrap_or(0.0) * size;
        limits.max_abs.unwrap_or(relative)
    }

    /// The positions among the axes of those of a map: rows and columns, or tokens where there are none.
    pub(super) fn spatial(&self) -> Vec<usize> {
        let of = |wanted: fn(&NamedAxis) -> bool| {
            (0..self.axes.len()).filter(move |at| wanted(&self.axes[*at]) && self.axes[*at].extent > 1)
        };
        let map: Vec<usize> = of(|axis| axis.is_rows() || axis.is_columns()).collect();
        if map.is_empty() { of(NamedAxis::is_tokens).collect() } else { map }
    }

    /// Both sides cropped: of each axis a range.
    pub(super) fn cropped(&self, ranges: &[std::ops::Range<usize>]) -> Option<(Tensor, Tensor)> {
        let (a, b) = self.flat()?;
        let at = self.within(ranges);
        let shape: Vec<usize> = ranges.iter().map(ExactSizeIterator::len).collect();
        let of = |flat: Flat<'_>, tensor| like(tensor, &shape, at.iter().map(|i| flat.at(*i)).collect());
        Some((of(a, &self.candidate)?, of(b, &self.reference)?))
    }

    /// The elements whose index along each axis is within a range, in row-major order.
    pub(super) fn within(&self, ranges: &[std::ops::Range<usize>]) -> Vec<usize> {
        let mut flat = vec![0usize];
        for (axis, range) in self.axes.iter().zip(ranges) {
            flat = flat.iter().flat_map(|at| range.clone().map(move |i| at + i * axis.stride)).collect();
        }
        flat
    }

    /// The whole of each axis.
    pub(super) fn whole(&self) -> Vec<std::ops::Range<usize>> {
        self.axes.iter().map(|axis| 0..axis.extent).collect()
    }
}

/// A tensor of the type of another.
pub(super) fn like(tensor: &Tensor, shape: &[usize], values: Vec<f64>) -> Option<Tensor> {
    let made = match tensor.dtype() {
        Dtype::F64 => Tensor::from_f64(shape.to_vec(), values)?,
        _ => Tensor::from_f32(shape.to_vec(), values.into_iter().map(|x| x as f32).collect())?,
    };
    Some(Tensor::new(tensor.dtype(), made.values().clone()))
}
