//! Named tensors.

use std::path::Path;

use super::error::StoreError;
use super::stored::StoredTensor;

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

    /// Whether there is a tensor with that key; true where that cannot be found out.
    fn contains(&self, key: &str) -> bool;

    /// Opens the tensor with that key.
    ///
    /// # Errors
    /// What is not there, or is not exactly one tensor of floating-point numbers.
    fn open(&self, key: &str) -> Result<StoredTensor, StoreError>;
}
