//! The tensors of one side, with what was recorded of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::fingerprints::Fingerprints;
use super::record::{self, DumpRecord, DumpRecordError};
use super::recorded::{RecordDifference, RecordedTensor, Recording, difference_kinds};
use crate::side::Side;
use crate::store::{
    self, Algorithm, CallChoice, Fingerprint, Naming, OpenError, PrintedTensor, ReadAs, StoreEntry,
    StoreError, StoredTensor, TensorStore,
};
use crate::tensor::Tensor;
use crate::text::facts::{Facts, Factual};
use crate::text::shown::escaped;

/// The tensors of one side, with what was recorded of them.
#[derive(Debug)]
pub struct Dump {
    store: Box<dyn TensorStore>,
    /// Keys by name.
    keys: BTreeMap<String, String>,
    several: Vec<Several>,
    other_runs: Vec<String>,
    recording: Option<Recording>,
    /// Recorded fingerprints by key.
    recorded: BTreeMap<String, Fingerprint>,
    fingerprints: Fingerprints,
}

/// A name that several tensors have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Several {
    /// The name.
    pub name: String,
    /// Their keys, by run where runs are numbered.
    pub keys: Vec<String>,
    /// Whether they are numbered runs.
    pub runs: bool,
    /// Whether they are allowed where all hold the same values.
    pub must_agree: bool,
}

/// Which tensor has which name.
struct Called {
    keys: BTreeMap<String, String>,
    several: Vec<Several>,
    other_runs: Vec<String>,
}

/// The tensors by name, of several runs the one that is chosen.
fn called(entries: &[StoreEntry], choice: CallChoice) -> Called {
    let mut by_name: BTreeMap<&str, Vec<&StoreEntry>> = BTreeMap::new();
    for entry in entries {
        if let Some(name) = &entry.name {
            by_name.entry(name).or_default().push(entry);
        }
    }
    let mut called = Called { keys: BTreeMap::new(), several: Vec::new(), other_runs: Vec::new() };
    for (name, mut entries) in by_name {
        entries.sort_by_key(|entry| entry.call);
        let runs = entries.iter().all(|entry| entry.call.is_some());
        if runs {
            match choice {
                CallChoice::Number(number) => entries.retain(|entry| entry.call == Some(number)),
                // Several tensors of the last run are told as such.
                CallChoice::Last => {
                    let last = entries.last().and_then(|entry| entry.call);
                    entries.retain(|entry| entry.call == last);
                }
                CallChoice::Unchosen | CallChoice::MustAgree => {}
            }
        }
        let Some(first) = entries.first() else {
            called.other_runs.push(name.to_string());
            continue;
        };
        called.keys.insert(name.to_string(), first.key.clone());
        if entries.len() > 1 {
            let keys = entries.iter().map(|entry| entry.key.clone()).collect();
            let must_agree = runs && choice == CallChoice::MustAgree;
            called.several.push(Several { name: name.to_string(), keys, runs, must_agree });
        }
    }
    called
}

