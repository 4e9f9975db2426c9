//! How the tensors of a store differ from what was recorded of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::side::Side;
use crate::store::{Algorithm, Fingerprint};

/// What was recorded of a tensor: its key in the store, and its fingerprint under one of two names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenTensor", into = "WrittenTensor")]
pub struct RecordedTensor {
    /// What the store calls it, such as its file's name.
    pub key: String,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
}

/// As it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTensor {
    file: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    xxh3_128: Option<String>,
}

impl TryFrom<WrittenTensor> for RecordedTensor {
    type Error = String;

    fn try_from(written: WrittenTensor) -> Result<RecordedTensor, String> {
        let WrittenTensor { file, sha256, xxh3_128 } = written;
        let (algorithm, hex) = match (sha256, xxh3_128) {
            (Some(hex), None) => (Algorithm::FileSha256, hex),
            (None, Some(hex)) => (Algorithm::ElementsXxh3, hex),
            _ => return Err(format!("`{file}` with one of sha256 and xxh3_128 expected")),
        };
        Ok(RecordedTensor { key: file, fingerprint: Fingerprint { algorithm, hex } })
    }
}

impl From<RecordedTensor> for WrittenTensor {
    fn from(recorded: RecordedTensor) -> WrittenTensor {
        let RecordedTensor { key: file, fingerprint: Fingerprint { algorithm, hex } } = recorded;
        match algorithm {
            Algorithm::FileSha256 => WrittenTensor { file, sha256: Some(hex), xxh3_128: None },
            Algorithm::ElementsXxh3 => WrittenTensor { file, sha256: None, xxh3_128: Some(hex) },
        }
    }
}

/// What a file recorded of a store's tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The file, such as `dump.json`.
    pub file: &'static str,
    /// Extents by key, where they are recorded.
    pub shapes: BTreeMap<String, Vec<usize>>,
    /// Every tensor of the run.
    pub tensors: Vec<RecordedTensor>,
}

/// How tensors of one side, or a file beside them, differ from their record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecordDifference {
    /// Whose they are.
    pub side: Side,
    /// In which way.
    pub kind: RecordDifferenceKind,
    /// Their files; never empty.
    pub files: Vec<String>,
    /// The file that holds the record.
    pub record: &'static str,
}

/// In which way tensors differ from their record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordDifferenceKind {
    /// Recorded and there, with other content.
    Changed,
    /// Recorded, and not there.
    Missing,
    /// There, and not recorded: they are of another run.
    Unrecorded,
}

/// Sorts files into kinds: `content` says of a recorded one whether it is as recorded, or `None` where it is not there.
pub fn difference_kinds<'a>(
    side: Side,
    record: &'static str,
    recorded: impl Iterator<Item = (&'a str, Option<bool>)>,
    present: impl Iterator<Item = &'a str>,
) -> Vec<RecordDifference> {
    let (mut changed, mut missing, mut known) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (file, as_recorded) in recorded {
        known.insert(file);
        match as_recorded {
            Some(true) => {}
            Some(false) => changed.push(file.to_string()),
            None => missing.push(file.to_string()),
        }
    }
    let unrecorded = present.filter(|file| !known.contains(file)).map(String::from).collect();
    let kinds = [
        (RecordDifferenceKind::Changed, changed),
        (RecordDifferenceKind::Missing, missing),
        (RecordDifferenceKind::Unrecorded, unrecorded),
    ];
    let found = kinds.into_iter().filter(|(_, files): &(_, Vec<String>)| !files.is_empty());
    found.map(|(kind, files)| RecordDifference { side, kind, files, record }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_has_its_kind() {
        let recorded = [("a", Some(true)), ("b", Some(false)), ("c", None), ("d", Some(false))];
        let present = ["a", "b", "d", "stale"];
        let found = difference_kinds(Side::Candidate, "r", recorded.into_iter(), present.into_iter());
        let kinds: Vec<_> = found.iter().map(|found| (found.kind, found.files.join(" "))).collect();
        assert_eq!(
            kinds,
            [
                (RecordDifferenceKind::Changed, "b d".to_string()),
                (RecordDifferenceKind::Missing, "c".to_string()),
                (RecordDifferenceKind::Unrecorded, "stale".to_string()),
            ]
        );
        let none = difference_kinds(Side::Candidate, "r", [("a", Some(true))].into_iter(), ["a"].into_iter());
        assert_eq!(none, []);
    }

    #[test]
    fn a_fingerprint_is_recorded_under_the_name_of_its_algorithm() {
        for text in [r#"{"file":"a","sha256":"12ab"}"#, r#"{"file":"a","xxh3_128":"12ab"}"#] {
            let recorded: RecordedTensor = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&recorded).unwrap(), text);
        }
        for text in [r#"{"file":"a"}"#, r#"{"file":"a","sha256":"1","xxh3_128":"2"}"#] {
            let error = serde_json::from_str::<RecordedTensor>(text).unwrap_err().to_string();
            assert!(error.contains("one of sha256 and xxh3_128"), "{error}");
        }
    }
}
