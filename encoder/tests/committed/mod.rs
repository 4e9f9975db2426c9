//! The committed sets: models that are run whole and in pieces.

use std::path::{Path, PathBuf};

use encoder::{
    Checkpoint, DenseTensor, Isa, LoadOptions, Model, Padding, Precision, Settings, TapTensor, input,
};

use crate::fixtures::fixtures;

/// A model with its settings and an input.
pub(crate) struct CommittedSet {
    pub(crate) name: String,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) settings: Settings,
    pub(crate) input: TapTensor,
}

impl CommittedSet {
    pub(crate) fn read(folder: &Path) -> CommittedSet {
        let manifest = std::fs::read(folder.join("manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        let settings = &manifest["settings"];
        let number = |value: &serde_json::Value| usize::try_from(value.as_u64().unwrap()).unwrap();
        let resolution = &settings["output_resolution"];
        CommittedSet {
            name: manifest["set"].as_str().unwrap().to_string(),
            checkpoint: Checkpoint::open(&folder.join("model.safetensors")).unwrap(),
            settings: Settings {
                padding: match settings["padding"].as_str().unwrap() {
                    "same" => Padding::Same,
                    "symmetric" => Padding::Symmetric,
                    other => panic!("{}: padding `{other}`", folder.display()),
                },
                output_resolution: (number(&resolution[0]), number(&resolution[1])),
                kv_stride: number(&settings["kv_stride"]),
            },
            input: read_input(&folder.join(manifest["input"]["file"].as_str().unwrap())),
        }
    }

    /// Every set in `fixtures/`.
    pub(crate) fn committed() -> Vec<CommittedSet> {
        let folders = std::fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().path());
        let mut folders: Vec<PathBuf> =
            folders.filter(|folder| folder.join("manifest.json").is_file()).collect();
        folders.sort();
        assert!(folders.len() >= 11, "expected the committed sets, found {folders:?}");
        folders.iter().map(|folder| CommittedSet::read(folder)).collect()
    }

    pub(crate) fn model(&self, isa: Isa, precision: Precision, strict_fma: bool) -> Model {
        let options = LoadOptions { settings: self.settings, isa: Some(isa), precision, strict_fma };
        Model::load(&self.checkpoint, &options).unwrap()
    }
}

/// An image, or an `.npy` file of f32.
fn read_input(path: &Path) -> TapTensor {
    if path.extension().is_none_or(|extension| extension != "npy") {
        return input::read_image(path).unwrap();
    }
    let file = npyz::NpyFile::new(std::fs::File::open(path).unwrap()).unwrap();
    let shape = file.shape().iter().map(|extent| usize::try_from(*extent).unwrap()).collect();
    DenseTensor { shape, data: file.into_vec().unwrap() }
}
