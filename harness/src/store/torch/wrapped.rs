//! PyTorch files whose root is no dictionary: a copy of the file in which it stands in one.
//!
//! The reader takes dictionaries alone. What is pickled is rewritten as a dictionary of one key around what it was, without
//! a look at what is in it; the elements are copied as they are.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use pytorch_reader::MAX_PICKLE_SIZE;
use tempfile::TempPath;
use zip::read::ZipArchive;
use zip::result::ZipError;
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::store::error::TensorProblem;
use crate::store::regular;

/// The key of the dictionary that stands around what was pickled.
pub(super) const ROOT: &str = "root";
const EXPECTED: &str = "a PyTorch file";
const PICKLE: &str = "data.pkl";
/// What begins a pickle, before the number of its protocol, and what ends it.
const PROTO: u8 = 0x80;
const STOP: u8 = b'.';
const EMPTY_DICT: u8 = b'}';
const BINUNICODE: u8 = b'X';
const SETITEM: u8 = b's';

fn damaged(found: impl std::fmt::Display) -> TensorProblem {
    TensorProblem::Damaged { expected: EXPECTED, found: found.to_string() }
}

fn problem(error: ZipError) -> TensorProblem {
    match error {
        ZipError::Io(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => error.into(),
        other => damaged(other),
    }
}

/// A copy of a file, with what it holds under [`ROOT`]. It is no larger than the file and a few bytes, and goes away with
/// what is returned.
///
/// # Errors
/// A file in the format of PyTorch before 1.6, one that cannot be read, and no room for the copy.
pub(super) fn wrapped(path: &Path) -> Result<TempPath, TensorProblem> {
    let (file, length) = regular::open(path)?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|_| TensorProblem::Kind {
        expected: "a dictionary of tensors, or a zip archive as torch 1.6 and later write it",
        found: "a single tensor or a list in the format before it; save it again".to_string(),
    })?;
    let root = root(&archive)?;
    let copy = tempfile::NamedTempFile::new()?;
    let mut writer = ZipWriter::new(copy);
    let mut left = length;
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(problem)?;
        let name = entry.name().map_err(problem)?.into_owned();
        match name.strip_prefix(root.as_str()) {
            Some(PICKLE) => {
                drop(entry);
                let pickle = in_dictionary(&pickle(&mut archive, index)?)?;
                let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
                writer.start_file(name, stored).map_err(problem)?;
                writer.write_all(&pickle)?;
            }
            Some(inside) if inside.starts_with("data/") || inside == "byteorder" => {
                // Entries may lie over each other, so that their copies take more than all of the file.
                let fits = left.checked_sub(entry.compressed_size());
                left = fits.ok_or_else(|| damaged("entries that take more than the file has"))?;
                writer.raw_copy_file(entry).map_err(problem)?;
            }
            _ => {}
        }
    }
    Ok(writer.finish().map_err(problem)?.into_temp_path())
}

/// The folder of the archive in which everything is, as the reader finds it.
fn root(archive: &ZipArchive<BufReader<File>>) -> Result<String, TensorProblem> {
    let mut roots: Vec<String> = Vec::new();
    for name in archive.file_names() {
        let name = name.map_err(problem)?;
        let root = name.strip_suffix(PICKLE).filter(|root| root.is_empty() || root.ends_with('/'));
        roots.extend(root.map(ToString::to_string));
    }
    roots.into_iter().min_by_key(String::len).ok_or_else(|| damaged("no data.pkl in it"))
}

fn pickle(archive: &mut ZipArchive<BufReader<File>>, index: usize) -> Result<Vec<u8>, TensorProblem> {
    let mut bytes = Vec::new();
    let entry = archive.by_index(index).map_err(problem)?;
    entry.take(MAX_PICKLE_SIZE + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_PICKLE_SIZE {
        true => Err(damaged(format!("data.pkl of more than {MAX_PICKLE_SIZE} bytes"))),
        false => Ok(bytes),
    }
}

/// A pickle of a dictionary whose one value is what another pickle holds.
fn in_dictionary(pickle: &[u8]) -> Result<Vec<u8>, TensorProblem> {
    let [PROTO, protocol, inside @ .., STOP] = pickle else {
        return Err(damaged("data.pkl that is no pickle of protocol 2 or later"));
    };
    let mut bytes = vec![PROTO, *protocol, EMPTY_DICT, BINUNICODE];
    bytes.extend((ROOT.len() as u32).to_le_bytes());
    bytes.extend(ROOT.as_bytes());
    bytes.extend(inside);
    bytes.extend([SETITEM, STOP]);
    Ok(bytes)
}
