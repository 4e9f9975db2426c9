//! What is known beside the two sides of a comparison: weights of either, and an earlier dump of the port.

use std::path::Path;

use encoder::Checkpoint;
use harness::diagnosis::{Background, WeightVector};
use harness::provenance::Dump;

use crate::encode::arguments::EncoderArguments;

/// What is known beside the two sides of a comparison.
pub(super) struct OpenedBackground {
    checkpoints: Vec<Checkpoint>,
    earlier: Option<Dump>,
}

impl OpenedBackground {
    /// An earlier dump, and weights, of which those that cannot be read are left out: nothing is judged by them.
    pub(super) fn open(
        encoder: &EncoderArguments,
        weights: &[&Path],
        earlier: Option<Dump>,
    ) -> OpenedBackground {
        let checkpoints = weights.iter().filter_map(|path| encoder.open(path).ok()).collect();
        OpenedBackground { checkpoints, earlier }
    }

    /// Calls something with what is known.
    pub(super) fn with<T>(&self, call: impl FnOnce(&Background<'_>) -> T) -> T {
        let weights = |extent: usize| self.weights(extent);
        call(&Background { earlier: self.earlier.as_ref(), weights: Some(&weights) })
    }

    /// The weights of one axis that have so many elements; of several files those of the first that has a name.
    fn weights(&self, extent: usize) -> Vec<WeightVector> {
        let mut found: Vec<WeightVector> = Vec::new();
        for checkpoint in &self.checkpoints {
            for name in checkpoint.names() {
                let Some(shape) = checkpoint.shape(name) else { continue };
                let is_one_axis = shape.iter().filter(|extent| **extent != 1).eq([&extent]);
                if !is_one_axis || found.iter().any(|known| known.name == name) {
                    continue;
                }
                if let Ok(values) = checkpoint.load(name, shape) {
                    let values = values.into_iter().map(f64::from).collect();
                    found.push(WeightVector { name: name.to_string(), values });
                }
            }
        }
        found
    }
}
