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
/// Elements that are widened to f64 together: both sides stay in the first-level cache.
const CHUNK: usize = 512;
/// Added to |b| in `mean_rel`.
const MEAN_REL_EPSILON: f64 = 1e-8;

/// An element as it is held in memory.
pub(super) trait Element: Copy + Send + Sync + Into<f64> {
    /// Whether products of two elements neither overflow nor vanish in f64.
    const PRODUCTS_ARE_SAFE: bool;

    /// The elements as f32, where they are.
    fn as_f32(elements: &[Self]) -> Option<&[f32]>;
}

impl Element for f32 {
    const PRODUCTS_ARE_SAFE: bool = true;

    #[inline(always)]
    fn as_f32(elements: &[f32]) -> Option<&[f32]> {
        Some(elements)
    }
}

impl Element for f64 {
    const PRODUCTS_ARE_SAFE: bool = false;

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
    pub(super) max_a: f64,
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
        max_a: 0.0,
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
            max_a: self.max_a.max(other.max_a),
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
    let mut sums = arch.dispatch(FiniteSums { bounds: terms.bounds, a, b, small: &mut small });
    // Squares of f32 do not overflow: a sum that is not finite has an element that is not, or f64 beyond 1e154.
    if !(sums.aa.is_finite() && sums.bb.is_finite()) {
        small = SmallOfBlock::default();
        return (any(terms, from, a, b, &mut small), small);
    }
    (sums.max_a, sums.max_b) = arch.dispatch(|| (max_magnitude(a), max_magnitude(b)));
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

/// The sums of elements that are all finite; the small ones are put aside.
struct FiniteSums<'a, A, B> {
    bounds: Bounds,
    a: &'a [A],
    b: &'a [B],
    small: &'a mut SmallOfBlock,
}

/// Elements of both sides, widened.
struct Chunk {
    a: [f64; CHUNK],
    b: [f64; CHUNK],
    /// How many there are.
    len: usize,
}

