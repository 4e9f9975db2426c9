//! The run as a whole: the model computed from its input alone, and what the errors of parts come to at its end.

use std::collections::BTreeMap;

use encoder::reference::{PartOptions, Tensor64};
use encoder::tap::INPUT;
use encoder::{Part, TapTensor};
use harness::compare::budget::{ErrorBudget, ErrorShare, ErrorSource, RunErrors};
use harness::compare::comparison::{Comparison, Outcome};

use super::causes::failing;
use super::computed::ComputedParts;
use super::floors::{TIMES_FLOOR, distance};
use super::oracle::Oracle;
use super::storage::floor_of_storage;
use crate::shell::failure::Failure;

/// Runs of the whole that are nudged, to find how far a right one may be off at its end.
const WHOLE_RUNS: usize = 3;
/// Values of an input from which on luck evens out and one such run is enough.
const LARGE: usize = 1 << 19;
/// Parts whose errors are told one by one.
const CULPRITS: usize = 12;
/// Amplifiers that are named, and from which gain on.
const AMPLIFIERS: (usize, f64) = (3, 2.0);

type RunTensors = BTreeMap<String, Tensor64>;

/// The model computed from its input alone.
pub(super) struct WholeRun {
    /// The input.
    image: Tensor64,
    /// What the parts gave that later ones take.
    exact: RunTensors,
    /// The same of runs that are nudged.
    nudged: Vec<RunTensors>,
    /// By the names that parts give their outputs.
    errors: BTreeMap<String, RunErrors>,
    /// Whether it is known how the candidate rounds.
    rounding_is_known: bool,
    end: Option<RunEnd>,
}

/// The last output that the candidate has.
struct RunEnd {
    name: String,
    /// The part that gives it.
    part: usize,
    exact: Tensor64,
    error: f64,
    /// The most that a right one has, where it is known how the candidate rounds.
    limit: Option<f64>,
}

/// Keeps what later parts take.
fn keep_for_later(tensors: &mut RunTensors, later: &[Part]) {
    tensors.retain(|name, _| later.iter().any(|part| part.inputs.contains(name)));
}

/// ‖a - b‖ / ‖b‖.
fn rel_l2(a: &Tensor64, b: &Tensor64) -> Option<f64> {
    distance(a, b).map(|found| found.figures.rel_l2)
}

impl WholeRun {
    /// A run of no part yet.
    pub(super) fn of(image: &TapTensor, rounding_is_known: bool) -> WholeRun {
        let image = Tensor64::from(image);
        let exact: RunTensors = [(INPUT.to_string(), image.clone())].into();
        let runs = if image.data.len() < LARGE { WHOLE_RUNS } else { 1 };
        let nudged = vec![exact.clone(); runs];
        WholeRun { image, exact, nudged, errors: BTreeMap::new(), rounding_is_known, end: None }
    }

    /// Runs the next part, exactly and nudged; `own` is what it gives from the candidate's own inputs, where it could be
    /// computed.
    pub(super) fn step(
        &mut self,
        oracle: &Oracle<'_>,
        number: usize,
        own: &[(String, Tensor64)],
    ) -> Result<(), Failure> {
        let (part, later) = (&oracle.tensors.parts[number], &oracle.tensors.parts[number + 1..]);
        let of_input = |name: &String| rel_l2(&*oracle.tensors.tensor(name)?, self.exact.get(name)?);
        let into = part.inputs.first().and_then(of_input);
        let outputs = oracle.model.run_part(part, &self.exact).map_err(Failure::unreadable)?;
        let mut off: BTreeMap<String, f64> = BTreeMap::new();
        for (seed, tensors) in (1..).zip(&mut self.nudged) {
            let options = PartOptions { nudge: Some((seed, 1.0)), ..PartOptions::default() };
            let nudged = oracle.model.run_part_by(part, tensors, &options).map_err(Failure::unreadable)?;
            for ((name, nudged), (_, exact)) in nudged.iter().zip(&outputs) {
                let most = off.entry(name.clone()).or_default();
                *most = rel_l2(nudged, exact).unwrap_or_default().max(*most);
            }
            tensors.extend(nudged);
            keep_for_later(tensors, later);
        }
        for (name, tensor) in &outputs {
            let Some(candidate) = oracle.tensors.tensor(name) else { continue };
            let Some(whole) = rel_l2(&candidate, tensor) else { continue };
            let own = own.iter().find(|(output, _)| output == name);
            let Some(inherited) = own.and_then(|(_, own)| rel_l2(own, tensor)) else { continue };
            let gain = into.filter(|into| *into > 0.0).map(|into| inherited / into);
            self.errors.insert(name.clone(), RunErrors { inherited, whole, gain });
            let narrow_type = oracle.tensors.narrow_type(name);
            let stored = floor_of_storage(tensor, narrow_type).figures.rel_l2;
            let limit = (self.rounding_is_known || narrow_type.is_none())
                .then(|| TIMES_FLOOR * off.get(name).copied().unwrap_or_default().max(stored));
            let (name, exact) = (name.clone(), tensor.clone());
            self.end = Some(RunEnd { name, part: number, exact, error: whole, limit });
        }
        self.exact.extend(outputs);
        keep_for_later(&mut self.exact, later);
        Ok(())
    }
}

