//! Soft tokens of pictures, as a text model takes them.
//!
//! ```sh
//! cargo run --release -p encoder --example tokens -- model.safetensors photo.jpg another.png
//! ```

use std::path::{Path, PathBuf};

use encoder::input::{Preparation, Treatment};
use encoder::{Checkpoint, Encoded, Error, LoadOptions, Model, NoTaps};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let weights =
        arguments.next().ok_or("expected weights and pictures: tokens model.safetensors photo.jpg")?;
    let encoder = PictureEncoder::load(&weights)?;
    for picture in arguments {
        let (tokens, treatments) = encoder.encode(&picture)?;
        let done: Vec<String> = treatments.iter().map(Treatment::to_string).collect();
        println!("{}: {:?} {}", picture.display(), tokens.shape, done.join(", "));
    }
    Ok(())
}

/// A model, and what is done to pictures before it takes them.
pub(crate) struct PictureEncoder {
    model: Model,
    preparation: Preparation,
}

impl PictureEncoder {
    /// Loads weights, with the settings of the image processor that lie beside them, or that they state themselves.
    ///
    /// # Errors
    /// Weights or settings that cannot be read or used.
    pub(crate) fn load(weights: &Path) -> Result<PictureEncoder, Error> {
        let checkpoint = Checkpoint::open(weights)?;
        let mut model = Model::load(&checkpoint, &LoadOptions::default())?;
        let preparation = match Preparation::beside(weights)? {
            Some(preparation) => preparation,
            None => Preparation::of_architecture(model.architecture()),
        };
        let preparation = preparation.with_facts_of(&checkpoint)?;
        model.take_normalised(preparation.normalisation);
        Ok(PictureEncoder { model, preparation })
    }

    /// The tokens of a picture, and what was done to it.
    ///
    /// # Errors
    /// A picture that cannot be read.
    pub(crate) fn encode(&self, picture: &Path) -> Result<(Encoded, Vec<Treatment>), Error> {
        let picture = self.preparation.read(picture)?;
        let tokens = self.model.encode(&picture.tensor.shape, &picture.tensor.data, &mut NoTaps)?;
        Ok((tokens, picture.treatments))
    }
}
