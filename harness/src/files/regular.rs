//! Regular files: opening a pipe would wait for another program to write to it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Opens a regular file.
///
/// # Errors
/// A path that is a folder, pipe or device, or whatever the file system says.
pub fn open(path: &Path) -> std::io::Result<File> {
    match std::fs::metadata(path)?.is_file() {
        true => File::open(path),
        false => Err(std::io::Error::other("expected a regular file, found a folder, pipe or device")),
    }
}

/// All bytes of a regular file.
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}
