//! The names of weights as checkpoints have them, and as the rest of the crate knows them: timm's.

use std::collections::BTreeMap;

use super::Entry;
use crate::error::Error;

/// Prefixes of the vision tower in Hugging Face checkpoints, newest first; the empty one is timm's own state dict.
const TOWER_PREFIXES: [&str; 4] =
    ["model.vision_tower.timm_model.", "vision_tower.timm_model.", "timm_model.", ""];
/// Prefixes of the embedder.
const EMBEDDER_PREFIXES: [&str; 2] = ["model.embed_vision.", "embed_vision."];
/// The prefix by which this module gives the embedder's tensors.
pub(crate) const EMBEDDER: &str = "embed_vision.";
/// The weight that every MobileNetV5 begins with, by which the prefix of the tower is found.
pub(crate) const FIRST_WEIGHT: &str = "conv_stem.conv.weight";

/// The encoder's weights among those of a checkpoint, by timm's names; the embedder's with the prefix [`EMBEDDER`].
pub(super) fn normalised(
    raw: BTreeMap<String, Entry>,
    origin: &str,
) -> Result<BTreeMap<String, Entry>, Error> {
    let prefix = TOWER_PREFIXES.iter().find(|prefix| raw.contains_key(&format!("{prefix}{FIRST_WEIGHT}")));
    let Some(prefix) = prefix else {
        return Err(Error::MissingTensor {
            origin: origin.to_string(),
            name: FIRST_WEIGHT.to_string(),
            needed_by: format!(
                "looked for it bare and with the prefixes {}; every MobileNetV5 begins with it",
                TOWER_PREFIXES[..3].join(", ")
            ),
        });
    };
    let mut entries = BTreeMap::new();
    for (name, entry) in raw {
        let embedder = EMBEDDER_PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
        if let Some(rest) = embedder {
            entries.insert(format!("{EMBEDDER}{rest}"), entry);
        } else if let Some(rest) = name.strip_prefix(prefix) {
            entries.insert(rest.to_string(), entry);
        }
    }
    Ok(entries)
}
