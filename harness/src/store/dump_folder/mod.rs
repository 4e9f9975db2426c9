//! Folders that other tools' own dumpers wrote: one tensor a file, its name, run and place in the order of execution in the
//! names of files and folders, or in a text beside them.
//!
//! - [`module_tree`]: `model_addition_debugger` of transformers.
//! - [`tagged`]: the dumper of sglang.
//! - [`stepped`]: the intermediate logging of vLLM.

mod module_tree;
mod stepped;
mod tagged;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::container;
use super::error::{Place, StoreError, TensorProblem};
use super::item::{Item, TensorSource, as_text};
use super::stored::StoredTensor;
use crate::tensor::Dtype;

/// What such a folder holds.
#[derive(Debug, Default)]
pub(super) struct DumperFolder {
    pub(super) items: Vec<Item>,
    /// Keys in the order of execution, where it is known of all outputs.
    pub(super) order: Option<Vec<String>>,
}

/// The tensors of a folder that one of the tools wrote; `None` for other folders.
///
/// # Errors
/// A folder in it that cannot be listed.
pub(super) fn of(
    path: &Path,
    files: &[PathBuf],
    folders: &[PathBuf],
    two_byte_integers: Option<Dtype>,
) -> std::io::Result<Option<DumperFolder>> {
    if let Some(found) = module_tree::of(files, two_byte_integers) {
        return Ok(Some(found));
    }
    match tagged::of(path, files, folders, two_byte_integers)? {
        Some(found) => Ok(Some(found)),
        None => stepped::of(path, folders, two_byte_integers),
    }
}

/// The name of a file or folder.
fn file_name(path: &Path) -> String {
    as_text(path.file_name().unwrap_or_default())
}

/// The name of a file with this extension, without it.
fn stem<'a>(name: &'a str, extension: &str) -> Option<&'a str> {
    name.strip_suffix(extension).filter(|stem| !stem.is_empty())
}

/// The file of one tensor, which is looked into once the tensor is wanted: there may be thousands.
#[derive(Debug)]
struct SingleTensor {
    path: PathBuf,
    /// What the tensor is called in there; where that is not said, it is the only one.
    key: Option<&'static str>,
    two_byte_integers: Option<Dtype>,
}

impl SingleTensor {
    fn item(self, key: String, name: String, call: Option<u64>) -> Item {
        Item { key, stem: name, call, source: Arc::new(self) }
    }
}

impl TensorSource for SingleTensor {
    fn open(&self) -> Result<StoredTensor, StoreError> {
        let items = container::items(&self.path, self.two_byte_integers)?;
        let found = match self.key {
            Some(key) => items.iter().find(|item| item.key == key),
            None => items.first().filter(|_| items.len() == 1),
        };
        if let Some(item) = found {
            return item.source.open();
        }
        let expected = match self.key {
            Some("data") => "one tensor, named `data`",
            Some(_) => "a tensor under `value`",
            None => "one tensor",
        };
        let shown: Vec<String> = items.iter().take(3).map(|item| format!("`{}`", item.key)).collect();
        let found = match shown.is_empty() {
            true => "none: was something else dumped under this name?".to_string(),
            false => format!("{} named {}", items.len(), shown.join(", ")),
        };
        Err(Place::file(&self.path).error(TensorProblem::Kind { expected, found }))
    }
}
