//! What was done to pictures, in words.

use std::collections::BTreeMap;

use encoder::input::Treatment;

use super::pictures::{ChosenPreparation, SizeReason};

/// What was done to the pictures of a run.
#[derive(Default)]
pub(crate) struct TreatmentCounts {
    pictures: usize,
    /// Of each kind how many, with the words for one alone.
    kinds: BTreeMap<String, (usize, String)>,
}

impl TreatmentCounts {
    pub(crate) fn add(&mut self, treatments: &[Treatment]) {
        self.pictures += 1;
        for treatment in treatments {
            let kind = match treatment {
                Treatment::Oriented(_) => "turned by their orientation".to_string(),
                Treatment::Clipped(_) => "of 16-bit grey clipped to 255, as Pillow does".to_string(),
                Treatment::Transparent(_) => treatment.to_string(),
                // Pictures come in many sizes.
                Treatment::Resized { to, .. } => {
                    let text = treatment.to_string();
                    let way = text.split_once(" (").map_or("", |(_, way)| way);
                    format!("resized to {}x{} ({way}", to.0, to.1)
                }
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
            .map(|(kind, (count, alone))| match self.pictures {
                1 => alone.clone(),
                _ => format!("{count} {kind}"),
            })
            .collect();
        let size = match chosen.preparation.size {
            Some((height, width)) => format!("{height}x{width}"),
            None => "their own size".to_string(),
        };
        let why = match chosen.reason {
            SizeReason::Asked => "--resize",
            SizeReason::BesideWeights => "the processor's settings beside the weights",
            SizeReason::Model if chosen.preparation.size.is_some() => {
                "the default for a model of Gemma 3n's size"
            }
            SizeReason::Model => "no settings beside the weights; --resize HxW resizes",
        };
        let mut sentence = done.join(", ");
        if !sentence.is_empty() {
            sentence += "; ";
        }
        Some(format!("{sentence}pictures at {size}: {why}"))
    }
}
