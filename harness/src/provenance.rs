//! Where tensors come from: weights, input and settings, so that outputs of different models are not compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::recorded::{Hashed, hash_values, read_regular};

/// The file that says where a dump folder's tensors come from.
pub const FILE_NAME: &str = "dump.json";
/// The version of its schema that this program reads and writes.
pub const SCHEMA_VERSION: u32 = 1;

/// The settings that weights do not show, as [`DumpManifest::facts`] and [`Identity::settings`] call them: padding, as in
/// `same`; the height and width that the fusion pools to, as in `16x16`; the stride of keys and values.
pub const SETTINGS: [&str; 3] = ["padding", "output resolution", "k/v stride"];

/// Why provenance cannot be told, or does not fit.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what its fields are")]
pub enum ProvenanceError {
    #[error("{}: cannot be read: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error(
        "{}: expected the provenance of a dump, found {source}; dump anew, or remove this file to compare what is there \
         without knowing what it is of",
        path.display()
    )]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("{}: expected schema_version {SCHEMA_VERSION}, found {found}; dump anew", path.display())]
    Version { path: PathBuf, found: u32 },
    #[error(
        "candidate and reference were computed with different {what}: sha256 {} ({}) and {} ({}); \
         their numbers say nothing about each other",
        short(&candidate.sha256), candidate.file, short(&reference.sha256), reference.file
    )]
    Different { what: &'static str, candidate: Hashed, reference: Hashed },
    #[error(
        "candidate and reference were computed with different settings: {setting} {candidate} and {reference}; \
         their numbers say nothing about each other"
    )]
    Settings { setting: String, candidate: String, reference: String },
    #[error("{side} {} has no {FILE_NAME} that says what weights and input it is of; --strict asks for one", path.display())]
    Unknown { side: crate::mapping::Side, path: PathBuf },
}

fn short(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}

/// What an input decodes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputTensor {
    /// `[batch, channels, height, width]`.
    pub shape: Vec<usize>,
    /// SHA-256 of the f32 values in row-major order, the lowest byte of each first.
    pub sha256: String,
}

impl InputTensor {
    /// Hashes a decoded input.
    pub fn of(shape: &[usize], values: &[f32]) -> InputTensor {
        InputTensor { shape: shape.to_vec(), sha256: hash_values(values) }
    }
}

/// What tensors were computed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The weights.
    pub weights: Hashed,
    /// The input's file.
    pub input: Hashed,
    /// What it decodes to, where that is known; two files may hold the same pixels.
    pub input_tensor: Option<InputTensor>,
    /// Those of [`SETTINGS`] that are known.
    pub settings: BTreeMap<String, String>,
}

/// The provenance of a dump folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DumpManifest {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Name and version.
    pub program: String,
    /// Settings, instruction set, arithmetic.
    pub facts: BTreeMap<String, String>,
    /// The weights.
    pub weights: Hashed,
    /// The input's file.
    pub input: Hashed,
    /// What it decodes to; earlier programs did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tensor: Option<InputTensor>,
    /// Every tensor file of the run.
    pub tensors: Vec<Hashed>,
}

impl DumpManifest {
    /// Reads the provenance of a folder; `None` where there is none.
    ///
    /// # Errors
    /// A file that is no regular file, no provenance, or of another version.
    pub fn read(folder: &Path) -> Result<Option<DumpManifest>, ProvenanceError> {
        let path = folder.join(FILE_NAME);
        let bytes = match read_regular(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ProvenanceError::Io { path, source }),
        };
        let manifest: DumpManifest = serde_json::from_slice(&bytes)
            .map_err(|source| ProvenanceError::Json { path: path.clone(), source })?;
        match manifest.schema_version {
            SCHEMA_VERSION => Ok(Some(manifest)),
            found => Err(ProvenanceError::Version { path, found }),
        }
    }

    /// Writes the provenance of a folder.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn write(&self, folder: &Path) -> Result<(), ProvenanceError> {
        let path = folder.join(FILE_NAME);
        let text = serde_json::to_string_pretty(self)
            .map_err(|source| ProvenanceError::Json { path: path.clone(), source })?;
        crate::atomic::write(&path, |out| writeln!(out, "{text}"))
            .map_err(|source| ProvenanceError::Io { path, source })
    }

    /// What the tensors were computed from.
    pub fn identity(&self) -> Identity {
        let known = |(name, _): &(&String, &String)| SETTINGS.contains(&name.as_str());
        Identity {
            weights: self.weights.clone(),
            input: self.input.clone(),
            input_tensor: self.input_tensor.clone(),
            settings: self.facts.iter().filter(known).map(|(a, b)| (a.clone(), b.clone())).collect(),
        }
    }
}

