//! Bytes put where a reader finds them.

use std::path::Path;

use harness::store::{Naming, ReadAs, open};

/// Elements that are read of a tensor at the most: a file of few bytes may truly hold many zeros.
const MOST: usize = 1 << 20;

/// Files of these names and contents, in memory where the system has such a folder, all read as a dump.
pub fn read(files: &[(&str, &[u8])]) {
    let shared = Path::new("/dev/shm");
    let folder = match shared.is_dir() {
        true => tempfile::tempdir_in(shared),
        false => tempfile::tempdir(),
    };
    let folder = folder.expect("a folder for the files");
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).expect("a file of the input");
    }
    let path = match files {
        [(name, _)] => folder.path().join(name),
        _ => folder.path().to_path_buf(),
    };
    let Ok(store) = open(&path, &Naming::by_pattern("debug_{name}.npy"), ReadAs::default()) else { return };
    for entry in store.entries() {
        let Ok(tensor) = store.open(&entry.key) else { continue };
        if tensor.len() <= MOST
            && let Ok(read) = tensor.read()
        {
            assert_eq!(read.len(), tensor.len());
        }
    }
}
