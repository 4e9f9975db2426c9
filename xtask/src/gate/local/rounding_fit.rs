//! Which rounding model fits a candidate.

use std::collections::BTreeMap;
use std::sync::Arc;

use encoder::reference::{PartOptions, ReferenceModel, Rounding, Tensor64};
use encoder::tap;

use super::floors::{LARGE, distance};
use super::parts::CandidateTensors;
use crate::shell::failure::Failure;

/// A rounding model that is not so many times nearer than none says nothing.
const UNKNOWN: f64 = 1.25;
/// Parts that rounding models are tried on.
const TRIED: usize = 8;
/// Of large parts fewer do, where the best is so many times nearer than the next.
const CLEAR: (usize, f64) = (2, 10.0);

/// The rounding model that fits.
pub(super) struct RoundingFit {
    pub(super) rounding: Rounding,
    /// The next best, and how many times farther it is.
    pub(super) next: Option<(Rounding, f64)>,
    /// Whether the candidate's values tell it from others.
    pub(super) is_told_apart: bool,
}

/// The rounding model of these under which the first parts come nearest to the candidate's.
pub(super) fn best_fit<'a>(
    tensors: &CandidateTensors<'_>,
    roundings: &[Rounding],
    model: impl Fn(Rounding) -> Result<ReferenceModel<'a>, Failure>,
) -> Result<RoundingFit, Failure> {
    let models: Vec<ReferenceModel<'a>> = roundings.iter().copied().map(model).collect::<Result<_, _>>()?;
    let mut errors: Vec<Vec<f64>> = vec![Vec::new(); models.len()];
    let mut tried = 0;
    // Values that were rounded when they were stored hide how they were computed, and so do those that follow.
    let is_exact = |name: &String| tensors.narrow_type(name).is_none();
    // What GELU gives may be of f16 in any dump.
    let shows = |name: &String| tensors.has(name) && is_exact(name) && !tap::is_activated(name);
    let any_exact = tensors.parts.iter().any(|part| {
        part.inputs.iter().all(|name| tensors.has(name) && is_exact(name))
            && tensors.outputs_of(part).iter().any(shows)
    });
    for part in &tensors.parts {
        let inputs: Option<BTreeMap<String, Tensor64>> = part
            .inputs
            .iter()
            .map(|name| {
                let own = tensors.tensor(name).filter(|_| !any_exact || is_exact(name))?;
                Some((name.clone(), Tensor64::clone(&own)))
            })
            .collect();
        let outputs: Vec<(&String, Arc<Tensor64>)> = tensors
            .outputs_of(part)
            .iter()
            .filter(|name| !any_exact || is_exact(name))
            .filter_map(|name| Some((name, tensors.tensor(name)?)))
            .collect();
        let Some(inputs) = inputs.filter(|_| !outputs.is_empty() && tried < TRIED) else { continue };
        tried += 1;
        let inner = tensors.looks_inside(part);
        for (model, errors) in models.iter().zip(&mut errors) {
            // From the inputs alone: what is wrong between them and an output tells nothing of how that is rounded.
            let options = PartOptions { inner, ..PartOptions::default() };
            let computed = model.run_part_by(part, &inputs, &options).unwrap_or_default();
            errors.extend(computed.iter().filter_map(|(name, exact)| {
                let (_, own) = outputs.iter().find(|(output, _)| *output == name)?;
                Some(distance(own, exact)?.figures.rel_l2)
            }));
        }
        let is_large = outputs.iter().all(|(_, tensor)| tensor.data.len() >= LARGE);
        if is_large && tried >= CLEAR.0 && is_clear(&errors) {
            break;
        }
    }
    let mut fits: Vec<(f64, Rounding)> =
        errors.iter().map(|errors| median(errors)).zip(roundings.iter().copied()).collect();
    // Of those that are equally near, the most exact.
    fits.sort_by(|a, b| a.0.total_cmp(&b.0));
    let is_told_apart = match fits.as_slice() {
        [(least, _), (second, _), ..] => tried > 0 && *second >= UNKNOWN * least && second > least,
        _ => tried > 0,
    };
    // A port that is off everywhere is about as far from each; then nothing is known of its rounding.
    let least = fits[0].0;
    let exact =
        fits.iter().position(|(error, rounding)| *rounding == Rounding::Exact && *error <= UNKNOWN * least);
    if let Some(exact) = exact {
        let exact = fits.remove(exact);
        fits.insert(0, exact);
    }
    let (best, rounding) = fits[0];
    let next = fits
        .get(1)
        .map(|(next, rounding)| (*rounding, next / best))
        .filter(|(_, times)| times.is_finite() && *times >= 1.0);
    Ok(RoundingFit { rounding, next, is_told_apart })
}

fn median(errors: &[f64]) -> f64 {
    let mut errors = errors.to_vec();
    errors.sort_by(f64::total_cmp);
    errors.get(errors.len() / 2).copied().unwrap_or(f64::INFINITY)
}

/// Whether one is much nearer than the others.
fn is_clear(errors: &[Vec<f64>]) -> bool {
    let mut medians: Vec<f64> = errors.iter().map(|errors| median(errors)).collect();
    medians.sort_by(f64::total_cmp);
    matches!(medians[..], [best, next, ..] if CLEAR.1 * best < next)
}
