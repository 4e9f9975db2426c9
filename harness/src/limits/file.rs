//! Files of figures: JSON of one schema version, about one subject, written as a whole with one line for each layer.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::subject::{Subject, SubjectError};

/// A file of figures that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what its fields are")]
pub enum FileError {
    #[error("{}: cannot be read: {source}", crate::text::shown::path(path))]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: cannot be written: {source}", crate::text::shown::path(path))]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{}: expected {expected}, found {source}", crate::text::shown::path(path))]
    Json { path: PathBuf, expected: FigureKind, source: serde_json::Error },
    #[error("{}: expected schema_version {expected}, found {found}", crate::text::shown::path(path))]
    Version { path: PathBuf, expected: u32, found: u32 },
    #[error("{}: {source}", crate::text::shown::path(path))]
    Subject { path: PathBuf, source: SubjectError },
}

/// What a file of figures holds of each layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FigureKind {
    /// Limits that are multiples of measured floors.
    DerivedTolerances,
    /// The errors that a program is known to have.
    KnownErrors,
    /// The pairs that must be compared.
    Coverage,
}

impl std::fmt::Display for FigureKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            FigureKind::DerivedTolerances => "derived tolerances",
            FigureKind::KnownErrors => "known errors",
            FigureKind::Coverage => "list of what must be compared",
        })
    }
}

/// A file of figures.
pub(crate) trait Versioned: Serialize + DeserializeOwned {
    /// The version of the schema that this program reads and writes.
    const SCHEMA_VERSION: u32;
    /// What it holds.
    const KIND: FigureKind;
    /// That of one layer.
    type Entry: Serialize;

    fn subject(&self) -> &Subject;
    fn layers(&self) -> &[Self::Entry];
}

#[derive(Deserialize)]
struct FigureFileVersion {
    schema_version: u32,
}

/// Reads a file as it is written, whatever it is about.
pub(crate) fn parse<T: Versioned>(path: &Path) -> Result<T, FileError> {
    let path_buf = || path.to_path_buf();
    let bytes =
        crate::files::regular::read(path).map_err(|source| FileError::Io { path: path_buf(), source })?;
    let json = |source| FileError::Json { path: path_buf(), expected: T::KIND, source };
    // The version first: of another one nothing else is known.
    let FigureFileVersion { schema_version: found } = serde_json::from_slice(&bytes).map_err(json)?;
    if found != T::SCHEMA_VERSION {
        return Err(FileError::Version { path: path_buf(), expected: T::SCHEMA_VERSION, found });
    }
    serde_json::from_slice(&bytes).map_err(json)
}

/// Reads a file, which must be about `subject`.
pub(crate) fn read<T: Versioned>(path: &Path, subject: &Subject) -> Result<T, FileError> {
    let file: T = parse(path)?;
    let unfit = |source| FileError::Subject { path: path.to_path_buf(), source };
    file.subject().require(subject).map_err(unfit)?;
    Ok(file)
}

/// Writes a file as a whole, one line for each layer.
pub(crate) fn write<T: Versioned>(file: &T, path: &Path) -> Result<(), FileError> {
    let json = |source| FileError::Json { path: path.to_path_buf(), expected: T::KIND, source };
    let text = crate::text::lines::render(file, "layers", file.layers()).map_err(json)?;
    crate::files::atomic::write(path, |out| out.write_all(text.as_bytes()))
        .map_err(|source| FileError::Write { path: path.to_path_buf(), source })
}
