//! Where tensors are kept: named tensors that are read one at a time, whatever the files behind them.
//!
//! A [`TensorStore`] lists its tensors by key, which is what the store itself calls them, and by name, which is what the
//! mapping calls them. A [`StoredTensor`] is one of them with its shape known and its elements still on disk: it is read
//! whole, or piece by piece so that tensors larger than memory can be compared.

mod fingerprint;
mod folder;
mod npy;
mod stored;

use std::path::{Path, PathBuf};

pub(crate) use fingerprint::Fingerprinter;
pub use fingerprint::{Algorithm, Fingerprint, Fingerprints};
pub use folder::{FolderError, NpyFolder};
pub use npy::{NpyProblem, open as open_npy, read as read_npy, write as write_npy};
pub(crate) use stored::PIECE;
pub use stored::{Pieces, StoredTensor};

/// A tensor that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct StoreError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub problem: NpyProblem,
}

/// A tensor of a store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreEntry {
    /// What the store calls it, such as its file's name. Keys are unique.
    pub key: String,
    /// What the mapping calls it; `None` where the key does not fit the mapping's pattern.
    pub name: Option<String>,
}

/// Named tensors that are read one at a time.
pub trait TensorStore: std::fmt::Debug + Send + Sync {
    /// Where it is.
    fn location(&self) -> &Path;

    /// All its tensors, sorted by key.
    fn entries(&self) -> &[StoreEntry];

    /// The file that a tensor is in.
    fn file(&self, key: &str) -> PathBuf;

    /// Opens the tensor with that key.
    ///
    /// # Errors
    /// What is not there, or is not exactly one tensor of floating-point numbers.
    fn open(&self, key: &str) -> Result<StoredTensor, StoreError>;
}
