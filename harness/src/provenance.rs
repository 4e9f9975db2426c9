//! Where tensors come from: hashes of weights, input and files, so that outputs of different models are not compared.

use std::io::Read;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The file that says where a dump folder's tensors come from.
pub const FILE_NAME: &str = "dump.json";
/// The version of its schema that this program reads and writes.
pub const SCHEMA_VERSION: u32 = 1;

/// Why provenance cannot be told, or does not fit.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what its fields are")]
pub enum ProvenanceError {
    #[error("{}: cannot be read: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: expected the provenance of a dump, found {source}", path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("{}: expected schema_version {SCHEMA_VERSION}, found {found}; dump anew", path.display())]
    Version { path: PathBuf, found: u32 },
    #[error(
        "candidate and reference were computed with different {what}: sha256 {} ({}) and {} ({}); \
         their numbers say nothing about each other",
        short(&candidate.sha256), candidate.file, short(&reference.sha256), reference.file
    )]
    Different { what: &'static str, candidate: Hashed, reference: Hashed },
    #[error("{side} {} has no {FILE_NAME} that says what weights and input it is of; --strict asks for one", path.display())]
    Unknown { side: crate::mapping::Side, path: PathBuf },
}

fn short(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}

/// A file's name and hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hashed {
    /// Its name, for messages.
    pub file: String,
    /// SHA-256 of its bytes in lower-case hex.
    pub sha256: String,
}

/// What tensors were computed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The weights.
    pub weights: Hashed,
    /// The input.
    pub input: Hashed,
}

/// The provenance of a dump folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DumpManifest {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Name and version.
    pub program: String,
    /// Settings, instruction set, threads.
    pub facts: std::collections::BTreeMap<String, String>,
    /// The weights.
    pub weights: Hashed,
    /// The input.
    pub input: Hashed,
    /// Every tensor file of the run.
    pub tensors: Vec<Hashed>,
}

impl DumpManifest {
    /// Reads the provenance of a folder; `None` where there is none.
    ///
    /// # Errors
    /// A file that is no provenance, or of another version.
    pub fn read(folder: &Path) -> Result<Option<DumpManifest>, ProvenanceError> {
        let path = folder.join(FILE_NAME);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ProvenanceError::Io { path, source }),
        };
        let manifest: DumpManifest = serde_json::from_slice(&bytes)
            .map_err(|source| ProvenanceError::Json { path: path.clone(), source })?;
        match manifest.schema_version {
            SCHEMA_VERSION => Ok(Some(manifest)),
            found => Err(ProvenanceError::Version { path, found }),
        }
    }

    /// Writes the provenance of a folder.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn write(&self, folder: &Path) -> Result<(), ProvenanceError> {
        let path = folder.join(FILE_NAME);
        let text = serde_json::to_string_pretty(self)
            .map_err(|source| ProvenanceError::Json { path: path.clone(), source })?;
        crate::atomic::write(&path, |out| writeln!(out, "{text}"))
            .map_err(|source| ProvenanceError::Io { path, source })
    }

    /// What the tensors were computed from.
    pub fn identity(&self) -> Identity {
        Identity { weights: self.weights.clone(), input: self.input.clone() }
    }
}

/// Hashes a file.
///
/// # Errors
/// A file that cannot be read.
pub fn hash_file(path: &Path) -> Result<Hashed, ProvenanceError> {
    hash_files(std::slice::from_ref(&path.to_path_buf()))
}

/// Hashes files that make one whole, such as the shards of a checkpoint: one file by its bytes, several by the hashes of
/// each in order.
///
/// # Errors
/// A file that cannot be read.
pub fn hash_files(paths: &[PathBuf]) -> Result<Hashed, ProvenanceError> {
    let name = |path: &PathBuf| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let file = paths.first().map(name).unwrap_or_default();
    let digests: Vec<String> = paths.iter().map(|path| digest(path)).collect::<Result<_, _>>()?;
    let sha256 = match digests.as_slice() {
        [one] => one.clone(),
        several => hex(&Sha256::digest(several.concat())),
    };
    Ok(Hashed { file, sha256 })
}

fn digest(path: &Path) -> Result<String, ProvenanceError> {
    let io = |source| ProvenanceError::Io { path: path.to_path_buf(), source };
    let mut file = std::fs::File::open(path).map_err(io)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer).map_err(io)? {
            0 => return Ok(hex(&hasher.finalize())),
            n => hasher.update(&buffer[..n]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The files of a folder that are there, and not as they were recorded.
pub fn changed(folder: &Path, recorded: &[Hashed]) -> Vec<String> {
    let differs = |hashed: &&Hashed| {
        let path = folder.join(&hashed.file);
        path.is_file() && !digest(&path).is_ok_and(|found| found.eq_ignore_ascii_case(&hashed.sha256))
    };
    recorded.par_iter().filter(differs).map(|hashed| hashed.file.clone()).collect()
}

/// Refuses sides that were computed from different weights or inputs.
///
/// # Errors
/// The first difference.
pub fn check(candidate: &Identity, reference: &Identity) -> Result<(), ProvenanceError> {
    let pairs =
        [("weights", &candidate.weights, &reference.weights), ("inputs", &candidate.input, &reference.input)];
    for (what, candidate, reference) in pairs {
        if !candidate.sha256.eq_ignore_ascii_case(&reference.sha256) {
            let (candidate, reference) = (candidate.clone(), reference.clone());
            return Err(ProvenanceError::Different { what, candidate, reference });
        }
    }
    Ok(())
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
    fn other_weights_or_another_input_are_refused() {
        let hashed = |sha256: &str| Hashed { file: "f".into(), sha256: sha256.into() };
        let a = Identity { weights: hashed("1111"), input: hashed("2222") };
        assert!(check(&a, &a).is_ok());
        let other = Identity { weights: hashed("3333"), ..a.clone() };
        assert!(check(&a, &other).unwrap_err().to_string().contains("different weights"));
        let other = Identity { input: hashed("3333"), ..a.clone() };
        assert!(check(&a, &other).unwrap_err().to_string().contains("different inputs"));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        assert!(DumpManifest::read(folder.path()).unwrap().is_none());
        let hashed = Hashed { file: "f".into(), sha256: "00".into() };
        let manifest = DumpManifest {
            schema_version: SCHEMA_VERSION,
            program: "p 1".into(),
            facts: [("threads".to_string(), "2".to_string())].into(),
            weights: hashed.clone(),
            input: hashed.clone(),
            tensors: vec![hashed],
        };
        manifest.write(folder.path()).unwrap();
        assert_eq!(DumpManifest::read(folder.path()).unwrap(), Some(manifest));
        std::fs::write(folder.path().join(FILE_NAME), "{}").unwrap();
        assert!(matches!(DumpManifest::read(folder.path()), Err(ProvenanceError::Json { .. })));
    }
}
