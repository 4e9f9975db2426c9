//! Files that are being written aside: a process that is told to stop removes them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;

static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn unfinished() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes every file that is being written aside; what they were to replace is left. For a process that ends at once.
pub fn remove() {
    let mut unfinished = unfinished();
    for path in std::mem::take(&mut *unfinished) {
        // Best effort: the process is ending.
        let _ = std::fs::remove_file(path);
    }
    // Held until then: no writer goes on or begins.
    std::mem::forget(unfinished);
}

/// A file that is being written aside, while this is held.
pub(super) struct Unfinished {
    path: PathBuf,
}

impl Unfinished {
    /// Makes a file aside and notes it, in one step.
    pub(super) fn create(
        make: impl FnOnce() -> std::io::Result<NamedTempFile>,
    ) -> std::io::Result<(NamedTempFile, Unfinished)> {
        let mut all = unfinished();
        let file = make()?;
        let path = file.path().to_path_buf();
        all.insert(path.clone());
        Ok((file, Unfinished { path }))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        unfinished().remove(&self.path);
    }
}
