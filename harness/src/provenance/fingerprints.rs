//! Fingerprints that were taken, so that each is taken once.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::store::{Algorithm, Fingerprint, StoreError, TensorStore};

/// The fingerprints of a store's tensors that are known already, each taken once.
#[derive(Debug, Default)]
pub(super) struct Fingerprints {
    known: Mutex<BTreeMap<(String, Algorithm), Fingerprint>>,
}

impl Fingerprints {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, Algorithm), Fingerprint>> {
        // What is in the map is whole whatever became of another thread.
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// That of a tensor, where it was taken.
    pub(super) fn known(&self, key: &str, algorithm: Algorithm) -> Option<Fingerprint> {
        self.lock().get(&(key.to_string(), algorithm)).cloned()
    }

    /// Keeps one that was taken.
    pub(super) fn keep(&self, key: &str, fingerprint: Fingerprint) {
        self.lock().insert((key.to_string(), fingerprint.algorithm), fingerprint);
    }

    /// That of a tensor, which is read unless it is known.
    ///
    /// # Errors
    /// A tensor that cannot be read.
    pub(super) fn of(
        &self,
        store: &dyn TensorStore,
        key: &str,
        algorithm: Algorithm,
    ) -> Result<Fingerprint, StoreError> {
        if let Some(known) = self.known(key, algorithm) {
            return Ok(known);
        }
        let fingerprint = store.open(key)?.fingerprint(algorithm)?;
        self.keep(key, fingerprint.clone());
        Ok(fingerprint)
    }

    /// Whether two tensors of a store can be read and hold the same: type, shape and every bit.
    pub(super) fn identical(&self, store: &dyn TensorStore, a: &str, b: &str) -> bool {
        let describe = |key: &str| {
            let tensor = store.open(key).ok()?;
            Some((tensor.shape().to_vec(), tensor.dtype()))
        };
        let same_kind = describe(a).is_some_and(|a| Some(a) == describe(b));
        let elements = |key: &str| self.of(store, key, Algorithm::ElementsXxh3);
        same_kind && matches!((elements(a), elements(b)), (Ok(a), Ok(b)) if a == b)
    }
}
