//! Files of weights, memory-mapped.

use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::error::Error;

/// A file of weights.
pub(super) struct MappedFile {
    pub(super) path: PathBuf,
    pub(super) bytes: Mmap,
}

impl MappedFile {
    /// # Errors
    /// A file that cannot be read, or is no regular one.
    pub(super) fn open(path: &Path) -> Result<MappedFile, Error> {
        let read = |source| Error::Read { path: path.to_path_buf(), source };
        // Opening a pipe would wait for another program to write to it.
        let metadata = std::fs::metadata(path).map_err(read)?;
        if metadata.is_dir() {
            return Err(read(std::io::ErrorKind::IsADirectory.into()));
        }
        let mapped = |bytes| MappedFile { path: path.to_path_buf(), bytes };
        if !metadata.is_file() {
            let (expected, found) = ("a file of weights", "a pipe or device".to_string());
            return Err(Error::Format { path: path.to_path_buf(), expected, found });
        }
        let file = File::open(path).map_err(read)?;
        // SAFETY: the map is read-only and private to this value. Another process that cuts the file short while it is
        // mapped would end this one with SIGBUS; that is the accepted price of not copying gigabytes.
        unsafe { Mmap::map(&file) }.map_err(read).map(mapped)
    }

    /// The error for a file that is something else.
    pub(super) fn not(&self, expected: &'static str, found: impl Into<String>) -> Error {
        Error::Format { path: self.path.clone(), expected, found: found.into() }
    }
}
