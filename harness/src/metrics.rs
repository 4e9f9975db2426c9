//! How far a candidate is from its reference: `d = a - b`, a the candidate, b the reference, sums in f64.

use rayon::prelude::*;

use crate::tensor::{Dtype, Values};

/// Elements summed at a time. The chunks are fixed, so sums have the same bits for any number of threads.
const CHUNK: usize = 1 << 15;

/// The figures of one pair. A figure that is undefined is `None`, never 0 and never NaN.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Elements.
    pub n: usize,
    /// max |d|.
    pub max_abs: Option<f64>,
    /// mean |d|.
    pub mean_abs: Option<f64>,
    /// sqrt(mean d²).
    pub rms: Option<f64>,
    /// mean |d| / (|b| + 1e-8): reported because the porting guides do; elements near zero rule it.
    pub mean_rel: Option<f64>,
    /// mean |d| / max(|b|, f) with f = 1e-3 rms(b).
    pub rel_floor_mean: Option<f64>,
    /// max |d| / max(|b|, f).
    pub rel_floor_max: Option<f64>,
    /// Elements with |b| < f.
    pub under_floor: usize,
    /// ‖d‖ / ‖b‖.
    pub rel_l2: Option<f64>,
    /// max |d| / max |b|.
    pub rel_linf: Option<f64>,
    /// a·b / (‖a‖ ‖b‖).
    pub cosine: Option<f64>,
    /// a·b / b·b.
    pub scale: Option<f64>,
    /// Largest distance in units of the narrower type, +0 and -0 being 1 apart; NaN is at the greatest distance.
    pub max_ulp: Option<u64>,
    /// NaN and ±Inf of the candidate.
    pub candidate_non_finite: usize,
    /// NaN and ±Inf of the reference.
    pub reference_non_finite: usize,
    /// Elements that are not finite on one side, or differ in kind or sign.
    pub non_finite_mismatches: usize,
    /// First of them.
    pub first_non_finite: Option<usize>,
    /// Every element of the reference is 0: relative figures are undefined.
    pub zero_reference: bool,
    /// Every element of the candidate is 0.
    pub zero_candidate: bool,
    /// The element with the largest |d|, or the first mismatch that is not finite.
    pub worst: Option<usize>,
}

/// Sums over a chunk of elements that are finite on both sides.
#[derive(Clone, Copy, Default)]
struct Sums {
    finite: usize,
    abs: f64,
    squares: f64,
    rel: f64,
    aa: f64,
    bb: f64,
    ab: f64,
    max_abs: f64,
    max_abs_at: usize,
    max_b: f64,
    max_a: f64,
    max_ulp: u64,
    a_non_finite: usize,
    b_non_finite: usize,
    mismatches: usize,
    first_non_finite: Option<usize>,
}

impl Sums {
    /// `other` comes behind `self`.
    fn then(self, other: Sums) -> Sums {
        let behind = other.max_abs > self.max_abs;
        Sums {
            finite: self.finite + other.finite,
            abs: self.abs + other.abs,
            squares: self.squares + other.squares,
            rel: self.rel + other.rel,
            aa: self.aa + other.aa,
            bb: self.bb + other.bb,
            ab: self.ab + other.ab,
            max_abs: self.max_abs.max(other.max_abs),
            max_abs_at: if behind { other.max_abs_at } else { self.max_abs_at },
            max_b: self.max_b.max(other.max_b),
            max_a: self.max_a.max(other.max_a),
            max_ulp: self.max_ulp.max(other.max_ulp),
            a_non_finite: self.a_non_finite + other.a_non_finite,
            b_non_finite: self.b_non_finite + other.b_non_finite,
            mismatches: self.mismatches + other.mismatches,
            first_non_finite: self.first_non_finite.or(other.first_non_finite),
        }
    }
}

fn chunks(n: usize) -> impl IndexedParallelIterator<Item = std::ops::Range<usize>> {
    (0..n.div_ceil(CHUNK)).into_par_iter().map(move |i| i * CHUNK..((i + 1) * CHUNK).min(n))
}

