//! The parts of the model, computed from the candidate's tensors.

use std::collections::BTreeMap;

use encoder::Part;
use encoder::reference::{ReferenceModel, Rounding, Tensor64};
use harness::limits::metric::PerMetric;
use harness::limits::tolerance::NoiseFloor;
use harness::tensor::Tensor;
use rayon::prelude::*;

use super::parts::CandidateTensors;
use crate::shell::failure::Failure;

/// Runs that are nudged, each in its own way, to find a floor: by how many times what f32 loses, and by which share of that
/// their error counts. Where values are rounded to f16 the error comes from the few that fall on the other side: with the
/// square root of how many do. Runs that are nudged more have more of them, and tell what a run has that is unlucky.
const NUDGED: [(f64, f64); 5] = [(1.0, 1.0), (1.0, 1.0), (1.0, 1.0), (16.0, 0.25), (16.0, 0.25)];
/// Parts that rounding models are tried on.
const TRIED: usize = 8;

/// The rounding model that fits.
pub(super) struct RoundingFit {
    pub(super) rounding: Rounding,
    /// The next best, and how many times farther it is.
    pub(super) next: Option<(Rounding, f64)>,
}

/// Parts computed from the candidate's own inputs.
pub(super) struct Oracle<'a> {
    pub(super) model: &'a ReferenceModel<'a>,
    pub(super) tensors: &'a CandidateTensors,
}

/// A part that was computed.
pub(super) struct ComputedPart {
    pub(super) part: Part,
    /// What it takes: the candidate's own, or computed where the candidate has none.
    pub(super) inputs: BTreeMap<String, Tensor64>,
    /// What it gives, by name, in the order of execution.
    pub(super) outputs: Vec<(String, Tensor64)>,
    /// How far what f32 sums lose can move each output.
    pub(super) floors: BTreeMap<String, NoiseFloor>,
}

/// All parts.
pub(super) struct ComputedParts {
    pub(super) parts: Vec<ComputedPart>,
}

/// ‖a - b‖ / ‖b‖ and max |a - b| / max |b|; `None` where extents differ or all of `b` is zero.
pub(super) fn distance(a: &Tensor64, b: &Tensor64) -> Option<NoiseFloor> {
    if a.shape != b.shape {
        return None;
    }
    let (mut difference, mut size, mut largest, mut most) = (0.0, 0.0, 0.0f64, 0.0f64);
    for (a, b) in a.data.iter().zip(&b.data) {
        let d = (a - b).abs();
        (difference, size) = (difference + d * d, size + b * b);
        (largest, most) = (largest.max(d), most.max(b.abs()));
    }
    let figures = PerMetric { rel_l2: (difference / size).sqrt(), rel_linf: largest / most };
    (most > 0.0).then_some(NoiseFloor { figures, max_abs: largest })
}

