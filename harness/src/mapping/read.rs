//! From a file to a mapping that is sound.

use std::path::Path;

use super::definition::Mapping;
use super::mistake::MappingError;
use super::{check, file};
use crate::files::regular;

impl Mapping {
    /// Reads a mapping.
    ///
    /// # Errors
    /// A file that cannot be read, or every mistake in it.
    pub fn read(path: &Path) -> Result<Mapping, MappingError> {
        let text = regular::read_text(path)
            .map_err(|source| MappingError::Io { path: path.to_path_buf(), source })?;
        Mapping::parse(path, text)
    }

    /// Reads a mapping from its text; `path` is only shown.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn parse(path: &Path, text: String) -> Result<Mapping, MappingError> {
        let invalid =
            |text: String, mistakes| MappingError::Invalid { path: path.to_path_buf(), text, mistakes };
        let file = match file::parse(&text) {
            Ok(file) => file,
            Err(mistake) => return Err(invalid(text, vec![mistake])),
        };
        check::check(path, &text, file).map_err(|mistakes| invalid(text, mistakes))
    }
}
