//! Folders of dumped tensors, one `.npy` file each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::nearest::nearest;

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

/// The tensors of a folder by name.
#[derive(Clone, Debug)]
pub struct DumpFolder {
    path: PathBuf,
    files: BTreeMap<String, PathBuf>,
    /// `.npy` files whose names do not fit the pattern.
    strangers: Vec<String>,
}

impl DumpFolder {
    /// Lists the `.npy` files of `path` whose names fit `pattern`, such as `debug_{name}.npy`.
    ///
    /// # Errors
    /// Folders that are not there, cannot be read, or hold no such file.
    pub fn open(path: &Path, pattern: &str) -> Result<DumpFolder, FolderError> {
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
        let (before, behind) = pattern.split_once("{name}").unwrap_or((pattern, ""));
        let mut folder =
            DumpFolder { path: path.to_path_buf(), files: BTreeMap::new(), strangers: Vec::new() };
        let (mut others, mut folders) = (0usize, Vec::new());
        for entry in std::fs::read_dir(path).map_err(io)? {
            let entry = entry.map_err(io)?;
            let file = entry.file_name().to_string_lossy().into_owned();
            if !file.ends_with(".npy") {
                match entry.path().is_dir() {
                    true => folders.push(entry.path()),
                    false => others += 1,
                }
                continue;
            }
            match file.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind)) {
                Some(name) if !name.is_empty() => {
                    folder.files.insert(name.to_string(), entry.path());
                }
                _ => folder.strangers.push(file),
            }
        }
        folder.strangers.sort();
        if folder.files.is_empty() {
            let found = match (folder.strangers.first(), others) {
                (Some(first), _) => format!("{} other .npy files, such as `{first}`", folder.strangers.len()),
                (None, 0) if folders.is_empty() => "nothing: the folder is empty".to_string(),
                (None, others) => {
                    folders.sort();
                    let inside = folders
                        .first()
                        .map(|folder| format!("; name one of them, such as `{}`", folder.display()));
                    let (count, inside) = (folders.len(), inside.unwrap_or_default());
                    format!("no .npy file, {others} other files and {count} folders{inside}")
                }
            };
            return Err(FolderError::Empty { path: path.to_path_buf(), pattern: pattern.to_string(), found });
        }
        Ok(folder)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tensors' names, sorted.
    pub fn names(&self) -> Vec<String> {
        self.files.keys().cloned().collect()
    }

    /// The file of a tensor.
    pub fn file(&self, name: &str) -> Option<&Path> {
        self.files.get(name).map(PathBuf::as_path)
    }

    /// The names of all its `.npy` files.
    pub fn npy_files(&self) -> Vec<String> {
        let fitting = self.files.values().filter_map(|path| Some(path.file_name()?.to_str()?.to_string()));
        fitting.chain(self.strangers.iter().cloned()).collect()
    }

    /// `.npy` files whose names do not fit the pattern, sorted.
    pub fn strangers(&self) -> &[String] {
        &self.strangers
    }
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
        let dump = DumpFolder::open(folder.path(), "debug_{name}.npy").unwrap();
        assert_eq!(dump.names(), ["a", "b (reshaped)"]);
        assert_eq!(dump.strangers(), ["b.npy"]);
        assert_eq!(dump.npy_files(), ["debug_a.npy", "debug_b (reshaped).npy", "b.npy"]);
    }

    #[test]
    fn unusable_folders_say_what_was_found() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        std::fs::create_dir(path("debug_ggml_output")).unwrap();
        std::fs::create_dir_all(path("nested/debug_output")).unwrap();
        std::fs::write(path("nested/README.md"), b"").unwrap();
        std::fs::create_dir(path("other")).unwrap();
        std::fs::write(path("other/a.npy"), b"").unwrap();
        std::fs::write(path("file"), b"").unwrap();
        let messages: Vec<String> =
            ["debug_gml_output", "debug_ggml_output", "other", "file", "nested", "somewhere else"]
                .iter()
                .map(|name| DumpFolder::open(&path(name), "debug_{name}.npy").unwrap_err().to_string())
                .map(|message| message.replace(&root.path().display().to_string(), "ROOT").replace('\\', "/"))
                .collect();
        insta::assert_snapshot!(messages.join("\n"));
    }
}