impl Oracle<'_> {
    /// Computes every part that it can: of those before which the candidate has no tensor, from what the parts before
    /// give.
    pub(super) fn all(&self) -> Result<ComputedParts, Failure> {
        let mut parts: Vec<ComputedPart> = Vec::new();
        let mut given: BTreeMap<String, Tensor64> = BTreeMap::new();
        let mut nudged: Vec<BTreeMap<String, Tensor64>> = vec![BTreeMap::new(); NUDGED.len()];
        for part in &self.tensors.parts {
            let Some(inputs) = self.inputs(part, &given) else { continue };
            // Tensors that do not fit the part are told where they are compared.
            let Ok(outputs) = self.model.run_part(part, &inputs) else { continue };
            let floors = self.floors(part, &mut nudged, &outputs)?;
            given.extend(outputs.iter().cloned());
            parts.push(ComputedPart { part: part.clone(), inputs, outputs, floors });
        }
        Ok(ComputedParts { parts })
    }

    /// A part computed from the candidate's own tensors alone; `None` where they lack something that it takes.
    pub(super) fn alone(&self, part: &Part) -> Result<Option<ComputedPart>, Failure> {
        let Some(inputs) = self.inputs(part, &BTreeMap::new()) else { return Ok(None) };
        let outputs = self.model.run_part(part, &inputs).map_err(Failure::unreadable)?;
        let mut nudged = vec![BTreeMap::new(); NUDGED.len()];
        let floors = self.floors(part, &mut nudged, &outputs)?;
        Ok(Some(ComputedPart { part: part.clone(), inputs, outputs, floors }))
    }

    /// What a part takes: the candidate's own tensors, else those that were computed.
    fn inputs(&self, part: &Part, given: &BTreeMap<String, Tensor64>) -> Option<BTreeMap<String, Tensor64>> {
        let tensor = |name: &String| self.tensors.by_part.get(name).or_else(|| given.get(name)).cloned();
        part.inputs.iter().map(|name| Some((name.clone(), tensor(name)?))).collect()
    }

    /// How far nudged runs of a part are from the exact one; `nudged` holds what those of the parts before it gave, for parts
    /// that are joined.
    fn floors(
        &self,
        part: &Part,
        nudged: &mut [BTreeMap<String, Tensor64>],
        outputs: &[(String, Tensor64)],
    ) -> Result<BTreeMap<String, NoiseFloor>, Failure> {
        let runs: Vec<Vec<(String, Tensor64)>> = nudged
            .par_iter()
            .zip(NUDGED)
            .enumerate()
            .map(|(seed, (given, (times, _)))| {
                let inputs = self.inputs(part, given).unwrap_or_default();
                self.model.run_part_nudged(part, &inputs, seed as u64 + 1, times).map_err(Failure::unreadable)
            })
            .collect::<Result<_, _>>()?;
        let mut floors: BTreeMap<String, NoiseFloor> = BTreeMap::new();
        for (run, (_, share)) in runs.iter().zip(NUDGED) {
            for ((name, nudged), (_, exact)) in run.iter().zip(outputs) {
                let Some(found) = distance(nudged, exact) else { continue };
                let PerMetric { rel_l2, rel_linf } = found.figures;
                let figures = PerMetric { rel_l2: share * rel_l2, rel_linf: share * rel_linf };
                let floor = floors.entry(name.clone()).or_insert(NoiseFloor { figures, max_abs: 0.0 });
                floor.figures = floor.figures.max(figures);
                floor.max_abs = floor.max_abs.max(share * found.max_abs);
            }
        }
        nudged.iter_mut().zip(runs).for_each(|(given, run)| given.extend(run));
        Ok(floors)
    }
}

impl ComputedParts {
    /// The outputs that the candidate has too, by the reference's names, in the order of execution.
    pub(super) fn references(&self, tensors: &CandidateTensors) -> Vec<(String, Tensor)> {
        let outputs = self.parts.iter().flat_map(|part| &part.outputs);
        outputs
            .filter_map(|(name, tensor)| {
                let reference = tensors.references.get(name)?;
                Some((reference.clone(), Tensor::from_f64(tensor.shape.clone(), tensor.data.clone())?))
            })
            .collect()
    }

    /// The floors by the reference's names.
    pub(super) fn floors(&self, tensors: &CandidateTensors) -> BTreeMap<String, NoiseFloor> {
        let floors = self.parts.iter().flat_map(|part| &part.floors);
        floors.filter_map(|(name, floor)| Some((tensors.references.get(name)?.clone(), *floor))).collect()
    }

    /// How many parts give nothing that the candidate has: their error shows in the next tensor that is there.
    pub(super) fn joined(&self, tensors: &CandidateTensors) -> usize {
        let ends = |part: &&ComputedPart| {
            part.part.outputs.last().is_some_and(|name| !tensors.references.contains_key(name))
        };
        self.parts.iter().filter(ends).count()
    }
}

/// The rounding model under which the first parts come nearest to the candidate's.
pub(super) fn best_fit<'a>(
    tensors: &CandidateTensors,
    model: impl Fn(Rounding) -> Result<ReferenceModel<'a>, Failure>,
) -> Result<RoundingFit, Failure> {
    let tried: Vec<&Part> = tensors
        .parts
        .iter()
        .filter(|part| part.inputs.iter().all(|name| tensors.by_part.contains_key(name)))
        .filter(|part| part.outputs.iter().any(|name| tensors.by_part.contains_key(name)))
        .take(TRIED)
        .collect();
    let mut fits: Vec<(f64, Rounding)> = Vec::new();
    for rounding in Rounding::OF_RUNTIMES {
        let model = model(rounding)?;
        let mut errors: Vec<f64> = tried
            .iter()
            .filter_map(|part| model.run_part(part, &tensors.by_part).ok())
            .flatten()
            .filter_map(|(name, exact)| Some(distance(tensors.by_part.get(&name)?, &exact)?.figures.rel_l2))
            .collect();
        errors.sort_by(f64::total_cmp);
        fits.push((errors.get(errors.len() / 2).copied().unwrap_or(f64::INFINITY), rounding));
    }
    // Of those that are equally near, the most exact.
    fits.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (best, rounding) = fits[0];
    let next =
        fits.get(1).map(|(next, rounding)| (*rounding, next / best)).filter(|(_, times)| times.is_finite());
    Ok(RoundingFit { rounding, next })
}
