//! PyTorch files of a single tensor, or of a list of them: what a hook that calls `torch.save(tensor, path)` writes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use pytorch_reader::{PickleValue, PytorchReader, Tensor as TorchTensor};
use tempfile::TempPath;

use super::wrapped::{ROOT, wrapped};
use super::{problem, stored};
use crate::store::error::{Place, StoreError, TensorProblem};
use crate::store::item::{Item, TensorSource};
use crate::store::stored::StoredTensor;
use crate::tensor::Dtype;

/// What the reader calls a tensor that it does not unfold.
const TENSOR: &str = "torch.Tensor";

/// A file whose root is no dictionary.
#[derive(Debug)]
struct BareFile {
    path: PathBuf,
    /// Its copy with a dictionary at the root, for as long as a tensor of it is in use.
    copy: Mutex<Weak<Copy>>,
}

/// The tensors of a copy.
#[derive(Debug)]
struct Copy {
    // In this order: the file is closed before it is removed.
    tensors: HashMap<String, TorchTensor>,
    _file: TempPath,
}

/// One tensor of a file.
#[derive(Debug)]
struct BareTensor {
    file: Arc<BareFile>,
    /// Its path from the root, such as `.0`; empty where it is the root.
    inside: String,
    two_byte_integers: Option<Dtype>,
}

/// The tensors of a file whose root is a tensor, a list or a plain value, called as the file is; `None` where it is something
/// else.
pub(super) fn items(path: &Path, two_byte_integers: Option<Dtype>) -> Option<Vec<Item>> {
    let root = PytorchReader::read_pickle_data(path, None).ok()?;
    if matches!(&root, PickleValue::Unsupported(name) if name != TENSOR) {
        return None;
    }
    let mut found = Vec::new();
    paths(&root, &mut String::new(), &mut found);
    let stem = path.file_stem()?.to_string_lossy().into_owned();
    let file = Arc::new(BareFile { path: path.to_path_buf(), copy: Mutex::default() });
    let item = |inside: String| {
        let name = format!("{stem}{inside}");
        Item::named(&name, BareTensor { file: Arc::clone(&file), inside, two_byte_integers })
    };
    Some(found.into_iter().map(item).collect())
}

/// The paths of all tensors. The reader bounds how deep values lie in each other.
fn paths(value: &PickleValue, path: &mut String, found: &mut Vec<String>) {
    let mut inside = |part: &str, value| {
        let length = path.len();
        path.push('.');
        path.push_str(part);
        paths(value, path, found);
        path.truncate(length);
    };
    match value {
        PickleValue::Unsupported(name) if name == TENSOR => found.push(path.clone()),
        PickleValue::List(values) => {
            values.iter().enumerate().for_each(|(at, value)| inside(&at.to_string(), value));
        }
        PickleValue::Dict(values) => values.iter().for_each(|(key, value)| inside(key, value)),
        _ => {}
    }
}

impl BareFile {
    /// The copy of the file, made unless another tensor uses it.
    fn copy(&self) -> Result<Arc<Copy>, TensorProblem> {
        let poisoned = |_| std::io::Error::other("another thread failed while it copied this file");
        let mut shared = self.copy.lock().map_err(poisoned)?;
        if let Some(copy) = shared.upgrade() {
            return Ok(copy);
        }
        let file = wrapped(&self.path)?;
        let tensors = PytorchReader::new(&file).map_err(problem)?.into_tensors();
        let copy = Arc::new(Copy { tensors, _file: file });
        *shared = Arc::downgrade(&copy);
        Ok(copy)
    }
}

impl TensorSource for BareTensor {
    fn open(&self) -> Result<StoredTensor, StoreError> {
        let place = match self.inside.strip_prefix('.') {
            Some(inside) => Place::inside(&self.file.path, inside),
            None => Place::file(&self.file.path),
        };
        let copy = self.file.copy().map_err(|problem| place.error(problem))?;
        let Some(tensor) = copy.tensors.get(&format!("{ROOT}{}", self.inside)) else {
            let found = "a file that changed since it was looked at".to_string();
            return Err(place.error(TensorProblem::Kind { expected: "a tensor", found }));
        };
        let (held, read) = (Arc::clone(&copy), tensor.clone());
        stored(&place, tensor, self.two_byte_integers, move || {
            // The copy is there for as long as its elements may be read.
            let _ = &held;
            read.read()
        })
    }
}
