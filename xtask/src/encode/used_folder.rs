//! A folder that an earlier dump is in.

use std::path::{Path, PathBuf};

use harness::provenance::{self, DumpRecord};

use crate::shell::failure::Failure;
use crate::shell::paths;

/// What an earlier dump left in a folder, by its own record.
pub(crate) struct UsedFolder {
    /// The record comes first: without it, what remains belongs to no dump.
    files: Vec<PathBuf>,
}

/// A file of an earlier dump that cannot be removed.
#[derive(Debug)]
pub(crate) struct ClearError {
    path: PathBuf,
    source: std::io::Error,
}

impl std::fmt::Display for ClearError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = paths::shown(&self.path);
        write!(f, "cannot remove {path}, of an earlier dump: {}; dump into another folder", self.source)
    }
}

impl std::error::Error for ClearError {}

impl UsedFolder {
    /// Reads the record of an earlier dump, where there is one.
    pub(crate) fn open(folder: &Path) -> Result<UsedFolder, Failure> {
        let earlier = DumpRecord::read(folder).map_err(|error| {
            Failure::unreadable(error)
                .help("what is in this folder is not known, so nothing is replaced: dump into an empty one")
        })?;
        let Some(earlier) = earlier else { return Ok(UsedFolder { files: Vec::new() }) };
        // A record names files of its own folder; whatever else it says is not followed.
        let own = |file: &&String| Path::new(file).file_name().is_some_and(|name| name == file.as_str());
        let tensors = earlier.tensors.iter().map(|tensor| &tensor.key).filter(own);
        let tensors = tensors.filter(|file| file.ends_with(".npy")).map(|file| folder.join(file));
        Ok(UsedFolder { files: std::iter::once(folder.join(provenance::FILE_NAME)).chain(tensors).collect() })
    }

    /// What the record lists, and the record.
    pub(crate) fn files(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.files.iter().cloned()
    }

    /// Removes what the record lists, and first the record.
    pub(crate) fn clear(self) -> Result<(), ClearError> {
        for path in self.files {
            match std::fs::remove_file(&path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(ClearError { path, source });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use harness::provenance::RecordedTensor;
    use harness::provenance::sha256::Hashed;
    use harness::store::{Algorithm, Fingerprint};

    use super::*;

    #[test]
    fn only_what_the_record_lists_of_its_own_folder_goes() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("dump");
        std::fs::create_dir(&folder).unwrap();
        let files = ["dump/a.npy", "dump/b.npy", "dump/notes.txt", "outside.npy"];
        files.iter().for_each(|file| std::fs::write(root.path().join(file), b"").unwrap());
        let hashed = |file: &str| Hashed { file: file.into(), sha256: String::new() };
        let recorded = |file: &str| RecordedTensor {
            key: file.into(),
            fingerprint: Fingerprint { algorithm: Algorithm::ElementsXxh3, hex: String::new() },
        };
        let outside = root.path().join("outside.npy");
        DumpRecord {
            schema_version: provenance::SCHEMA_VERSION,
            program: String::new(),
            settings: Default::default(),
            facts: Default::default(),
            weights: hashed(""),
            weight_tensors: None,
            input: hashed(""),
            input_tensor: None,
            tensors: [
                "a.npy",
                "gone.npy",
                "../outside.npy",
                outside.to_str().unwrap(),
                "notes.txt",
                "..",
                "",
            ]
            .map(recorded)
            .into(),
        }
        .write(&folder)
        .unwrap();
        UsedFolder::open(&folder).ok().unwrap().clear().unwrap();
        let there: Vec<bool> = files.iter().map(|file| root.path().join(file).exists()).collect();
        assert_eq!(there, [false, true, true, true]);
        assert!(!folder.join(provenance::FILE_NAME).exists());
    }

    #[test]
    fn a_malformed_record_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(provenance::FILE_NAME), "{").unwrap();
        assert!(UsedFolder::open(folder.path()).is_err());
        assert!(UsedFolder::open(&folder.path().join("none")).is_ok());
    }
}
