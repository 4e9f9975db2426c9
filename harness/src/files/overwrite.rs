//! Files that a command reads, so that it writes over none of them.

use std::path::{Path, PathBuf};

/// A file that is both read and to be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: this command reads that file{}; writing there would destroy it", written.display(), spelled(written, read))]
pub struct Overwrite {
    /// Where something is to be written.
    pub written: PathBuf,
    /// The file that is read, as it was named.
    pub read: PathBuf,
}

fn spelled(written: &Path, read: &Path) -> String {
    if written == read { String::new() } else { format!(" as {}", read.display()) }
}

/// What tells a file from every other one: its device and number, for which it need not be readable.
#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<same_file::Handle> {
    same_file::Handle::from_path(path).ok()
}

/// Whether two paths lead to one file, through links of either kind.
pub fn are_one(a: &Path, b: &Path) -> bool {
    let (a, b) = (identity(a), identity(b));
    a.is_some() && a == b
}

/// The files that a command reads.
#[derive(Clone, Debug, Default)]
pub struct FilesRead {
    paths: Vec<PathBuf>,
}

impl FilesRead {
    /// Notes a file that is read.
    pub fn note(&mut self, path: impl Into<PathBuf>) {
        self.paths.push(path.into());
    }

    /// Refuses to write to a file that is read, under whatever spelling, through links of either kind.
    ///
    /// # Errors
    /// The file, by both of its names.
    pub fn check(&self, written: &Path) -> Result<(), Overwrite> {
        // Opening a pipe would wait for another program; a file that is not there yet is not read either.
        if !std::fs::metadata(written).is_ok_and(|metadata| metadata.is_file()) {
            return Ok(());
        }
        let Some(target) = identity(written) else { return Ok(()) };
        let folder = std::fs::canonicalize(written).ok().and_then(|path| identity(path.parent()?));
        let is_target = |path: &&PathBuf| {
            let Ok(metadata) = std::fs::metadata(path) else { return false };
            match metadata.is_dir() {
                // What lies in a folder that cannot be listed may be read or not.
                true => std::fs::read_dir(path).is_err() && folder.is_some() && identity(path) == folder,
                false => metadata.is_file() && identity(path).as_ref() == Some(&target),
            }
        };
        match self.paths.iter().find(is_target) {
            Some(read) => Err(Overwrite { written: written.to_path_buf(), read: read.clone() }),
            None => Ok(()),
        }
    }
}

impl<P: Into<PathBuf>> Extend<P> for FilesRead {
    fn extend<I: IntoIterator<Item = P>>(&mut self, paths: I) {
        self.paths.extend(paths.into_iter().map(Into::into));
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_every_name_that_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("read"), "").unwrap();
        std::fs::write(path("other"), "").unwrap();
        std::os::unix::fs::symlink(path("read"), path("link")).unwrap();
        std::fs::hard_link(path("read"), path("hard link")).unwrap();
        let mut read = FilesRead::default();
        read.note(path("read"));
        read.note(path("gone"));
        for name in ["read", "./read", "link", "hard link"] {
            let refused = read.check(&path(name)).unwrap_err();
            assert_eq!(refused.read, path("read"), "{name}");
        }
        let made = std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap();
        assert!(made.success());
        assert_eq!(read.check(&path("pipe")), Ok(()));
        assert_eq!(read.check(&path("other")), Ok(()));
        assert_eq!(read.check(&path("new")), Ok(()));
        assert_eq!(read.check(&path("gone")), Ok(()));
    }
}
