//! Reference tensors: a set with a manifest, or a folder of a user's own dumps.

pub mod manifest;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub use names::ReferenceNames;

use self::manifest::{Manifest, ManifestError};
use crate::limits::tolerance::NoiseFloor;
use crate::provenance::{Dump, DumpOpenError, DumpRecord, Identity, Recording};
use crate::store::{self, ComputedStore, Naming, OpenError, ReadAs};
use crate::text::facts::{Facts, Factual};

/// Why a reference cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant hands on its source's message")]
pub enum ReferenceError {
    #[error(transparent)]
    Dump(#[from] DumpOpenError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl From<OpenError> for ReferenceError {
    fn from(error: OpenError) -> ReferenceError {
        ReferenceError::Dump(error.into())
    }
}

impl Factual for ReferenceError {
    fn facts(&self) -> Facts {
        match self {
            ReferenceError::Dump(error) => error.facts(),
            ReferenceError::Manifest(error) => error.facts(),
        }
    }
}

/// A manifest and the folder that it is in.
#[derive(Debug)]
struct SetFolder {
    root: PathBuf,
    manifest: Manifest,
}

/// What is known of a reference that was computed from the candidate's own tensors.
#[derive(Debug)]
pub struct ComputedReference {
    /// What computed it, and from what.
    pub title: String,
    /// How far a right candidate may be from each tensor, by the tensor's name.
    pub floors: BTreeMap<String, NoiseFloor>,
    /// The names of all tensors that the model has, whether they were computed or not: what a mapping counts is counted by these.
    pub names: Vec<String>,
}

/// The reference side of a comparison.
#[derive(Debug)]
pub struct Reference {
    dump: Dump,
    set: Option<SetFolder>,
    computed: Option<ComputedReference>,
    record: Option<DumpRecord>,
    names: ReferenceNames,
    /// Noise floors by the tensor's name.
    floors: BTreeMap<String, NoiseFloor>,
}

impl Reference {
    /// Opens a set (a folder with a manifest), the folder of a set's tensors, or a bare dump.
    ///
    /// # Errors
    /// What is not there or holds no tensor, and manifests that cannot be used.
    pub fn open(path: &Path, naming: &Naming, read_as: ReadAs) -> Result<Reference, ReferenceError> {
        let Some(set) = SetFolder::of(path)? else {
            let (dump, record) = Dump::open(path, naming, read_as)?;
            let names = match dump.names_in_order() {
                Some(present) => ReferenceNames { present, in_order: true, ..ReferenceNames::default() },
                None => ReferenceNames { present: dump.names(), ..ReferenceNames::default() },
            };
            return Ok(Reference { dump, set: None, computed: None, record, names, floors: BTreeMap::new() });
        };
        let manifest = &set.manifest;
        let folder = set.root.join(&manifest.reference.folder);
        let store = store::open(&folder, naming, read_as)?;
        let tensors = manifest.tensors.iter().map(|entry| entry.recorded.clone()).collect();
        let shapes =
            manifest.tensors.iter().map(|entry| (entry.recorded.key.clone(), entry.shape.clone())).collect();
        let recording = Recording { file: manifest::FILE_NAME, shapes, tensors };
        let mut names = ReferenceNames { in_order: true, ..ReferenceNames::default() };
        for entry in &manifest.tensors {
            let there = store.contains(&entry.recorded.key);
            let list = if there { &mut names.present } else { &mut names.gone };
            list.push(naming.canonical(&entry.name));
        }
        let mut dump = Dump::new(store, naming.call, Some(recording));
        let named = manifest.tensors.iter();
        dump.name_all(named.map(|entry| (naming.canonical(&entry.name), entry.recorded.key.clone())));
        let listed: BTreeSet<&String> = names.present.iter().chain(&names.gone).collect();
        let unlisted: Vec<String> = dump.names().into_iter().filter(|name| !listed.contains(name)).collect();
        names.present.extend(unlisted);
        let mut floors = BTreeMap::new();
        for entry in &manifest.tensors {
            floors.entry(naming.canonical(&entry.name)).or_insert(entry.noise_floor);
        }
        // A name as the manifest spells it holds before one that is only like it.
        floors.extend(manifest.tensors.iter().map(|entry| (entry.name.clone(), entry.noise_floor)));
        Ok(Reference { dump, set: Some(set), computed: None, record: None, names, floors })
    }

