//! The reference sets of this checkout.

use std::path::PathBuf;

use encoder::{Padding, Settings};
use harness::manifest::{self, Manifest};

use crate::console::Failure;
use crate::paths;

/// The sets in `fixtures/`, by name: every folder there with a reference, which then must have a manifest too.
pub(crate) fn committed() -> Result<Vec<PathBuf>, Failure> {
    let folder = PathBuf::from(paths::shown(&paths::fixtures()));
    let unusable = |error| Failure::unusable(format!("{}: cannot be read: {error}", folder.display()));
    let mut sets = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(unusable)? {
        let path = entry.map_err(unusable)?.path();
        if path.join("reference").is_dir() || path.join(manifest::FILE_NAME).is_file() {
            sets.push(path);
        }
    }
    sets.sort();
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
