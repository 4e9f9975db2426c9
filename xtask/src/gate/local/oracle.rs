//! The parts of the model, computed from the candidate's tensors.

use std::collections::BTreeMap;
use std::sync::Arc;

use encoder::Part;
use encoder::reference::{ReferenceModel, Rounding, Tensor64};
use harness::limits::metric::PerMetric;
use harness::limits::tolerance::NoiseFloor;
use harness::store::ComputedStore;
use rayon::prelude::*;

use super::parts::CandidateTensors;
use crate::shell::failure::Failure;

/// Runs that are nudged, each in its own way, to find a floor: by how many times what f32 loses, and by which share of that
/// their error counts. Where values are rounded to f16 the error comes from the few that fall on the other side: with the
/// square root of how many do. Runs that are nudged more have more of them, and tell what a run has that is unlucky.
const NUDGED: [(f64, f64); 8] =
    [(1.0, 1.0), (16.0, 0.25), (1.0, 1.0), (1.0, 1.0), (16.0, 0.25), (1.0, 1.0), (1.0, 1.0), (16.0, 0.25)];
/// Values of a part's output from which on luck evens out: of the model of 300M, rounded as ggml-f16, runs that are nudged alike
/// differ by up to 12 % in rel_l2.
const LARGE: usize = 100_000;

/// Which of [`NUDGED`] are done on a part.
fn nudged_runs(rounding: Rounding, large: bool) -> std::ops::Range<usize> {
    match (large, rounding) {
        (false, _) => 0..NUDGED.len(),
        // Where nothing is rounded the error goes with the nudge: a run of 16 times, at a quarter, is 4 times one of once.
        (true, Rounding::Exact) => 1..2,
        (true, _) => 0..2,
    }
}

/// Values that are compared at once.
const PIECE: usize = 1 << 14;
/// A rounding model that is not so many times nearer than none says nothing.
const UNKNOWN: f64 = 1.25;
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

/// Parts computed from the candidate's own inputs.
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
    pub(super) floors: BTreeMap<String, NoiseFloor>,
}

/// All parts.
pub(super) struct ComputedParts {
    pub(super) parts: Vec<JudgedPart>,
}

/// Whether luck evens out over what a part gives.
fn is_large(outputs: &[(String, Tensor64)]) -> bool {
    outputs.last().is_some_and(|(_, tensor)| tensor.data.len() >= LARGE)
}

/// ‖a - b‖ / ‖b‖ and max |a - b| / max |b|; `None` where extents differ or all of `b` is zero.
pub(super) fn distance(a: &Tensor64, b: &Tensor64) -> Option<NoiseFloor> {
    if a.shape != b.shape {
        return None;
    }
    let of_piece = |(a, b): (&[f64], &[f64])| {
        let (mut difference, mut size, mut largest, mut most) = (0.0, 0.0, 0.0f64, 0.0f64);
        for (a, b) in a.iter().zip(b) {
            let d = (a - b).abs();
            (difference, size) = (difference + d * d, size + b * b);
            (largest, most) = (largest.max(d), most.max(b.abs()));
        }
        [difference, size, largest, most]
    };
    // Piece by piece, in order: sums do not depend on the number of threads.
    let pieces: Vec<[f64; 4]> =
        a.data.par_chunks(PIECE).zip(b.data.par_chunks(PIECE)).map(of_piece).collect();
    let [difference, size, largest, most] = pieces.into_iter().fold([0.0; 4], |all, piece| {
        [all[0] + piece[0], all[1] + piece[1], all[2].max(piece[2]), all[3].max(piece[3])]
    });
    let figures = PerMetric { rel_l2: (difference / size).sqrt(), rel_linf: largest / most };
    (most > 0.0).then_some(NoiseFloor { figures, max_abs: largest })
}

