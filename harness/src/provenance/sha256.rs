//! SHA-256 of files and values: of weights and inputs, which tell whether two sides belong together.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::files::regular;

/// A file's name and hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hashed {
    /// Its name, for messages.
    pub file: String,
    /// SHA-256 of its bytes in lower-case hex.
    pub sha256: String,
}

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be read: {source}", crate::text::shown::path(path))]
pub struct ReadError {
    /// The file.
    pub path: PathBuf,
    /// What the operating system says, or that it is not a regular file.
    pub source: std::io::Error,
}

/// Hashes a file.
///
/// # Errors
/// A file that cannot be read.
pub fn hash_file(path: &Path) -> Result<Hashed, ReadError> {
    hash_files(std::slice::from_ref(&path.to_path_buf()))
}

/// Whether a file has that SHA-256, in hex.
///
/// # Errors
/// A file that cannot be read.
pub fn is_as_recorded(path: &Path, sha256: &str) -> Result<bool, ReadError> {
    Ok(digest(path)?.eq_ignore_ascii_case(sha256))
}

/// Hashes files that make one whole, such as the shards of a checkpoint: one file by its bytes, several by the hashes of
/// each in order.
///
/// # Errors
/// A file that cannot be read.
pub fn hash_files(paths: &[PathBuf]) -> Result<Hashed, ReadError> {
    let name = |path: &PathBuf| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let file = paths.first().map(name).unwrap_or_default();
    let digests: Vec<String> = paths.iter().map(|path| digest(path)).collect::<Result<_, _>>()?;
    let sha256 = match digests.as_slice() {
        [one] => one.clone(),
        several => hex(&Sha256::digest(several.concat())),
    };
    Ok(Hashed { file, sha256 })
}

/// The SHA-256 of f32 values, each as its four bytes, the lowest first.
pub fn hash_values(values: &[f32]) -> String {
    let mut hasher = Sha256::new();
    let mut bytes = Vec::with_capacity(4 << 12);
    for chunk in values.chunks(1 << 12) {
        bytes.clear();
        bytes.extend(chunk.iter().flat_map(|x| x.to_le_bytes()));
        hasher.update(&bytes);
    }
    hex(&hasher.finalize())
}

fn digest(path: &Path) -> Result<String, ReadError> {
    let error = |source| ReadError { path: path.to_path_buf(), source };
    let mut file = regular::open(path).map_err(error)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer).map_err(error)? {
            0 => return Ok(hex(&hasher.finalize())),
            n => hasher.update(&buffer[..n]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_is_hashed_as_sha256sum_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, b"abc").unwrap();
        let hashed = hash_file(&path).unwrap();
        assert_eq!(hashed.file, "abc");
        assert_eq!(hashed.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let both = hash_files(&[path.clone(), path]).unwrap();
        assert_ne!(both.sha256, hashed.sha256);
    }

    #[test]
    fn values_are_hashed_as_the_bytes_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("values");
        let values: Vec<f32> = (0..10_000u16).map(|i| f32::from(i) * 0.1).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(hash_values(&values), hash_file(&path).unwrap().sha256);
    }
}
