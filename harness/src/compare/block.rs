//! One block of a pair: its sums, whether all its elements are finite or not, and its small elements.

use pulp::{Simd, WithSimd};

use super::element::Element;
use super::element_rule::ElementRule;
use super::lanes::{FiniteSums, in_vectors};
use super::small::{Bounds, SmallOfBlock};
use super::sums::{MEAN_REL_EPSILON, Sums};
use super::ulp;
use crate::tensor::Dtype;

/// Elements that are looked through together for small ones: one vector of f32.
const GROUP: usize = 8;

/// What a block's sums depend on beside its elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockTerms {
    /// The type that units in the last place are of.
    pub(super) dtype: Dtype,
    pub(super) rule: Option<ElementRule>,
    pub(super) bounds: Bounds,
    /// The largest |d| of earlier blocks: only where a block has a larger one is its place looked for.
    pub(super) max_abs: f64,
}

/// The sums of a block whose first element is element `from` of the tensor, and its small elements.
pub(super) fn of_block<A: Element, B: Element>(
    terms: &BlockTerms,
    from: usize,
    a: &[A],
    b: &[B],
) -> (Sums, SmallOfBlock) {
    let mut small = SmallOfBlock::default();
    let mut sums = in_vectors(FiniteSums { high: terms.bounds.high, a, b });
    // Squares of f32 do not overflow: a sum that is not finite has an element that is not, or f64 beyond 1e154.
    if !(sums.aa.is_finite() && sums.bb.is_finite()) {
        return (any(terms, from, a, b, &mut small), small);
    }
    in_vectors(SmallSearch { bounds: terms.bounds, a, b, small: &mut small });
    // Where squares do not vanish, their sum is zero only where all are.
    sums.a_is_zero = sums.aa == 0.0 && (A::PRODUCTS_ARE_SAFE || a.iter().all(|a| (*a).into() == 0.0));
    sums.max_b = in_vectors(|| max_magnitude(b));
    if sums.max_abs > terms.max_abs {
        let worst = a.iter().zip(b).position(|(a, b)| ((*a).into() - (*b).into()).abs() == sums.max_abs);
        sums.max_abs_at = from + worst.unwrap_or_default();
    }
    sums.max_ulp = match (A::as_f32(a), B::as_f32(b), terms.dtype) {
        (Some(a), Some(b), Dtype::F32) => u64::from(in_vectors(|| max_ulp_f32(a, b))),
        _ => a
            .iter()
            .zip(b)
            .map(|(a, b)| ulp::distance((*a).into(), (*b).into(), terms.dtype))
            .max()
            .unwrap_or(0),
    };
    if let Some(ElementRule { atol, rtol }) = terms.rule {
        let breaks = |(a, b): (&A, &B)| {
            let (a, b): (f64, f64) = ((*a).into(), (*b).into());
            u64::from((a - b).abs() > atol + rtol * b.abs())
        };
        sums.outliers = in_vectors(|| a.iter().zip(b).map(breaks).sum());
    }
    (sums, small)
}

/// Puts the small elements of a block aside: a pass of its own, as a call in the loops of the sums would cost them more.
struct SmallSearch<'a, A, B> {
    bounds: Bounds,
    a: &'a [A],
    b: &'a [B],
    small: &'a mut SmallOfBlock,
}

impl<A: Element, B: Element> WithSimd for SmallSearch<'_, A, B> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let SmallSearch { bounds, a, b, small } = self;
        let high = B::at_most(bounds.high);
        let ((groups_a, rest_a), (groups_b, rest_b)) = (a.as_chunks::<GROUP>(), b.as_chunks::<GROUP>());
        for (a, b) in groups_a.iter().zip(groups_b) {
            if holds_small(b, high) {
                keep_small(a, b, bounds, small);
            }
        }
        keep_small(rest_a, rest_b, bounds, small);
    }
}

#[inline(always)]
fn holds_small<T: Element>(group: &[T; GROUP], high: T) -> bool {
    // All of them, whatever the first is: one comparison of a vector.
    group.iter().fold(false, |any, x| any | (x.magnitude() <= high))
}

#[cold]
#[inline(never)]
fn keep_small<A: Element, B: Element>(a: &[A], b: &[B], bounds: Bounds, small: &mut SmallOfBlock) {
    for (a, b) in a.iter().zip(b) {
        let (a, b): (f64, f64) = ((*a).into(), (*b).into());
        if b.abs() <= bounds.high {
            small.add((a - b).abs(), b.abs(), bounds);
        }
    }
}

/// The largest |x|.
#[inline(always)]
fn max_magnitude<T: Element>(elements: &[T]) -> f64 {
    match T::as_f32(elements) {
        // Magnitudes are in the order of their bits.
        Some(elements) => {
            let bits = elements.iter().fold(0, |max: u32, x| max.max(x.to_bits() & (u32::MAX >> 1)));
            f64::from(f32::from_bits(bits))
        }
        None => elements.iter().fold(0.0, |max: f64, x| {
            let magnitude = (*x).into().abs();
            if magnitude > max { magnitude } else { max }
        }),
    }
}

#[inline(always)]
fn max_ulp_f32(a: &[f32], b: &[f32]) -> u32 {
    a.iter().zip(b).fold(0, |max, (a, b)| max.max(ulp::distance_f32(*a, *b)))
}

/// The sums of elements some of which may not be finite.
fn any<A: Element, B: Element>(
    terms: &BlockTerms,
    from: usize,
    a: &[A],
    b: &[B],
    small: &mut SmallOfBlock,
) -> Sums {
    let mut sums = Sums::NONE;
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        let (a, b): (f64, f64) = ((*a).into(), (*b).into());
        sums.max_ulp = sums.max_ulp.max(ulp::distance(a, b, terms.dtype));
        if !(a.is_finite() && b.is_finite()) {
            sums.a_non_finite += usize::from(!a.is_finite());
            sums.b_non_finite += usize::from(!b.is_finite());
            let agree = a == b || (a.is_nan() && b.is_nan());
            if !agree {
                sums.mismatches += 1;
                sums.first_non_finite = sums.first_non_finite.or(Some(from + i));
                sums.outliers += u64::from(terms.rule.is_some());
            }
            continue;
        }
        let (d, magnitude) = ((a - b).abs(), b.abs());
        let breaks = terms.rule.is_some_and(|rule| d > rule.atol + rule.rtol * magnitude);
        let rel_floor = if magnitude <= terms.bounds.high { 0.0 } else { d / magnitude };
        sums = sums.then(Sums {
            finite: 1,
            abs: d,
            squares: d * d,
            rel: d / (magnitude + MEAN_REL_EPSILON),
            aa: a * a,
            bb: b * b,
            ab: a * b,
            max_abs: d,
            max_abs_at: from + i,
            a_is_zero: a == 0.0,
            max_b: magnitude,
            rel_floor,
            rel_floor_max: rel_floor,
            outliers: u64::from(breaks),
            ..Sums::NONE
        });
        if b.abs() <= terms.bounds.high {
            small.add(d, b.abs(), terms.bounds);
        }
    }
    sums
}
