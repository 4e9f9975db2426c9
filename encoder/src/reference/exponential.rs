//! The exponential function, and GELU by it, without branches: loops over them are compiled for the CPU's vectors.

use std::f64::consts::{LOG2_E, PI};

/// Added to a number of moderate size and taken off again, it leaves the nearest whole number, in the lowest bits of the sum.
const SHIFT: f64 = 1.5 * (1u64 << 52) as f64;
/// ln 2 in two parts; whole numbers of up to 20 bits times the first are exact.
const LN_2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];
/// Beyond these the result is that of these: normal numbers.
const DOMAIN: [f64; 2] = [-708.0, 709.0];

/// e^x, to 4e-16 of its size.
#[inline(always)]
pub(super) fn exp(x: f64) -> f64 {
    let x = x.clamp(DOMAIN[0], DOMAIN[1]);
    let shifted = x * LOG2_E + SHIFT;
    let n = shifted - SHIFT;
    let r = x - n * LN_2[0] - n * LN_2[1];
    // Of |r| <= ln 2 / 2 the fourteenth term of the Maclaurin series is 4e-18.
    let mut sum = 1.0 / 6_227_020_800.0;
    for factorial in [
        479_001_600.0,
        39_916_800.0,
        3_628_800.0,
        362_880.0,
        40_320.0,
        5_040.0,
        720.0,
        120.0,
        24.0,
        6.0,
        2.0,
        1.0,
        1.0,
    ] {
        sum = sum * r + 1.0 / factorial;
    }
    let exponent = shifted.to_bits().wrapping_sub(SHIFT.to_bits()).wrapping_add(1023);
    sum * f64::from_bits(exponent << 52)
}

/// [`super::gelu`]: (1 + tanh y) / 2 is 1 / (1 + e^-2y), without the digits that the sum loses for negative y.
#[inline(always)]
pub(super) fn gelu(x: f64) -> f64 {
    let inner = (2.0 / PI).sqrt() * (x + 0.044715 * x * x * x);
    x / (1.0 + exp(-2.0 * inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_standard_library_has_them() {
        for i in -700_000..700_000 {
            let x = f64::from(i) * 1.000_1e-3;
            let (found, expected) = (exp(x), x.exp());
            assert!((found - expected).abs() <= 4e-16 * expected, "{x}: {found:e} {expected:e}");
        }
        for i in -100_000..100_000 {
            let x = f64::from(i) * 1.000_1e-4;
            let apart = (gelu(x) - crate::reference::gelu(x)).abs();
            assert!(apart <= 4e-16 * x.abs().max(1.0), "{x}: {apart:e}");
        }
        assert_eq!([exp(0.0), exp(-1e300), exp(-710.0)], [1.0, exp(-708.0), exp(-708.0)]);
        assert!(exp(1e300) > 8e307 && gelu(-1e5).abs() < 1e-300);
    }
}
