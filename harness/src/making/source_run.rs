//! A run of the reference that a set is made from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::error::MakeSetError;
use crate::provenance::{Dump, DumpRecord, RecordedTensor};
use crate::store::{Naming, ReadAs};
use crate::tensor::{Dtype, Tensor};

/// How the tensors of a run are named.
const FILES: &str = "{name}.npy";

/// A run of the reference.
pub(super) struct SourceRun<'a> {
    path: &'a Path,
    dump: Dump,
    pub(super) record: DumpRecord,
}

impl SourceRun<'_> {
    pub(super) fn open(path: &Path) -> Result<SourceRun<'_>, MakeSetError> {
        let (dump, record) = Dump::open(path, &Naming::by_pattern(FILES), ReadAs::default())?;
        let record = record.ok_or_else(|| MakeSetError::NoRecord { path: path.to_path_buf() })?;
        Ok(SourceRun { path, dump, record })
    }

    /// The names of its tensors in the order of execution.
    pub(super) fn names(&self, without: &[String]) -> Vec<String> {
        let names = self.dump.names();
        let by_key: BTreeMap<&str, &String> = names.iter().map(|name| (self.dump.key(name), name)).collect();
        let in_order = self.record.tensors.iter().filter_map(|tensor| by_key.get(tensor.key.as_str()));
        in_order.filter(|name| !without.contains(name)).map(|name| (*name).clone()).collect()
    }

    /// Refuses to be without tensors that the other run has.
    pub(super) fn has_all(&self, others: &[String]) -> Result<(), MakeSetError> {
        let own: BTreeSet<String> = self.names(&[]).into_iter().collect();
        let names: Vec<String> = others.iter().filter(|name| !own.contains(*name)).cloned().collect();
        match names.is_empty() {
            true => Ok(()),
            false => Err(MakeSetError::Lacking { path: self.path.to_path_buf(), names }),
        }
    }

    /// Refuses files that are not there, not as they were recorded, or recorded twice.
    pub(super) fn is_as_recorded(&self) -> Result<(), MakeSetError> {
        let path = || self.path.to_path_buf();
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.record.tensors.iter().find(|tensor| !seen.insert(&tensor.key)) {
            return Err(MakeSetError::Twice { path: path(), file: twice.key.clone() });
        }
        for RecordedTensor { key, fingerprint } in &self.record.tensors {
            let found = self.dump.store().open(key).and_then(|own| own.fingerprint(fingerprint.algorithm));
            if found.ok().as_ref() != Some(fingerprint) {
                return Err(MakeSetError::NotAsRecorded { path: path(), file: key.clone() });
            }
        }
        Ok(())
    }

    /// Reads a tensor of a type.
    pub(super) fn read(&self, name: &str, expected: Dtype) -> Result<Tensor, MakeSetError> {
        let tensor = self.dump.read(name)?;
        match tensor.dtype() {
            found if found == expected => Ok(tensor),
            found => Err(MakeSetError::OtherType { name: name.to_string(), expected, found }),
        }
    }
}
