//! The parts of the model, computed from the candidate's tensors.

use std::collections::BTreeMap;
use std::sync::Arc;

use encoder::Part;
use encoder::reference::{PartOptions, ReferenceModel, Rounding, Tensor64};
use harness::limits::tolerance::NoiseFloor;
use harness::store::ComputedStore;
use rayon::prelude::*;

use super::floors::{
    LARGE, NUDGED, distance, floor_of, floor_of_f32, is_large, is_within, named, no_nudged, nudged_runs,
};
use super::parts::CandidateTensors;
use crate::shell::failure::Failure;

/// A rounding model that is not so many times nearer than none says nothing.
const UNKNOWN: f64 = 1.25;
/// A tensor that the port did not go on with leaves so many times more of an error than its inputs do.
const MUCH_NEARER: f64 = 2.0;
/// Parts that rounding models are tried on.
const TRIED: usize = 8;
/// Of large parts fewer do, where the best is so many times nearer than the next.
const CLEAR: (usize, f64) = (2, 10.0);

/// Gets the number of a part and what it gives, by name.
type BesidePart<'b> = dyn FnMut(usize, &[(String, Tensor64)]) -> Result<(), Failure> + 'b;

/// The rounding model that fits.
pub(super) struct RoundingFit {
    pub(super) rounding: Rounding,
    /// The next best, and how many times farther it is.
    pub(super) next: Option<(Rounding, f64)>,
}

/// Parts computed from the candidate's own tensors.
pub(super) struct Oracle<'a> {
    pub(super) model: &'a ReferenceModel<'a>,
    pub(super) tensors: &'a CandidateTensors<'a>,
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
    /// The candidate's own outputs that the later ones are computed from.
    pub(super) along: BTreeMap<String, Tensor64>,
    /// Outputs that are computed from the inputs alone: from these they are right, and from what the candidate dumped between
    /// they are not, so that it did not go on with that.
    pub(super) passing_by: Vec<String>,
}

impl ComputedPart {
    /// Of several runs of this part, how many are done before others are begun: a large part keeps all threads busy by itself, and
    /// several would not fit in memory.
    pub(super) fn runs_in_turn(&self) -> usize {
        if is_large(&self.outputs) { usize::MAX } else { 1 }
    }
}

/// What is kept of a part that was computed: the rest is computed again where it is asked for.
pub(super) struct JudgedPart {
    pub(super) part: Part,
    /// Inputs that the candidate does not have.
    given: BTreeMap<String, Tensor64>,
    /// Outputs that are computed from the inputs alone.
    passing_by: Vec<String>,
    pub(super) floors: BTreeMap<String, NoiseFloor>,
}

/// A part that was computed, and what it gives from its inputs alone.
struct CheckedPart {
    computed: ComputedPart,
    /// None where there is nothing between inputs and last output that it could be computed from instead.
    from_inputs: Option<Vec<(String, Tensor64)>>,
}

/// All parts.
pub(super) struct ComputedParts {
    pub(super) parts: Vec<JudgedPart>,
}

