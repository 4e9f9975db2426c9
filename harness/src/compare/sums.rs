//! Sums over the elements of a block, in the vectors of the CPU.
//!
//! Whatever the CPU, a sum is taken as [`LANES`] sums side by side that are added in the end, so that it has the same bits
//! everywhere: products and sums are never fused.

use pulp::{Simd, WithSimd};

use super::metrics::ElementRule;
use super::small::{Bounds, SmallOfBlock};
use super::ulp;
use crate::tensor::Dtype;

/// Sums that are taken side by side: one vector of AVX2, two of NEON.
const LANES: usize = 4;
/// Elements that are taken together: one division serves those of two vectors.
const PAIR: usize = 2 * LANES;
/// Elements that are looked through together for small ones: one vector of f32.
const GROUP: usize = 8;
/// Added to |b| in `mean_rel`.
const MEAN_REL_EPSILON: f64 = 1e-8;

/// An element as it is held in memory.
pub(super) trait Element: Copy + Default + PartialOrd + Send + Sync + Into<f64> {
    /// Whether products of two elements neither overflow nor vanish in f64.
    const PRODUCTS_ARE_SAFE: bool;

    /// |x|.
    fn magnitude(self) -> Self;

    /// The largest element that is no larger than a limit, which is not negative.
    fn at_most(limit: f64) -> Self;

    /// The elements as f32, where they are.
    fn as_f32(elements: &[Self]) -> Option<&[f32]>;
}

impl Element for f32 {
    const PRODUCTS_ARE_SAFE: bool = true;

    #[inline(always)]
    fn magnitude(self) -> f32 {
        self.abs()
    }

    fn at_most(limit: f64) -> f32 {
        let nearest = limit as f32;
        if f64::from(nearest) > limit { nearest.next_down() } else { nearest }
    }

    #[inline(always)]
    fn as_f32(elements: &[f32]) -> Option<&[f32]> {
        Some(elements)
    }
}

impl Element for f64 {
    const PRODUCTS_ARE_SAFE: bool = false;

    #[inline(always)]
    fn magnitude(self) -> f64 {
        self.abs()
    }

    fn at_most(limit: f64) -> f64 {
        limit
    }

    #[inline(always)]
    fn as_f32(_: &[f64]) -> Option<&[f32]> {
        None
    }
}

/// Sums over elements that are finite on both sides, and counts of the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sums {
    pub(super) finite: usize,
    pub(super) abs: f64,
    pub(super) squares: f64,
    pub(super) rel: f64,
    pub(super) aa: f64,
    pub(super) bb: f64,
    pub(super) ab: f64,
    /// Under 0 where no element is finite.
    pub(super) max_abs: f64,
    pub(super) max_abs_at: usize,
    /// Whether each finite element of a is 0.
    pub(super) a_is_zero: bool,
    pub(super) max_b: f64,
    /// Of |d| / |b| over elements that are not small.
    pub(super) rel_floor: f64,
    pub(super) rel_floor_max: f64,
    pub(super) max_ulp: u64,
    pub(super) a_non_finite: usize,
    pub(super) b_non_finite: usize,
    pub(super) mismatches: usize,
    pub(super) first_non_finite: Option<usize>,
    pub(super) outliers: u64,
}

impl Sums {
    /// Over no element.
    pub(super) const NONE: Sums = Sums {
        finite: 0,
        abs: 0.0,
        squares: 0.0,
        rel: 0.0,
        aa: 0.0,
        bb: 0.0,
        ab: 0.0,
        max_abs: -1.0,
        max_abs_at: 0,
        a_is_zero: true,
        max_b: 0.0,
        rel_floor: 0.0,
        rel_floor_max: 0.0,
        max_ulp: 0,
        a_non_finite: 0,
        b_non_finite: 0,
        mismatches: 0,
        first_non_finite: None,
        outliers: 0,
    };

