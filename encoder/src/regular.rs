//! Regular files: opening a pipe would wait for another program to write to it, and a device may never end.

use std::fs::{File, FileType};
use std::io::Read;
use std::path::Path;

use crate::error::Error;

/// Opens a regular file, and gives its length. `expected` is what it should be.
///
/// # Errors
/// A folder, a pipe, a socket or a device, or whatever the file system says.
pub(crate) fn open(path: &Path, expected: &'static str) -> Result<(File, u64), Error> {
    let read = |source| Error::Read { path: path.to_path_buf(), source };
    let regular = |kind: FileType| match kind {
        kind if kind.is_file() => Ok(()),
        kind if kind.is_dir() => Err(read(std::io::ErrorKind::IsADirectory.into())),
        _ => {
            let found = "a pipe or device".to_string();
            Err(Error::Format { path: path.to_path_buf(), expected, found })
        }
    };
    regular(std::fs::metadata(path).map_err(read)?.file_type())?;
    let file = File::open(path).map_err(read)?;
    let metadata = file.metadata().map_err(read)?;
    regular(metadata.file_type())?;
    Ok((file, metadata.len()))
}

/// All bytes of a regular file of at most `most` bytes.
///
/// # Errors
/// As [`open`], and a longer file.
pub(crate) fn read(path: &Path, expected: &'static str, most: u64) -> Result<Vec<u8>, Error> {
    let (file, length) = open(path, expected)?;
    if length > most {
        let found = format!("{length} bytes, more than the {most} that are read");
        return Err(Error::Format { path: path.to_path_buf(), expected, found });
    }
    let unreadable = |source| Error::Read { path: path.to_path_buf(), source };
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}
