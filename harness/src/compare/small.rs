//! `rel_floor`: |d| / max(|b|, f) with f = 1e-3 rms(b), in the pass in which rms(b) is only found.
//!
//! While elements go by, f is bounded: it is at least what the squares so far make of it, and hardly more than a few times
//! the running mean. Elements above the upper bound contribute |d| / |b| at once, those under the lower one |d| / f in the
//! end, and the few between are kept aside. Where they become many, or the upper bound was too low, both sides are read
//! again.

use super::operand::{Operand, for_each_pair};
use crate::side::Side;
use crate::store::StoreError;

/// f is this part of rms(b).
pub(super) const FLOOR: f64 = 1e-3;
/// The upper bound is this many times what the squares so far say: later elements are often larger.
const MARGIN: f64 = 8.0;
/// Elements that are kept aside at the most: 16 MiB.
const MAX_KEPT: usize = 1 << 20;

/// Bounds of f.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// f is no less.
    pub(super) low: f64,
    /// Elements of a larger |b| are taken to be above f.
    pub(super) high: f64,
}

/// Sum and maximum of |d| / max(|b|, f), and the elements with |b| < f.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Floored {
    pub(super) sum: f64,
    pub(super) max: f64,
    pub(super) under: usize,
}

impl Floored {
    fn add(&mut self, d: f64, b: f64, floor: f64) {
        let rel = d / b.max(floor);
        self.sum += rel;
        self.max = self.max.max(rel);
        self.under += usize::from(b < floor);
    }
}

/// The elements of a block with |b| up to the upper bound.
#[derive(Default)]
pub(super) struct SmallOfBlock {
    /// How many are under the lower bound, and their |d|: sum and maximum.
    under: usize,
    under_sum: f64,
    under_max: f64,
    /// |d| and |b| of the others.
    between: Vec<(f64, f64)>,
}

impl SmallOfBlock {
    /// An element with |b| up to the upper bound.
    pub(super) fn add(&mut self, d: f64, b: f64, bounds: Bounds) {
        // Zero is under any f that is used: where all are zero relative figures are undefined.
        if b == 0.0 || b < bounds.low {
            self.under += 1;
            self.under_sum += d;
            self.under_max = self.under_max.max(d);
        } else {
            self.between.push((d, b));
        }
    }
}

/// All elements with |b| up to the upper bound.
pub(super) struct SmallElements {
    elements: usize,
    of_all: SmallOfBlock,
    /// The least upper bound that was used.
    high: f64,
    overflowed: bool,
}

impl SmallElements {
    /// Of tensors with that many elements.
    pub(super) fn new(elements: usize) -> SmallElements {
        let of_all = SmallOfBlock::default();
        SmallElements { elements, of_all, high: f64::INFINITY, overflowed: false }
    }

    /// The bounds for elements that come after `seen` ones whose b² add up to `bb`; before any, `first` gives their mean
    /// b².
    pub(super) fn bounds(&mut self, bb: f64, seen: usize, first: impl FnOnce() -> f64) -> Bounds {
        let mean = if seen == 0 { first() } else { bb / seen as f64 };
        let high = MARGIN * FLOOR * mean.sqrt();
        self.high = self.high.min(high);
        Bounds { low: FLOOR * (bb / self.elements as f64).sqrt(), high }
    }

    /// Takes those of the next block.
    pub(super) fn extend(&mut self, block: SmallOfBlock) {
        self.of_all.under += block.under;
        self.of_all.under_sum += block.under_sum;
        self.of_all.under_max = self.of_all.under_max.max(block.under_max);
        if self.of_all.between.len() + block.between.len() > MAX_KEPT {
            self.overflowed = true;
            self.of_all.between = Vec::new();
        }
        if !self.overflowed {
            self.of_all.between.extend(block.between);
        }
    }

    /// What they contribute now that f is known; `None` where the bounds did not hold it.
    pub(super) fn resolve(&self, floor: f64) -> Option<Floored> {
        if self.overflowed || floor > self.high {
            return None;
        }
        let SmallOfBlock { under, under_sum, under_max, between } = &self.of_all;
        let mut floored = Floored { sum: under_sum / floor, max: under_max / floor, under: *under };
        between.iter().for_each(|(d, b)| floored.add(*d, *b, floor));
        Some(floored)
    }

    /// Of all elements, where f is known before they go by.
    pub(super) fn again(
        a: &mut Operand<'_>,
        b: &mut Operand<'_>,
        floor: f64,
    ) -> Result<Floored, (Side, StoreError)> {
        let mut floored = Floored::default();
        for_each_pair(a, b, |x, y| {
            if x.is_finite() && y.is_finite() {
                floored.add((x - y).abs(), y.abs(), floor);
            }
        })?;
        Ok(floored)
    }
}
