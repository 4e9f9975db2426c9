//! The sums of finite elements, in the vectors of the CPU. Whatever the CPU, a sum is taken as [`LANES`] sums side by side
//! that are added in the end, so that it has the same bits everywhere: products and sums are never fused.

use pulp::{Simd, WithSimd};

use super::element::Element;
use super::sums::{MEAN_REL_EPSILON, Sums};

/// Sums that are taken side by side: one vector of AVX2, two of NEON.
const LANES: usize = 4;
/// Elements that are taken together: one division serves those of two vectors.
const PAIR: usize = 2 * LANES;

/// Runs an operation in the vectors of the CPU, of at most [`LANES`] numbers: in longer ones a sum would have other bits.
pub(super) fn in_vectors<O: WithSimd>(operation: O) -> O::Output {
    #[cfg(target_arch = "x86_64")]
    return match pulp::x86::V3::try_new() {
        Some(simd) => pulp::Simd::vectorize(simd, operation),
        None => pulp::Simd::vectorize(pulp::Scalar, operation),
    };
    #[cfg(not(target_arch = "x86_64"))]
    return pulp::Arch::new().dispatch(operation);
}

/// The sums of elements that are all finite; in `rel_floor`, of those with |b| above `high`.
pub(super) struct FiniteSums<'a, A, B> {
    pub(super) high: f64,
    pub(super) a: &'a [A],
    pub(super) b: &'a [B],
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
