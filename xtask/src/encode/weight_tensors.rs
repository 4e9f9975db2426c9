//! The weights that a model reads, tensor by tensor, so that the same ones are known in any file.

use encoder::{Architecture, Checkpoint, Settings};
use harness::provenance::{RoundedWeights, WeightDifferenceKind, WeightTensors};
use harness::tensor::Dtype;
use rayon::prelude::*;

use crate::shell::failure::Failure;

/// The tensors that the model reads, under timm's names.
pub(crate) fn of(checkpoint: &Checkpoint, settings: &Settings) -> Result<WeightTensors, Failure> {
    let architecture = Architecture::read(checkpoint, settings).map_err(Failure::unreadable)?;
    let names: Vec<String> = architecture.tensor_names().collect();
    let hashed: Vec<WeightTensors> = names
        .into_par_iter()
        .map(|name| Ok(hashed(&name, checkpoint.shape(&name).unwrap_or_default(), &load(checkpoint, &name)?)))
        .collect::<Result<_, Failure>>()?;
    Ok(hashed.into_iter().collect())
}

/// The narrower types that converters round weights to.
const ROUNDINGS: [Dtype; 2] = [Dtype::F16, Dtype::Bf16];

/// The tensors of a checkpoint that another side has rounded to a narrower type, among those in which it differs.
pub(crate) fn rounded(
    checkpoint: &Checkpoint,
    exact: &WeightTensors,
    other: &WeightTensors,
) -> Result<Vec<RoundedWeights>, Failure> {
    let differences = other.differences(exact);
    let rounded_to = |name: &str| {
        let values = load(checkpoint, name)?;
        let shape = checkpoint.shape(name).unwrap_or_default();
        Ok(ROUNDINGS.into_iter().find_map(|dtype| {
            let values: Vec<f32> = values.iter().map(|x| dtype.nearest(*x)).collect();
            let tensor = hashed(name, shape, &values);
            tensor.agree_on(name, other).then_some((dtype, tensor))
        }))
    };
    let found: Vec<Option<(Dtype, WeightTensors)>> = differences
        .par_iter()
        .filter(|difference| difference.kind == WeightDifferenceKind::Values)
        .map(|difference| rounded_to(&difference.name))
        .collect::<Result<_, Failure>>()?;
    let of = |wanted| {
        let tensors = found.iter().flatten().filter(|(dtype, _)| *dtype == wanted);
        let tensors: WeightTensors = tensors.map(|(_, tensor)| tensor.clone()).collect();
        RoundedWeights { dtype: wanted, tensors }
    };
    Ok(ROUNDINGS.map(of).into_iter().filter(|rounded| !rounded.tensors.is_empty()).collect())
}

fn load(checkpoint: &Checkpoint, name: &str) -> Result<Vec<f32>, Failure> {
    checkpoint.load(name, checkpoint.shape(name).unwrap_or_default()).map_err(Failure::unreadable)
}

fn hashed(name: &str, shape: &[usize], values: &[f32]) -> WeightTensors {
    let mut one = WeightTensors::default();
    one.insert(name.to_string(), shape, values);
    one
}
