//! One tensor of two checkpoints.

use encoder::{Checkpoint, Error, WeightType};
use rayon::prelude::*;

/// A tensor of one checkpoint.
#[derive(Clone, Debug)]
pub(super) struct StoredWeight {
    pub(super) kind: WeightType,
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
    /// The most that each value may be from the one that was stored.
    pub(super) rounding: Vec<f32>,
}

impl StoredWeight {
    pub(super) fn read(checkpoint: &Checkpoint, name: &str) -> Result<StoredWeight, Error> {
        let (values, rounding) = checkpoint.values_and_rounding(name)?;
        let kind = checkpoint.stored_type(name).cloned().unwrap_or(WeightType::F32);
        Ok(StoredWeight {
            kind,
            shape: checkpoint.shape(name).unwrap_or_default().to_vec(),
            values,
            rounding,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}

/// The same tensor of both.
#[derive(Clone, Copy)]
pub(super) struct WeightSides<'a> {
    pub(super) a: &'a StoredWeight,
    pub(super) b: &'a StoredWeight,
}

impl WeightSides<'_> {
    /// Whether rounding may part the two: not if both are stored in the same type that is not quantised.
    fn may_round(&self) -> bool {
        self.a.kind != self.b.kind || self.a.kind.is_quantised()
    }

    /// How far value `i` of B may be from value `j` of A.
    pub(super) fn allowance(&self, i: usize, j: usize) -> f32 {
        if self.may_round() { (self.a.rounding[j] + self.b.rounding[i]) * 1.000_001 } else { 0.0 }
    }

    /// Whether each value of B is the one of A that `place` names, as far as their types tell.
    pub(super) fn holds_at(&self, place: impl Fn(usize) -> usize + Send + Sync) -> bool {
        self.holds(|i| {
            let j = place(i);
            (self.b.values[i] - self.a.values[j]).abs() <= self.allowance(i, j)
        })
    }

    /// Whether something is so for every element of B; asked of a few first.
    pub(super) fn holds(&self, test: impl Fn(usize) -> bool + Send + Sync) -> bool {
        let n = self.b.len();
        let step = (n / 64).max(1);
        n > 0 && (0..n).step_by(step).all(&test) && (0..n).into_par_iter().with_min_len(4096).all(test)
    }

    /// ‖B − expected‖ / ‖expected‖.
    pub(super) fn relative(&self, expected: impl Fn(usize) -> f32) -> f64 {
        let (mut error, mut size) = (0.0, 0.0);
        for (i, b) in self.b.values.iter().enumerate() {
            let expected = f64::from(expected(i));
            error += (f64::from(*b) - expected).powi(2);
            size += expected * expected;
        }
        if size > 0.0 { (error / size).sqrt() } else { f64::INFINITY }
    }
}
