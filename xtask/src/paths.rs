//! Where the project's own files are.

use std::path::{Path, PathBuf};

/// The checkout that this program was compiled from; `cargo xtask` always compiles in place.
pub(crate) fn sources() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// The root of the data: fixtures, baselines, mappings. Tests of this crate work on a copy, named by `PARITY_ROOT`.
pub(crate) fn root() -> PathBuf {
    std::env::var_os("PARITY_ROOT").map_or_else(sources, PathBuf::from)
}

/// The folder of the reference sets.
pub(crate) fn fixtures() -> PathBuf {
    root().join("fixtures")
}

/// The folder of derived tolerances and known errors.
pub(crate) fn baselines() -> PathBuf {
    root().join("baselines")
}

/// The mapping that is used when none is named.
pub(crate) fn default_mapping() -> PathBuf {
    shown(&root().join("mappings").join("gemma3n.toml")).into()
}

/// A path as people see it: relative to the current folder where it lies below.
pub(crate) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    match path.strip_prefix(&here) {
        Ok(below) if below.as_os_str().is_empty() => ".".to_string(),
        Ok(below) => below.display().to_string(),
        Err(_) => path.display().to_string(),
    }
}
