//! The file that says where a dump folder's tensors come from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::identity::{Identity, InputTensor};
use super::recorded::RecordedTensor;
use super::settings::SettingFacts;
use super::sha256::Hashed;
use super::weight_tensors::WeightTensors;
use crate::files::{atomic, regular};
use crate::text::facts::{Facts, Factual};
use crate::text::shown::escape_json;

/// The file's name.
pub const FILE_NAME: &str = "dump.json";
/// The version of its schema that this program writes; it reads version 1 too.
pub const SCHEMA_VERSION: u32 = 2;

/// A record that cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what its fields are")]
pub enum DumpRecordError {
    #[error("{}: cannot be read: {source}", crate::text::shown::path(path))]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: cannot be written: {source}", crate::text::shown::path(path))]
    Write { path: PathBuf, source: std::io::Error },
    #[error(
        "{}: expected the provenance of a dump, found {source}; dump anew, or remove this file to compare what is there \
         without knowing what it is of",
        crate::text::shown::path(path)
    )]
    Json { path: PathBuf, source: serde_json::Error },
    #[error(
        "{}: expected schema_version 1 or {SCHEMA_VERSION}, found {found}; dump anew",
        crate::text::shown::path(path)
    )]
    Version { path: PathBuf, found: u32 },
}

impl Factual for DumpRecordError {
    fn facts(&self) -> Facts {
        let at = |what, path: &Path| Facts::of(what, [("file", path.display().to_string())]);
        match self {
            DumpRecordError::Read { path, source } => {
                at("unreadable", path).with("reason", source.to_string())
            }
            DumpRecordError::Write { path, source } => {
                at("unwritable", path).with("reason", source.to_string())
            }
            DumpRecordError::Json { path, source } => {
                at("malformed_record", path).with("reason", source.to_string())
            }
            DumpRecordError::Version { path, found } => {
                at("record_version", path).with("found", found.to_string())
            }
        }
    }
}

/// The provenance of a dump folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DumpRecord {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Name and version.
    pub program: String,
    /// What the weights do not show.
    #[serde(default)]
    pub settings: SettingFacts,
    /// How it was computed, such as its instruction set and precision.
    pub facts: BTreeMap<String, String>,
    /// The weights, where they are known: those of the reference, also where the program ran a converted file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Hashed>,
    /// Their tensors, where they are recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_tensors: Option<WeightTensors>,
    /// The input's file, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Hashed>,
    /// What it decodes to, where that is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tensor: Option<InputTensor>,
    /// Every tensor of the run.
    pub tensors: Vec<RecordedTensor>,
}

#[derive(Deserialize)]
struct DumpRecordVersion {
    schema_version: u32,
}

impl DumpRecord {
    /// Reads the provenance of a folder; `None` where there is none.
    ///
    /// # Errors
    /// A file that is not a regular file, not a record, or of another version.
    pub fn read(folder: &Path) -> Result<Option<DumpRecord>, DumpRecordError> {
        let path = folder.join(FILE_NAME);
        let bytes = match regular::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(DumpRecordError::Read { path, source }),
        };
        let json = |source| DumpRecordError::Json { path: path.clone(), source };
        // The version first: of another one nothing else is known.
        let DumpRecordVersion { schema_version } = serde_json::from_slice(&bytes).map_err(json)?;
        if !(1..=SCHEMA_VERSION).contains(&schema_version) {
            return Err(DumpRecordError::Version { path, found: schema_version });
        }
        // Typed first: an object with a key twice is refused.
        let record: DumpRecord = serde_json::from_slice(&bytes).map_err(json)?;
        let mut shown = serde_json::to_value(record).map_err(json)?;
        escape_json(&mut shown);
        serde_json::from_value(shown).map_err(json).map(Some)
    }

    /// Writes the provenance of a folder.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn write(&self, folder: &Path) -> Result<(), DumpRecordError> {
        let path = folder.join(FILE_NAME);
        let text = crate::text::lines::render(self, "tensors", &self.tensors)
            .map_err(|source| DumpRecordError::Json { path: path.clone(), source })?;
        atomic::write(&path, |out| out.write_all(text.as_bytes()))
            .map_err(|source| DumpRecordError::Write { path, source })
    }

    /// What the tensors were computed from. In version 1 settings are among the facts: `settings_of_version_1` says under
    /// which names, each with the one that it has had since; no other fact is a setting.
    pub fn identity(&self, settings_of_version_1: &[(&str, &str)]) -> Identity {
        let mut settings = self.settings.clone();
        if self.schema_version == 1 {
            let known = settings_of_version_1.iter();
            settings.extend(
                known.filter_map(|(fact, name)| {
                    Some((name.to_string(), self.facts.get(*fact)?.clone().into()))
                }),
            );
        }
        Identity {
            weights: self.weights.clone(),
            weight_tensors: self.weight_tensors.clone(),
            input: self.input.clone(),
            input_tensor: self.input_tensor.clone(),
            settings,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Algorithm, Fingerprint};

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("mkfifo").arg(folder.path().join(FILE_NAME)).status().unwrap();
        assert!(made.success());
        let error = DumpRecord::read(folder.path()).unwrap_err();
        assert!(error.to_string().contains("expected a regular file"), "{error}");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        assert!(DumpRecord::read(folder.path()).unwrap().is_none());
        let hashed = Hashed { file: "f".into(), sha256: "00".into() };
        let fingerprint = Fingerprint { algorithm: Algorithm::ElementsXxh3, hex: "12ab".into() };
        let record = DumpRecord {
            schema_version: SCHEMA_VERSION,
            program: "p 1".into(),
            settings: [("size".to_string(), serde_json::json!([16, 16]))].into(),
            facts: [("threads".to_string(), "2".to_string())].into(),
            weights: Some(hashed.clone()),
            weight_tensors: Some(WeightTensors::default()),
            input: Some(hashed),
            input_tensor: Some(InputTensor::of(&[1, 1, 1, 1], &[0.5])),
            tensors: vec![RecordedTensor { key: "a.npy".into(), fingerprint }],
        };
        record.write(folder.path()).unwrap();
        assert_eq!(DumpRecord::read(folder.path()).unwrap(), Some(record));
        std::fs::write(folder.path().join(FILE_NAME), "{}").unwrap();
        assert!(matches!(DumpRecord::read(folder.path()), Err(DumpRecordError::Json { .. })));
        std::fs::write(folder.path().join(FILE_NAME), r#"{"schema_version": 3}"#).unwrap();
        assert!(matches!(DumpRecord::read(folder.path()), Err(DumpRecordError::Version { found: 3, .. })));
    }

    #[test]
    fn version_1_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"schema_version": 1, "program": "p 1",
            "facts": {"output size": "16x16", "host": "a", "precision": "f32"},
            "weights": {"file": "w", "sha256": "1"}, "input": {"file": "i", "sha256": "2"},
            "tensors": [{"file": "a.npy", "sha256": "3"}]}"#;
        std::fs::write(folder.path().join(FILE_NAME), text).unwrap();
        let record = DumpRecord::read(folder.path()).unwrap().unwrap();
        let of = |names: &[(&str, &str)]| serde_json::to_value(record.identity(names).settings).unwrap();
        assert_eq!(
            of(&[("output size", "size"), ("padding", "padding")]),
            serde_json::json!({"size": "16x16"})
        );
        assert_eq!(of(&[]), serde_json::json!({}));
        assert_eq!(record.tensors[0].fingerprint.algorithm, Algorithm::FileSha256);
    }
}