    /// These sums, then those of elements that come after.
    pub(super) fn then(self, other: Sums) -> Sums {
        let later = other.max_abs > self.max_abs;
        Sums {
            finite: self.finite + other.finite,
            abs: self.abs + other.abs,
            squares: self.squares + other.squares,
            rel: self.rel + other.rel,
            aa: self.aa + other.aa,
            bb: self.bb + other.bb,
            ab: self.ab + other.ab,
            max_abs: self.max_abs.max(other.max_abs),
            max_abs_at: if later { other.max_abs_at } else { self.max_abs_at },
            a_is_zero: self.a_is_zero && other.a_is_zero,
            max_b: self.max_b.max(other.max_b),
            rel_floor: self.rel_floor + other.rel_floor,
            rel_floor_max: self.rel_floor_max.max(other.rel_floor_max),
            max_ulp: self.max_ulp.max(other.max_ulp),
            a_non_finite: self.a_non_finite + other.a_non_finite,
            b_non_finite: self.b_non_finite + other.b_non_finite,
            mismatches: self.mismatches + other.mismatches,
            first_non_finite: self.first_non_finite.or(other.first_non_finite),
            outliers: self.outliers + other.outliers,
        }
    }
}

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
    let arch = pulp::Arch::new();
    let mut small = SmallOfBlock::default();
    let mut sums = arch.dispatch(FiniteSums { high: terms.bounds.high, a, b });
    // Squares of f32 do not overflow: a sum that is not finite has an element that is not, or f64 beyond 1e154.
    if !(sums.aa.is_finite() && sums.bb.is_finite()) {
        return (any(terms, from, a, b, &mut small), small);
    }
    arch.dispatch(SmallSearch { bounds: terms.bounds, a, b, small: &mut small });
    // Where squares do not vanish, their sum is zero only where all are.
    sums.a_is_zero = sums.aa == 0.0 && (A::PRODUCTS_ARE_SAFE || a.iter().all(|a| (*a).into() == 0.0));
    sums.max_b = arch.dispatch(|| max_magnitude(b));
    if sums.max_abs > terms.max_abs {
        let worst = a.iter().zip(b).position(|(a, b)| ((*a).into() - (*b).into()).abs() == sums.max_abs);
        sums.max_abs_at = from + worst.unwrap_or_default();
    }
    sums.max_ulp = match (A::as_f32(a), B::as_f32(b), terms.dtype) {
        (Some(a), Some(b), Dtype::F32) => u64::from(arch.dispatch(|| max_ulp_f32(a, b))),
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
        sums.outliers = arch.dispatch(|| a.iter().zip(b).map(breaks).sum());
    }
    (sums, small)
}

/// The sums of elements that are all finite; in `rel_floor`, of those with |b| above `high`.
struct FiniteSums<'a, A, B> {
    high: f64,
    a: &'a [A],
    b: &'a [B],
}

impl<A: Element, B: Element> WithSimd for FiniteSums<'_, A, B> {
    type Output = Sums;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Sums {
        let FiniteSums { high, a, b } = self;
        let (pairs_a, rest_a) = a.as_chunks::<PAIR>();
        let (pairs_b, rest_b) = b.as_chunks::<PAIR>();
        // What fills up the last pair is zero: it adds nothing.
        let (mut last_a, mut last_b) = ([[A::default(); PAIR]], [[B::default(); PAIR]]);
        last_a[0][..rest_a.len()].copy_from_slice(rest_a);
        last_b[0][..rest_b.len()].copy_from_slice(rest_b);
        // One loop after the other: the sums of both do not fit in the registers together.
        let plain = PlainLanes::<S>::new(simd).add(simd, pairs_a, pairs_b).add(simd, &last_a, &last_b);
        let relative = RelativeLanes::<S>::new(simd);
        let relative = relative.add(simd, high, pairs_a, pairs_b).add(simd, high, &last_a, &last_b);
        Sums {
            finite: a.len(),
            abs: sum::<S>(plain.abs),
            squares: sum::<S>(plain.squares),
            aa: sum::<S>(plain.aa),
            bb: sum::<S>(plain.bb),
            ab: sum::<S>(plain.ab),
            max_abs: if a.is_empty() { -1.0 } else { max::<S>(plain.max_abs) },
            rel: sum::<S>(relative.rel),
            rel_floor: sum::<S>(relative.rel_floor),
            rel_floor_max: max::<S>(relative.rel_floor_max),
            ..Sums::NONE
        }
    }
}

/// As many vectors as hold [`LANES`] numbers; the others are not used.
type Wide<S> = [<S as Simd>::f64s; LANES];

