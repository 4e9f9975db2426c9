//! The reference sets of this checkout.

use std::path::{Path, PathBuf};

use encoder::{Padding, Settings};
use harness::manifest::{self, Manifest};

use crate::console::Failure;
use crate::paths;

/// The sets in `fixtures/`, by name: every folder there with a reference, which then must have a manifest too.
pub(crate) fn committed() -> Result<Vec<PathBuf>, Failure> {
    let folder = PathBuf::from(paths::shown(&paths::fixtures()));
    let unusable = |error| {
        let message = format!("{}: cannot be read: {error}", folder.display());
        Failure::uncovered(message, "restore the sets with `git restore fixtures`")
    };
    let mut sets = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(unusable)? {
        let path = entry.map_err(unusable)?.path();
        if path.join("reference").is_dir() || path.join(manifest::FILE_NAME).is_file() {
            sets.push(path);
        }
    }
    sets.sort();
    if let Some(figures) = without_set(&sets)? {
        let message = format!(
            "{}: figures of a set that is not in {}: what they guard is not compared",
            paths::shown(&figures),
            folder.display()
        );
        return Err(Failure::uncovered(
            message,
            "git restore fixtures baselines; where the set was renamed or removed on purpose, remove that folder",
        ));
    }
    let broken = sets.iter().find(|path| !path.join(manifest::FILE_NAME).is_file());
    let problem = match broken {
        Some(path) => {
            format!("{}: expected a reference set, found no {}", path.display(), manifest::FILE_NAME)
        }
        None if sets.is_empty() => format!("{}: expected reference sets, found none", folder.display()),
        None => return Ok(sets),
    };
    Err(Failure::unusable(problem).help("restore them with `git restore fixtures`"))
}

/// A folder in `baselines/` with figures that none of the sets is of; what waits for a review and what else lies there is no
/// matter of coverage.
fn without_set(sets: &[PathBuf]) -> Result<Option<PathBuf>, Failure> {
    let folder = paths::baselines();
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        // Sets that have no figures yet.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let message = format!("{}: cannot be read: {error}", folder.display());
            return Err(Failure::unusable(message).help("git restore baselines"));
        }
    };
    let mut folders: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let holds_figures = |path: &PathBuf| {
        let mut entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.any(|entry| entry.file_name().to_string_lossy().ends_with(".json"))
    };
    folders.retain(holds_figures);
    folders.sort();
    let is_of = |path: &PathBuf, set: &PathBuf| path.file_name() == set.file_name();
    Ok(folders.into_iter().find(|path| !sets.iter().any(|set| is_of(path, set))))
}

/// Whether a name can be that of a file or a folder, and nothing else.
pub(crate) fn is_plain(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(allowed)
}

/// Whether a set's folder is one of those in `fixtures/`.
pub(crate) fn is_committed(root: &Path) -> bool {
    let canonical = |path: &Path| std::fs::canonicalize(path).ok();
    canonical(root).and_then(|root| root.parent().map(Path::to_path_buf)) == canonical(&paths::fixtures())
}

/// The name of the set in the folder `root`, under which its tolerances and errors are kept: a plain one, and in
/// `fixtures/` that of the folder.
pub(crate) fn name<'a>(manifest: &'a Manifest, root: &Path) -> Result<&'a str, Failure> {
    let path = root.join(manifest::FILE_NAME);
    let set = manifest.set.as_str();
    let wrong = |expected: String| {
        let message = format!("{}: set: expected {expected}, found `{set}`", paths::shown(&path));
        Err(Failure::unusable(message).help("restore it with `git restore fixtures`, or correct the name"))
    };
    if !is_plain(set) {
        return wrong("letters, digits, `-`, `_` and `.`".to_string());
    }
    let folder = std::fs::canonicalize(root).ok().and_then(|root| Some(root.file_name()?.to_os_string()));
    match folder {
        Some(folder) if is_committed(root) && folder != set => {
            wrong(format!("the folder's name `{}`", folder.to_string_lossy()))
        }
        _ => Ok(set),
    }
}

/// The encoder's settings that a set was made with.
pub(crate) fn settings(manifest: &Manifest) -> Result<Settings, Failure> {
    let written = &manifest.settings;
    let padding = match written.padding.as_str() {
        "same" => Padding::Same,
        "symmetric" => Padding::Symmetric,
        other => {
            let message =
                format!("set {}: expected padding `same` or `symmetric`, found `{other}`", manifest.set);
            return Err(Failure::unusable(message).help("make the set anew with `cargo xtask fixtures`"));
        }
    };
    let [height, width] = written.output_resolution;
    Ok(Settings { padding, output_resolution: (height, width), kv_stride: written.kv_stride })
}
