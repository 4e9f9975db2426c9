//! Folders of dumped tensors: files of one tensor each, or containers of several.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::dump_folder::DumperFolder;
use super::error::StoreError;
use super::file_kind::FileKind;
use super::item::{Item, TensorSource, as_text};
use super::stored::StoredTensor;
use super::{container, dump_folder, npy, raw};
use crate::tensor::Dtype;

/// Names of the one tensor of a file that mean no more than "the tensor": the file's name says which.
const NAMELESS: [&str; 4] = ["data", "value", "tensor", "output"];
/// Extensions of files of several tensors.
const CONTAINERS: [&str; 4] = ["npz", "safetensors", "pt", "pth"];

/// What a folder holds.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Its tensors, sorted by key.
    pub(super) items: Vec<Item>,
    /// Their keys in the order of execution, where it is known.
    pub(super) order: Option<Vec<String>>,
    /// Files of other kinds.
    pub(super) others: usize,
    pub(super) folders: Vec<PathBuf>,
}

/// An `.npy` file.
#[derive(Debug)]
struct NpyFile {
    path: PathBuf,
    two_byte_integers: Option<Dtype>,
}

impl TensorSource for NpyFile {
    fn open(&self) -> Result<StoredTensor, StoreError> {
        npy::open(&self.path, self.two_byte_integers)
    }
}

impl Listing {
    /// The tensors of a folder. Where there are `.npy` files, those are its tensors; else files of raw elements; else what a
    /// dumper with an order of its own wrote; else those of all containers: weights or a picture beside a dump are no part
    /// of it.
    ///
    /// # Errors
    /// A folder that cannot be listed, and a container that cannot be read.
    pub(super) fn of(path: &Path, two_byte_integers: Option<Dtype>) -> Result<Listing, ListingError> {
        let mut listing = Listing::default();
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?.path();
            match entry.is_dir() {
                true => listing.folders.push(entry),
                false => files.push(entry),
            }
        }
        files.sort();
        listing.folders.sort();
        listing.items = files.iter().filter_map(|file| npy_item(file, two_byte_integers)).collect();
        if listing.items.is_empty() {
            listing.items = files.iter().filter_map(|file| raw::item(file)).collect();
        }
        if listing.items.is_empty() {
            let dumped = dump_folder::of(path, &files, &listing.folders, two_byte_integers)?;
            let DumperFolder { items, order } = dumped.unwrap_or_default();
            (listing.items, listing.order) = (items, order);
        }
        if listing.items.is_empty() {
            listing.items = contained(&files, two_byte_integers)?;
        }
        listing.items.sort_by(|a, b| a.key.cmp(&b.key));
        listing.others = files.len().saturating_sub(listing.items.len());
        Ok(listing)
    }
}

/// Why a folder cannot be listed.
#[derive(Debug)]
pub(super) enum ListingError {
    Io(std::io::Error),
    Store(StoreError),
}

impl From<std::io::Error> for ListingError {
    fn from(error: std::io::Error) -> ListingError {
        ListingError::Io(error)
    }
}

impl From<StoreError> for ListingError {
    fn from(error: StoreError) -> ListingError {
        ListingError::Store(error)
    }
}

fn npy_item(path: &Path, two_byte_integers: Option<Dtype>) -> Option<Item> {
    let is_npy = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy"));
    let source = NpyFile { path: path.to_path_buf(), two_byte_integers };
    is_npy.then(|| of_file(path, Arc::new(source))).flatten()
}

/// A tensor that is called as its file is.
fn of_file(path: &Path, source: Arc<dyn TensorSource>) -> Option<Item> {
    let (key, stem) = (as_text(path.file_name()?), as_text(path.file_stem()?));
    Some(Item { key, stem, call: None, source })
}

fn is_called_container(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    CONTAINERS.iter().any(|container| extension.eq_ignore_ascii_case(container))
}

/// The tensors of all containers among files. One that stands alone under a name such as `data` is called as its file is; so
/// is each, before its own name, where two files have tensors of one name.
fn contained(files: &[PathBuf], two_byte_integers: Option<Dtype>) -> Result<Vec<Item>, StoreError> {
    let mut items: Vec<(&PathBuf, Item)> = Vec::new();
    for file in files.iter().filter(|file| file.is_file()) {
        // What is called a container and is none would be missing from the dump.
        let inside = match FileKind::of(file).is_container() || is_called_container(file) {
            true => container::items(file, two_byte_integers)?,
            false => continue,
        };
        match inside.as_slice() {
            [Item { key, source, .. }] if NAMELESS.contains(&key.as_str()) => {
                items.extend(of_file(file, Arc::clone(source)).map(|item| (file, item)));
            }
            _ => items.extend(inside.into_iter().map(|item| (file, item))),
        }
    }
    let mut keys: Vec<&str> = items.iter().map(|(_, item)| item.key.as_str()).collect();
    keys.sort_unstable();
    let twice: Vec<String> =
        keys.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0].to_string()).collect();
    let keyed = |(file, mut item): (&PathBuf, Item)| {
        if twice.binary_search(&item.key).is_ok() {
            let file = as_text(file.file_name().unwrap_or_default());
            item.key = format!("{file}/{}", item.key);
        }
        item
    };
    Ok(items.into_iter().map(keyed).collect())
}
