//! The reference sets of this checkout.

use std::path::PathBuf;

use encoder::{Padding, Settings};
use harness::manifest::{self, Manifest};

use crate::console::Failure;
use crate::paths;

/// The committed sets, by name: every folder in `fixtures/` with a manifest.
pub(crate) fn committed() -> Result<Vec<PathBuf>, Failure> {
    let folder = PathBuf::from(paths::shown(&paths::fixtures()));
    let entries = std::fs::read_dir(&folder)
        .map_err(|error| Failure::unusable(format!("{}: cannot be read: {error}", folder.display())))?;
    let mut sets: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join(manifest::FILE_NAME).is_file())
        .collect();
    sets.sort();
    match sets.is_empty() {
        true => Err(Failure::unusable(format!("{}: expected reference sets, found none", folder.display()))
            .help("restore them with `git restore fixtures`")),
        false => Ok(sets),
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
