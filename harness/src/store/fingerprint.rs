//! What tells whether a tensor is the one that was recorded.
//!
//! Fingerprints find what changed by accident: a stale file, a disk that was full, the dump of another run. They are
//! taken in the pass that compares, so they have to be as fast as memory; what they are not is a proof against somebody
//! who wants two tensors to look alike. Weights and inputs, which are hashed once, have SHA-256.

use sha2::{Digest, Sha256};

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
