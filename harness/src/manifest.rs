//! The manifest of a reference set: what made it, and the noise floor of each tensor.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::tolerance::NoiseFloor;

/// The file's name in a set's folder.
pub const FILE_NAME: &str = "manifest.json";
/// The version of the schema that this program reads.
pub const SCHEMA_VERSION: u32 = 1;

/// f32 is never this far from f64 in a model that works; a limit made of more sees nothing.
const MAX_FLOOR: f64 = 1e-3;

#[derive(Deserialize)]
struct Version {
    schema_version: u32,
}

/// A manifest that cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what its fields are")]
pub enum ManifestError {
    #[error("{}: cannot be read: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: expected the manifest of a reference set, found {source}", path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("{}: expected schema_version {SCHEMA_VERSION}, found {found}; make the set anew with `cargo xtask fixtures`", path.display())]
    Version { path: PathBuf, found: u32 },
    #[error("{}: expected the tensors of a reference set, found an empty list", path.display())]
    Empty { path: PathBuf },
    #[error(
        "{}: noise floor of `{tensor}`: expected figures from 0 to {MAX_FLOOR:e}; under a higher one nothing is seen",
        path.display()
    )]
    Floor { path: PathBuf, tensor: String },
}

/// What made a set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "named as in the file, see fixtures/README.md")]
pub struct Manifest {
    pub schema_version: u32,
    pub set: String,
    pub description: String,
    pub generator: Generator,
    pub settings: Settings,
    pub weights: HashedFile,
    pub input: HashedFile,
    pub reference: ReferenceFolder,
    /// In the order of execution.
    pub tensors: Vec<TensorEntry>,
}

/// The script and the versions behind a set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "named as in the file")]
pub struct Generator {
    pub script: String,
    pub arguments: Vec<String>,
    pub seed: u64,
    pub python: String,
    pub versions: std::collections::BTreeMap<String, String>,
}

/// What the weights of the model do not show.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "named as in the file")]
pub struct Settings {
    pub padding: String,
    pub output_resolution: [usize; 2],
    pub kv_stride: usize,
}

/// A file of the set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "named as in the file")]
pub struct HashedFile {
    pub file: String,
    pub sha256: String,
    #[serde(default)]
    pub source: Option<String>,
}

/// Where and how the reference tensors are stored.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "named as in the file")]
pub struct ReferenceFolder {
    pub folder: String,
    pub computed_in: String,
    pub stored_in: String,
}

/// One reference tensor.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "named as in the file")]
pub struct TensorEntry {
    pub name: String,
    pub file: String,
    pub shape: Vec<usize>,
    pub sha256: String,
    pub noise_floor: NoiseFloor,
}

impl Manifest {
    /// Reads `manifest.json`.
    ///
    /// # Errors
    /// A file that is not there, is no manifest, is of another version, or has a figure that cannot be.
    pub fn read(path: &Path) -> Result<Manifest, ManifestError> {
        let path_buf = || path.to_path_buf();
        let bytes = crate::recorded::read_regular(path)
            .map_err(|source| ManifestError::Io { path: path_buf(), source })?;
        let json = |source| ManifestError::Json { path: path_buf(), source };
        let Version { schema_version } = serde_json::from_slice(&bytes).map_err(json)?;
        if schema_version != SCHEMA_VERSION {
            return Err(ManifestError::Version { path: path_buf(), found: schema_version });
        }
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(json)?;
        if manifest.tensors.is_empty() {
            return Err(ManifestError::Empty { path: path_buf() });
        }
        let sound = |x: f64| x.is_finite() && x >= 0.0;
        for tensor in &manifest.tensors {
            let floor = &tensor.noise_floor;
            let figures = [floor.rel_l2, floor.rel_linf, floor.max_abs];
            if !figures.into_iter().all(sound) || floor.rel_l2.max(floor.rel_linf) > MAX_FLOOR {
                return Err(ManifestError::Floor { path: path_buf(), tensor: tensor.name.clone() });
            }
        }
        Ok(manifest)
    }

    /// The entry of a tensor.
    pub fn tensor(&self, name: &str) -> Option<&TensorEntry> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }
}