impl Oracle<'_> {
    /// Computes every part that it can: of those before which the candidate has no tensor, from what the parts before
    /// give. What the candidate has too goes into `store` by the reference's names. `beside` gets the number of each part
    /// and what it gives.
    pub(super) fn all(
        &self,
        store: &mut ComputedStore,
        beside: &mut BesidePart<'_>,
    ) -> Result<ComputedParts, Failure> {
        let mut parts: Vec<JudgedPart> = Vec::new();
        let mut given: BTreeMap<String, Tensor64> = BTreeMap::new();
        let mut nudged = no_nudged();
        for (number, part) in self.tensors.parts.iter().enumerate() {
            let inputs = self.inputs(part, &given);
            // Tensors that do not fit the part are told where they are compared.
            let computed = inputs.and_then(|inputs| self.computed(part, inputs, &mut nudged).transpose());
            let Some(CheckedPart { computed, from_inputs }) = computed.transpose()? else {
                beside(number, &[])?;
                continue;
            };
            let ComputedPart { inputs, outputs, floors, passing_by, .. } = computed;
            beside(number, from_inputs.as_ref().unwrap_or(&outputs))?;
            for (name, tensor) in &outputs {
                for reference in self.tensors.references_of(name) {
                    let put = store.put(reference, &tensor.shape, &tensor.data);
                    put.map_err(|error| Failure::unusable(format!("no room for what is computed: {error}")))?;
                }
            }
            given.extend(outputs);
            let lacks = |(name, _): &(String, Tensor64)| !self.tensors.has(name);
            let lacking = inputs.into_iter().filter(lacks).collect();
            parts.push(JudgedPart { part: part.clone(), given: lacking, passing_by, floors });
            // What no later part takes is let go.
            let later = &self.tensors.parts[number + 1..];
            let is_taken = |name: &String| later.iter().any(|part| part.inputs.contains(name));
            let is_needed = |name: &String| is_taken(name) && !self.tensors.has(name);
            given.retain(|name, _| is_needed(name));
            nudged.iter_mut().for_each(|given| given.retain(|name, _| is_needed(name)));
        }
        Ok(ComputedParts { parts })
    }

    /// Computes a part once more, as it was judged.
    pub(super) fn again(&self, judged: &JudgedPart) -> Result<ComputedPart, Failure> {
        let JudgedPart { part, given, passing_by, floors } = judged;
        let inputs = self.inputs(part, given).unwrap_or_default();
        let along = self.tensors.within(part);
        let mut outputs = self.outputs(part, &inputs, &along).map_err(Failure::unreadable)?;
        if !passing_by.is_empty() {
            let plain = self.outputs(part, &inputs, &BTreeMap::new()).map_err(Failure::unreadable)?;
            for (output, plain) in outputs.iter_mut().zip(plain) {
                if passing_by.contains(&plain.0) {
                    *output = plain;
                }
            }
        }
        let (part, floors, passing_by) = (part.clone(), floors.clone(), passing_by.clone());
        Ok(ComputedPart { part, inputs, outputs, floors, along, passing_by })
    }

    /// A part computed from the candidate's own tensors alone; `None` where they lack something that it takes.
    pub(super) fn alone(&self, part: &Part) -> Result<Option<ComputedPart>, Failure> {
        let Some(inputs) = self.inputs(part, &BTreeMap::new()) else { return Ok(None) };
        Ok(self.computed(part, inputs, &mut no_nudged())?.map(|checked| checked.computed))
    }

    /// The same from what the part takes alone, whatever the candidate has of what it gives.
    pub(super) fn by_inputs(&self, part: &Part) -> Result<Option<ComputedPart>, Failure> {
        let Some(inputs) = self.inputs(part, &BTreeMap::new()) else { return Ok(None) };
        let along = BTreeMap::new();
        let outputs = self.model.run_part(part, &inputs).map_err(Failure::unreadable)?;
        let floors = self.floors(part, &inputs, &along, &mut no_nudged(), &outputs)?;
        let (part, passing_by) = (part.clone(), Vec::new());
        Ok(Some(ComputedPart { part, inputs, outputs, floors, along, passing_by }))
    }

    /// What a part gives on these inputs, going on with what `along` has in the place of its own.
    fn outputs(
        &self,
        part: &Part,
        inputs: &BTreeMap<String, Tensor64>,
        along: &BTreeMap<String, Tensor64>,
    ) -> Result<Vec<(String, Tensor64)>, encoder::Error> {
        let inner = self.tensors.looks_inside(part);
        let options = PartOptions { along: Some(along), inner, ..PartOptions::default() };
        let mut outputs = self.model.run_part_by(part, inputs, &options)?;
        outputs.retain(|(name, _)| self.tensors.outputs_of(part).contains(name));
        Ok(outputs)
    }

    /// A part on these inputs, each output computed from the nearest tensors before it that the candidate has; `None` where they
    /// do not fit it.
    fn computed(
        &self,
        part: &Part,
        inputs: BTreeMap<String, Tensor64>,
        nudged: &mut [BTreeMap<String, Tensor64>],
    ) -> Result<Option<CheckedPart>, Failure> {
        let along = self.tensors.within(part);
        let Ok(mut outputs) = self.outputs(part, &inputs, &along) else { return Ok(None) };
        let mut floors = self.floors(part, &inputs, &along, nudged, &outputs)?;
        let from_inputs = match along.is_empty() {
            true => None,
            false => Some(self.outputs(part, &inputs, &BTreeMap::new()).map_err(Failure::unreadable)?),
        };
        let mut passing_by = Vec::new();
        let is_off = |(name, exact): &(String, Tensor64), floors: &BTreeMap<String, NoiseFloor>| {
            self.tensors.tensor(name).is_some_and(|own| !is_within(&own, exact, floors.get(name)))
        };
        let any_off = outputs.iter().skip(1).any(|output| is_off(output, &floors));
        if let Some(plain) = from_inputs.as_ref().filter(|_| any_off) {
            let of_nudged = &mut nudged.to_vec();
            let plain_floors = self.floors(part, &inputs, &BTreeMap::new(), of_nudged, plain)?;
            for (output, plain) in outputs.iter_mut().zip(plain).skip(1) {
                let is_right = is_off(output, &floors) && !is_off(plain, &plain_floors);
                if is_right && self.is_much_nearer(&plain.0, &plain.1, &output.1) {
                    let name = &plain.0;
                    floors.extend(plain_floors.get(name).map(|floor| (name.clone(), *floor)));
                    passing_by.push(name.clone());
                    *output = plain.clone();
                }
            }
        }
        let computed = ComputedPart { part: part.clone(), inputs, outputs, floors, along, passing_by };
        Ok(Some(CheckedPart { computed, from_inputs }))
    }

    /// Whether the candidate's tensor is much nearer to one that was computed than to another: floors of a longer way are
    /// wider, and alone say little.
    fn is_much_nearer(&self, name: &str, one: &Tensor64, other: &Tensor64) -> bool {
        let Some(own) = self.tensors.tensor(name) else { return false };
        // From what is zero throughout everything is infinitely far.
        let off = |exact| distance(&own, exact).map_or(f64::INFINITY, |found| found.figures.rel_l2);
        MUCH_NEARER * off(one) < off(other)
    }

    /// What a part takes: the candidate's own tensors, else those that were computed.
    fn inputs(&self, part: &Part, given: &BTreeMap<String, Tensor64>) -> Option<BTreeMap<String, Tensor64>> {
        let tensor = |name: &String| {
            self.tensors.tensor(name).map(|own| Tensor64::clone(&own)).or_else(|| given.get(name).cloned())
        };
        part.inputs.iter().map(|name| Some((name.clone(), tensor(name)?))).collect()
    }

    /// How far nudged runs of a part are from the exact one, on `inputs`; `nudged` holds what those of the parts before it gave,
    /// for parts that are joined.
    fn floors(
        &self,
        part: &Part,
        inputs: &BTreeMap<String, Tensor64>,
        along: &BTreeMap<String, Tensor64>,
        nudged: &mut [BTreeMap<String, Tensor64>],
        outputs: &[(String, Tensor64)],
    ) -> Result<BTreeMap<String, NoiseFloor>, Failure> {
        let runs = nudged_runs(self.model.rounding(), is_large(outputs));
        let found: Vec<(f64, BTreeMap<String, NoiseFloor>)> = nudged
            .par_iter_mut()
            .zip(NUDGED)
            .enumerate()
            .skip(runs.start)
            .take(runs.len())
            .with_min_len(if is_large(outputs) { usize::MAX } else { 1 })
            .map(|(seed, (given, (times, share)))| {
                let own: BTreeMap<String, Tensor64>;
                let inputs = match inputs.keys().any(|name| given.contains_key(name)) {
                    true => {
                        let tensor = |(name, exact): (&String, &Tensor64)| {
                            (name.clone(), given.get(name).unwrap_or(exact).clone())
                        };
                        own = inputs.iter().map(tensor).collect();
                        &own
                    }
                    false => inputs,
                };
                let nudge = Some((seed as u64 + 1, times));
                let inner = self.tensors.looks_inside(part);
                let options = PartOptions {
                    nudge,
                    along: Some(along),
                    known: !inputs.keys().any(|name| given.contains_key(name)),
                    inner,
                    ..PartOptions::default()
                };
                let run = self.model.run_part_by(part, inputs, &options).map_err(Failure::unreadable)?;
                let off = |(name, exact): &(String, Tensor64)| {
                    Some((name.clone(), distance(named(&run, name)?, exact)?))
                };
                let errors = outputs.iter().filter_map(off).collect();
                given.extend(run.into_iter().filter(|(name, _)| !self.tensors.has(name)));
                Ok((share, errors))
            })
            .collect::<Result<_, Failure>>()?;
        let floor = |(name, exact): &(String, Tensor64)| {
            let errors: Vec<(f64, NoiseFloor)> =
                found.iter().filter_map(|(share, errors)| Some((*share, *errors.get(name)?))).collect();
            (!errors.is_empty()).then(|| (name.clone(), floor_of(&errors, &floor_of_f32(exact))))
        };
        Ok(outputs.iter().filter_map(floor).collect())
    }
}