impl<A: Element, B: Element> WithSimd for FiniteSums<'_, A, B> {
    type Output = Sums;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Sums {
        let FiniteSums { bounds, a, b, small } = self;
        let mut chunk = Chunk { a: [0.0; CHUNK], b: [0.0; CHUNK], len: 0 };
        let (mut plain, mut relative) = (PlainLanes::<S>::new(simd), RelativeLanes::<S>::new(simd));
        for (a, b) in a.chunks(CHUNK).zip(b.chunks(CHUNK)) {
            if a.len() < CHUNK {
                // What is left of the last vectors is zero: it adds nothing.
                (chunk.a, chunk.b) = ([0.0; CHUNK], [0.0; CHUNK]);
            }
            chunk.a.iter_mut().zip(a).for_each(|(wide, x)| *wide = (*x).into());
            chunk.b.iter_mut().zip(b).for_each(|(wide, x)| *wide = (*x).into());
            chunk.len = a.len();
            plain = plain.add(simd, &chunk);
            relative = match const { A::PRODUCTS_ARE_SAFE && B::PRODUCTS_ARE_SAFE } {
                true => relative.add::<true>(simd, &chunk, bounds, small),
                false => relative.add::<false>(simd, &chunk, bounds, small),
            };
        }
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
    fn add(self, simd: S, chunk: &Chunk) -> Self {
        // Of its own: sums stay in registers.
        let PlainLanes { mut abs, mut squares, mut aa, mut bb, mut ab, mut max_abs } = self;
        let used = chunk.len.next_multiple_of(LANES);
        let (a, b) = (S::as_simd_f64s(&chunk.a[..used]).0, S::as_simd_f64s(&chunk.b[..used]).0);
        let vectors = const { vectors::<S>() };
        for (a, b) in a.chunks_exact(vectors).zip(b.chunks_exact(vectors)) {
            for i in 0..vectors {
                let (a, b) = (a[i], b[i]);
                let d = simd.abs_f64s(simd.sub_f64s(a, b));
                abs[i] = simd.add_f64s(abs[i], d);
                squares[i] = simd.add_f64s(squares[i], simd.mul_f64s(d, d));
                aa[i] = simd.add_f64s(aa[i], simd.mul_f64s(a, a));
                bb[i] = simd.add_f64s(bb[i], simd.mul_f64s(b, b));
                ab[i] = simd.add_f64s(ab[i], simd.mul_f64s(a, b));
                max_abs[i] = simd.max_f64s(max_abs[i], d);
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
    fn none(simd: S) -> Self {
        let (zero, one) = (simd.splat_f64s(0.0), simd.splat_f64s(1.0));
        Quotients { d: zero, by_rel: one, of_floor: zero, by_floor: one }
    }

    /// Both quotients of two vectors.
    #[inline(always)]
    fn divided<const PRODUCTS_ARE_SAFE: bool>(simd: S, [p, q]: [Self; 2]) -> [(S::f64s, S::f64s); 2] {
        if !PRODUCTS_ARE_SAFE {
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
    fn add<const PRODUCTS_ARE_SAFE: bool>(
        self,
        simd: S,
        chunk: &Chunk,
        bounds: Bounds,
        small: &mut SmallOfBlock,
    ) -> Self {
        let RelativeLanes { mut rel, mut rel_floor, mut rel_floor_max } = self;
        let (epsilon, high) = (simd.splat_f64s(MEAN_REL_EPSILON), simd.splat_f64s(bounds.high));
        let (zero, one) = (simd.splat_f64s(0.0), simd.splat_f64s(1.0));
        let vectors = const { vectors::<S>() };
        let used = chunk.len.next_multiple_of(2 * LANES);
        let (a, b) = (S::as_simd_f64s(&chunk.a[..used]).0, S::as_simd_f64s(&chunk.b[..used]).0);
        for at in (0..a.len()).step_by(2 * vectors) {
            for i in 0..vectors {
                let mut pair = [Quotients::<S>::none(simd); 2];
                for (half, q) in pair.iter_mut().enumerate() {
                    let at = at + half * vectors + i;
                    let is_small = simd.less_than_or_equal_f64s(simd.abs_f64s(b[at]), high);
                    if simd.first_true_m64s(is_small) < S::F64_LANES {
                        keep_small(chunk, at * S::F64_LANES, S::F64_LANES, bounds, small);
                    }
                    let (d, magnitude) = (simd.abs_f64s(simd.sub_f64s(a[at], b[at])), simd.abs_f64s(b[at]));
                    // 0 / 1 in the place of a small element.
                    *q = Quotients {
                        d,
                        by_rel: simd.add_f64s(magnitude, epsilon),
                        of_floor: simd.select_f64s(is_small, zero, d),
                        by_floor: simd.select_f64s(is_small, one, magnitude),
                    };
                }
                for (of_rel, of_floor) in Quotients::divided::<PRODUCTS_ARE_SAFE>(simd, pair) {
                    rel[i] = simd.add_f64s(rel[i], of_rel);
                    rel_floor[i] = simd.add_f64s(rel_floor[i], of_floor);
                    rel_floor_max[i] = simd.max_f64s(rel_floor_max[i], of_floor);
                }
            }
        }
        RelativeLanes { rel, rel_floor, rel_floor_max }
    }
}

/// Puts the small elements of a vector aside; what lies beyond the chunk's elements is none.
#[cold]
#[inline(never)]
fn keep_small(chunk: &Chunk, from: usize, lanes: usize, bounds: Bounds, small: &mut SmallOfBlock) {
    for i in from..(from + lanes).min(chunk.len) {
        let magnitude = chunk.b[i].abs();
        if magnitude <= bounds.high {
            small.add((chunk.a[i] - chunk.b[i]).abs(), magnitude, bounds);
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
            max_a: a.abs(),
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
