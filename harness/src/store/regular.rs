//! Files of tensors, which can be read at any place.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use super::error::TensorProblem;
use crate::files::regular::{self, RegularFile};

/// Opens a regular file, and gives its length.
///
/// # Errors
/// What is not there, a folder, a pipe or a device.
pub(super) fn open(path: &Path) -> Result<(File, u64), TensorProblem> {
    let RegularFile { file, length } = regular::open_sized(path).map_err(|error| match error.kind() {
        ErrorKind::IsADirectory => TensorProblem::Folder,
        ErrorKind::InvalidInput => {
            TensorProblem::Kind { expected: "a file", found: "a pipe or device".to_string() }
        }
        _ => TensorProblem::Io(error),
    })?;
    Ok((file, length))
}
