//! What engines are measured on.

use std::path::PathBuf;

use encoder::Settings;
use harness::provenance::sha256::is_as_recorded;
use harness::reference::manifest::{self, Manifest};

use crate::committed::set;
use crate::encode::settings;
use crate::shell::failure::Failure;

/// A reference set with weights and input: what all engines run on.
pub(crate) struct Workload {
    pub(crate) root: PathBuf,
    /// The preset that it was made of.
    pub(crate) name: String,
    pub(crate) weights: PathBuf,
    pub(crate) weights_sha256: String,
    input_sha256: String,
    /// A picture, or an `.npy` of several.
    pub(crate) input: PathBuf,
    /// The exact output, which all engines have in common.
    pub(crate) output: PathBuf,
    pub(crate) settings: Settings,
}

impl Workload {
    pub(crate) fn open(root: PathBuf) -> Result<Workload, Failure> {
        let reference = root.join("reference");
        let output = reference.join("debug_activation_embed_vision_embedding_post_projection_norm.npy");
        let path = root.join(manifest::FILE_NAME);
        let there = |file: &PathBuf| match file.is_file() {
            true => Ok(()),
            false => {
                let message = format!(
                    "{}: no such file; expected a set with weights, input and exact output",
                    file.display()
                );
                Err(Failure::usage(message, "cargo xtask fixtures --preset 300m makes the full-size one"))
            }
        };
        there(&path)?;
        let manifest = Manifest::read(&path)?;
        let (weights, input) = (root.join(&manifest.weights.file), root.join(&manifest.input.file));
        [&weights, &input, &output].into_iter().try_for_each(there)?;
        let name = set::name(&manifest, &root)?.to_string();
        let settings = settings::of_manifest(&manifest)?;
        let (weights_sha256, input_sha256) = (manifest.weights.sha256, manifest.input.sha256);
        Ok(Workload { root, name, weights, weights_sha256, input_sha256, input, output, settings })
    }

    /// Refuses weights and input that are not those that the exact output was computed from.
    pub(crate) fn check_files(&self) -> Result<(), Failure> {
        for (file, recorded) in [(&self.weights, &self.weights_sha256), (&self.input, &self.input_sha256)] {
            if !is_as_recorded(file, recorded).map_err(Failure::unreadable)? {
                let message = format!("{}: not as {} recorded it", file.display(), manifest::FILE_NAME);
                let help =
                    "what runs is held against the set's output: restore the file, or make a set with it";
                return Err(Failure::unusable(message).help(help));
            }
        }
        Ok(())
    }
}