/// A dump that cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant hands on its source's message")]
pub enum DumpOpenError {
    #[error(transparent)]
    Store(#[from] OpenError),
    #[error(transparent)]
    Record(#[from] DumpRecordError),
}

impl Factual for DumpOpenError {
    fn facts(&self) -> Facts {
        match self {
            DumpOpenError::Store(error) => error.facts(),
            DumpOpenError::Record(error) => error.facts(),
        }
    }
}

impl Dump {
    /// Opens a dump, and gives with it what the `dump.json` of its folder says, where there is one.
    ///
    /// # Errors
    /// What is not there or holds no tensor, and records that cannot be used.
    pub fn open(
        path: &Path,
        naming: &Naming,
        read_as: ReadAs,
    ) -> Result<(Dump, Option<DumpRecord>), DumpOpenError> {
        let store = store::open(path, naming, read_as)?;
        let record = if path.is_dir() { DumpRecord::read(path)? } else { None };
        let recording = record.as_ref().map(|record| Recording {
            file: record::FILE_NAME,
            shapes: BTreeMap::new(),
            tensors: record.tensors.clone(),
        });
        Ok((Dump::new(store, naming.call, recording), record))
    }

    /// The tensors of a store, with what was recorded of them.
    pub fn new(store: Box<dyn TensorStore>, call: CallChoice, recording: Option<Recording>) -> Dump {
        let Called { keys, several, other_runs } = called(store.entries(), call);
        let tensors = recording.iter().flat_map(|recording| &recording.tensors);
        let recorded = tensors.map(|tensor| (tensor.key.clone(), tensor.fingerprint.clone())).collect();
        Dump { store, keys, several, other_runs, recording, recorded, fingerprints: Fingerprints::default() }
    }

    /// Gives tensors of the store, by key, other names, or such as they have not by the mapping's pattern.
    pub fn name_all(&mut self, named: impl IntoIterator<Item = (String, String)>) {
        let named: Vec<(String, String)> = named.into_iter().collect();
        let renamed: BTreeSet<&String> = named.iter().map(|(_, key)| key).collect();
        self.keys.retain(|_, key| !renamed.contains(key));
        self.keys.extend(named);
    }

    /// Where the tensors are.
    pub fn store(&self) -> &dyn TensorStore {
        &*self.store
    }

    /// The tensors' names, sorted.
    pub fn names(&self) -> Vec<String> {
        self.keys.keys().cloned().collect()
    }

    /// The tensors' names in the order of execution, where the store knows it; those that it does not list come last.
    pub fn names_in_order(&self) -> Option<Vec<String>> {
        let order = self.store.order()?;
        let position: BTreeMap<&str, usize> =
            order.iter().enumerate().map(|(at, key)| (key.as_str(), at)).collect();
        let mut names: Vec<(usize, &String)> = Vec::new();
        for (name, key) in &self.keys {
            names.push((position.get(key.as_str()).copied().unwrap_or(usize::MAX), name));
        }
        names.sort();
        Some(names.into_iter().map(|(_, name)| name.clone()).collect())
    }

    /// Names that several tensors have, of which the first is compared.
    pub fn several(&self) -> &[Several] {
        &self.several
    }

    /// Names that only other runs have than the one that is chosen.
    pub fn other_runs(&self) -> &[String] {
        &self.other_runs
    }

    /// Whether tensors, by key, hold the same.
    pub fn keys_agree(&self, keys: &[String]) -> bool {
        keys.windows(2).all(|pair| self.fingerprints.identical(self.store(), &pair[0], &pair[1]))
    }

    /// Tensors without a name: their keys do not fit the mapping's pattern.
    pub fn strangers(&self) -> Vec<String> {
        let unnamed = self.store.entries().iter().filter(|entry| entry.name.is_none());
        let named: BTreeSet<&String> = self.keys.values().collect();
        let keys = unnamed.map(|entry| &entry.key).filter(|key| !named.contains(key));
        keys.map(|key| escaped(key).into_owned()).collect()
    }

    /// What the store calls the tensor of that name; of an unknown one, the name.
    pub fn key<'a>(&'a self, name: &'a str) -> &'a str {
        self.keys.get(name).map_or(name, String::as_str)
    }

    /// The file that holds the tensor of that name.
    pub fn file_of(&self, name: &str) -> PathBuf {
        let location = self.store.location();
        let own = location.join(self.key(name));
        if own.is_file() { own } else { location.to_path_buf() }
    }

    /// Opens a tensor by name.
    ///
    /// # Errors
    /// What is not exactly one tensor.
    pub fn open_tensor(&self, name: &str) -> Result<StoredTensor, StoreError> {
        self.store.open(self.key(name))
    }

    /// What a log prints of the tensor of that name, where the dump is a log.
    pub fn printed(&self, name: &str) -> Option<&PrintedTensor> {
        self.store.printed(self.key(name))
    }

    /// Reads a tensor by name.
    ///
    /// # Errors
    /// What is not exactly one tensor.
    pub fn read(&self, name: &str) -> Result<Tensor, StoreError> {
        self.open_tensor(name)?.read()
    }

    /// Whether two tensors can be read and hold the same: type, shape and every bit.
    pub fn identical(&self, a: &str, b: &str) -> bool {
        let known = |name: &str| self.keys.contains_key(name);
        known(a) && known(b) && self.fingerprints.identical(self.store(), self.key(a), self.key(b))
    }

    /// The fingerprint to take of a tensor while it is read: the one that was recorded, unless it is known already.
    pub(crate) fn wanted_fingerprint(&self, name: &str) -> Option<Algorithm> {
        let algorithm = self.recorded.get(self.key(name))?.algorithm;
        self.fingerprints.known(self.key(name), algorithm).is_none().then_some(algorithm)
    }

    /// Keeps a fingerprint that was taken of a tensor.
    pub(crate) fn keep_fingerprint(&self, name: &str, fingerprint: Fingerprint) {
        self.fingerprints.keep(self.key(name), fingerprint);
    }

    /// How the tensors differ from what was recorded of them; nothing where there is no record. Tensors that were not read
    /// yet are read for it, in parallel.
    pub fn differences(&self, side: Side) -> Vec<RecordDifference> {
        let Some(Recording { file, shapes, tensors }) = &self.recording else { return Vec::new() };
        let as_recorded = |recorded: &RecordedTensor| {
            self.store.contains(&recorded.key).then(|| {
                let algorithm = recorded.fingerprint.algorithm;
                let found = self.fingerprints.of(self.store(), &recorded.key, algorithm);
                // The elements alone do not show another shape.
                let reshaped = shapes.get(&recorded.key).is_some_and(|shape| {
                    self.store.open(&recorded.key).is_ok_and(|tensor| tensor.shape() != shape)
                });
                !reshaped && found.is_ok_and(|found| found == recorded.fingerprint)
            })
        };
        let judged: Vec<Option<bool>> = tensors.par_iter().map(as_recorded).collect();
        let recorded = tensors.iter().map(|tensor| tensor.key.as_str()).zip(judged);
        let present = self.store.entries().iter().map(|entry| entry.key.as_str());
        difference_kinds(side, file, recorded, present)
    }
}
