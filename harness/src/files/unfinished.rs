//! Files and folders that are being written aside: a process that is told to stop removes them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::{NamedTempFile, TempDir};

static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn unfinished() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes every file and folder that is being written aside; what they were to replace is left. For a process that ends at once.
pub fn remove() {
    let mut unfinished = unfinished();
    for path in std::mem::take(&mut *unfinished) {
        // Best effort: the process is ending.
        let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    }
    // Held until then: no writer goes on or begins.
    std::mem::forget(unfinished);
}

/// A file or folder that is being written aside, while this is held.
pub(crate) struct Unfinished {
    path: PathBuf,
}

/// What is written aside.
pub(crate) trait WrittenAside {
    /// Where it is until then.
    fn place(&self) -> PathBuf;
}

impl WrittenAside for NamedTempFile {
    fn place(&self) -> PathBuf {
        self.path().to_path_buf()
    }
}

impl WrittenAside for TempDir {
    fn place(&self) -> PathBuf {
        self.path().to_path_buf()
    }
}

impl Unfinished {
    /// Makes something aside and notes it, in one step.
    pub(crate) fn create<T: WrittenAside>(
        make: impl FnOnce() -> std::io::Result<T>,
    ) -> std::io::Result<(T, Unfinished)> {
        let mut all = unfinished();
        let made = make()?;
        let path = made.place();
        all.insert(path.clone());
        Ok((made, Unfinished { path }))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        unfinished().remove(&self.path);
    }
}
