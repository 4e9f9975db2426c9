//! Files that can be read at any place.

use std::fs::File;
use std::path::Path;

use super::error::TensorProblem;

/// Opens a regular file, and gives its length.
///
/// # Errors
/// What is not there, a folder, a pipe or a device: opening a pipe would wait for another program to write to it.
pub(super) fn open(path: &Path) -> Result<(File, u64), TensorProblem> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(TensorProblem::Folder);
    }
    if !metadata.is_file() {
        return Err(TensorProblem::Kind { expected: "a file", found: "a pipe or device".to_string() });
    }
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}
