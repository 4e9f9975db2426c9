//! What was done to pictures, in words.

use std::collections::BTreeMap;

use encoder::input::Treatment;

use super::pictures::{ChosenPreparation, SizeReason};

/// What was done to the pictures of a run.
#[derive(Default)]
pub(crate) struct TreatmentCounts {
    pictures: usize,
    /// Of each kind how many, with the words for one alone; in the order in which they are done.
    kinds: BTreeMap<(u8, String), (usize, String)>,
}

impl TreatmentCounts {
    pub(crate) fn add(&mut self, treatments: &[Treatment]) {
        self.pictures += 1;
        for treatment in treatments {
            let kind = match treatment {
                Treatment::Oriented(_) => (0, "turned by their orientation".to_string()),
                Treatment::OrientationIgnored(_) => {
                    (0, "not turned by their orientation, as llama.cpp does".to_string())
                }
                Treatment::Transparent(_) => (1, treatment.to_string()),
                Treatment::Clipped(_) => (2, "of 16-bit grey clipped to 255, as Pillow does".to_string()),
                // Pictures come in many sizes.
                Treatment::Resized { to, .. } => {
                    let text = treatment.to_string();
                    let way = text.split_once(" (").map_or("", |(_, way)| way);
                    (3, format!("resized to {}x{} ({way}", to.0, to.1))
                }
                Treatment::Normalised(_) => (4, treatment.to_string()),
            };
            self.kinds.entry(kind).or_insert((0, treatment.to_string())).0 += 1;
        }
    }

    /// What was done, and why; nothing where there was no picture.
    pub(crate) fn sentence(&self, chosen: &ChosenPreparation) -> Option<String> {
        if self.pictures == 0 {
            return None;
        }
        let done: Vec<String> = self
            .kinds
            .iter()
            .map(|((_, kind), (count, alone))| match self.pictures {
                1 => alone.clone(),
                _ => format!("{count} {kind}"),
            })
            .collect();
        let own = match self.pictures {
            1 => "picture at its own size",
            _ => "pictures at their own size",
        };
        let size = match chosen.preparation.size {
            Some((height, width)) => format!("{height}x{width}"),
            None => own.to_string(),
        };
        let why = match chosen.reason {
            SizeReason::Asked => "as --resize says",
            SizeReason::BesideWeights => "as the processor's settings beside the weights say",
            SizeReason::Model if chosen.preparation.size.is_some() => "as Gemma 3n's processor does",
            SizeReason::Model => "since no processor's settings are beside the weights; --resize HxW resizes",
        };
        let sentences = [done.join(", "), format!("{size} {why}")];
        Some(sentences.into_iter().filter(|sentence| !sentence.is_empty()).collect::<Vec<_>>().join("; "))
    }
}