impl ComputedParts {
    /// The floors by the reference's names.
    pub(super) fn floors(&self, tensors: &CandidateTensors<'_>) -> BTreeMap<String, NoiseFloor> {
        let floors = self.parts.iter().flat_map(|part| &part.floors);
        let named = |(name, floor): (&String, &NoiseFloor)| {
            tensors.references_of(name).map(|reference| (reference.clone(), *floor)).collect::<Vec<_>>()
        };
        floors.flat_map(named).collect()
    }

    /// How many parts give nothing that the candidate has: their error shows in the next tensor that is there.
    pub(super) fn joined(&self, tensors: &CandidateTensors<'_>) -> usize {
        let ends = |part: &&JudgedPart| {
            part.part.outputs.last().is_some_and(|name| !tensors.references.contains_key(name))
        };
        self.parts.iter().filter(ends).count()
    }
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
    for part in &tensors.parts {
        let inputs: Option<BTreeMap<String, Tensor64>> = part
            .inputs
            .iter()
            .map(|name| Some((name.clone(), Tensor64::clone(&*tensors.tensor(name)?))))
            .collect();
        let outputs: Vec<(&String, Arc<Tensor64>)> =
            tensors.outputs_of(part).iter().filter_map(|name| Some((name, tensors.tensor(name)?))).collect();
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
    Ok(RoundingFit { rounding, next })
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
