//! The weights that a model reads, tensor by tensor, so that the same ones are known in any file.

use encoder::{Architecture, Checkpoint, Settings};
use harness::provenance::WeightTensors;
use rayon::prelude::*;

use crate::shell::failure::Failure;

/// The tensors that the model reads, under timm's names.
pub(crate) fn of(checkpoint: &Checkpoint, settings: &Settings) -> Result<WeightTensors, Failure> {
    let architecture = Architecture::read(checkpoint, settings).map_err(Failure::unreadable)?;
    let names: Vec<String> = architecture.tensor_names().collect();
    let hashed: Vec<WeightTensors> = names
        .into_par_iter()
        .map(|name| {
            let shape = checkpoint.shape(&name).unwrap_or_default().to_vec();
            let values = checkpoint.load(&name, &shape).map_err(Failure::unreadable)?;
            let mut one = WeightTensors::default();
            one.insert(name, &shape, &values);
            Ok(one)
        })
        .collect::<Result<_, Failure>>()?;
    Ok(hashed.into_iter().collect())
}