/// Refuses sides that were computed from different weights, inputs or settings. Inputs are the same where they decode to
/// the same values; where that is not recorded of both sides, where their files are the same.
///
/// # Errors
/// The first difference.
pub fn check(candidate: &Identity, reference: &Identity) -> Result<(), ProvenanceError> {
    let same_file = |a: &Hashed, b: &Hashed| a.sha256.eq_ignore_ascii_case(&b.sha256);
    let different = |what, candidate: &Hashed, reference: &Hashed| {
        let (candidate, reference) = (candidate.clone(), reference.clone());
        Err(ProvenanceError::Different { what, candidate, reference })
    };
    if !same_file(&candidate.weights, &reference.weights) {
        return different("weights", &candidate.weights, &reference.weights);
    }
    match (&candidate.input_tensor, &reference.input_tensor) {
        (Some(a), Some(b)) if a == b => {}
        (Some(a), Some(b)) => {
            let of = |hashed: &Hashed, tensor: &InputTensor| Hashed {
                file: format!("{}, {:?}", hashed.file, tensor.shape),
                sha256: tensor.sha256.clone(),
            };
            return different("inputs", &of(&candidate.input, a), &of(&reference.input, b));
        }
        _ if same_file(&candidate.input, &reference.input) => {}
        _ => return different("inputs", &candidate.input, &reference.input),
    }
    for (setting, candidate) in &candidate.settings {
        if let Some(reference) = reference.settings.get(setting).filter(|reference| *reference != candidate) {
            let (candidate, reference) = (candidate.clone(), reference.clone());
            return Err(ProvenanceError::Settings { setting: setting.clone(), candidate, reference });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        let hashed = |sha256: &str| Hashed { file: "f".into(), sha256: sha256.into() };
        Identity {
            weights: hashed("1111"),
            input: hashed("2222"),
            input_tensor: None,
            settings: [("padding".to_string(), "same".to_string())].into(),
        }
    }

    #[test]
    fn other_weights_another_input_or_other_settings_are_refused() {
        let a = identity();
        assert!(check(&a, &a).is_ok());
        let other = Hashed { file: "g".into(), sha256: "3333".into() };
        let message = |other: Identity| check(&a, &other).unwrap_err().to_string();
        let messages = [
            message(Identity { weights: other.clone(), ..a.clone() }),
            message(Identity { input: other, ..a.clone() }),
            message(Identity {
                settings: [("padding".to_string(), "symmetric".to_string())].into(),
                ..a.clone()
            }),
        ];
        insta::assert_snapshot!(messages.join("\n"), @r"
        candidate and reference were computed with different weights: sha256 1111 (f) and 3333 (g); their numbers say nothing about each other
        candidate and reference were computed with different inputs: sha256 2222 (f) and 3333 (g); their numbers say nothing about each other
        candidate and reference were computed with different settings: padding same and symmetric; their numbers say nothing about each other
        ");
        assert!(check(&a, &Identity { settings: BTreeMap::new(), ..a.clone() }).is_ok());
    }

    #[test]
    fn inputs_are_the_same_where_they_decode_to_the_same() {
        let of = |sha256: &str, shape: &[usize], values: &[f32]| Identity {
            input: Hashed { file: "f".into(), sha256: sha256.into() },
            input_tensor: Some(InputTensor::of(shape, values)),
            ..identity()
        };
        let a = of("2222", &[1, 1, 1, 2], &[0.25, 0.5]);
        assert!(check(&a, &of("3333", &[1, 1, 1, 2], &[0.25, 0.5])).is_ok());
        for other in [of("2222", &[1, 1, 1, 2], &[0.5, 0.25]), of("2222", &[1, 1, 2, 1], &[0.25, 0.5])] {
            assert!(check(&a, &other).unwrap_err().to_string().contains("different inputs"));
        }
        let unknown = Identity { input_tensor: None, ..of("3333", &[1], &[0.0]) };
        assert!(check(&a, &unknown).is_err());
        assert!(check(&a, &Identity { input: a.input.clone(), ..unknown }).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("mkfifo").arg(folder.path().join(FILE_NAME)).status().unwrap();
        assert!(made.success());
        let error = DumpManifest::read(folder.path()).unwrap_err();
        assert!(error.to_string().contains("expected a regular file"), "{error}");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        assert!(DumpManifest::read(folder.path()).unwrap().is_none());
        let hashed = Hashed { file: "f".into(), sha256: "00".into() };
        let manifest = DumpManifest {
            schema_version: SCHEMA_VERSION,
            program: "p 1".into(),
            facts: [("threads".to_string(), "2".to_string())].into(),
            weights: hashed.clone(),
            input: hashed.clone(),
            input_tensor: Some(InputTensor::of(&[1, 1, 1, 1], &[0.5])),
            tensors: vec![hashed],
        };
        manifest.write(folder.path()).unwrap();
        assert_eq!(DumpManifest::read(folder.path()).unwrap(), Some(manifest));
        std::fs::write(folder.path().join(FILE_NAME), "{}").unwrap();
        assert!(matches!(DumpManifest::read(folder.path()), Err(ProvenanceError::Json { .. })));
    }
}
