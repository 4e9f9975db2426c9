//! Named tensors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::container;
use super::error::StoreError;
use super::folder::{Listing, ListingError};
use super::item::Item;
use super::naming::{CalledName, Naming};
use super::npy;
use super::open_error::OpenError;
use super::printed_tensor::PrintedTensor;
use super::stored::StoredTensor;
use crate::tensor::Dtype;
use crate::text::shown::escaped;

/// A tensor of a store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreEntry {
    /// What the store calls it, such as its file's name. Keys are unique.
    pub key: String,
    /// What the mapping calls it, with whatever would steer a terminal escaped; `None` where the key does not fit the mapping's pattern. Several tensors may have one name.
    pub name: Option<String>,
    /// Which run of the module gave it, where that is known.
    pub call: Option<u64>,
}

/// Named tensors that are read one at a time.
pub trait TensorStore: std::fmt::Debug + Send + Sync {
    /// Where it is.
    fn location(&self) -> &Path;

    /// All its tensors, sorted by key.
    fn entries(&self) -> &[StoreEntry];

    /// Whether no file is named by the mapping's patterns, so that whole names were taken.
    fn has_whole_names(&self) -> bool {
        false
    }

    /// Its keys in the order of execution, where what wrote them recorded it; a key that is not among them comes last.
    fn order(&self) -> Option<&[String]> {
        None
    }

    /// Whether there is a tensor with that key; true where that cannot be found out.
    fn contains(&self, key: &str) -> bool;

    /// What is printed of the tensor with that key, where that is all that is known of it.
    fn printed(&self, _key: &str) -> Option<&PrintedTensor> {
        None
    }

    /// Opens the tensor with that key.
    ///
    /// # Errors
    /// What is not there, or is not exactly one tensor of floating-point numbers.
    fn open(&self, key: &str) -> Result<StoredTensor, StoreError>;
}

/// What the files of a dump do not say of themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadAs {
    /// What integers of two bytes stand for.
    pub two_byte_integers: Option<Dtype>,
    /// Headers give the extents fastest first.
    pub reversed_extents: bool,
}

/// Tensors on disk: a folder of files, or a file of tensors.
#[derive(Debug)]
struct DiskStore {
    path: PathBuf,
    read_as: ReadAs,
    items: BTreeMap<String, Item>,
    entries: Vec<StoreEntry>,
    whole_names: bool,
    order: Option<Vec<String>>,
}

/// Opens the tensors at a path, whatever holds them: its kind is told by content.
///
/// # Errors
/// What is not there, cannot be read, or holds no tensor.
pub fn open(path: &Path, naming: &Naming, read_as: ReadAs) -> Result<Box<dyn TensorStore>, OpenError> {
    let metadata = std::fs::metadata(path).map_err(|error| OpenError::access(path, naming, error))?;
    let (items, order) = match metadata.is_dir() {
        true => {
            let listing = Listing::of(path, read_as.two_byte_integers).map_err(|error| match error {
                ListingError::Io(source) => OpenError::Io { path: path.to_path_buf(), source },
                ListingError::Store(error) => error.into(),
            })?;
            match listing.items.is_empty() {
                true => return Err(OpenError::no_tensors(path, naming, &listing)),
                false => (listing.items, listing.order),
            }
        }
        false => match container::items(path, read_as.two_byte_integers)? {
            items if items.is_empty() => return Err(OpenError::Hollow { path: path.to_path_buf() }),
            items => (items, None),
        },
    };
    // Patterns are of files of one tensor each; a container's tensors have names of their own.
    let named_by_files = items.iter().all(|item| item.key.ends_with(".npy"));
    let whole_names = named_by_files && !naming.fits_any(items.iter().map(|item| item.stem.as_str()));
    let names = naming.names(items.iter().map(|item| item.stem.as_str()));
    let entry = |(item, name): (&Item, Option<CalledName>)| {
        let call = item.call.or(name.as_ref().and_then(|name| name.call));
        // A name is shown in many places, and a mapping has no other.
        let name = name.map(|name| escaped(&name.name).into_owned());
        StoreEntry { key: item.key.clone(), name, call }
    };
    let entries = items.iter().zip(names).map(entry).collect();
    let items = items.into_iter().map(|item| (item.key.clone(), item)).collect();
    let path = path.to_path_buf();
    Ok(Box::new(DiskStore { path, read_as, items, entries, whole_names, order }))
}

impl TensorStore for DiskStore {
    fn location(&self) -> &Path {
        &self.path
    }

    fn entries(&self) -> &[StoreEntry] {
        &self.entries
    }

    fn has_whole_names(&self) -> bool {
        self.whole_names
    }

    fn order(&self) -> Option<&[String]> {
        self.order.as_deref()
    }

    fn contains(&self, key: &str) -> bool {
        match std::fs::metadata(self.path.join(key)) {
            Ok(metadata) => metadata.is_file(),
            Err(error) => self.items.contains_key(key) || error.kind() != std::io::ErrorKind::NotFound,
        }
    }

    fn printed(&self, key: &str) -> Option<&PrintedTensor> {
        self.items.get(key)?.source.printed()
    }

    fn open(&self, key: &str) -> Result<StoredTensor, StoreError> {
        let tensor = match self.items.get(key) {
            Some(item) => item.source.open(),
            // A manifest may list what is not there.
            None => npy::open(&self.path.join(key), self.read_as.two_byte_integers),
        }?;
        Ok(if self.read_as.reversed_extents { tensor.with_reversed_extents() } else { tensor })
    }
}
