//! The weights of a part, in the form that its operations take them: each is read when an operation first asks for it, and
//! kept for the runs after.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::product::Panels;
use super::rounding::Rounding;
use crate::checkpoint::Checkpoint;
use crate::error::Error;

/// What a dense product takes of its weights, `[out, depth]`.
pub(super) struct DenseWeights {
    /// What the rounding holds of them.
    pub(super) held: Panels,
    /// The smaller term, where they are held in two.
    pub(super) small: Option<Panels>,
}

impl DenseWeights {
    /// Of `out` rows.
    pub(super) fn of(weights: &[f64], out: usize, rounding: Rounding) -> DenseWeights {
        let depth = weights.len() / out.max(1);
        let panels = |term: fn((f64, f64)) -> f64| {
            Panels::from_fn(out, depth, |row, k| term(rounding.held(weights[row * depth + k])))
        };
        let small = rounding.has_two_terms().then(|| panels(|held| held.1));
        DenseWeights { held: panels(|held| held.0), small }
    }
}

/// The weights of a part.
#[derive(Default)]
pub(super) struct PartWeights {
    plain: Kept<Vec<f64>>,
    dense: Kept<DenseWeights>,
}

/// What was read, by name.
type Kept<T> = Mutex<BTreeMap<String, Arc<T>>>;

impl PartWeights {
    /// The weights as they are.
    pub(super) fn plain(
        &self,
        checkpoint: &Checkpoint,
        name: &str,
        shape: &[usize],
    ) -> Result<Arc<Vec<f64>>, Error> {
        kept(&self.plain, name, || read(checkpoint, name, shape))
    }

    /// Weights of a dense product.
    pub(super) fn dense(
        &self,
        checkpoint: &Checkpoint,
        name: &str,
        shape: &[usize],
        rounding: Rounding,
    ) -> Result<Arc<DenseWeights>, Error> {
        kept(&self.dense, name, || Ok(DenseWeights::of(&read(checkpoint, name, shape)?, shape[0], rounding)))
    }
}

/// The weights as they are, for what is taken once.
pub(super) fn read(checkpoint: &Checkpoint, name: &str, shape: &[usize]) -> Result<Vec<f64>, Error> {
    Ok(checkpoint.load(name, shape)?.into_iter().map(f64::from).collect())
}

fn kept<T>(held: &Kept<T>, name: &str, read: impl FnOnce() -> Result<T, Error>) -> Result<Arc<T>, Error> {
    let find = || held.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
    if let Some(found) = find() {
        return Ok(found);
    }
    // Not under the lock: reading goes on all threads, and one of them may take up another run that waits for it.
    let read = Arc::new(read()?);
    held.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_string(), read.clone());
    Ok(read)
}
