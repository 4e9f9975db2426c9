//! Files of weights, memory-mapped.

use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::error::Error;
use crate::regular;

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
        let mapped = |bytes| MappedFile { path: path.to_path_buf(), bytes };
        let (file, _) = regular::open(path, "a file of weights")?;
        // SAFETY: the map is read-only and private to this value. Another process that cuts the file short while it is
        // mapped would end this one with SIGBUS; that is the accepted price of not copying gigabytes.
        unsafe { Mmap::map(&file) }.map_err(read).map(mapped)
    }

    /// The error for a file that is something else.
    pub(super) fn not(&self, expected: &'static str, found: impl Into<String>) -> Error {
        Error::Format { path: self.path.clone(), expected, found: found.into() }
    }
}
