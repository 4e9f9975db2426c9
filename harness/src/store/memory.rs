//! Tensors that were computed and lie in memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{Place, StoreError, TensorProblem};
use super::stored::{ElementBytes, Encoding, ReadAt, StoredTensor};
use super::tensor_store::{StoreEntry, TensorStore};
use crate::tensor::{Dtype, Tensor};

/// Tensors in memory, in f64.
pub struct MemoryStore {
    location: PathBuf,
    entries: Vec<StoreEntry>,
    order: Vec<String>,
    tensors: BTreeMap<String, (Vec<usize>, Arc<dyn ReadAt>)>,
}

impl MemoryStore {
    /// Tensors by name, in the order of execution; `location` is what they were computed from, for messages.
    pub fn new(location: &Path, tensors: impl IntoIterator<Item = (String, Tensor)>) -> MemoryStore {
        let (mut order, mut held) = (Vec::new(), BTreeMap::new());
        for (name, tensor) in tensors {
            let bytes: Vec<u8> = tensor.iter().flat_map(f64::to_le_bytes).collect();
            let bytes: Arc<dyn ReadAt> = Arc::new(bytes);
            held.insert(name.clone(), (tensor.shape().to_vec(), bytes));
            order.push(name);
        }
        let entry = |name: &String| StoreEntry { key: name.clone(), name: Some(name.clone()), call: None };
        let entries = held.keys().map(entry).collect();
        MemoryStore { location: location.to_path_buf(), entries, order, tensors: held }
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MemoryStore({}, {} tensors)", self.location.display(), self.entries.len())
    }
}

impl TensorStore for MemoryStore {
    fn location(&self) -> &Path {
        &self.location
    }

    fn entries(&self) -> &[StoreEntry] {
        &self.entries
    }

    fn order(&self) -> Option<&[String]> {
        Some(&self.order)
    }

    fn contains(&self, key: &str) -> bool {
        self.tensors.contains_key(key)
    }

    fn open(&self, key: &str) -> Result<StoredTensor, StoreError> {
        let place = Place::inside(&self.location, key);
        let Some((shape, bytes)) = self.tensors.get(key) else {
            return Err(place.error(TensorProblem::Io(std::io::ErrorKind::NotFound.into())));
        };
        let encoding = Encoding { dtype: Dtype::F64, big_endian: false, column_major: false };
        StoredTensor::new(place, shape.clone(), encoding, ElementBytes::at(0, bytes.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_is_read() {
        let tensor = Tensor::from_f64(vec![1, 3], vec![0.1, -2.0, 1e300]).unwrap();
        let store = MemoryStore::new(
            Path::new("m"),
            [("b".to_string(), tensor.clone()), ("a".into(), tensor.clone())],
        );
        assert_eq!(store.order().unwrap(), ["b", "a"]);
        let read = store.open("a").unwrap().read().unwrap();
        assert_eq!(
            (read.shape(), read.iter().collect::<Vec<_>>()),
            (tensor.shape(), tensor.iter().collect())
        );
        assert!(store.open("c").unwrap_err().to_string().contains('m'));
    }
}