/// The floor from errors of nudged runs, each with the share of it that counts.
fn floor_of(errors: &[(f64, NoiseFloor)]) -> NoiseFloor {
    let of = |figure: fn(&NoiseFloor) -> f64| {
        errors.iter().map(|(share, error)| share * figure(error)).fold(0.0, f64::max)
    };
    NoiseFloor {
        figures: PerMetric { rel_l2: of(|x| x.figures.rel_l2), rel_linf: of(|x| x.figures.rel_linf) },
        max_abs: of(|x| x.max_abs),
    }
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
        let mut nudged: Vec<BTreeMap<String, Tensor64>> = vec![BTreeMap::new(); NUDGED.len()];
        for (number, part) in self.tensors.parts.iter().enumerate() {
            let inputs = self.inputs(part, &given);
            // Tensors that do not fit the part are told where they are compared.
            let outputs = inputs.as_ref().and_then(|inputs| self.model.run_part(part, inputs).ok());
            beside(number, outputs.as_deref().unwrap_or_default())?;
            let (Some(inputs), Some(outputs)) = (inputs, outputs) else { continue };
            let floors = self.floors(part, &inputs, &mut nudged, &outputs)?;
            for (name, tensor) in &outputs {
                for reference in self.tensors.references_of(name) {
                    let put = store.put(reference, &tensor.shape, &tensor.data);
                    put.map_err(|error| Failure::unusable(format!("no room for what is computed: {error}")))?;
                }
            }
            given.extend(outputs);
            let lacks = |(name, _): &(String, Tensor64)| !self.tensors.has(name);
            let lacking = inputs.into_iter().filter(lacks).collect();
            parts.push(JudgedPart { part: part.clone(), given: lacking, floors });
            // What no later part takes is let go.
            let later = &self.tensors.parts[number + 1..];
            let is_taken = |name: &String| later.iter().any(|part| part.inputs.contains(name));
            let is_needed = |name: &String| is_taken(name) && !self.tensors.has(name);
            given.retain(|name, _| is_needed(name));
            nudged.iter_mut().for_each(|given| given.retain(|name, _| is_needed(name)));
        }
        Ok(ComputedParts { parts })
    }

    /// Computes a part once more.
    pub(super) fn again(&self, judged: &JudgedPart) -> Result<ComputedPart, Failure> {
        let inputs = self.inputs(&judged.part, &judged.given).unwrap_or_default();
        let outputs = self.model.run_part(&judged.part, &inputs).map_err(Failure::unreadable)?;
        let (part, floors) = (judged.part.clone(), judged.floors.clone());
        Ok(ComputedPart { part, inputs, outputs, floors })
    }

    /// A part computed from the candidate's own tensors alone; `None` where they lack something that it takes.
    pub(super) fn alone(&self, part: &Part) -> Result<Option<ComputedPart>, Failure> {
        let Some(inputs) = self.inputs(part, &BTreeMap::new()) else { return Ok(None) };
        let outputs = self.model.run_part(part, &inputs).map_err(Failure::unreadable)?;
        let mut nudged = vec![BTreeMap::new(); NUDGED.len()];
        let floors = self.floors(part, &inputs, &mut nudged, &outputs)?;
        Ok(Some(ComputedPart { part: part.clone(), inputs, outputs, floors }))
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
                let run = self.model.run_part_nudged(part, inputs, seed as u64 + 1, times);
                let run = run.map_err(Failure::unreadable)?;
                let off = |((name, nudged), (_, exact)): (&(String, Tensor64), &(String, Tensor64))| {
                    Some((name.clone(), distance(nudged, exact)?))
                };
                let errors = run.iter().zip(outputs).filter_map(off).collect();
                given.extend(run.into_iter().filter(|(name, _)| !self.tensors.has(name)));
                Ok((share, errors))
            })
            .collect::<Result<_, Failure>>()?;
        let floor = |name: &String| {
            let errors: Vec<(f64, NoiseFloor)> =
                found.iter().filter_map(|(share, errors)| Some((*share, *errors.get(name)?))).collect();
            (!errors.is_empty()).then(|| (name.clone(), floor_of(&errors)))
        };
        Ok(outputs.iter().filter_map(|(name, _)| floor(name)).collect())
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

/// The rounding model under which the first parts come nearest to the candidate's.
pub(super) fn best_fit<'a>(
    tensors: &CandidateTensors<'_>,
    model: impl Fn(Rounding) -> Result<ReferenceModel<'a>, Failure>,
) -> Result<RoundingFit, Failure> {
    let models: Vec<ReferenceModel<'a>> =
        Rounding::OF_RUNTIMES.into_iter().map(model).collect::<Result<_, _>>()?;
    let mut errors: Vec<Vec<f64>> = vec![Vec::new(); models.len()];
    let mut tried = 0;
    for part in &tensors.parts {
        let inputs: Option<BTreeMap<String, Tensor64>> = part
            .inputs
            .iter()
            .map(|name| Some((name.clone(), Tensor64::clone(&*tensors.tensor(name)?))))
            .collect();
        let outputs: Vec<(&String, Arc<Tensor64>)> =
            part.outputs.iter().filter_map(|name| Some((name, tensors.tensor(name)?))).collect();
        let Some(inputs) = inputs.filter(|_| !outputs.is_empty() && tried < TRIED) else { continue };
        tried += 1;
        for (model, errors) in models.iter().zip(&mut errors) {
            let computed = model.run_part(part, &inputs).unwrap_or_default();
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
        errors.iter().map(|errors| median(errors)).zip(Rounding::OF_RUNTIMES).collect();
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