/// How many vectors hold [`LANES`] numbers.
const fn vectors<S: Simd>() -> usize {
    assert!(LANES.is_multiple_of(S::F64_LANES), "a sum would depend on the CPU");
    LANES / S::F64_LANES
}

/// The numbers of as many vectors as are used.
#[inline(always)]
fn numbers<S: Simd>(wide: &Wide<S>) -> &[f64] {
    bytemuck::cast_slice(&wide[..const { vectors::<S>() }])
}

/// Both halves of a pair, widened.
#[inline(always)]
fn widened<S: Simd, T: Element>(simd: S, pair: &[T; PAIR]) -> [Wide<S>; 2] {
    // Written out: a closure would not be compiled for the vectors, and an array that is filled by a loop lies in memory.
    let [a, b, c, d, e, f, g, h] = *pair;
    [
        wide(simd, [a.into(), b.into(), c.into(), d.into()]),
        wide(simd, [e.into(), f.into(), g.into(), h.into()]),
    ]
}

/// The vectors that hold these numbers.
#[inline(always)]
fn wide<S: Simd>(simd: S, numbers: [f64; LANES]) -> Wide<S> {
    let mut wide = [simd.splat_f64s(0.0); LANES];
    let vectors = const { vectors::<S>() };
    wide[..vectors].copy_from_slice(&S::as_simd_f64s(&numbers).0[..vectors]);
    wide
}

#[inline(always)]
fn sum<S: Simd>(wide: Wide<S>) -> f64 {
    let numbers = numbers::<S>(&wide);
    (numbers[0] + numbers[1]) + (numbers[2] + numbers[3])
}

#[inline(always)]
fn max<S: Simd>(wide: Wide<S>) -> f64 {
    numbers::<S>(&wide).iter().fold(0.0, |a, b| a.max(*b))
}

/// Sums side by side that take no division.
#[derive(Clone, Copy)]
struct PlainLanes<S: Simd> {
    abs: Wide<S>,
    squares: Wide<S>,
    aa: Wide<S>,
    bb: Wide<S>,
    ab: Wide<S>,
    max_abs: Wide<S>,
}

impl<S: Simd> PlainLanes<S> {
    #[inline(always)]
    fn new(simd: S) -> Self {
        let zero = [simd.splat_f64s(0.0); LANES];
        PlainLanes { abs: zero, squares: zero, aa: zero, bb: zero, ab: zero, max_abs: zero }
    }

    #[inline(always)]
    fn add<A: Element, B: Element>(self, simd: S, a: &[[A; PAIR]], b: &[[B; PAIR]]) -> Self {
        // Of its own: sums stay in registers. A call in the loop, even one that is hardly ever made, would drive them out.
        let PlainLanes { mut abs, mut squares, mut aa, mut bb, mut ab, mut max_abs } = self;
        for (a, b) in a.iter().zip(b) {
            let (a, b) = (widened(simd, a), widened(simd, b));
            for half in 0..2 {
                for i in 0..const { vectors::<S>() } {
                    let (a, b) = (a[half][i], b[half][i]);
                    let d = simd.abs_f64s(simd.sub_f64s(a, b));
                    abs[i] = simd.add_f64s(abs[i], d);
                    squares[i] = simd.add_f64s(squares[i], simd.mul_f64s(d, d));
                    aa[i] = simd.add_f64s(aa[i], simd.mul_f64s(a, a));
                    bb[i] = simd.add_f64s(bb[i], simd.mul_f64s(b, b));
                    ab[i] = simd.add_f64s(ab[i], simd.mul_f64s(a, b));
                    max_abs[i] = simd.max_f64s(max_abs[i], d);
                }
            }
        }
        PlainLanes { abs, squares, aa, bb, ab, max_abs }
    }
}

/// Sums side by side of quotients.
#[derive(Clone, Copy)]
struct RelativeLanes<S: Simd> {
    rel: Wide<S>,
    rel_floor: Wide<S>,
    rel_floor_max: Wide<S>,
}

/// What the quotients of a vector are made of.
#[derive(Clone, Copy)]
struct Quotients<S: Simd> {
    d: S::f64s,
    by_rel: S::f64s,
    of_floor: S::f64s,
    by_floor: S::f64s,
}

