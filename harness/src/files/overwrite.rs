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
        // A file that is not there yet is not read either.
        let Ok(target) = same_file::Handle::from_path(written) else { return Ok(()) };
        let is_target = |path: &&PathBuf| {
            // Opening a pipe would wait for another program.
            std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
                && same_file::Handle::from_path(path).is_ok_and(|handle| handle == target)
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
        assert_eq!(read.check(&path("other")), Ok(()));
        assert_eq!(read.check(&path("new")), Ok(()));
        assert_eq!(read.check(&path("gone")), Ok(()));
    }
}