impl Metrics {
    /// Compares `a` with `b`, element by element.
    ///
    /// # Panics
    /// When they hold different numbers of elements: [`crate::layout::align`] sees to it that they do not.
    pub fn of(a: &Values, b: &Values, types: (Dtype, Dtype)) -> Metrics {
        assert_eq!(a.len(), b.len(), "candidate and reference hold different numbers of elements");
        let n = b.len();
        let dtype = types.0.narrower(types.1);
        let sums: Vec<Sums> = chunks(n)
            .map(|range| {
                let mut s = Sums { max_abs: -1.0, ..Sums::default() };
                for i in range {
                    s.add(i, a.get(i), b.get(i), dtype);
                }
                s
            })
            .collect();
        let s = sums.into_iter().fold(Sums { max_abs: -1.0, ..Sums::default() }, Sums::then);

        let sound = n > 0 && s.mismatches == 0 && s.finite > 0;
        let count = s.finite as f64;
        let floor = 1e-3 * (s.bb / count).sqrt();
        let relative = sound && s.bb > 0.0;
        let floored = relative.then(|| floored(a, b, n, floor));
        let defined = |when: bool, figure: f64| when.then_some(figure).filter(|figure| figure.is_finite());
        Metrics {
            n,
            max_abs: defined(sound, s.max_abs),
            mean_abs: defined(sound, s.abs / count),
            rms: defined(sound, (s.squares / count).sqrt()),
            mean_rel: defined(sound, s.rel / count),
            rel_floor_mean: floored.and_then(|(sum, _, _)| defined(true, sum / count)),
            rel_floor_max: floored.and_then(|(_, max, _)| defined(true, max)),
            under_floor: floored.map_or(0, |(_, _, under)| under),
            rel_l2: defined(relative, (s.squares / s.bb).sqrt()),
            rel_linf: defined(relative, s.max_abs / s.max_b),
            cosine: defined(relative && s.aa > 0.0, s.ab / (s.aa.sqrt() * s.bb.sqrt())),
            scale: defined(relative, s.ab / s.bb),
            max_ulp: (n > 0).then_some(s.max_ulp),
            candidate_non_finite: s.a_non_finite,
            reference_non_finite: s.b_non_finite,
            non_finite_mismatches: s.mismatches,
            first_non_finite: s.first_non_finite,
            zero_reference: n > 0 && s.max_b == 0.0 && s.b_non_finite == 0,
            zero_candidate: n > 0 && s.max_a == 0.0 && s.a_non_finite == 0,
            worst: match (s.mismatches, s.finite) {
                (0, 0) => None,
                (0, _) => Some(s.max_abs_at),
                _ => s.first_non_finite,
            },
        }
    }

    /// Elements that are not finite on either side.
    pub fn non_finite(&self) -> usize {
        self.candidate_non_finite.max(self.reference_non_finite)
    }
}

impl Sums {
    fn add(&mut self, i: usize, a: f64, b: f64, dtype: Dtype) {
        self.max_ulp = self.max_ulp.max(ulp_distance(a, b, dtype));
        if !(a.is_finite() && b.is_finite()) {
            self.a_non_finite += usize::from(!a.is_finite());
            self.b_non_finite += usize::from(!b.is_finite());
            let agree = a == b || (a.is_nan() && b.is_nan());
            if !agree {
                self.mismatches += 1;
                self.first_non_finite = self.first_non_finite.or(Some(i));
            }
            return;
        }
        let d = (a - b).abs();
        self.finite += 1;
        self.abs += d;
        self.squares += d * d;
        self.rel += d / (b.abs() + 1e-8);
        self.aa += a * a;
        self.bb += b * b;
        self.ab += a * b;
        self.max_a = self.max_a.max(a.abs());
        self.max_b = self.max_b.max(b.abs());
        if d > self.max_abs {
            (self.max_abs, self.max_abs_at) = (d, i);
        }
    }
}

/// Sum and maximum of |d| / max(|b|, f), and the elements with |b| < f.
fn floored(a: &Values, b: &Values, n: usize, floor: f64) -> (f64, f64, usize) {
    let parts: Vec<(f64, f64, usize)> = chunks(n)
        .map(|range| {
            let (mut sum, mut max, mut under) = (0.0, 0.0f64, 0);
            for i in range {
                let (a, b) = (a.get(i), b.get(i));
                if a.is_finite() && b.is_finite() {
                    let rel = (a - b).abs() / b.abs().max(floor);
                    sum += rel;
                    max = max.max(rel);
                    under += usize::from(b.abs() < floor);
                }
            }
            (sum, max, under)
        })
        .collect();
    parts.into_iter().fold((0.0, 0.0, 0), |a, b| (a.0 + b.0, a.1.max(b.1), a.2 + b.2))
}

