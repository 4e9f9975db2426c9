//! What tells whether a tensor is the one that was recorded.
//!
//! Fingerprints find what changed by accident: a stale file, a disk that was full, the dump of another run. They are
//! taken in the pass that compares, so they have to be as fast as memory; what they are not is a proof against somebody
//! who wants two tensors to look alike. Weights and inputs, which are hashed once, have SHA-256.

use std::collections::BTreeMap;
use std::sync::Mutex;

use sha2::{Digest, Sha256};

use super::{StoreError, TensorStore};

/// How a fingerprint is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256 of the bytes of the tensor's file, as `sha256sum` gives it: what earlier records hold.
    FileSha256,
    /// XXH3 in 128 bits of the elements alone: as they are stored, lowest byte first, in row-major order.
    ElementsXxh3,
}

impl Algorithm {
    /// The key under which records hold it.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::FileSha256 => "sha256",
            Algorithm::ElementsXxh3 => "xxh3_128",
        }
    }
}

/// The fingerprint of a tensor.
#[derive(Clone, Debug)]
pub struct Fingerprint {
    /// How it was taken.
    pub algorithm: Algorithm,
    /// In hex.
    pub hex: String,
}

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Fingerprint) -> bool {
        self.algorithm == other.algorithm && self.hex.eq_ignore_ascii_case(&other.hex)
    }
}

impl Eq for Fingerprint {}

/// Takes a fingerprint of bytes that come one after the other.
pub(crate) enum Fingerprinter {
    FileSha256(Box<Sha256>),
    ElementsXxh3(Box<twox_hash::XxHash3_128>),
}

impl Fingerprinter {
    pub(crate) fn new(algorithm: Algorithm) -> Fingerprinter {
        match algorithm {
            Algorithm::FileSha256 => Fingerprinter::FileSha256(Box::default()),
            Algorithm::ElementsXxh3 => Fingerprinter::ElementsXxh3(Box::default()),
        }
    }

    /// What stands before the elements in the file.
    pub(crate) fn header(&mut self, bytes: &[u8]) {
        if let Fingerprinter::FileSha256(hasher) = self {
            hasher.update(bytes);
        }
    }

    /// Elements as they are stored in the file.
    pub(crate) fn stored(&mut self, bytes: &[u8]) {
        if let Fingerprinter::FileSha256(hasher) = self {
            hasher.update(bytes);
        }
    }

    /// Elements in row-major order, lowest byte first.
    pub(crate) fn elements(&mut self, bytes: &[u8]) {
        if let Fingerprinter::ElementsXxh3(hasher) = self {
            hasher.write(bytes);
        }
    }

    pub(crate) fn finish(self) -> Fingerprint {
        match self {
            Fingerprinter::FileSha256(hasher) => {
                let hex = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
                Fingerprint { algorithm: Algorithm::FileSha256, hex }
            }
            Fingerprinter::ElementsXxh3(hasher) => Fingerprint {
                algorithm: Algorithm::ElementsXxh3,
                hex: format!("{:032x}", hasher.finish_128()),
            },
        }
    }
}

/// The fingerprints of a store's tensors that are known already, each taken once.
#[derive(Debug, Default)]
pub struct Fingerprints {
    known: Mutex<BTreeMap<(String, Algorithm), Fingerprint>>,
}

impl Fingerprints {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, Algorithm), Fingerprint>> {
        // What is in the map is whole whatever became of another thread.
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// That of a tensor, where it was taken.
    pub fn known(&self, key: &str, algorithm: Algorithm) -> Option<Fingerprint> {
        self.lock().get(&(key.to_string(), algorithm)).cloned()
    }

    /// Keeps one that was taken.
    pub fn keep(&self, key: &str, fingerprint: Fingerprint) {
        self.lock().insert((key.to_string(), fingerprint.algorithm), fingerprint);
    }

    /// That of a tensor, which is read unless it is known.
    ///
    /// # Errors
    /// A tensor that cannot be read.
    pub fn of(
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
    pub fn identical(&self, store: &dyn TensorStore, a: &str, b: &str) -> bool {
        let describe = |key: &str| {
            let tensor = store.open(key).ok()?;
            Some((tensor.shape().to_vec(), tensor.dtype()))
        };
        let same_kind = describe(a).is_some_and(|a| Some(a) == describe(b));
        let elements = |key: &str| self.of(store, key, Algorithm::ElementsXxh3);
        same_kind && matches!((elements(a), elements(b)), (Ok(a), Ok(b)) if a == b)
    }
}
