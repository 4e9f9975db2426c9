//! Stores that cannot be used, and why.

use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::folder::Listing;
use super::naming::Naming;
use crate::text::facts::{Facts, Factual};
use crate::text::nearest::nearest;

/// Tensors at a path that cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what its fields are")]
pub enum OpenError {
    #[error("{}: no such file or folder{}", crate::text::shown::path(path), hint(nearest, pattern))]
    Missing { path: PathBuf, nearest: Option<String>, pattern: String },
    #[error("{}: cannot be read: {source}", crate::text::shown::path(path))]
    Io { path: PathBuf, source: std::io::Error },
    #[error(
        "{}: expected tensors, such as files named {pattern}, found {found}",
        crate::text::shown::path(path)
    )]
    Empty { path: PathBuf, pattern: String, found: String },
    #[error("{}: expected tensors, found none in it", crate::text::shown::path(path))]
    Hollow { path: PathBuf },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Factual for OpenError {
    fn facts(&self) -> Facts {
        let at = |what, path: &Path| Facts::of(what, [("file", path.display().to_string())]);
        match self {
            OpenError::Missing { path, nearest, pattern } => {
                let facts = at("missing", path).with("expected", pattern);
                match nearest {
                    Some(nearest) => facts.with("nearest", nearest),
                    None => facts,
                }
            }
            OpenError::Io { path, source } => at("unreadable", path).with("reason", source.to_string()),
            OpenError::Empty { path, pattern, found } => {
                at("no_tensors", path).with("expected", pattern).with("found", found)
            }
            OpenError::Hollow { path } => at("no_tensors", path),
            OpenError::Store(error) => error.facts(),
        }
    }
}

fn hint(nearest: &Option<String>, pattern: &str) -> String {
    match nearest {
        Some(name) => format!("; did you mean `{name}`?"),
        None => format!("; name the folder that holds the files {pattern}, or a file of tensors"),
    }
}

impl OpenError {
    /// A path that cannot be looked at.
    pub(super) fn access(path: &Path, naming: &Naming, source: std::io::Error) -> OpenError {
        let path = path.to_path_buf();
        match source.kind() {
            std::io::ErrorKind::NotFound => {
                let nearest = nearest_existing(&path);
                OpenError::Missing { path, nearest, pattern: naming.shown() }
            }
            _ => OpenError::Io { path, source },
        }
    }

    /// A folder without tensors.
    pub(super) fn no_tensors(path: &Path, naming: &Naming, listing: &Listing) -> OpenError {
        let (others, folders) = (listing.others, listing.folders.len());
        let found = match (others, folders) {
            (0, 0) => "nothing: the folder is empty".to_string(),
            _ => {
                let inside = holds_tensors(&listing.folders)
                    .map(|folder| format!("; name one that holds them, such as `{}`", folder.display()));
                let (files, folders) = (counted(others, "other file"), counted(folders, "folder"));
                format!("{files} and {folders}{}", inside.unwrap_or_default())
            }
        };
        OpenError::Empty { path: path.to_path_buf(), pattern: naming.shown(), found }
    }
}

/// So many things of a kind.
fn counted(count: usize, kind: &str) -> String {
    format!("{count} {kind}{}", if count == 1 { "" } else { "s" })
}

/// The first folder that holds tensors. Hidden ones, such as an environment of Python's, are not looked into.
fn holds_tensors(folders: &[PathBuf]) -> Option<&PathBuf> {
    let hidden =
        |folder: &&PathBuf| folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let holds = |folder: &&PathBuf| Listing::of(folder, None).is_ok_and(|listing| !listing.items.is_empty());
    folders.iter().filter(|folder| !hidden(folder)).find(holds)
}

/// What is there and nearest to a path: the first of its parts that is not there is replaced.
fn nearest_existing(path: &Path) -> Option<String> {
    let missing = path.ancestors().take_while(|part| !part.exists()).last()?;
    let parent = missing.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names: Vec<String> = std::fs::read_dir(parent)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    let wanted = missing.file_name()?.to_string_lossy();
    let found = parent.join(nearest(&wanted, names.iter().map(String::as_str))?);
    let rest = path.strip_prefix(missing).ok()?;
    let whole = found.join(rest);
    let found = if rest.as_os_str().is_empty() || !whole.exists() { found } else { whole };
    Some(found.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::super::tensor_store::{ReadAs, open};
    use super::*;

    #[test]
    fn unusable_places_say_what_was_found() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        std::fs::create_dir(path("debug_output")).unwrap();
        std::fs::create_dir_all(path("nested/dump")).unwrap();
        std::fs::write(path("nested/README.md"), b"").unwrap();
        std::fs::create_dir(path("nested/.venv")).unwrap();
        std::fs::write(path("nested/dump/debug_a.npy"), b"").unwrap();
        std::fs::create_dir_all(path("folders/.venv")).unwrap();
        std::fs::write(path("file"), b"").unwrap();
        std::fs::write(path("pointer.npz"), b"version https://git-lfs.github.com/spec/v1\n").unwrap();
        let places = [
            "debug_outpt",
            "debug_output",
            "file",
            "pointer.npz",
            "nested",
            "nestd/dump",
            "folders",
            "somewhere else",
        ];
        let naming = Naming::by_pattern("debug_{name}.npy");
        let messages: Vec<String> = places
            .iter()
            .map(|name| open(&path(name), &naming, ReadAs::default()).unwrap_err().to_string())
            .map(|message| message.replace(&root.path().display().to_string(), "ROOT").replace('\\', "/"))
            .collect();
        insta::assert_snapshot!(messages.join("\n"));
    }
}
