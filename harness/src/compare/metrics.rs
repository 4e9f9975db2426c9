//! How far a candidate is from its reference: `d = a - b`, a the candidate, b the reference, sums in f64.
//!
//! Every figure comes from one pass over both sides, piece by piece, so that tensors need not fit in memory. Sums are taken
//! in an order that depends on nothing but the number of elements.

use rayon::prelude::*;

use super::block::{BlockTerms, of_block};
use super::element::Element;
use super::element_rule::ElementRule;
use super::operand::{Operand, OperandPiece, of_side};
use super::scaled::ScaledSums;
use super::small::{FLOOR, Floored, SmallElements, SmallOfBlock};
use super::sums::Sums;
use crate::side::Side;
use crate::store::StoreError;
use crate::tensor::Tensor;

/// Elements whose sums are taken together, by one thread.
const BLOCK: usize = 1 << 13;

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
    /// Every element of the reference is 0, or has one magnitude with all others.
    pub uniform_reference: bool,
    /// Every element of the candidate is 0.
    pub zero_candidate: bool,
    /// Elements that break the element rule, where one was asked for; those that are not finite and agree keep it.
    pub outliers: Option<u64>,
    /// The element with the largest |d|, or the first mismatch that is not finite.
    pub worst: Option<usize>,
}

impl Metrics {
    /// Compares two tensors of one shape.
    ///
    /// # Panics
    /// When they hold different numbers of elements: [`crate::tensor::layout::align`] sees to it that they do not.
    pub fn of(a: &Tensor, b: &Tensor) -> Metrics {
        Metrics::with_rule(a, b, None)
    }

    /// Compares two tensors of one shape, and counts the elements that break a rule.
    ///
    /// # Panics
    /// As [`Metrics::of`].
    pub fn with_rule(a: &Tensor, b: &Tensor, rule: Option<ElementRule>) -> Metrics {
        // What is held in memory can be read.
        Metrics::measure(&mut Operand::held(a), &mut Operand::held(b), rule).unwrap_or_default()
    }

    /// Compares two operands of one shape.
    ///
    /// # Errors
    /// Elements that cannot be read, with the side that they are of.
    ///
    /// # Panics
    /// As [`Metrics::of`].
    pub(super) fn measure(
        a: &mut Operand<'_>,
        b: &mut Operand<'_>,
        rule: Option<ElementRule>,
    ) -> Result<Metrics, (Side, StoreError)> {
        assert_eq!(a.len(), b.len(), "candidate and reference hold different numbers of elements");
        let (n, dtype) = (b.len(), a.dtype().narrower(b.dtype()));
        let (mut sums, mut small, mut from) = (Sums::NONE, SmallElements::new(n), 0);
        loop {
            let (piece_a, piece_b) = rayon::join(|| a.next(), || b.next());
            let (piece_a, piece_b) = (of_side(Side::Candidate, piece_a)?, of_side(Side::Reference, piece_b)?);
            let (Some(piece_a), Some(piece_b)) = (piece_a, piece_b) else { break };
            let bounds = small.bounds(sums.bb, sums.finite, || mean_square(&piece_b));
            let terms = BlockTerms { dtype, rule, bounds, max_abs: sums.max_abs };
            for (of_block, small_of_block) in blocks(&terms, from, &piece_a, &piece_b) {
                sums = sums.then(of_block);
                small.extend(small_of_block);
            }
            from += piece_b.len();
        }
        let scaled = match ScaledSums::are_needed(&sums, [a.dtype(), b.dtype()]) {
            true => Some(ScaledSums::of(a, b)?),
            false => None,
        };
        let rms = match &scaled {
            Some(scaled) => scaled.rms_of_reference(),
            None => (sums.bb / sums.finite as f64).sqrt(),
        };
        let floor = FLOOR * rms;
        let floored = match small.resolve(floor).filter(|_| scaled.is_none()) {
            Some(Floored { sum, max, under }) => {
                Floored { sum: sums.rel_floor + sum, max: sums.rel_floor_max.max(max), under }
            }
            None => {
                a.rewind();
                b.rewind();
                SmallElements::again(a, b, floor)?
            }
        };
        let metrics = Metrics::from_sums(n, &sums, floored, rule);
        Ok(match scaled {
            Some(scaled) => metrics.with_scaled(&scaled, floored),
            None => metrics,
        })
    }

    /// The figures whose sums are taken of scaled values.
    fn with_scaled(self, scaled: &ScaledSums, floored: Floored) -> Metrics {
        let finite = |figure: f64| Some(figure).filter(|figure| figure.is_finite());
        let relative = |figure: f64| finite(figure).filter(|_| scaled.are_relative());
        let count = self.n - self.non_finite();
        Metrics {
            mean_abs: finite(scaled.mean_abs()),
            rms: finite(scaled.rms()),
            rel_floor_mean: relative(floored.sum / count as f64),
            rel_floor_max: relative(floored.max),
            under_floor: if scaled.are_relative() { floored.under } else { 0 },
            rel_l2: relative(scaled.rel_l2()),
            rel_linf: relative(scaled.rel_linf()),
            cosine: relative(scaled.cosine()),
            scale: relative(scaled.scale()),
            ..self
        }
    }

