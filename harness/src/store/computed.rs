//! Tensors that were computed, until they are compared.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{Place, StoreError, TensorProblem};
use super::stored::{ElementBytes, Encoding, ReadAt, StoredTensor};
use super::tensor_store::{StoreEntry, TensorStore};
use crate::tensor::Dtype;

/// Bytes of tensors that are held in memory; those of large models would not leave room to compute with.
const IN_MEMORY: usize = 1 << 28;

/// Tensors in f64, in memory or, where they are too many, in a temporary file that nobody else sees.
pub struct ComputedStore {
    location: PathBuf,
    entries: Vec<StoreEntry>,
    order: Vec<String>,
    tensors: BTreeMap<String, ComputedTensor>,
    in_memory: usize,
    file: Option<ScratchFile>,
}

/// Where a tensor is.
struct ComputedTensor {
    shape: Vec<usize>,
    bytes: Arc<dyn ReadAt>,
    offset: u64,
}

/// A temporary file, and how much of it is written.
struct ScratchFile {
    file: Arc<File>,
    written: u64,
}

impl ComputedStore {
    /// No tensors; `location` is what they will be computed from, for messages.
    pub fn new(location: &Path) -> ComputedStore {
        ComputedStore {
            location: location.to_path_buf(),
            entries: Vec::new(),
            order: Vec::new(),
            tensors: BTreeMap::new(),
            in_memory: IN_MEMORY,
            file: None,
        }
    }

    /// Puts in the next tensor in the order of execution, in the place of an earlier one of its name.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn put(&mut self, name: &str, shape: &[usize], elements: &[f64]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(size_of_val(elements));
        elements.iter().for_each(|x| bytes.extend_from_slice(&x.to_le_bytes()));
        let (bytes, offset): (Arc<dyn ReadAt>, u64) = match self.in_memory.checked_sub(bytes.len()) {
            Some(left) => {
                self.in_memory = left;
                (Arc::new(bytes), 0)
            }
            None => self.write(&bytes)?,
        };
        let tensor = ComputedTensor { shape: shape.to_vec(), bytes, offset };
        if self.tensors.insert(name.to_string(), tensor).is_none() {
            self.order.push(name.to_string());
            let entry = StoreEntry { key: name.to_string(), name: Some(name.to_string()), call: None };
            let at = self.entries.partition_point(|other| other.key < entry.key);
            self.entries.insert(at, entry);
        }
        Ok(())
    }

    /// Writes bytes to the temporary file; gives it and where in it they are.
    fn write(&mut self, bytes: &[u8]) -> io::Result<(Arc<dyn ReadAt>, u64)> {
        let scratch = match &mut self.file {
            Some(scratch) => scratch,
            none => none.insert(ScratchFile { file: Arc::new(tempfile::tempfile()?), written: 0 }),
        };
        (&*scratch.file).write_all(bytes)?;
        let offset = scratch.written;
        scratch.written += bytes.len() as u64;
        Ok((scratch.file.clone(), offset))
    }
}

impl std::fmt::Debug for ComputedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ComputedStore({}, {} tensors)", self.location.display(), self.entries.len())
    }
}

impl TensorStore for ComputedStore {
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
        let Some(ComputedTensor { shape, bytes, offset }) = self.tensors.get(key) else {
            return Err(place.error(TensorProblem::Io(io::ErrorKind::NotFound.into())));
        };
        let encoding = Encoding { dtype: Dtype::F64, big_endian: false, column_major: false };
        StoredTensor::new(place, shape.clone(), encoding, ElementBytes::at(*offset, bytes.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_is_read_from_memory_and_from_the_file() {
        let mut store = ComputedStore::new(Path::new("m"));
        store.in_memory = 3 * size_of::<f64>();
        let elements = [[0.1, -2.0, 1e300], [1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
        for (name, elements) in ["b", "c", "a"].into_iter().zip(elements) {
            store.put(name, &[1, 3], &elements).unwrap();
        }
        assert_eq!(store.order().unwrap(), ["b", "c", "a"]);
        assert_eq!(store.entries().iter().map(|entry| &entry.key).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(store.file.as_ref().unwrap().written, 6 * size_of::<f64>() as u64);
        for (name, elements) in ["b", "c", "a"].into_iter().zip(elements) {
            let read = store.open(name).unwrap().read().unwrap();
            assert_eq!((read.shape(), read.iter().collect::<Vec<_>>()), (&[1, 3][..], elements.to_vec()));
        }
        assert!(store.open("d").unwrap_err().to_string().contains('m'));
    }
}
