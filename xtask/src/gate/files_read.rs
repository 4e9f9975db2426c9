//! The files that a comparison reads, or would read were they as they should be.
//!
//! They are found by their places alone: a run that fails on a broken manifest still must not write its report over it.

use std::path::{Path, PathBuf};

use harness::files::overwrite::FilesRead;
use harness::provenance;
use harness::reference::manifest;

use crate::committed::coverage;
use crate::encode::pictures::settings_beside;
use crate::shell::paths;

/// Records that lie beside tensors. Another `.json` file there may be an earlier report.
pub(crate) const RECORDS: [&str; 2] = [manifest::FILE_NAME, provenance::FILE_NAME];

/// What a comparison is asked to read.
#[derive(Clone, Copy)]
pub(crate) struct FilesNamed<'a> {
    pub(crate) mapping: Option<&'a Path>,
    pub(crate) candidate: Option<&'a Path>,
    pub(crate) earlier: Option<&'a Path>,
    pub(crate) weights: Option<&'a Path>,
    pub(crate) input: Option<&'a Path>,
    pub(crate) baseline: Option<&'a Path>,
}

/// The files that a comparison with that reference reads, or with all sets of the checkout where none is named.
pub(crate) fn files_read(named: FilesNamed<'_>, reference: Option<&Path>) -> FilesRead {
    let mut read = FilesRead::default();
    read.extend(named.mapping);
    let dumps = named.candidate.into_iter().chain(named.earlier);
    read.extend(dumps.flat_map(tensors_and_records));
    read.extend(named.input);
    read.extend(named.baseline);
    read.extend(named.weights.into_iter().flat_map(weights));
    read.extend(named.weights.into_iter().flat_map(settings_beside));
    let sets = paths::baselines().into_iter().flat_map(|folder| entries(&folder));
    read.extend(sets.flat_map(|set| entries(&set)));
    read.extend(coverage::path());
    match reference {
        Some(reference) => note_reference(&mut read, reference),
        None => {
            let folders = paths::fixtures().into_iter().flat_map(|fixtures| entries(&fixtures));
            folders.for_each(|folder| note_set(&mut read, &folder));
        }
    }
    read
}

/// The tensors of a reference, and its set where it belongs to one.
fn note_reference(read: &mut FilesRead, reference: &Path) {
    read.extend(tensors_and_records(reference));
    let above = std::path::absolute(reference).ok().and_then(|path| Some(path.parent()?.to_path_buf()));
    for root in [Some(reference.to_path_buf()), above].into_iter().flatten() {
        if root.join(manifest::FILE_NAME).exists() {
            note_set(read, &root);
        }
    }
}

/// The files of a set: its folder and those in it.
fn note_set(read: &mut FilesRead, root: &Path) {
    read.extend(tensors_and_records(root));
    let folders = entries(root).into_iter().filter(|entry| entry.is_dir());
    read.extend(folders.flat_map(|folder| tensors_and_records(&folder)));
    // A set may name weights, an input and tensors that lie deeper.
    if let Ok(manifest) = manifest::Manifest::read(&root.join(manifest::FILE_NAME)) {
        read.extend(weights(&root.join(&manifest.weights.file)));
        read.note(root.join(&manifest.input.file));
        read.extend(tensors_and_records(&root.join(&manifest.reference.folder)));
    }
}

/// A folder of tensors, or a file of them.
fn tensors_and_records(path: &Path) -> Vec<PathBuf> {
    let is_json =
        |entry: &PathBuf| entry.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let tensors = entries(path).into_iter().filter(|entry| !is_json(entry));
    let records = RECORDS.iter().map(|name| path.join(name));
    tensors.chain(records).chain([path.to_path_buf()]).collect()
}

/// A file of weights with what lies beside it, which an index may name, or a folder of them.
fn weights(path: &Path) -> Vec<PathBuf> {
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    // An index is told by its content, whatever it is called.
    let is_alone = |extension: &std::ffi::OsStr| extension == "safetensors" || extension == "gguf";
    let is_index = !path.extension().is_some_and(is_alone);
    let beside = if path.is_dir() || is_index { entries(folder) } else { Vec::new() };
    beside.into_iter().chain([path.to_path_buf()]).collect()
}

/// The indices of sharded checkpoints in a folder of weights, one of which says which files are read.
pub(crate) fn indices(weights: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let folder = if weights.is_dir() { entries(weights) } else { Vec::new() };
    folder.into_iter().filter(|path| path.to_string_lossy().ends_with(".index.json"))
}

/// What lies in a folder; nothing where it cannot be read, since then nothing of it is read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
