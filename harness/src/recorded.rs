//! Files whose hashes were recorded, and how a folder differs from such a record.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::mapping::Side;

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
#[error("{}: cannot be read: {source}", path.display())]
pub struct ReadError {
    /// The file.
    pub path: PathBuf,
    /// The operating system's word, or that it is no regular file.
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

/// Opens a regular file: opening a pipe would wait for somebody to write to it.
pub(crate) fn open_regular(path: &Path) -> std::io::Result<std::fs::File> {
    match std::fs::metadata(path)?.is_file() {
        true => std::fs::File::open(path),
        false => Err(std::io::Error::other("expected a regular file, found a folder, pipe or device")),
    }
}

/// All bytes of a regular file.
pub(crate) fn read_regular(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn digest(path: &Path) -> Result<String, ReadError> {
    let error = |source| ReadError { path: path.to_path_buf(), source };
    let mut file = open_regular(path).map_err(error)?;
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

/// How the files of a folder differ from what was recorded of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Recorded and there, with other bytes.
    pub changed: Vec<String>,
    /// Recorded, and not there.
    pub missing: Vec<String>,
    /// There, and not recorded: they are of another run.
    pub unrecorded: Vec<String>,
}

impl Differences {
    /// Holds the files `present` in a folder against the record; files are hashed in parallel.
    pub fn of(folder: &Path, recorded: &[Hashed], present: &[String]) -> Differences {
        let mut differences = Differences::default();
        let judged: Vec<Option<bool>> = recorded
            .par_iter()
            .map(|hashed| {
                let path = folder.join(&hashed.file);
                let as_recorded = || is_as_recorded(&path, &hashed.sha256).unwrap_or(false);
                path.try_exists().unwrap_or(true).then(as_recorded)
            })
            .collect();
        for (hashed, as_recorded) in recorded.iter().zip(judged) {
            match as_recorded {
                Some(true) => {}
                Some(false) => differences.changed.push(hashed.file.clone()),
                None => differences.missing.push(hashed.file.clone()),
            }
        }
        let known: BTreeSet<&String> = recorded.iter().map(|hashed| &hashed.file).collect();
        differences.unrecorded = present.iter().filter(|file| !known.contains(file)).cloned().collect();
        differences
    }

    /// A sentence about each kind of difference; `record` is the file that holds the hashes.
    pub fn sentences(&self, side: Side, record: &str) -> Vec<String> {
        let kinds = [
            (&self.changed, format!("not as {record} recorded it: changed, or of another run")),
            (&self.missing, format!("recorded in {record}, and not there")),
            (&self.unrecorded, format!("not recorded in {record}: of another run")),
        ];
        let sentence = |(files, what): (&Vec<String>, String)| {
            let others = match files.len() {
                0 => return None,
                1 => String::new(),
                n => format!(" and {} more", n - 1),
            };
            Some(format!("{side} {}{others}: {what}", files[0]))
        };
        kinds.into_iter().filter_map(sentence).collect()
    }
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

    #[test]
    fn every_difference_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut recorded = Vec::new();
        for file in ["a", "b", "c", "d"] {
            std::fs::write(folder.path().join(file), file).unwrap();
            recorded.push(hash_file(&folder.path().join(file)).unwrap());
        }
        let present: Vec<String> = ["a", "b", "d", "stale"].map(String::from).into();
        assert_eq!(
            Differences::of(folder.path(), &recorded, &present[..3]),
            Differences::default(),
            "nothing differs yet"
        );
        std::fs::write(folder.path().join("b"), "other").unwrap();
        std::fs::write(folder.path().join("d"), "other").unwrap();
        std::fs::remove_file(folder.path().join("c")).unwrap();
        let differences = Differences::of(folder.path(), &recorded, &present);
        insta::assert_snapshot!(differences.sentences(Side::Candidate, "dump.json").join("\n"), @r"
        candidate b and 1 more: not as dump.json recorded it: changed, or of another run
        candidate c: recorded in dump.json, and not there
        candidate stale: not recorded in dump.json: of another run
        ");
    }
}
