//! What the values of a tensor look like in whatever order they are stored.

use crate::store::{StoreError, StoredTensor};
use crate::tensor::Dtype;

/// Bits of an f32 that a bin leaves out: it keeps sign, exponent and four bits of the mantissa.
const BIN_SHIFT: u32 = 19;
const BINS: usize = 1 << (32 - BIN_SHIFT);
const QUANTILES: usize = 15;

/// Figures of a tensor that do not depend on its layout. They are taken in one pass, in memory that does not grow with
/// the tensor.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Signature {
    /// Number of elements.
    pub(super) len: usize,
    /// How many of them are finite; the other figures are of those.
    pub(super) finite: usize,
    pub(super) mean: f64,
    pub(super) rms: f64,
    pub(super) max_abs: f64,
    /// At equal distances, each to within a sixteenth of its value.
    quantiles: [f64; QUANTILES],
}

impl Signature {
    /// Reads a tensor once, piece by piece.
    ///
    /// # Errors
    /// Whatever the store says.
    pub(super) fn of(tensor: &StoredTensor) -> Result<Signature, StoreError> {
        let mut taking = Taking::new();
        let mut pieces = tensor.pieces(None);
        if tensor.dtype() == Dtype::F64 {
            while let Some(piece) = pieces.next_f64()? {
                piece.iter().for_each(|x| taking.add(*x));
            }
        } else {
            while let Some(piece) = pieces.next_f32()? {
                piece.iter().for_each(|x| taking.add(f64::from(*x)));
            }
        }
        Ok(taking.finish(tensor.len()))
    }

    /// Whether both are of the same values, each as often, in whatever order.
    pub(super) fn same_values(&self, other: &Signature) -> bool {
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * self.rms;
        self.len == other.len
            && self.finite == other.finite
            && self.max_abs == other.max_abs
            && self.quantiles == other.quantiles
            && near(self.mean, other.mean)
            && near(self.rms, other.rms)
    }

    /// How unlike two tensors of equal length are: the mean distance of their quantiles over their sizes, and a little for
    /// sizes that differ, so that a tensor in another unit comes after those that fit and before strangers.
    pub(super) fn unlikeness(&self, other: &Signature) -> f64 {
        if !self.has_direction() || !other.has_direction() {
            return f64::INFINITY;
        }
        let pairs = self.quantiles.iter().zip(&other.quantiles);
        let apart: f64 = pairs.map(|(a, b)| (a / self.rms - b / other.rms).abs()).sum();
        apart / QUANTILES as f64 + 0.1 * (self.rms / other.rms).ln().abs().min(1.0)
    }

    /// Whether the values differ from each other, so that they can be held against others.
    pub(super) fn has_direction(&self) -> bool {
        let spread = (self.rms * self.rms - self.mean * self.mean).max(0.0).sqrt();
        self.finite > 1 && spread > 1e-7 * self.rms
    }
}

/// A signature while it is taken.
struct Taking {
    bins: Vec<u64>,
    finite: usize,
    sum: f64,
    squares: f64,
    max_abs: f64,
}

impl Taking {
    fn new() -> Taking {
        Taking { bins: vec![0; BINS], finite: 0, sum: 0.0, squares: 0.0, max_abs: 0.0 }
    }

    fn add(&mut self, x: f64) {
        if !x.is_finite() {
            return;
        }
        self.finite += 1;
        self.sum += x;
        self.squares += x * x;
        self.max_abs = self.max_abs.max(x.abs());
        // Adding zero makes both zeros one.
        self.bins[bin(x as f32 + 0.0)] += 1;
    }

    fn finish(self, len: usize) -> Signature {
        let count = self.finite.max(1) as f64;
        let mut quantiles = [0.0; QUANTILES];
        let (mut below, mut bins) = (0, self.bins.iter().enumerate());
        let mut value = 0.0;
        for (i, quantile) in quantiles.iter_mut().enumerate() {
            let wanted = (count * (i + 1) as f64 / (QUANTILES + 1) as f64) as u64;
            while below <= wanted {
                let Some((bin, held)) = bins.next() else { break };
                below += held;
                value = middle(bin);
            }
            *quantile = value;
        }
        Signature {
            len,
            finite: self.finite,
            mean: self.sum / count,
            rms: (self.squares / count).sqrt(),
            max_abs: self.max_abs,
            quantiles,
        }
    }
}

/// The bin of a number; bins are in the order of their numbers.
fn bin(x: f32) -> usize {
    let bits = x.to_bits();
    let ordered = if x.is_sign_negative() { !bits } else { bits | 1 << 31 };
    (ordered >> BIN_SHIFT) as usize
}

/// The number in the middle of a bin.
fn middle(bin: usize) -> f64 {
    let ordered = (bin as u32) << BIN_SHIFT | 1 << (BIN_SHIFT - 1);
    let bits = if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered };
    f64::from(f32::from_bits(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(values: &[f64]) -> Signature {
        let mut taking = Taking::new();
        values.iter().for_each(|x| taking.add(*x));
        taking.finish(values.len())
    }

    fn waves(len: usize, step: f64) -> Vec<f64> {
        (0..len).map(|i| (i as f64 * step).sin() + 0.1).collect()
    }

    #[test]
    fn bins_are_in_order_and_hold_their_middle() {
        let values = [-1e30f32, -2.0, -1.0, -1e-20, 0.0, 1e-20, 0.5, 1.0, 3.0, 1e30];
        for pair in values.windows(2) {
            assert!(bin(pair[0]) < bin(pair[1]), "{pair:?}");
        }
        for x in values {
            let error = (middle(bin(x)) - f64::from(x)).abs();
            assert!(error <= f64::from(x.abs()) / 16.0 + 1e-38, "{x}: {}", middle(bin(x)));
        }
    }

    #[test]
    fn order_does_not_count() {
        let values = waves(5000, 0.37);
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        assert!(signature(&values).same_values(&signature(&sorted)));
        assert!(signature(&values).unlikeness(&signature(&sorted)) < 1e-12);
    }

    #[test]
    fn other_values_are_told_apart() {
        let (a, mut other) = (waves(5000, 0.37), waves(5000, 0.37));
        other[17] += 1e-3;
        assert!(!signature(&a).same_values(&signature(&other)));
        let skewed: Vec<f64> = a.iter().map(|x| x.max(0.0)).collect();
        let noisy: Vec<f64> = a.iter().map(|x| x * 1.01).collect();
        assert!(signature(&a).unlikeness(&signature(&skewed)) > 0.2);
        assert!(signature(&a).unlikeness(&signature(&noisy)) < 0.1);
    }

    #[test]
    fn constants_and_values_that_are_not_finite() {
        assert!(!signature(&[3.0; 50]).has_direction());
        assert!(!signature(&[0.0; 50]).has_direction());
        assert!(!signature(&[f64::NAN; 50]).has_direction());
        assert_eq!(signature(&[f64::NAN, 1.0, 2.0, f64::INFINITY]).finite, 2);
        assert_eq!(signature(&[0.0, -0.0, 1.0]), signature(&[0.0, 0.0, 1.0]));
    }
}
