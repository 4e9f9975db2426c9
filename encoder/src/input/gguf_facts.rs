//! What a GGUF file says of itself about pictures.

use super::normalisation::Normalisation;
use super::preparation::Preparation;
use crate::checkpoint::Checkpoint;
use crate::error::Error;

/// The facts, under which llama.cpp's converter has them.
const MEAN: &str = "clip.vision.image_mean";
const STD: &str = "clip.vision.image_std";

impl Preparation {
    /// This, with the normalisation that the weights' own file states, where it states one. It holds over the settings of a
    /// processor, since those may be of another file.
    ///
    /// # Errors
    /// Facts that are not three numbers each, or by which nothing can be divided.
    pub fn with_facts_of(self, checkpoint: &Checkpoint) -> Result<Preparation, Error> {
        let model = |message| Error::Model { origin: checkpoint.origin().to_string(), message };
        let facts = checkpoint.facts();
        let normalisation = match (facts.get(MEAN), facts.get(STD)) {
            (None, None) => return Ok(self),
            (Some(mean), Some(std)) => {
                let (mean, std) = (three(MEAN, mean), three(STD, std));
                Normalisation::of(mean.map_err(model)?, std.map_err(model)?).map_err(|found| {
                    model(format!("expected a mean and a deviation of each channel, found {found}"))
                })?
            }
            (Some(_), None) => return Err(model(format!("expected {STD} beside {MEAN}, found none"))),
            (None, Some(_)) => return Err(model(format!("expected {MEAN} beside {STD}, found none"))),
        };
        Ok(Preparation { normalisation, ..self })
    }
}

/// The numbers of a list of three, as a fact shows it: `[0, 0.5, 1]`.
fn three(name: &str, fact: &str) -> Result<[f32; 3], String> {
    let list = fact.strip_prefix('[').and_then(|list| list.strip_suffix(']'));
    let numbers: Option<Vec<f32>> =
        list.and_then(|list| list.split(", ").map(|number| number.parse().ok()).collect());
    numbers
        .and_then(|numbers| <[f32; 3]>::try_from(numbers).ok())
        .ok_or_else(|| format!("expected three numbers in {name}, found {fact}"))
}
