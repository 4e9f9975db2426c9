//! Tensors that a file or folder holds, each by its own name and not yet opened.

use std::ffi::OsStr;
use std::sync::Arc;

use super::error::StoreError;
use super::printed_tensor::PrintedTensor;
use super::stored::StoredTensor;

/// A tensor that can be opened.
pub(super) trait TensorSource: std::fmt::Debug + Send + Sync {
    /// Reads what precedes its elements.
    fn open(&self) -> Result<StoredTensor, StoreError>;

    /// What is printed of it, where that is all that is known.
    fn printed(&self) -> Option<&PrintedTensor> {
        None
    }
}

/// A tensor that a file or folder holds.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// What the store calls it; such as its file's name.
    pub(super) key: String,
    /// The part of the key that names the tensor: without a file's extension.
    pub(super) stem: String,
    /// Which run of the module gave it, where the writer says.
    pub(super) call: Option<u64>,
    pub(super) source: Arc<dyn TensorSource>,
}

impl Item {
    /// A tensor whose key is its name.
    pub(super) fn named(name: &str, source: impl TensorSource + 'static) -> Item {
        Item { key: name.to_string(), stem: name.to_string(), call: None, source: Arc::new(source) }
    }
}

/// The name of a file or folder, or a part of one, as text; bytes that are no UTF-8 are written as `\\xff`, so that two names
/// stay two.
pub(super) fn as_text(name: &OsStr) -> String {
    match name.to_str() {
        Some(text) => text.to_string(),
        None => name.as_encoded_bytes().escape_ascii().to_string(),
    }
}
