//! Reference tensors: a set with a manifest, or a folder of somebody's own dumps.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::folder::{DumpFolder, FolderError};
use crate::manifest::{self, Manifest, ManifestError};
use crate::npy::{self, NpyError};
use crate::pairing::ReferenceNames;
use crate::provenance::{DumpManifest, Identity, ProvenanceError, SETTINGS};
use crate::recorded::{Differences, Hashed};
use crate::tensor::{Dtype, Tensor};
use crate::tolerance::NoiseFloor;

/// Why a reference cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant hands on its source's message")]
pub enum ReferenceError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Provenance(#[from] ProvenanceError),
}

/// The reference side of a comparison.
#[derive(Clone, Debug)]
pub struct Reference {
    folder: DumpFolder,
    /// With the folder that it is in.
    manifest: Option<(PathBuf, Manifest)>,
    dump: Option<DumpManifest>,
    files: BTreeMap<String, PathBuf>,
    names: ReferenceNames,
    two_byte_integers: Option<Dtype>,
}

impl Reference {
    /// Opens a set (a folder with a manifest), the folder of a set's tensors, or a bare folder of dumps whose files are
    /// named by `pattern`.
    ///
    /// # Errors
    /// Folders that are not there or hold no tensor, and manifests that cannot be used.
    pub fn open(
        path: &Path,
        pattern: &str,
        two_byte_integers: Option<Dtype>,
    ) -> Result<Reference, ReferenceError> {
        let io = |source| FolderError::Io { path: path.to_path_buf(), source };
        let own = path.join(manifest::FILE_NAME);
        // A path such as `.` has no parent of its own.
        let absolute = std::path::absolute(path).map_err(io)?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => Some(parent),
            _ => absolute.parent(),
        };
        let above = parent.map(|parent| (parent, parent.join(manifest::FILE_NAME)));
        let manifest = if own.try_exists().map_err(io)? {
            Some((path.to_path_buf(), Manifest::read(&own)?))
        } else if let Some((root, above)) = above.filter(|(_, above)| above.is_file()) {
            // A folder beside the set's tensors, such as another program's dump, is no part of the set.
            let manifest = Manifest::read(&above)?;
            absolute.ends_with(&manifest.reference.folder).then(|| (root.to_path_buf(), manifest))
        } else {
            None
        };
        let folder = match &manifest {
            Some((root, manifest)) => root.join(&manifest.reference.folder),
            None => path.to_path_buf(),
        };
        let folder = DumpFolder::open(&folder, pattern)?;
        let on_disk = folder.names();
        let mut files: BTreeMap<String, PathBuf> = on_disk
            .iter()
            .filter_map(|name| Some((name.clone(), folder.file(name)?.to_path_buf())))
            .collect();
        let mut names = ReferenceNames { in_order: manifest.is_some(), ..ReferenceNames::default() };
        for entry in manifest.iter().flat_map(|(_, manifest)| &manifest.tensors) {
            let file = folder.path().join(&entry.file);
            if file.is_file() {
                files.insert(entry.name.clone(), file);
                names.present.push(entry.name.clone());
            } else {
                names.gone.push(entry.name.clone());
            }
        }
        let listed: BTreeSet<&String> = names.present.iter().chain(&names.gone).collect();
        let more: Vec<String> = on_disk.into_iter().filter(|name| !listed.contains(name)).collect();
        names.present.extend(more);
        let dump = match &manifest {
            Some(_) => None,
            None => DumpManifest::read(folder.path())?,
        };
        Ok(Reference { folder, manifest, dump, files, names, two_byte_integers })
    }

    /// The folder of the tensors.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The manifest, where there is one.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref().map(|(_, manifest)| manifest)
    }

    /// The set's folder and the file of its manifest, where there is one.
    pub fn manifest_path(&self) -> Option<(&Path, PathBuf)> {
        self.manifest.as_ref().map(|(root, _)| (root.as_path(), root.join(manifest::FILE_NAME)))
    }

    /// The weights that the set was made with.
    pub fn weights(&self) -> Option<PathBuf> {
        self.manifest.as_ref().map(|(root, manifest)| root.join(&manifest.weights.file))
    }

    /// The input that the set was made with.
    pub fn input(&self) -> Option<PathBuf> {
        self.manifest.as_ref().map(|(root, manifest)| root.join(&manifest.input.file))
    }

    /// What the tensors were computed from, where that is recorded.
    pub fn identity(&self) -> Option<Identity> {
        let Some(manifest) = self.manifest() else {
            return self.dump.as_ref().map(DumpManifest::identity);
        };
        let hashed =
            |file: &manifest::HashedFile| Hashed { file: file.file.clone(), sha256: file.sha256.clone() };
        let settings = &manifest.settings;
        let [height, width] = settings.output_resolution;
        let values = [settings.padding.clone(), format!("{height}x{width}"), settings.kv_stride.to_string()];
        Some(Identity {
            weights: hashed(&manifest.weights),
            input: hashed(&manifest.input),
            input_tensor: None,
            settings: SETTINGS.map(String::from).into_iter().zip(values).collect(),
        })
    }

    /// How its tensor files differ from what was recorded of them, and the file that records it; nothing where there is
    /// no record.
    pub fn differences(&self) -> Option<(Differences, &'static str)> {
        let (recorded, record): (Vec<Hashed>, _) = match (self.manifest(), &self.dump) {
            (Some(manifest), _) => {
                let hashed = |entry: &manifest::TensorEntry| Hashed {
                    file: entry.file.clone(),
                    sha256: entry.sha256.clone(),
                };
                (manifest.tensors.iter().map(hashed).collect(), manifest::FILE_NAME)
            }
            (None, Some(dump)) => (dump.tensors.clone(), crate::provenance::FILE_NAME),
            (None, None) => return None,
        };
        Some((Differences::of(self.folder(), &recorded, &self.folder.npy_files()), record))
    }

    /// The tensors' names.
    pub fn names(&self) -> &ReferenceNames {
        &self.names
    }

    /// `.npy` files that do not fit the naming.
    pub fn strangers(&self) -> &[String] {
        self.folder.strangers()
    }

    /// The recorded noise floor of a tensor.
    pub fn noise_floor(&self, name: &str) -> Option<&NoiseFloor> {
        self.manifest()?.tensor(name).map(|entry| &entry.noise_floor)
    }

    /// Reads a tensor.
    ///
    /// # Errors
    /// Files that are not exactly one tensor.
    pub fn read(&self, name: &str) -> Result<Tensor, NpyError> {
        let unknown = || self.folder.path().join(name);
        npy::read(&self.files.get(name).cloned().unwrap_or_else(unknown), self.two_byte_integers)
    }

    /// Whether two tensors can be read and have the same shape and values.
    pub fn identical(&self, a: &str, b: &str) -> bool {
        if !(self.files.contains_key(a) && self.files.contains_key(b)) {
            return false;
        }
        match (self.read(a), self.read(b)) {
            (Ok(a), Ok(b)) => a.same_values(&b),
            _ => false,
        }
    }
}
