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

/// What GGUF files name differently, by the beginning of the name.
const GGUF_NAMES: [(&str, &str); 8] = [
    ("v.blk.", "blocks."),
    ("v.conv_stem.", "conv_stem."),
    ("v.msfa.", "msfa."),
    ("mm.input_projection.", "embed_vision.embedding_projection."),
    ("mm.soft_emb_norm.", "embed_vision.soft_embedding_norm."),
    ("mm.embedding.", "embed_vision.embedding."),
    ("mm.hard_emb_norm.", "embed_vision.hard_embedding_norm."),
    ("v.", ""),
];

/// How a checkpoint names its tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WeightNaming {
    /// timm's names behind a prefix.
    Prefixed(&'static str),
    /// llama.cpp's.
    Gguf,
}

impl WeightNaming {
    /// The naming by which `has` knows the weight that every MobileNetV5 begins with.
    pub(super) fn find(has: impl Fn(&str) -> bool) -> Option<WeightNaming> {
        let prefix = TOWER_PREFIXES.iter().find(|prefix| has(&format!("{prefix}{FIRST_WEIGHT}")));
        let gguf = || has(&format!("v.{FIRST_WEIGHT}")).then_some(WeightNaming::Gguf);
        prefix.map(|prefix| WeightNaming::Prefixed(prefix)).or_else(gguf)
    }

    /// timm's name of a tensor of the encoder, the embedder's with the prefix [`EMBEDDER`]; none for any other tensor.
    pub(super) fn timm(self, name: &str) -> Option<String> {
        match self {
            WeightNaming::Prefixed(prefix) => {
                let embedder = EMBEDDER_PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
                let of_embedder = embedder.map(|rest| format!("{EMBEDDER}{rest}"));
                of_embedder.or_else(|| name.strip_prefix(prefix).map(String::from))
            }
            WeightNaming::Gguf => {
                let (begin, timm) = GGUF_NAMES.iter().find(|(begin, _)| name.starts_with(begin))?;
                Some(format!("{timm}{}", &name[begin.len()..]))
            }
        }
    }

    /// The error for a checkpoint in which no naming is found.
    pub(super) fn unknown(origin: &str, what: &str) -> Error {
        Error::MissingTensor {
            origin: origin.to_string(),
            name: FIRST_WEIGHT.to_string(),
            needed_by: format!(
                "looked for it bare and with the prefixes {}, v.; every MobileNetV5 begins with it{what}",
                TOWER_PREFIXES[..3].join(", ")
            ),
        }
    }
}

/// The encoder's weights among those of a checkpoint, by timm's names, and the names of the others.
///
/// # Errors
/// Two tensors that have one name of timm's.
pub(super) fn normalised(
    raw: BTreeMap<String, Entry>,
    naming: WeightNaming,
) -> Result<(BTreeMap<String, Entry>, Vec<String>), String> {
    let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
    let mut others = Vec::new();
    for (name, entry) in raw {
        let Some(timm) = naming.timm(&name) else {
            others.push(name);
            continue;
        };
        if let Some(other) = entries.get(&timm) {
            return Err(format!("`{}` and `{name}`, which are both timm's `{timm}`", other.name));
        }
        entries.insert(timm, entry);
    }
    Ok((entries, others))
}