impl Oracle<'_> {
    /// What the end is when parts from `first` on are computed, and all before are the candidate's.
    fn end_from(&self, first: usize, end: &RunEnd) -> Result<Option<Tensor64>, Failure> {
        let parts = &self.tensors.parts[..=end.part];
        let taken = taken_by(&parts[first..]).into_iter();
        let mut tensors: RunTensors = taken
            .filter_map(|name| Some((name.clone(), Tensor64::clone(&*self.tensors.tensor(name)?))))
            .collect();
        for (number, part) in parts.iter().enumerate().skip(first) {
            let outputs = self.model.run_part(part, &tensors).map_err(Failure::unreadable)?;
            if number == end.part {
                return Ok(outputs.into_iter().find(|(name, _)| *name == end.name).map(|(_, tensor)| tensor));
            }
            tensors.extend(outputs);
            keep_for_later(&mut tensors, &parts[number + 1..]);
        }
        Ok(self.tensors.tensor(&end.name).map(|own| Tensor64::clone(&own)))
    }

    /// Parts before which the candidate has all that the rest takes, as it went on with it, in order; 0 is among them.
    fn boundaries(&self, end: &RunEnd, computed: &ComputedParts) -> Vec<usize> {
        let parts = &self.tensors.parts[..=end.part];
        let has = |name: &String| self.tensors.has(name) && !computed.is_not_taken(name, self.tensors);
        let has_all = |first: &usize| taken_by(&parts[*first..]).into_iter().all(has);
        (0..parts.len()).filter(has_all).collect()
    }
}

/// What parts take that none of them gives.
fn taken_by(parts: &[Part]) -> Vec<&String> {
    let given = |name: &&String| parts.iter().any(|part| part.outputs.contains(name));
    parts.iter().flat_map(|part| &part.inputs).filter(|name| !given(name)).collect()
}

/// Parts from one that the candidate has the inputs of up to the next such one.
struct Segment {
    first: usize,
    parts: usize,
    name: String,
    /// The largest share of a limit that one of its outputs uses up, where one is over.
    of_limit: Option<f64>,
}

/// Segments that are told together.
struct ToldSegment {
    first: usize,
    source: ErrorSource,
    of_limit: Option<f64>,
}

impl WholeRun {
    /// Puts the errors beside those of each layer alone, and what they come to into the comparison.
    pub(super) fn tell(
        &self,
        oracle: &Oracle<'_>,
        computed: &ComputedParts,
        comparison: &mut Comparison,
    ) -> Result<(), Failure> {
        for (name, errors) in &self.errors {
            let Some(own) = oracle.tensors.own_names.get(name) else { continue };
            for layer in comparison.layers.iter_mut().filter(|layer| layer.name == *own) {
                if let Outcome::Compared(compared) = &mut layer.outcome {
                    compared.in_run = Some(*errors);
                }
            }
        }
        let Some(end) = &self.end else { return Ok(()) };
        let own = oracle.tensors.own_names.get(&end.name).unwrap_or(&end.name);
        let mut budget = ErrorBudget {
            end: own.clone(),
            error: end.error,
            limit: end.limit,
            parts_are_right: comparison.failures().next().is_none() && comparison.missing.is_empty(),
            shares: Vec::new(),
            amplifiers: Vec::new(),
        };
        let segments = segments(oracle, end, computed, comparison);
        if !budget.passed() || segments.iter().any(|segment| segment.of_limit.is_some()) {
            budget.shares = shares(oracle, end, &self.image, told(segments))?;
        }
        if !budget.passed() {
            budget.amplifiers = self.amplifiers(oracle);
        }
        comparison.budget = Some(budget);
        Ok(())
    }

