//! Sums over the elements of a block, by plain loops that are compiled for the vectors of the CPU.

use super::metrics::ElementRule;
use super::small::{Bounds, SmallOfBlock};
use super::ulp;
use crate::tensor::Dtype;

/// Sums that are taken side by side: one vector of AVX2. More would not fit in its registers.
const LANES: usize = 4;
/// Elements that are looked at together for one that is small.
const GROUP: usize = 32;
/// Added to |b| in `mean_rel`.
const MEAN_REL_EPSILON: f64 = 1e-8;

/// An element as it is held in memory.
pub(super) trait Element: Copy + Send + Sync + Into<f64> {
    /// The elements as f32, where they are.
    fn as_f32(elements: &[Self]) -> Option<&[f32]>;
}

impl Element for f32 {
    #[inline(always)]
    fn as_f32(elements: &[f32]) -> Option<&[f32]> {
        Some(elements)
    }
}

impl Element for f64 {
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
    let mut sums = arch.dispatch(|| finite(terms, a, b));
    let mut small = SmallOfBlock::default();
    // Squares of f32 do not overflow: a sum that is not finite has an element that is not, or f64 beyond 1e154.
    if !(sums.aa.is_finite() && sums.bb.is_finite()) {
        return (any(terms, from, a, b, &mut small), small);
    }
    if sums.max_abs > terms.max_abs {
        let worst = a.iter().zip(b).position(|(a, b)| ((*a).into() - (*b).into()).abs() == sums.max_abs);
        sums.max_abs_at = from + worst.unwrap_or_default();
    }
    arch.dispatch(|| keep_small(terms.bounds, a, b, &mut small));
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

#[inline(always)]
fn larger(a: f64, b: f64) -> f64 {
    // `f64::max` would look for NaN too.
    if b > a { b } else { a }
}

/// The sums of elements that are all finite.
#[inline(always)]
fn finite<A: Element, B: Element>(terms: &BlockTerms, a: &[A], b: &[B]) -> Sums {
    let high = terms.bounds.high;
    let mut lanes = Lanes::default();
    let (a_vectors, a_rest) = a.as_chunks::<LANES>();
    let (b_vectors, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_vectors.iter().zip(b_vectors) {
        for lane in 0..LANES {
            lanes.add(lane, a[lane].into(), b[lane].into(), high);
        }
    }
    for (lane, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        lanes.add(lane, (*a).into(), (*b).into(), high);
    }
    let sum = |lanes: [f64; LANES]| (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
    let max = |lanes: [f64; LANES]| lanes.into_iter().fold(0.0, larger);
    Sums {
        finite: a.len(),
        abs: sum(lanes.abs),
        squares: sum(lanes.squares),
        rel: sum(lanes.rel),
        aa: sum(lanes.aa),
        bb: sum(lanes.bb),
        ab: sum(lanes.ab),
        max_abs: if a.is_empty() { -1.0 } else { max(lanes.max_abs) },
        max_a: max(lanes.max_a),
        max_b: max(lanes.max_b),
        rel_floor: sum(lanes.rel_floor),
        rel_floor_max: max(lanes.rel_floor_max),
        ..Sums::NONE
    }
}

#[derive(Default)]
struct Lanes {
    abs: [f64; LANES],
    squares: [f64; LANES],
    rel: [f64; LANES],
    aa: [f64; LANES],
    bb: [f64; LANES],
    ab: [f64; LANES],
    max_abs: [f64; LANES],
    max_a: [f64; LANES],
    max_b: [f64; LANES],
    rel_floor: [f64; LANES],
    rel_floor_max: [f64; LANES],
}

impl Lanes {
    #[inline(always)]
    fn add(&mut self, lane: usize, a: f64, b: f64, high: f64) {
        let d = (a - b).abs();
        let magnitude = b.abs();
        self.abs[lane] += d;
        self.squares[lane] += d * d;
        self.rel[lane] += d / (magnitude + MEAN_REL_EPSILON);
        self.aa[lane] += a * a;
        self.bb[lane] += b * b;
        self.ab[lane] += a * b;
        self.max_abs[lane] = larger(self.max_abs[lane], d);
        self.max_a[lane] = larger(self.max_a[lane], a.abs());
        self.max_b[lane] = larger(self.max_b[lane], magnitude);
        // A small element is counted elsewhere; 0 / 1 in its place.
        let small = magnitude <= high;
        let rel = if small { 0.0 } else { d } / if small { 1.0 } else { magnitude };
        self.rel_floor[lane] += rel;
        self.rel_floor_max[lane] = larger(self.rel_floor_max[lane], rel);
    }
}

/// Puts the small elements of a block aside.
#[inline(always)]
fn keep_small<A: Element, B: Element>(bounds: Bounds, a: &[A], b: &[B], small: &mut SmallOfBlock) {
    for (a, b) in a.chunks(GROUP).zip(b.chunks(GROUP)) {
        let is_small = |b: &B| (*b).into().abs() <= bounds.high;
        if !b.iter().fold(false, |any, b| any | is_small(b)) {
            continue;
        }
        for (a, b) in a.iter().zip(b).filter(|(_, b)| is_small(b)) {
            let (a, b): (f64, f64) = ((*a).into(), (*b).into());
            small.add((a - b).abs(), b.abs(), bounds);
        }
    }
}

#[inline(always)]
fn max_ulp_f32(a: &[f32], b: &[f32]) -> u32 {
    const WIDE: usize = 8;
    let mut lanes = [0; WIDE];
    let (a_vectors, a_rest) = a.as_chunks::<WIDE>();
    let (b_vectors, b_rest) = b.as_chunks::<WIDE>();
    for (a, b) in a_vectors.iter().zip(b_vectors) {
        for lane in 0..WIDE {
            lanes[lane] = lanes[lane].max(ulp::distance_f32(a[lane], b[lane]));
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| ulp::distance_f32(*a, *b));
    lanes.into_iter().chain(rest).max().unwrap_or(0)
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
        let mut lanes = Lanes::default();
        lanes.add(0, a, b, terms.bounds.high);
        let d = (a - b).abs();
        let breaks = terms.rule.is_some_and(|rule| d > rule.atol + rule.rtol * b.abs());
        sums = sums.then(Sums {
            finite: 1,
            abs: d,
            squares: lanes.squares[0],
            rel: lanes.rel[0],
            aa: lanes.aa[0],
            bb: lanes.bb[0],
            ab: lanes.ab[0],
            max_abs: d,
            max_abs_at: from + i,
            max_a: a.abs(),
            max_b: b.abs(),
            rel_floor: lanes.rel_floor[0],
            rel_floor_max: lanes.rel_floor_max[0],
            outliers: u64::from(breaks),
            ..Sums::NONE
        });
        if b.abs() <= terms.bounds.high {
            small.add(d, b.abs(), terms.bounds);
        }
    }
    sums
}