    /// Tensors that were computed from the candidate's own, in the order of execution.
    pub fn computed(store: ComputedStore, computed: ComputedReference, naming: &Naming) -> Reference {
        let dump = Dump::new(Box::new(store), naming.call, None);
        let present = dump.names_in_order().unwrap_or_default();
        let counted = computed.names.clone();
        let names = ReferenceNames { present, counted, in_order: true, ..ReferenceNames::default() };
        let floors = computed.floors.clone();
        Reference { dump, set: None, computed: Some(computed), record: None, names, floors }
    }

    /// What is known of it, where it was computed from the candidate's own tensors.
    pub fn as_computed(&self) -> Option<&ComputedReference> {
        self.computed.as_ref()
    }

    /// The tensors.
    pub fn dump(&self) -> &Dump {
        &self.dump
    }

    /// The folder of the tensors.
    pub fn folder(&self) -> &Path {
        self.dump.store().location()
    }

    /// The manifest, where there is one.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.set.as_ref().map(|set| &set.manifest)
    }

    /// The set's folder and the file of its manifest, where there is one.
    pub fn manifest_path(&self) -> Option<(&Path, PathBuf)> {
        self.set.as_ref().map(|set| (set.root.as_path(), set.root.join(manifest::FILE_NAME)))
    }

    /// The weights that the set was made with.
    pub fn weights(&self) -> Option<PathBuf> {
        self.set.as_ref().map(|set| set.root.join(&set.manifest.weights.file))
    }

    /// The input that the set was made with.
    pub fn input(&self) -> Option<PathBuf> {
        self.set.as_ref().map(|set| set.root.join(&set.manifest.input.file))
    }

    /// What the tensors were computed from, where that is recorded; [`DumpRecord::identity`] says what
    /// `settings_of_version_1` are.
    pub fn identity(&self, settings_of_version_1: &[(&str, &str)]) -> Option<Identity> {
        let Some(manifest) = self.manifest() else {
            return self.record.as_ref().map(|record| record.identity(settings_of_version_1));
        };
        Some(Identity {
            weights: Some(manifest.weights.clone()),
            weight_tensors: None,
            input: Some(manifest.input.clone()),
            input_tensor: None,
            settings: manifest.settings.clone(),
        })
    }

    /// The tensors' names.
    pub fn names(&self) -> &ReferenceNames {
        &self.names
    }

    /// The recorded noise floor of a tensor.
    pub fn noise_floor(&self, name: &str) -> Option<&NoiseFloor> {
        self.floors.get(name)
    }
}

impl SetFolder {
    /// The set that a path is: its folder, or that of its tensors.
    fn of(path: &Path) -> Result<Option<SetFolder>, ReferenceError> {
        let io = |source| OpenError::Io { path: path.to_path_buf(), source };
        if path.is_file() {
            return Ok(None);
        }
        let own = path.join(manifest::FILE_NAME);
        if own.try_exists().map_err(io)? && !Manifest::is_of_another_program(&own) {
            return Ok(Some(SetFolder { root: path.to_path_buf(), manifest: Manifest::read(&own)? }));
        }
        // A path such as `.` has no parent of its own.
        let absolute = std::path::absolute(path).map_err(io)?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => Some(parent),
            _ => absolute.parent(),
        };
        let above = parent.map(|parent| (parent, parent.join(manifest::FILE_NAME)));
        let is_manifest = |above: &PathBuf| above.is_file() && !Manifest::is_of_another_program(above);
        let Some((root, above)) = above.filter(|(_, above)| is_manifest(above)) else { return Ok(None) };
        // A folder beside the set's tensors, such as another program's dump, is not part of the set.
        let manifest = Manifest::read(&above)?;
        let part = absolute.ends_with(&manifest.reference.folder);
        Ok(part.then(|| SetFolder { root: root.to_path_buf(), manifest }))
    }
}
