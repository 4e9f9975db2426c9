//! `.npz` archives: a zip of `.npy` files, stored or deflated.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zip::read::ZipArchive;
use zip::{CompressionMethod, result::ZipError};

use super::error::{Place, StoreError, TensorProblem};
use super::item::{Item, TensorSource};
use super::lazy::LazyBytes;
use super::npy::{self, NpyHeader};
use super::regular;
use super::stored::{ElementBytes, StoredTensor};
use crate::tensor::Dtype;

const EXPECTED: &str = "an .npz archive";
const EXTENSION: &str = ".npy";
/// A deflated tensor is held unpacked: no more than this.
const MAX_UNPACKED: u64 = 1 << 32;

/// One tensor of an archive.
#[derive(Debug)]
struct NpzTensor {
    path: PathBuf,
    index: usize,
    name: String,
    two_byte_integers: Option<Dtype>,
}

/// The tensors of an archive.
///
/// # Errors
/// A file that cannot be read, or is not a whole archive.
pub(super) fn items(path: &Path, two_byte_integers: Option<Dtype>) -> Result<Vec<Item>, StoreError> {
    let archive = open(path)?;
    if archive.has_duplicate_names() {
        let found = "two entries of one name, of which only the last can be read".to_string();
        return Err(Place::file(path).error(TensorProblem::Damaged { expected: EXPECTED, found }));
    }
    let mut items = Vec::new();
    for index in 0..archive.len() {
        let Some(Ok(entry)) = archive.name_for_index(index) else { continue };
        let Some(name) = entry.strip_suffix(EXTENSION) else { continue };
        let source = NpzTensor { path: path.to_path_buf(), index, name: name.to_string(), two_byte_integers };
        items.push(Item::named(name, source));
    }
    Ok(items)
}

fn open(path: &Path) -> Result<ZipArchive<BufReader<File>>, StoreError> {
    let place = Place::file(path);
    let (file, _) = regular::open(path).map_err(|problem| place.error(problem))?;
    ZipArchive::new(BufReader::new(file)).map_err(|error| place.error(problem(error)))
}

fn problem(error: ZipError) -> TensorProblem {
    match error {
        ZipError::Io(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => error.into(),
        other => TensorProblem::Damaged { expected: EXPECTED, found: other.to_string() },
    }
}

impl TensorSource for NpzTensor {
    fn open(&self) -> Result<StoredTensor, StoreError> {
        let place = Place::inside(&self.path, &self.name);
        let mut archive = open(&self.path)?;
        let mut entry = archive.by_index(self.index).map_err(|error| place.error(problem(error)))?;
        let (length, start, stored) =
            (entry.size(), entry.data_start(), entry.compression() == CompressionMethod::Stored);
        let NpyHeader { shape, encoding, bytes: header } =
            npy::parse(&mut entry, length, self.two_byte_integers).map_err(|problem| place.error(problem))?;
        drop(entry);
        let skipped = header.len() as u64;
        let elements = match start.filter(|_| stored) {
            Some(start) => {
                let file = archive.into_inner().into_inner();
                ElementBytes::at(start + skipped, Arc::new(file))
            }
            None => {
                let (path, index) = (self.path.clone(), self.index);
                let unpack = move || unpack(&path, index, length);
                ElementBytes::at(skipped, Arc::new(LazyBytes::new(unpack)))
            }
        };
        StoredTensor::new(place, shape, encoding, elements)
    }
}

/// The bytes of a deflated entry, which says that it has `length`.
fn unpack(path: &Path, index: usize, length: u64) -> std::io::Result<Vec<u8>> {
    let mut archive = open(path).map_err(std::io::Error::other)?;
    let entry = archive.by_index(index).map_err(std::io::Error::other)?;
    if length > MAX_UNPACKED {
        return Err(std::io::Error::other(format!(
            "expected at most {MAX_UNPACKED} bytes in a deflated tensor, found {length}; store it without compression (numpy.savez)"
        )));
    }
    let mut bytes = Vec::new();
    // The end of the entry is where its checksum is looked at.
    entry.take(length.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 == length {
        true => Ok(bytes),
        false => Err(std::io::Error::other(format!(
            "expected {length} bytes, as the archive declares, found others"
        ))),
    }
}
