//! Elementary functions on vectors.

use crate::simd::Simd;

/// `e^x` for x in [-87.3, 88.3] (clamped beyond). Largest relative error [`EXP_MAX_REL_ERROR`].
///
/// Cody and Waite's reduction to `|r| <= ln(2)/2` with ln(2) in two parts, then the Taylor polynomial of degree 7
/// (truncation 5e-9 at the end of the interval).
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::V) -> S::V {
    const LN2_HIGH: f32 = 355.0 / 512.0;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const COEFFICIENTS: [f32; 7] = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0];
    // In this order NaN stays NaN: the x86 instructions return their second operand then.
    let x = simd.max(simd.splat(-87.3), simd.min(simd.splat(88.3), x));
    let n = simd.round(simd.mul(x, simd.splat(std::f32::consts::LOG2_E)));
    let r = simd.mul_add(n, simd.splat(-LN2_HIGH), x);
    let r = simd.mul_add(n, simd.splat(-LN2_LOW), r);
    let mut p = simd.splat(COEFFICIENTS[0]);
    for c in &COEFFICIENTS[1..] {
        p = simd.mul_add(p, r, simd.splat(*c));
    }
    simd.mul(simd.mul_add(p, r, simd.splat(1.0)), simd.pow2(n))
}

/// What [`exp`] promises, tested below against f64.
#[cfg(test)]
pub(crate) const EXP_MAX_REL_ERROR: f64 = 2.0e-7;

/// GELU in its tanh approximation: `0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`, computed as
/// `x / (1 + exp(-2 sqrt(2/pi) (x + 0.044715 x^3)))`, the same function without the cancellation near -1.
///
/// Largest error [`GELU_MAX_ERROR`] times max(|x|, 1).
#[inline(always)]
pub(crate) fn gelu<S: Simd>(simd: S, x: S::V) -> S::V {
    const TWICE_SQRT_2_OVER_PI: f32 = 1.595_769;
    let square = simd.mul(x, x);
    let inner = simd.mul_add(
        square,
        simd.splat(-0.044_715 * TWICE_SQRT_2_OVER_PI),
        simd.splat(-TWICE_SQRT_2_OVER_PI),
    );
    let e = exp(simd, simd.mul(x, inner));
    simd.div(x, simd.add(simd.splat(1.0), e))
}

/// What [`gelu`] promises, tested below against f64.
#[cfg(test)]
pub(crate) const GELU_MAX_ERROR: f64 = 2.0e-7;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Kernel;
    use crate::testing::available_isas;

    struct Map<'a>(&'a mut [f32], bool);
    impl Kernel for Map<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            for chunk in self.0.chunks_mut(S::LANES) {
                let v = simd.load_partial(chunk);
                let v = if self.1 { gelu(simd, v) } else { exp(simd, v) };
                simd.store_partial(v, chunk);
            }
        }
    }

    fn samples(low: f32, high: f32) -> Vec<f32> {
        (0..=200_000).map(|i| low + (high - low) * i as f32 / 200_000.0).collect()
    }

    #[test]
    fn exp_keeps_its_error_on_every_isa() {
        for isa in available_isas() {
            let x = samples(-87.0, 88.0);
            let mut y = x.clone();
            isa.run(Map(&mut y, false));
            let worst = x.iter().zip(&y).map(|(x, y)| {
                let exact = f64::from(*x).exp();
                ((f64::from(*y) - exact) / exact).abs()
            });
            let worst = worst.fold(0.0, f64::max);
            assert!(worst <= EXP_MAX_REL_ERROR, "{isa}: {worst:e}");
        }
    }

    #[test]
    fn gelu_keeps_its_error_on_every_isa() {
        for isa in available_isas() {
            let x = samples(-20.0, 20.0);
            let mut y = x.clone();
            isa.run(Map(&mut y, true));
            let worst = x.iter().zip(&y).map(|(x, y)| {
                let x = f64::from(*x);
                (f64::from(*y) - crate::reference::gelu(x)).abs() / x.abs().max(1.0)
            });
            let worst = worst.fold(0.0, f64::max);
            assert!(worst <= GELU_MAX_ERROR, "{isa}: {worst:e}");
        }
    }

    #[test]
    fn exp_is_clamped_and_gelu_is_finite_far_out() {
        for isa in available_isas() {
            let mut y = [-1e30, -200.0, 0.0, 200.0];
            isa.run(Map(&mut y, false));
            assert!(y.iter().all(|y| y.is_finite() && *y > 0.0), "{isa}: {y:?}");
            assert_eq!(y[2], 1.0, "{isa}");
            let mut y = [f32::NAN, 1.0];
            isa.run(Map(&mut y, false));
            assert!(y[0].is_nan() && !y[1].is_nan(), "{isa}: {y:?}");
            let mut y = [-1e3, -50.0, 0.0, 50.0, 1e3];
            isa.run(Map(&mut y, true));
            assert!(y[0].abs() < 1e-30 && y[1].abs() < 1e-30, "{isa}: {y:?}");
            assert_eq!(y[2..], [0.0, 50.0, 1e3], "{isa}");
        }
    }
}
