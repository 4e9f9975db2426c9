//! Files that are being written aside: a process that is told to stop removes them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn unfinished() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes every file that is being written aside; what they were to replace is left. For a process that ends at once.
pub fn remove() {
    for path in std::mem::take(&mut *unfinished()) {
        // What cannot be removed cannot be told to anybody any more.
        let _ = std::fs::remove_file(path);
    }
}

/// A file that is being written aside, while this is held.
pub(super) struct Unfinished {
    path: PathBuf,
}

impl Unfinished {
    pub(super) fn note(path: &Path) -> Unfinished {
        unfinished().insert(path.to_path_buf());
        Unfinished { path: path.to_path_buf() }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        unfinished().remove(&self.path);
    }
}