impl<S: Simd> Quotients<S> {
    #[inline(always)]
    fn of(simd: S, high: S::f64s, a: S::f64s, b: S::f64s) -> Self {
        let (zero, one) = (simd.splat_f64s(0.0), simd.splat_f64s(1.0));
        let (d, magnitude) = (simd.abs_f64s(simd.sub_f64s(a, b)), simd.abs_f64s(b));
        let is_small = simd.less_than_or_equal_f64s(magnitude, high);
        // 0 / 1 in the place of a small element.
        Quotients {
            d,
            by_rel: simd.add_f64s(magnitude, simd.splat_f64s(MEAN_REL_EPSILON)),
            of_floor: simd.select_f64s(is_small, zero, d),
            by_floor: simd.select_f64s(is_small, one, magnitude),
        }
    }

    /// Both quotients of two vectors.
    #[inline(always)]
    fn divided(simd: S, products_are_safe: bool, [p, q]: [Self; 2]) -> [(S::f64s, S::f64s); 2] {
        if !products_are_safe {
            let of_p = (simd.div_f64s(p.d, p.by_rel), simd.div_f64s(p.of_floor, p.by_floor));
            return [of_p, (simd.div_f64s(q.d, q.by_rel), simd.div_f64s(q.of_floor, q.by_floor))];
        }
        let (of_p, of_q) = (simd.mul_f64s(p.by_rel, p.by_floor), simd.mul_f64s(q.by_rel, q.by_floor));
        let inverse = simd.div_f64s(simd.splat_f64s(1.0), simd.mul_f64s(of_p, of_q));
        let (by_p, by_q) = (simd.mul_f64s(inverse, of_q), simd.mul_f64s(inverse, of_p));
        [
            (
                simd.mul_f64s(simd.mul_f64s(p.d, p.by_floor), by_p),
                simd.mul_f64s(simd.mul_f64s(p.of_floor, p.by_rel), by_p),
            ),
            (
                simd.mul_f64s(simd.mul_f64s(q.d, q.by_floor), by_q),
                simd.mul_f64s(simd.mul_f64s(q.of_floor, q.by_rel), by_q),
            ),
        ]
    }
}

impl<S: Simd> RelativeLanes<S> {
    #[inline(always)]
    fn new(simd: S) -> Self {
        let zero = [simd.splat_f64s(0.0); LANES];
        RelativeLanes { rel: zero, rel_floor: zero, rel_floor_max: zero }
    }

    /// Where products are safe, one division serves the four quotients of two vectors.
    #[inline(always)]
    fn add<A: Element, B: Element>(self, simd: S, high: f64, a: &[[A; PAIR]], b: &[[B; PAIR]]) -> Self {
        let RelativeLanes { mut rel, mut rel_floor, mut rel_floor_max } = self;
        let high = simd.splat_f64s(high);
        let products_are_safe = const { A::PRODUCTS_ARE_SAFE && B::PRODUCTS_ARE_SAFE };
        for (a, b) in a.iter().zip(b) {
            let (a, b) = (widened(simd, a), widened(simd, b));
            for i in 0..const { vectors::<S>() } {
                let pair = [
                    Quotients::of(simd, high, a[0][i], b[0][i]),
                    Quotients::of(simd, high, a[1][i], b[1][i]),
                ];
                for (of_rel, of_floor) in Quotients::<S>::divided(simd, products_are_safe, pair) {
                    rel[i] = simd.add_f64s(rel[i], of_rel);
                    rel_floor[i] = simd.add_f64s(rel_floor[i], of_floor);
                    rel_floor_max[i] = simd.max_f64s(rel_floor_max[i], of_floor);
                }
            }
        }
        RelativeLanes { rel, rel_floor, rel_floor_max }
    }
}

/// Puts the small elements of a block aside: a pass of its own, as a call in the loops above would cost them more.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_in_f32_parts_elements_as_the_limit_itself_does() {
        for limit in [0.0, 1e-50, 1e-3, 0.1, 1.0, 1.0 + 1e-12, 1e38, 1e300, f64::INFINITY] {
            let high = f32::at_most(limit);
            for x in [high.next_down(), high, high.next_up()] {
                let x = x.abs();
                assert_eq!(x <= high, f64::from(x) <= limit, "{x:e} against {limit:e}");
            }
        }
    }
}
