//! Elementary functions on vectors.

use crate::simd::{SHIFT, Simd};

/// Vectors that are computed side by side: in a single one each operation waits for the previous one.
pub(crate) const TOGETHER: usize = 4;

/// `e^x` for x in [-87.3, 88.3] (clamped beyond). Largest relative error `EXP_MAX_REL_ERROR`.
///
/// Cody and Waite's reduction to `|r| <= ln(2)/2` with ln(2) in two parts, then `1 + r + r^2 q(r)`, q the minimax polynomial
/// of degree 4 (relative error of 3.7e-9 at most).
#[inline(always)]
pub(crate) fn exp<S: Simd, const N: usize>(simd: S, mut x: [S::V; N]) -> [S::V; N] {
    const LN2_HIGH: f32 = 355.0 / 512.0;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const COEFFICIENTS: [f32; 7] =
        [1.381_452_3e-3, 8.368_744e-3, 4.166_839_3e-2, 0.166_665_21, 0.499_999_94, 1.0, 1.0];
    for x in &mut x {
        // In this order NaN stays NaN: the x86 instructions return their second operand then.
        *x = simd.max(simd.splat(-87.3), simd.min(simd.splat(88.3), *x));
    }
    // To the nearest integer, which the last bits of the sum hold.
    let mut shifted = x;
    for shifted in &mut shifted {
        *shifted = simd.mul_add(*shifted, simd.splat(std::f32::consts::LOG2_E), simd.splat(SHIFT));
    }
    let mut r = x;
    for (r, shifted) in r.iter_mut().zip(&shifted) {
        let n = simd.add(*shifted, simd.splat(-SHIFT));
        *r = simd.mul_add(n, simd.splat(-LN2_HIGH), *r);
        *r = simd.mul_add(n, simd.splat(-LN2_LOW), *r);
    }
    let mut p = [simd.splat(COEFFICIENTS[0]); N];
    for c in &COEFFICIENTS[1..] {
        for (p, r) in p.iter_mut().zip(&r) {
            *p = simd.mul_add(*p, *r, simd.splat(*c));
        }
    }
    for (p, shifted) in p.iter_mut().zip(&shifted) {
        *p = simd.mul(*p, simd.pow2(*shifted));
    }
    p
}

/// What [`exp`] promises, tested below against f64.
#[cfg(test)]
pub(crate) const EXP_MAX_REL_ERROR: f64 = 1.0e-7;

/// GELU in its tanh approximation: `0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`, computed as `max(x, 0) - |x| q` with
/// `q = e / (1 + e)`, `e = exp(-2 sqrt(2/pi) (|x| + 0.044715 |x|^3))`: the same function without the cancellation near -1, and
/// where x is positive the error of q counts no more than q does.
///
/// Largest error `GELU_MAX_ERROR` times max(|x|, 1). Of -infinity it is NaN, as the formula is.
#[inline(always)]
pub(crate) fn gelu<S: Simd, const N: usize>(simd: S, x: [S::V; N]) -> [S::V; N] {
    const TWICE_SQRT_2_OVER_PI: f64 = 1.595_769_121_605_730_7;
    let (mut negative, mut e) = (x, x);
    for ((negative, e), x) in negative.iter_mut().zip(&mut e).zip(&x) {
        // -|x|, but not below the point where q is smallest: beyond it the product with q would grow again.
        *negative = simd.max(simd.splat(-16.0), simd.minus_abs(*x));
        let inner = simd.mul_add(
            simd.mul(*x, *x),
            simd.splat((0.044_715 * TWICE_SQRT_2_OVER_PI) as f32),
            simd.splat(TWICE_SQRT_2_OVER_PI as f32),
        );
        *e = simd.mul(*negative, inner);
    }
    let mut y = exp(simd, e);
    for ((y, negative), x) in y.iter_mut().zip(&negative).zip(&x) {
        let q = simd.div(*y, simd.add(simd.splat(1.0), *y));
        // max(x, 0) that is NaN where x is NaN or -infinity.
        let positive = simd.sub(*x, simd.min(simd.splat(0.0), *x));
        *y = simd.mul_add(*negative, q, positive);
    }
    y
}

/// GELU of each element, in place.
#[inline(always)]
pub(crate) fn gelu_row<S: Simd>(simd: S, row: &mut [f32]) {
    let mut chunks = row.chunks_exact_mut(TOGETHER * S::LANES);
    for chunk in &mut chunks {
        // Not a closure: if it were not inlined, it would be compiled without the instruction set.
        let mut x = [simd.splat(0.0); TOGETHER];
        for (x, part) in x.iter_mut().zip(chunk.chunks_exact(S::LANES)) {
            *x = simd.load(part);
        }
        for (y, out) in gelu::<S, TOGETHER>(simd, x).into_iter().zip(chunk.chunks_exact_mut(S::LANES)) {
            simd.store(y, out);
        }
    }
    for rest in chunks.into_remainder().chunks_mut(S::LANES) {
        let [y] = gelu(simd, [simd.load_partial(rest)]);
        simd.store_partial(y, rest);
    }
}

/// What [`gelu`] promises, tested below against f64.
#[cfg(test)]
pub(crate) const GELU_MAX_ERROR: f64 = 1.0e-7;