    fn from_sums(n: usize, s: &Sums, floored: Floored, rule: Option<ElementRule>) -> Metrics {
        let sound = n > 0 && s.mismatches == 0 && s.finite > 0;
        let count = s.finite as f64;
        let relative = sound && s.bb > 0.0 && s.bb.is_finite();
        let defined = |when: bool, figure: f64| when.then_some(figure).filter(|figure| figure.is_finite());
        Metrics {
            n,
            max_abs: defined(sound, s.max_abs),
            mean_abs: defined(sound, s.abs / count),
            rms: defined(sound, (s.squares / count).sqrt()),
            mean_rel: defined(sound, s.rel / count),
            rel_floor_mean: defined(relative, floored.sum / count),
            rel_floor_max: defined(relative, floored.max),
            under_floor: if relative { floored.under } else { 0 },
            rel_l2: defined(relative, (s.squares / s.bb).sqrt()),
            rel_linf: defined(relative, s.max_abs / s.max_b),
            cosine: defined(relative && s.aa > 0.0, s.ab / (s.aa.sqrt() * s.bb.sqrt())),
            scale: defined(relative, s.ab / s.bb),
            max_ulp: (n > 0).then_some(s.max_ulp),
            candidate_non_finite: s.a_non_finite,
            reference_non_finite: s.b_non_finite,
            non_finite_mismatches: s.mismatches,
            first_non_finite: s.first_non_finite,
            zero_reference: n > 0 && s.max_b == 0.0 && s.finite == n,
            uniform_reference: n > 1 && s.finite == n && s.is_uniform(),
            zero_candidate: n > 0 && s.a_is_zero && s.a_non_finite == 0,
            outliers: rule.map(|_| s.outliers),
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

/// About the mean square of a piece's finite elements: that of every sixteenth.
fn mean_square(piece: &OperandPiece<'_>) -> f64 {
    const STEP: usize = 16;
    fn of(values: impl Iterator<Item = f64>) -> f64 {
        let (count, sum) =
            values.filter(|x| x.is_finite()).fold((0usize, 0.0), |(count, sum), x| (count + 1, sum + x * x));
        sum / count.max(1) as f64
    }
    match piece {
        OperandPiece::F32(values) => of(values.iter().step_by(STEP).map(|x| f64::from(*x))),
        OperandPiece::F64(values) => of(values.iter().step_by(STEP).copied()),
    }
}

/// The sums of every block of a piece whose first element is element `from` of the tensor.
fn blocks(
    terms: &BlockTerms,
    from: usize,
    a: &OperandPiece<'_>,
    b: &OperandPiece<'_>,
) -> Vec<(Sums, SmallOfBlock)> {
    fn pairs<A: Element, B: Element>(
        terms: &BlockTerms,
        from: usize,
        a: &[A],
        b: &[B],
    ) -> Vec<(Sums, SmallOfBlock)> {
        let blocks = a.par_chunks(BLOCK).zip(b.par_chunks(BLOCK)).enumerate();
        blocks.map(|(i, (a, b))| of_block(terms, from + i * BLOCK, a, b)).collect()
    }
    match (a, b) {
        (OperandPiece::F32(a), OperandPiece::F32(b)) => pairs(terms, from, a, b),
        (OperandPiece::F32(a), OperandPiece::F64(b)) => pairs(terms, from, a, b),
        (OperandPiece::F64(a), OperandPiece::F32(b)) => pairs(terms, from, a, b),
        (OperandPiece::F64(a), OperandPiece::F64(b)) => pairs(terms, from, a, b),
    }
}

// Where blocks begin, and so every bit of the sums, must not depend on how a tensor is read.
const _: () = assert!(crate::store::PIECE.is_multiple_of(BLOCK));

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(values: &[f32]) -> Tensor {
        Tensor::from_f32(vec![values.len()], values.to_vec()).unwrap()
    }

    fn of(a: &[f32], b: &[f32]) -> Metrics {
        Metrics::of(&tensor(a), &tensor(b))
    }

    fn outliers(a: &[f32], b: &[f32], atol: f64, rtol: f64) -> u64 {
        Metrics::with_rule(&tensor(a), &tensor(b), Some(ElementRule { atol, rtol })).outliers.unwrap()
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
        assert_eq!(outliers(&a, &b, 1e-5, 0.0), 1);
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
    fn figures_of_any_finite_values_are_right() {
        let wide = |values: &[f64]| Tensor::from_f64(vec![values.len()], values.to_vec()).unwrap();
        let (a, b) = ([3.0, -2.5, 0.5, 7.0], [3.25, -2.5, 0.25, 6.0]);
        let at = |factor_a: f64, factor_b: f64| {
            Metrics::of(&wide(&a.map(|x| x * factor_a)), &wide(&b.map(|x| x * factor_b)))
        };
        let plain = at(1.0, 1.0);
        for exponent in [-1070, -1021, -600, -538, 511, 600, 1020] {
            // In two steps: the least powers are no normal numbers.
            let factor = 2f64.powi(exponent / 2) * 2f64.powi(exponent - exponent / 2);
            let moved = at(factor, factor);
            for (name, figure, expected) in [
                ("rel_l2", moved.rel_l2, plain.rel_l2),
                ("rel_linf", moved.rel_linf, plain.rel_linf),
                ("cosine", moved.cosine, plain.cosine),
                ("scale", moved.scale, plain.scale),
            ] {
                let (figure, expected) = (figure.unwrap(), expected.unwrap());
                // Of the least values few bits are left.
                let precision = if exponent == -1070 { 0.3 } else { 1e-14 };
                assert!(
                    (figure - expected).abs() <= precision * expected.abs(),
                    "{name} at 2^{exponent}: {figure}"
                );
            }
        }
        // Sides of different size, and a difference beyond the largest value.
        assert!((at(1e300, 1e-3).rel_l2.unwrap() / 1e303 - 1.1).abs() < 0.2);
        assert_eq!(at(1e300, 1e-200).rel_l2, None, "beyond what f64 holds");
        let m = Metrics::of(&wide(&[f64::MAX, 1.0]), &wide(&[-f64::MAX, 1.0]));
        assert_eq!((m.rel_l2, m.rel_linf, m.cosine, m.max_abs), (Some(2.0), Some(2.0), Some(-1.0), None));
        // What is exact, or zero, stays so.
        let m = Metrics::of(&wide(&[1e200, 1e-200]), &wide(&[1e200, 1e-200]));
        assert_eq!((m.rel_l2, m.max_abs), (Some(0.0), Some(0.0)));
        let m = Metrics::of(&wide(&[1e-200]), &wide(&[0.0]));
        assert_eq!((m.rel_l2, m.cosine, m.zero_reference), (None, None, true));
    }

    #[test]
    fn a_reference_of_which_little_was_seen_is_not_uniform() {
        let wide = |values: &[f64]| Tensor::from_f64(vec![values.len()], values.to_vec()).unwrap();
        let uniform = |a: &[f64], b: &[f64]| Metrics::of(&wide(a), &wide(b)).uniform_reference;
        assert!(uniform(&[1.0, 2.0], &[-3.0, 3.0]) && uniform(&[1.0, 2.0], &[0.0, 0.0]));
        assert!(!uniform(&[f64::NAN, f64::NAN], &[1.0, 2.0]) && !uniform(&[f64::NAN, 1.0], &[1.0, 2.0]));
        assert!(!uniform(&[1.0, 1.0], &[1e200, 3e200]) && !uniform(&[1.0, 1.0], &[1e-200, 3e-200]));
    }

    #[test]
    fn a_candidate_whose_squares_vanish_is_not_zero() {
        let wide = |values: &[f64]| Tensor::from_f64(vec![values.len()], values.to_vec()).unwrap();
        let b = wide(&[1.0, 1.0]);
        assert!(!Metrics::of(&wide(&[0.0, 1e-200]), &b).zero_candidate);
        assert!(Metrics::of(&wide(&[0.0, -0.0]), &b).zero_candidate);
        assert!(!of(&[0.0, f32::from_bits(1)], &[1.0, 1.0]).zero_candidate);
        assert!(of(&[0.0, -0.0], &[1.0, 1.0]).zero_candidate);
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
        let count = |a: f32, b: f32| outliers(&[a], &[b], 0.1, 0.1);
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
    fn sums_have_the_same_bits_for_any_number_of_threads() {
        let a: Vec<f32> = (0..200_000).map(|i| (i as f32 * 0.37).sin()).collect();
        let b: Vec<f32> = a.iter().map(|x| x * 1.000_1).collect();
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| of(&a, &b))
        };
        assert_eq!(with(1), with(3));
    }

    /// Every figure by the definitions, element by element.
    fn plain(a: &[f64], b: &[f64]) -> Metrics {
        let n = a.len() as f64;
        let d: Vec<f64> = a.iter().zip(b).map(|(a, b)| (a - b).abs()).collect();
        let sum = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>();
        let max = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
        let bb = sum(&mut b.iter().map(|b| b * b));
        let aa = sum(&mut a.iter().map(|a| a * a));
        let ab = sum(&mut a.iter().zip(b).map(|(a, b)| a * b));
        let squares = sum(&mut d.iter().map(|d| d * d));
        let floor = 1e-3 * (bb / n).sqrt();
        let floored = || d.iter().zip(b).map(|(d, b)| d / b.abs().max(floor));
        Metrics {
            n: a.len(),
            max_abs: Some(max(&mut d.iter().copied())),
            mean_abs: Some(sum(&mut d.iter().copied()) / n),
            rms: Some((squares / n).sqrt()),
            mean_rel: Some(sum(&mut d.iter().zip(b).map(|(d, b)| d / (b.abs() + 1e-8))) / n),
            rel_floor_mean: Some(sum(&mut floored()) / n),
            rel_floor_max: Some(max(&mut floored())),
            under_floor: b.iter().filter(|b| b.abs() < floor).count(),
            rel_l2: Some((squares / bb).sqrt()),
            rel_linf: Some(max(&mut d.iter().copied()) / max(&mut b.iter().map(|b| b.abs()))),
            cosine: Some(ab / (aa.sqrt() * bb.sqrt())),
            scale: Some(ab / bb),
            ..Metrics::default()
        }
    }

    fn agree(found: &Metrics, plain: &Metrics, what: &str) {
        let figures = |m: &Metrics| {
            [
                ("max_abs", m.max_abs),
                ("mean_abs", m.mean_abs),
                ("rms", m.rms),
                ("mean_rel", m.mean_rel),
                ("rel_floor_mean", m.rel_floor_mean),
                ("rel_floor_max", m.rel_floor_max),
                ("rel_l2", m.rel_l2),
                ("rel_linf", m.rel_linf),
                ("cosine", m.cosine),
                ("scale", m.scale),
            ]
        };
        for ((name, a), (_, b)) in figures(found).into_iter().zip(figures(plain)) {
            let (a, b) = (a.unwrap(), b.unwrap());
            assert!((a - b).abs() <= 1e-12 * b.abs().max(1e-30), "{what}: {name} {a:e} for {b:e}");
        }
        assert_eq!((found.n, found.under_floor), (plain.n, plain.under_floor), "{what}");
    }

    #[test]
    fn every_figure_is_that_of_its_definition_however_elements_are_spread() {
        let wave = |i: usize| (i as f32 * 0.37).sin();
        let at_edges = [1, 3, 4, 5, 31, 33, BLOCK - 1, BLOCK, BLOCK + 1, (1 << 16) + 7, 200_003];
        // Later elements far above the first, as channels of a map are; zeros as after a ReLU; elements around the floor.
        type Spread = fn(f32, usize) -> f32;
        let spreads: [(&str, Spread); 4] = [
            ("even", |x, _| x),
            ("growing", |x, i| x * (i as f32 / 100.0)),
            ("zeros", |x, i| if i % 2 == 0 { x.max(0.0) } else { x }),
            ("tiny", |x, i| if i % 3 == 0 { x * 2e-3 } else { x }),
        ];
        for n in at_edges {
            for (name, spread) in spreads {
                let b: Vec<f32> = (0..n).map(|i| spread(wave(i) + 1e-3, i + 1)).collect();
                let a: Vec<f32> = b.iter().enumerate().map(|(i, b)| b * 1.001 + 1e-4 * wave(i + 1)).collect();
                let exact = |values: &[f32]| values.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
                let expected = plain(&exact(&a), &exact(&b));
                agree(&of(&a, &b), &expected, &format!("{n} {name}"));
                let wide = |values: &[f32]| Tensor::from_f64(vec![n], exact(values)).unwrap();
                for (a, b) in [(wide(&a), wide(&b)), (tensor(&a), wide(&b)), (wide(&a), tensor(&b))] {
                    agree(&Metrics::of(&a, &b), &expected, &format!("{n} {name} in f64"));
                }
            }
        }
    }

    #[test]
    fn a_tensor_is_compared_alike_in_memory_and_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let values: Vec<f32> = (0..150_000).map(|i| (i as f32 * 0.11).cos() * (i as f32)).collect();
        let (a, b) = (tensor(&values), tensor(&values.iter().map(|x| x * 1.001).collect::<Vec<_>>()));
        let stored = |name: &str, tensor: &Tensor| {
            let path = folder.path().join(name);
            crate::store::write_npy(&path, tensor).unwrap();
            crate::store::open_npy(&path, None).unwrap()
        };
        let (stored_a, stored_b) = (stored("a.npy", &a), stored("b.npy", &b));
        let mut operands = (Operand::stored(&stored_a, None), Operand::stored(&stored_b, None));
        assert_eq!(Metrics::measure(&mut operands.0, &mut operands.1, None).unwrap(), Metrics::of(&a, &b));
    }
}