    fn amplifiers(&self, oracle: &Oracle<'_>) -> Vec<(String, f64)> {
        let of = |part: &Part| {
            let gain = self.errors.get(part.outputs.last()?)?.gain?;
            Some((part.name.clone(), gain))
        };
        let (most, least) = AMPLIFIERS;
        let mut all: Vec<(String, f64)> =
            oracle.tensors.parts.iter().filter_map(of).filter(|(_, gain)| *gain >= least).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all.truncate(most);
        all
    }
}

fn segments(
    oracle: &Oracle<'_>,
    end: &RunEnd,
    computed: &ComputedParts,
    comparison: &Comparison,
) -> Vec<Segment> {
    let bounds = oracle.boundaries(end, computed);
    let ends = bounds.iter().skip(1).copied().chain([end.part + 1]);
    let segment = |(first, next): (usize, usize)| {
        let parts = &oracle.tensors.parts[first..next];
        let of_these = computed.parts.iter().filter(|one| parts.contains(&one.part));
        let over = of_these.flat_map(|part| failing(oracle, &part.part, comparison)).map(|(_, used)| used);
        let of_limit = over.max_by(f64::total_cmp);
        let name = match parts {
            [one] => one.name.clone(),
            [one, .., last] => format!("{} to {}", one.name, last.name),
            [] => String::new(),
        };
        Segment { first, parts: parts.len(), name, of_limit }
    };
    bounds.iter().copied().zip(ends).map(segment).collect()
}

/// Those that are over their limits, one by one where they are not too many; the others, from one such to the next,
/// together.
fn told(segments: Vec<Segment>) -> Vec<ToldSegment> {
    let mut over: Vec<f64> = segments.iter().filter_map(|segment| segment.of_limit).collect();
    over.sort_by(|a, b| b.total_cmp(a));
    let least = over.get(CULPRITS - 1).copied().unwrap_or(0.0);
    let mut told: Vec<ToldSegment> = Vec::new();
    for segment in segments {
        let Segment { first, parts, name, of_limit } = segment;
        match (of_limit.filter(|used| *used >= least), told.last_mut()) {
            (Some(used), _) => {
                told.push(ToldSegment { first, source: ErrorSource::Part(name), of_limit: Some(used) });
            }
            (None, Some(ToldSegment { source: ErrorSource::Others(others), .. })) => *others += parts,
            (None, _) => told.push(ToldSegment { first, source: ErrorSource::Others(parts), of_limit: None }),
        }
    }
    told
}

/// What each adds at the end: the end with it as the candidate's, less the end with it computed. They add up to the error of
/// the end.
fn shares(
    oracle: &Oracle<'_>,
    end: &RunEnd,
    image: &Tensor64,
    told: Vec<ToldSegment>,
) -> Result<Vec<ErrorShare>, Failure> {
    let Some(candidate) = oracle.tensors.tensor(&end.name) else { return Ok(Vec::new()) };
    let minus = |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a - b).collect() };
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    let total = minus(&candidate.data, &end.exact.data);
    let (whole, size) = (dot(&total, &total), dot(&end.exact.data, &end.exact.data).sqrt());
    let share = |source, of_limit, added: &[f64]| ErrorShare {
        source,
        of_limit,
        at_end: dot(added, added).sqrt() / size,
        share: dot(added, &total) / whole,
    };
    let mut shares = Vec::new();
    let mut before = end.exact.data.clone();
    if oracle.tensors.tensor(INPUT).is_some_and(|own| own.data != image.data)
        && let Some(own) = oracle.end_from(0, end)?
    {
        shares.push(share(ErrorSource::Input, None, &minus(&own.data, &before)));
        before = own.data;
    }
    let next: Vec<usize> = told.iter().skip(1).map(|told| told.first).chain([end.part + 1]).collect();
    let mut others: Option<(usize, Vec<f64>)> = None;
    for (ToldSegment { source, of_limit, .. }, next) in told.into_iter().zip(next) {
        let Some(after) = oracle.end_from(next, end)? else { continue };
        let added = minus(&after.data, &before);
        before = after.data;
        match source {
            ErrorSource::Others(parts) => {
                let (all, sum) = others.get_or_insert_with(|| (0, vec![0.0; added.len()]));
                *all += parts;
                sum.iter_mut().zip(&added).for_each(|(sum, added)| *sum += added);
            }
            source => shares.push(share(source, of_limit, &added)),
        }
    }
    if let Some((parts, sum)) = others {
        shares.push(share(ErrorSource::Others(parts), None, &sum));
    }
    Ok(shares)
}
