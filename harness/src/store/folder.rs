//! Folders of dumped tensors, one `.npy` file each.

use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::npy;
use super::stored::StoredTensor;
use super::tensor_store::{StoreEntry, TensorStore};
use crate::tensor::Dtype;
use crate::text::nearest::nearest;

/// A folder that cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what its fields are")]
pub enum FolderError {
    #[error("{}: no such folder{}", path.display(), hint(nearest, pattern))]
    Missing { path: PathBuf, nearest: Option<String>, pattern: String },
    #[error("{}: expected a folder of .npy files, found a file; name the folder it is in", path.display())]
    NotAFolder { path: PathBuf },
    #[error("{}: cannot be read: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: expected files named `{pattern}`, found {found}", path.display())]
    Empty { path: PathBuf, pattern: String, found: String },
}

fn hint(nearest: &Option<String>, pattern: &str) -> String {
    match nearest {
        Some(name) => format!("; did you mean `{name}`?"),
        None => format!("; name the one that holds the files `{pattern}`"),
    }
}

/// A folder of `.npy` files; a tensor's key is its file's name.
#[derive(Clone, Debug)]
pub struct NpyFolder {
    path: PathBuf,
    two_byte_integers: Option<Dtype>,
    entries: Vec<StoreEntry>,
}

impl NpyFolder {
    /// Lists the `.npy` files of `path`; those that fit `pattern`, such as `debug_{name}.npy`, have a name.
    /// `two_byte_integers` says what `<u2` stands for.
    ///
    /// # Errors
    /// Folders that are not there, cannot be read, or hold no file that fits.
    pub fn open(
        path: &Path,
        pattern: &str,
        two_byte_integers: Option<Dtype>,
    ) -> Result<NpyFolder, FolderError> {
        let io = |source| FolderError::Io { path: path.to_path_buf(), source };
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(FolderError::NotAFolder { path: path.to_path_buf() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(FolderError::Missing {
                    path: path.to_path_buf(),
                    nearest: nearest_sibling(path),
                    pattern: pattern.to_string(),
                });
            }
            Err(source) => return Err(io(source)),
        }
        let Listing { entries, others, mut folders } = Listing::of(path, pattern).map_err(io)?;
        if entries.iter().all(|entry| entry.name.is_none()) {
            let found = match (entries.first(), others) {
                (Some(first), _) => format!("{} other .npy files, such as `{}`", entries.len(), first.key),
                (None, 0) if folders.is_empty() => "nothing: the folder is empty".to_string(),
                (None, others) => {
                    folders.sort();
                    let inside = holds_tensors(&folders, pattern)
                        .map(|folder| format!("; name one that holds them, such as `{}`", folder.display()));
                    let (files, folders) = (counted(others, "other file"), counted(folders.len(), "folder"));
                    format!("no .npy file, {files} and {folders}{}", inside.unwrap_or_default())
                }
            };
            return Err(FolderError::Empty { path: path.to_path_buf(), pattern: pattern.to_string(), found });
        }
        Ok(NpyFolder { path: path.to_path_buf(), two_byte_integers, entries })
    }
}

/// So many things of a kind.
fn counted(count: usize, kind: &str) -> String {
    format!("{count} {kind}{}", if count == 1 { "" } else { "s" })
}

impl TensorStore for NpyFolder {
    fn location(&self) -> &Path {
        &self.path
    }

    fn entries(&self) -> &[StoreEntry] {
        &self.entries
    }

    fn contains(&self, key: &str) -> bool {
        match std::fs::metadata(self.path.join(key)) {
            Ok(metadata) => metadata.is_file(),
            Err(error) => error.kind() != std::io::ErrorKind::NotFound,
        }
    }

    fn open(&self, key: &str) -> Result<StoredTensor, StoreError> {
        npy::open(&self.path.join(key), self.two_byte_integers)
    }
}

/// Opens the tensors at a path: today, a folder of `.npy` files. [`NpyFolder::open`] says what the arguments are.
///
/// # Errors
/// As [`NpyFolder::open`].
pub fn open(
    path: &Path,
    pattern: &str,
    two_byte_integers: Option<Dtype>,
) -> Result<Box<dyn TensorStore>, FolderError> {
    Ok(Box::new(NpyFolder::open(path, pattern, two_byte_integers)?))
}

/// What a folder holds.
struct Listing {
    /// Its `.npy` files, sorted.
    entries: Vec<StoreEntry>,
    /// Files of other kinds.
    others: usize,
    folders: Vec<PathBuf>,
}

impl Listing {
    fn of(path: &Path, pattern: &str) -> std::io::Result<Listing> {
        let (before, after) = pattern.split_once("{name}").unwrap_or((pattern, ""));
        let mut listing = Listing { entries: Vec::new(), others: 0, folders: Vec::new() };
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let key = entry.file_name().to_string_lossy().into_owned();
            if !key.ends_with(".npy") {
                match entry.path().is_dir() {
                    true => listing.folders.push(entry.path()),
                    false => listing.others += 1,
                }
                continue;
            }
            let name = key.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
            let name = name.filter(|name| !name.is_empty()).map(String::from);
            listing.entries.push(StoreEntry { key, name });
        }
        listing.entries.sort();
        Ok(listing)
    }
}

/// The first folder that holds tensors named like `pattern`.
fn holds_tensors<'a>(folders: &'a [PathBuf], pattern: &str) -> Option<&'a PathBuf> {
    let fits = |listing: Listing| listing.entries.iter().any(|entry| entry.name.is_some());
    folders.iter().find(|folder| Listing::of(folder, pattern).is_ok_and(fits))
}

fn nearest_sibling(path: &Path) -> Option<String> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names: Vec<String> = std::fs::read_dir(parent)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    let wanted = path.file_name()?.to_string_lossy();
    let found = nearest(&wanted, names.iter().map(String::as_str))?;
    Some(parent.join(found).display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_pattern() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["debug_a.npy", "debug_b (reshaped).npy", "b.npy", "manifest.json"] {
            std::fs::write(folder.path().join(file), b"").unwrap();
        }
        let dump = NpyFolder::open(folder.path(), "debug_{name}.npy", None).unwrap();
        let entries: Vec<_> =
            dump.entries().iter().map(|entry| (entry.key.as_str(), entry.name.as_deref())).collect();
        assert_eq!(
            entries,
            [("b.npy", None), ("debug_a.npy", Some("a")), ("debug_b (reshaped).npy", Some("b (reshaped)")),]
        );
    }

    #[test]
    fn unusable_folders_say_what_was_found() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        std::fs::create_dir(path("debug_output")).unwrap();
        std::fs::create_dir_all(path("nested/dump")).unwrap();
        std::fs::write(path("nested/README.md"), b"").unwrap();
        std::fs::create_dir(path("nested/.venv")).unwrap();
        std::fs::write(path("nested/dump/debug_a.npy"), b"").unwrap();
        std::fs::create_dir_all(path("folders/.venv")).unwrap();
        std::fs::create_dir(path("other")).unwrap();
        std::fs::write(path("other/a.npy"), b"").unwrap();
        std::fs::write(path("file"), b"").unwrap();
        let messages: Vec<String> =
            ["debug_outpt", "debug_output", "other", "file", "nested", "folders", "somewhere else"]
                .iter()
                .map(|name| NpyFolder::open(&path(name), "debug_{name}.npy", None).unwrap_err().to_string())
                .map(|message| message.replace(&root.path().display().to_string(), "ROOT").replace('\\', "/"))
                .collect();
        insta::assert_snapshot!(messages.join("\n"));
    }
}