/// Elements that break |d| <= atol + rtol |b|; those that are not finite and agree keep it.
pub fn count_outliers(a: &Values, b: &Values, atol: f64, rtol: f64) -> u64 {
    let n = a.len().min(b.len());
    chunks(n)
        .map(|range| {
            let breaks = |i: &usize| {
                let (a, b) = (a.get(*i), b.get(*i));
                let agree = a == b || (a.is_nan() && b.is_nan());
                let within = a.is_finite() && b.is_finite() && (a - b).abs() <= atol + rtol * b.abs();
                !(agree || within)
            };
            range.filter(breaks).count() as u64
        })
        .sum()
}

/// Distance in representable numbers of `dtype`; +0 and -0 are 1 apart, NaN is at the greatest distance of the type.
fn ulp_distance(a: f64, b: f64, dtype: Dtype) -> u64 {
    /// Position of a number with `bits` bits in the order of all numbers of its type.
    fn position(bits: u64, width: u32) -> i128 {
        let sign = 1u64 << (width - 1);
        let magnitude = i128::from(bits & (sign - 1));
        if bits & sign == 0 { magnitude } else { -1 - magnitude }
    }
    let (width, bits): (u32, fn(f64) -> u64) = match dtype {
        Dtype::Bf16 => (16, |x| u64::from(half::bf16::from_f64(x).to_bits())),
        Dtype::F16 => (16, |x| u64::from(half::f16::from_f64(x).to_bits())),
        Dtype::F32 => (32, |x| u64::from((x as f32).to_bits())),
        Dtype::F64 => (64, f64::to_bits),
    };
    if a.is_nan() || b.is_nan() {
        return u64::MAX >> (64 - width);
    }
    let distance = (position(bits(a), width) - position(bits(b), width)).unsigned_abs();
    u64::try_from(distance).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(a: &[f32], b: &[f32]) -> Metrics {
        Metrics::of(&Values::F32(a.to_vec()), &Values::F32(b.to_vec()), (Dtype::F32, Dtype::F32))
    }

    fn close(figure: Option<f64>, expected: f64) {
        let figure = figure.unwrap();
        assert!((figure - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{figure} for {expected}");
    }

    #[test]
    fn every_figure_by_hand() {
        // d = [1, 0, -2], |b| = [1, 2, 4]
        let m = of(&[2.0, 2.0, 2.0], &[1.0, 2.0, 4.0]);
        assert_eq!((m.n, m.worst), (3, Some(2)));
        close(m.max_abs, 2.0);
        close(m.mean_abs, 1.0);
        close(m.rms, (5.0f64 / 3.0).sqrt());
        close(m.mean_rel, (1.0 / (1.0 + 1e-8) + 2.0 / (4.0 + 1e-8)) / 3.0);
        close(m.rel_floor_mean, 0.5);
        close(m.rel_floor_max, 1.0);
        assert_eq!(m.under_floor, 0);
        close(m.rel_l2, (5.0f64 / 21.0).sqrt());
        close(m.rel_linf, 0.5);
        close(m.cosine, 14.0 / (12.0f64.sqrt() * 21.0f64.sqrt()));
        close(m.scale, 14.0 / 21.0);
        // from 4.0 down to 2.0 is one binade: 2^23 steps
        assert_eq!(m.max_ulp, Some(1 << 23));
    }

    #[test]
    fn an_element_near_zero_counts_against_the_floor_of_rel_floor() {
        // rms(b) = sqrt(4 / 4) = 1, so f = 1e-3; the third element is under it
        let m = of(&[2.0, 0.0, 2e-6, 0.0], &[2.0, 0.0, 1e-6, 0.0]);
        assert_eq!(m.under_floor, 3);
        let d = f64::from(2e-6f32) - f64::from(1e-6f32);
        let f = 1e-3 * ((4.0 + f64::from(1e-6f32).powi(2)) / 4.0f64).sqrt();
        close(m.rel_floor_max, d / f);
    }

    #[test]
    fn equal_tensors() {
        let m = of(&[1.0, -3.0], &[1.0, -3.0]);
        assert_eq!((m.max_abs, m.rel_l2, m.max_ulp), (Some(0.0), Some(0.0), Some(0)));
        close(m.cosine, 1.0);
    }

    #[test]
    fn no_element_and_one_element() {
        let m = of(&[], &[]);
        assert_eq!(m, Metrics::default());
        let m = of(&[3.0], &[2.0]);
        close(m.rel_l2, 0.5);
        close(m.max_abs, 1.0);
        assert_eq!(m.worst, Some(0));
    }

    #[test]
    fn trap_03_one_wrong_element_shows_in_the_maximum() {
        let b = vec![1.0f32; 10_000];
        let mut a = b.clone();
        a[77] = 1.05;
        let m = of(&a, &b);
        assert!(m.mean_abs.unwrap() < 1e-5 && m.rel_linf.unwrap() > 0.049);
        assert_eq!(m.worst, Some(77));
        assert_eq!(count_outliers(&Values::F32(a), &Values::F32(b), 1e-5, 0.0), 1);
    }

    #[test]
    fn trap_04_nan_and_zero_references_leave_figures_undefined() {
        let m = of(&[f32::NAN, 1.0], &[1.0, 1.0]);
        assert_eq!((m.cosine, m.rel_l2, m.max_abs), (None, None, None));
        assert_eq!((m.non_finite_mismatches, m.worst), (1, Some(0)));
        let m = of(&[1.0, 1.0], &[0.0, -0.0]);
        assert!(m.zero_reference && !m.zero_candidate);
        assert_eq!((m.rel_l2, m.rel_linf, m.cosine, m.scale), (None, None, None, None));
        close(m.max_abs, 1.0);
    }

    #[test]
    fn trap_05_a_matched_infinity_does_not_poison_the_rest() {
        let m = of(&[f32::INFINITY, 2.0], &[f32::INFINITY, 1.0]);
        assert_eq!((m.non_finite_mismatches, m.non_finite()), (0, 1));
        close(m.rel_l2, 1.0);
    }

    #[test]
    fn trap_06_the_sign_of_infinity_counts() {
        let m = of(&[f32::INFINITY], &[f32::NEG_INFINITY]);
        assert_eq!((m.non_finite_mismatches, m.rel_l2), (1, None));
        let m = of(&[0.0], &[f32::NAN]);
        assert_eq!(m.non_finite_mismatches, 1);
    }

    #[test]
    fn trap_05_an_infinite_reference_does_not_widen_the_element_rule() {
        let values = |x: f32| Values::F32(vec![x]);
        let count = |a: f32, b: f32| count_outliers(&values(a), &values(b), 0.1, 0.1);
        assert_eq!(count(1.0, f32::INFINITY), 1);
        assert_eq!(count(f32::NEG_INFINITY, f32::INFINITY), 1);
        assert_eq!(count(f32::INFINITY, f32::INFINITY), 0);
        assert_eq!(count(f32::NAN, 1.0), 1);
    }

    #[test]
    fn trap_07_relative_figures_do_not_depend_on_the_first_extent() {
        let (a, b) = ([1.1f32, 2.2, 3.3, 4.4], [1.0f32, 2.0, 3.0, 4.0]);
        let twice = |x: &[f32]| [x, x].concat();
        close(of(&twice(&a), &twice(&b)).rel_l2, of(&a, &b).rel_l2.unwrap());
    }

    #[test]
    fn trap_08_ulp_distance_is_sound_at_zero() {
        let step = f64::from(f32::from_bits(1));
        let cases = [
            (0.0, -0.0, 1),
            (0.0, 0.0, 0),
            (step, 0.0, 1),
            (-step, 0.0, 2),
            (1.0, 0.0, u64::from(1.0f32.to_bits())),
            (1.0, 1.0 + f64::from(f32::EPSILON), 1),
            (f64::NAN, 1.0, u64::from(u32::MAX)),
            (f64::INFINITY, f64::from(f32::MAX), 1),
        ];
        for (a, b, expected) in cases {
            assert_eq!(ulp_distance(a, b, Dtype::F32), expected, "{a} {b}");
            assert_eq!(ulp_distance(b, a, Dtype::F32), expected, "{b} {a}");
        }
        assert_eq!(ulp_distance(1.0, 1.0 + 2f64.powi(-10), Dtype::F16), 1);
        assert_eq!(ulp_distance(1.0, 1.0 + 2f64.powi(-7), Dtype::Bf16), 1);
        assert_eq!(Dtype::F32.narrower(Dtype::F16), Dtype::F16);
    }

    #[test]
    fn sums_have_the_same_bits_for_any_number_of_threads() {
        let a: Vec<f32> = (0..200_000).map(|i| (i as f32 * 0.37).sin()).collect();
        let b: Vec<f32> = a.iter().map(|x| x * 1.000_1).collect();
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| of(&a, &b))
        };
        assert_eq!(with(1), with(3));
    }
}
