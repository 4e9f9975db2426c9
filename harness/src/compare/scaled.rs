//! Figures of f64 values whose squares are too large or too small for f64: sums of scaled values, in a pass of its own.
//!
//! Factors are powers of two, so that scaling rounds nothing but what is far below the largest value.

use super::operand::{Operand, for_each_pair};
use super::sums::Sums;
use crate::side::Side;
use crate::store::StoreError;
use crate::tensor::Dtype;

/// Sums of squares outside of these bounds have lost terms, or digits of them.
const SAFE: std::ops::RangeInclusive<f64> = 1e-270..=1e300;

/// Sums over elements that are finite on both sides, each of values times a factor.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ScaledSums {
    count: f64,
    /// max |d|, max |a| and max |b|, each times its factor.
    d: Scaled,
    a: Scaled,
    b: Scaled,
    /// Σ|d| times d's factor.
    abs: f64,
    /// Σab times both factors.
    ab: f64,
}

/// Values times a factor.
#[derive(Clone, Copy, Debug, Default)]
struct Scaled {
    max: f64,
    squares: f64,
    factor: f64,
}

impl Scaled {
    /// Values of which the largest is `max`: its factor brings it to about 1.
    fn of(max: f64) -> Scaled {
        // Of the least values the factor itself would not be finite.
        let factor = if max > 0.0 { 2f64.powi(-exponent(max)) } else { 1.0 };
        Scaled { max: max * factor, squares: 0.0, factor }
    }

    fn norm(&self) -> f64 {
        self.squares.sqrt()
    }
}

/// The exponent of two of a value, within what a factor can be.
fn exponent(x: f64) -> i32 {
    // Eleven bits.
    let biased = (x.to_bits() >> 52) & 0x7ff;
    (i32::try_from(biased).unwrap_or_default() - 1023).clamp(-1022, 1022)
}

/// The quotient of two values, each times its factor.
fn unscaled(numerator: (f64, f64), denominator: (f64, f64)) -> f64 {
    let ((x, of_x), (y, of_y)) = (numerator, denominator);
    x / y * (of_y / of_x)
}

impl ScaledSums {
    /// Whether sums have to be taken again of scaled values.
    pub(super) fn are_needed(sums: &Sums, dtypes: [Dtype; 2]) -> bool {
        let lost = |squares: f64, zero: bool| !(SAFE.contains(&squares) || (squares == 0.0 && zero));
        // Squares of f32 neither overflow nor vanish.
        dtypes.contains(&Dtype::F64)
            && sums.finite > 0
            && sums.mismatches == 0
            && (lost(sums.squares, sums.max_abs == 0.0)
                || lost(sums.aa, sums.a_is_zero)
                || lost(sums.bb, sums.max_b == 0.0))
    }

    /// Reads both sides from their beginnings.
    pub(super) fn of(a: &mut Operand<'_>, b: &mut Operand<'_>) -> Result<ScaledSums, (Side, StoreError)> {
        let mut rewound = |each: &mut dyn FnMut(f64, f64)| {
            a.rewind();
            b.rewind();
            for_each_pair(a, b, |a, b| {
                if a.is_finite() && b.is_finite() {
                    each(a, b);
                }
            })
        };
        let (mut max_a, mut max_b) = (0f64, 0f64);
        rewound(&mut |a, b| (max_a, max_b) = (max_a.max(a.abs()), max_b.max(b.abs())))?;
        // The difference of two values near the largest is beyond it, that of their halves is not.
        let half = if max_a.max(max_b) > f64::MAX / 4.0 { 0.5 } else { 1.0 };
        let mut max_d = 0f64;
        rewound(&mut |a, b| max_d = max_d.max((a * half - b * half).abs()))?;
        let mut sums = ScaledSums {
            d: Scaled::of(max_d),
            a: Scaled::of(max_a),
            b: Scaled::of(max_b),
            ..ScaledSums::default()
        };
        rewound(&mut |a, b| {
            let d = (a * half - b * half).abs() * sums.d.factor;
            let (a, b) = (a * sums.a.factor, b * sums.b.factor);
            sums.count += 1.0;
            sums.abs += d;
            sums.ab += a * b;
            sums.d.squares += d * d;
            sums.a.squares += a * a;
            sums.b.squares += b * b;
        })?;
        sums.d.factor *= half;
        Ok(sums)
    }

    /// mean |d|.
    pub(super) fn mean_abs(&self) -> f64 {
        self.abs / self.count / self.d.factor
    }

    /// sqrt(mean d²).
    pub(super) fn rms(&self) -> f64 {
        self.d.norm() / self.count.sqrt() / self.d.factor
    }

    /// sqrt(mean b²).
    pub(super) fn rms_of_reference(&self) -> f64 {
        self.b.norm() / self.count.sqrt() / self.b.factor
    }

    /// Whether figures relative to the reference are defined.
    pub(super) fn are_relative(&self) -> bool {
        self.b.max > 0.0
    }

    /// ‖d‖ / ‖b‖.
    pub(super) fn rel_l2(&self) -> f64 {
        unscaled((self.d.norm(), self.d.factor), (self.b.norm(), self.b.factor))
    }

    /// max |d| / max |b|.
    pub(super) fn rel_linf(&self) -> f64 {
        unscaled((self.d.max, self.d.factor), (self.b.max, self.b.factor))
    }

    /// a·b / (‖a‖ ‖b‖).
    pub(super) fn cosine(&self) -> f64 {
        self.ab / (self.a.norm() * self.b.norm())
    }

    /// a·b / b·b.
    pub(super) fn scale(&self) -> f64 {
        unscaled((self.ab, self.a.factor), (self.b.squares, self.b.factor))
    }
}