/// GELU by the error function, `x / 2 (1 + erf(x / sqrt(2)))`; erf by formula 7.1.26 of Abramowitz and Stegun, whose
/// error of at most 1.5e-7 is far below the 5e-4 between the two GELUs.
#[cfg(feature = "faults")]
pub(crate) fn erf_gelu(x: f32) -> f32 {
    let z = f64::from(x.abs()) / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let polynomial = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
    let erf = 1.0 - polynomial.iter().fold(0.0, |sum, c| (sum + c) * t) * (-z * z).exp();
    let signed = if x < 0.0 { -erf } else { erf };
    (f64::from(x) / 2.0 * (1.0 + signed)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Isa;
    use crate::simd::{Kernel, MAX_LANES};
    use crate::testing::{Failures, on_each_isa};

    on_each_isa!(
        exp_keeps_its_error,
        gelu_keeps_its_error,
        gelu_of_negative_numbers_has_only_the_error_of_the_exponent,
        exp_is_clamped_and_gelu_is_finite_far_out
    );

    /// GELU if true, the exponential if false.
    struct Map<'a>(&'a mut [f32], bool);
    impl Kernel for Map<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            match self.1 {
                true => gelu_row(simd, self.0),
                false => {
                    for chunk in self.0.chunks_mut(S::LANES) {
                        let [e] = exp(simd, [simd.load_partial(chunk)]);
                        simd.store_partial(e, chunk);
                    }
                }
            }
        }
    }

    fn samples(low: f32, high: f32) -> Vec<f32> {
        (0..=200_000).map(|i| low + (high - low) * i as f32 / 200_000.0).collect()
    }

    fn exp_keeps_its_error(isa: Isa, failures: &mut Failures) {
        let x = samples(-87.0, 88.0);
        let mut y = x.clone();
        isa.run(Map(&mut y, false));
        let worst = x.iter().zip(&y).map(|(x, y)| {
            let exact = f64::from(*x).exp();
            ((f64::from(*y) - exact) / exact).abs()
        });
        let worst = worst.fold(0.0, f64::max);
        failures.check(worst <= EXP_MAX_REL_ERROR, || format!("{worst:e}"));
    }

    fn gelu_keeps_its_error(isa: Isa, failures: &mut Failures) {
        let x = samples(-20.0, 20.0);
        let mut y = x.clone();
        isa.run(Map(&mut y, true));
        let worst = x.iter().zip(&y).map(|(x, y)| {
            let x = f64::from(*x);
            (f64::from(*y) - crate::reference::gelu(x)).abs() / x.abs().max(1.0)
        });
        let worst = worst.fold(0.0, f64::max);
        failures.check(worst <= GELU_MAX_ERROR, || format!("{worst:e}"));
    }

    /// There it is so small that an error relative to 1 would be all of it.
    fn gelu_of_negative_numbers_has_only_the_error_of_the_exponent(isa: Isa, failures: &mut Failures) {
        let x = samples(-9.0, -1e-3);
        let mut y = x.clone();
        isa.run(Map(&mut y, true));
        for (x, y) in x.iter().zip(&y) {
            let x = f64::from(*x);
            let exponent = 2.0 * (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            let exact = x / (1.0 + (-exponent).exp());
            let error = ((f64::from(*y) - exact) / exact).abs();
            failures.check(error <= 2e-7 * (1.0 - exponent), || format!("{x}: {y:e} for {exact:e}"));
        }
    }

    fn exp_is_clamped_and_gelu_is_finite_far_out(isa: Isa, _: &mut Failures) {
        let mut y = [-1e30, -200.0, 0.0, 200.0];
        isa.run(Map(&mut y, false));
        assert!(y.iter().all(|y| y.is_finite() && *y > 0.0), "{y:?}");
        assert_eq!(y[2], 1.0, "");
        let mut y = [f32::NAN, 1.0];
        isa.run(Map(&mut y, false));
        assert!(y[0].is_nan() && !y[1].is_nan(), "{y:?}");
        // In whole and partial vectors.
        let length = 2 * TOGETHER * MAX_LANES + 5;
        let at = |x: f32| {
            let mut y = vec![x; length];
            isa.run(Map(&mut y, true));
            assert!(y.iter().all(|other| other.to_bits() == y[0].to_bits()), "{x}: {y:?}");
            y[0]
        };
        for x in [-20.0, -50.0, -1e3, -1e30, f32::MIN / 2.0, f32::MIN] {
            assert!(at(x).abs() < 1e-35, "{} of {x}", at(x));
        }
        for x in [0.0, 50.0, 1e3, f32::MAX, f32::INFINITY] {
            assert_eq!(at(x), x, "");
        }
        for x in [1e-40, -1e-40] {
            assert!((at(x) - 0.5 * x).abs() <= 1e-45, "{} of {x}", at(x));
        }
        for x in [f32::NAN, f32::NEG_INFINITY] {
            assert!(at(x).is_nan(), "{} of {x}", at(x));
        }
    }

    /// From a table of the normal distribution: x times the probability of a smaller value.
    #[cfg(feature = "faults")]
    #[test]
    fn erf_gelu_by_the_table() {
        let table = [
            (0.0f32, 0.5f64),
            (0.5, 0.691_462_461),
            (1.0, 0.841_344_746),
            (2.0, 0.977_249_868),
            (3.0, 0.998_650_102),
            (-1.0, 0.158_655_254),
            (-3.0, 0.001_349_898),
        ];
        for (x, share) in table {
            let (found, expected) = (f64::from(erf_gelu(x)), f64::from(x) * share);
            assert!((found - expected).abs() <= 5e-7, "{x}: {found}, expected {expected}");
        }
        let apart = |x: f32| (f64::from(erf_gelu(x)) - crate::reference::gelu(f64::from(x))).abs();
        let largest = (-600..600).map(|i| apart(i as f32 / 100.0)).fold(0.0, f64::max);
        assert!((1e-4..1e-3).contains(&largest), "{largest:e} between the two GELUs");
    }
}
