//! Faults planted in the parts of a simulated port: whether each is seen, and whether it is called by its name.

use std::collections::BTreeMap;

use encoder::reference::{Operations, PartOptions, PortChange, ReferenceModel, Tensor64};
use encoder::tap::INPUT;
use encoder::{Part, TapTensor};
use harness::limits::tolerance::NoiseFloor;

use super::causes::{PartVerdict, hypotheses, verdict};
use super::computed::ComputedPart;
use super::floors::{distance, is_within};
use super::oracle::Oracle;
use super::parts::CandidateTensors;
use crate::shell::failure::Failure;

/// Tensors of a port, by the names that parts give them.
type SimulatedTensors = BTreeMap<String, Tensor64>;

/// A fault that was planted in a part, and what became of it.
pub(crate) struct PlantedInPart {
    pub(crate) part: String,
    pub(crate) changes: Vec<PortChange>,
    pub(crate) outcome: PlantedOutcome,
}

/// What became of a planted fault.
pub(crate) enum PlantedOutcome {
    /// It changes nothing that could be told from what f32 sums lose.
    Equivalent,
    /// All outputs are within their limits.
    Missed,
    /// It is seen, and this is said of it.
    Seen(Box<PartVerdict>),
}

/// The seed of what f32 loses in the simulated port.
const SEED: u64 = 41;
/// Runs of a changed part that show what f32 loses there.
const RUNS: u64 = 4;

/// Plants faults in one part of each kind that a model has.
pub(crate) fn plant(model: &ReferenceModel<'_>, image: &TapTensor) -> Result<Vec<PlantedInPart>, Failure> {
    let right = right_port(model, image)?;
    let parts = model.parts();
    let tensors = CandidateTensors::at_hand(parts.clone(), right.clone());
    let oracle = Oracle { model, tensors: &tensors };
    let mut kinds: Vec<String> = Vec::new();
    let mut planted = Vec::new();
    for part in &parts {
        let operations = model.operations(part, &right).map_err(Failure::unreadable)?;
        let kind = kind_of(part, &operations);
        if kinds.contains(&kind) {
            continue;
        }
        let (from_inputs, judged) = (oracle.by_inputs(part)?, oracle.alone(part)?);
        let Some((mut computed, judged)) = from_inputs.zip(judged) else { continue };
        // A fault shows in what the part gives from its inputs, and then in what it gives from what was dumped between.
        for (name, floor) in &mut computed.floors {
            if let Some(other) = judged.floors.get(name) {
                let (figures, other) = (&mut floor.figures, other.figures);
                figures.rel_l2 = figures.rel_l2.max(other.rel_l2);
                figures.rel_linf = figures.rel_linf.max(other.rel_linf);
            }
        }
        for changes in faults(part, &operations, kinds.len()) {
            // Everywhere may be one place.
            let is_one_place = changes.iter().any(|change| change.is_everywhere())
                && narrower(part, &operations, &changes).into_iter().any(|other| {
                    let run = |changes: &[PortChange]| run_with(model, part, &right, changes).ok();
                    run(&other).is_some_and(|outputs| Some(outputs) == run(&changes))
                });
            if !is_one_place {
                planted.push(planted_in(model, &right, &computed, changes)?);
            }
        }
        kinds.push(kind);
    }
    Ok(planted)
}

/// What a right port dumps, in f32.
fn right_port(model: &ReferenceModel<'_>, image: &TapTensor) -> Result<SimulatedTensors, Failure> {
    let unusable = || Failure::unusable("an image of another rank than 4");
    let shape = <[usize; 4]>::try_from(image.shape.as_slice()).map_err(|_| unusable())?;
    let dumped = model.simulate(&[], SEED, shape, &image.data).map_err(Failure::unreadable)?;
    let mut tensors: SimulatedTensors = dumped.into_iter().collect();
    tensors.insert(INPUT.to_string(), Tensor64::from(image));
    Ok(tensors)
}

/// The operations of a part, without where it is.
fn kind_of(part: &Part, operations: &Operations) -> String {
    let within = |name: &str| name.trim_start_matches(&part.name).to_string();
    let convolutions =
        operations.convolutions.iter().map(|one| format!("{}/{}", within(&one.name), one.stride));
    let norms = operations.norms.iter().map(|norm| within(&norm.name));
    format!("{} outputs: {}", part.outputs.len(), convolutions.chain(norms).collect::<Vec<_>>().join(" "))
}

/// One fault of each kind that is tried on a part, in a place that differs from part to part, and some pairs of them.
fn faults(part: &Part, operations: &Operations, turn: usize) -> Vec<Vec<PortChange>> {
    let mut kinds: Vec<(String, Vec<PortChange>)> = Vec::new();
    for change in hypotheses::singles(part, operations).into_iter().map(with_own_number) {
        let kind = without_place(change);
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, changes)) => changes.push(change),
            None => kinds.push((kind, vec![change])),
        }
    }
    let mut singles: Vec<PortChange> =
        kinds.iter().enumerate().map(|(at, (_, changes))| changes[(turn + at) % changes.len()]).collect();
    if let Some((norm, named)) = operations.norms.iter().enumerate().next_back() {
        let channel = named.channels / 2;
        singles.push(PortChange::NormChannel { norm, channel, weight: 1.0 });
    }
    let pairs = singles.iter().zip(singles.iter().skip(5)).step_by(9);
    let pairs: Vec<Vec<PortChange>> = pairs.map(|(a, b)| vec![*a, *b]).collect();
    singles.into_iter().map(|change| vec![change]).chain(pairs).collect()
}

/// A fault with one of its changes in one place instead of everywhere.
fn narrower(part: &Part, operations: &Operations, changes: &[PortChange]) -> Vec<Vec<PortChange>> {
    let all: Vec<PortChange> =
        hypotheses::singles(part, operations).into_iter().map(with_own_number).collect();
    let of = |at: usize| {
        let kind = without_place(changes[at]);
        let narrow =
            all.iter().filter(move |one| !one.is_everywhere() && told_as(**one) == told_as_all(&kind));
        narrow.map(move |one| {
            let mut changes = changes.to_vec();
            changes[at] = *one;
            changes
        })
    };
    (0..changes.len()).filter(|at| changes[*at].is_everywhere()).flat_map(of).collect()
}

/// A change as it is written, without places.
fn told_as(change: PortChange) -> String {
    without_place(change).replace("Some()", "")
}

/// The same of one that is told for all.
fn told_as_all(kind: &str) -> String {
    kind.replace("None", "")
}

/// Numbers that no trial starts from.
fn with_own_number(change: PortChange) -> PortChange {
    match change {
        PortChange::Epsilon { norm, value } => PortChange::Epsilon { norm, value: 2.3 * value },
        PortChange::EpsilonOutside { norm, value } => PortChange::EpsilonOutside { norm, value: 2.3 * value },
        PortChange::LayerScaleTimes(_) => PortChange::LayerScaleTimes(1.002),
        PortChange::ScoresTimes(_) => PortChange::ScoresTimes(0.98),
        PortChange::KeysPadded(keys) => PortChange::KeysPadded((1.7 * keys).round()),
        other => other,
    }
}

/// A change as it is written, without the numbers of operations.
fn without_place(change: PortChange) -> String {
    let written = format!("{change:?}");
    let parts = written.split("Some(").map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()));
    parts.collect::<Vec<_>>().join("Some(")
}

fn planted_in(
    model: &ReferenceModel<'_>,
    right: &SimulatedTensors,
    computed: &ComputedPart,
    changes: Vec<PortChange>,
) -> Result<PlantedInPart, Failure> {
    let part = &computed.part;
    let name = part.name.clone();
    let outcome = |outcome| PlantedInPart { part: name.clone(), changes: changes.clone(), outcome };
    // Weights of another shape cannot be taken by mistake.
    let Ok(changed) = run_with(model, part, right, &changes) else {
        return Ok(outcome(PlantedOutcome::Equivalent));
    };
    let without = |at: usize| {
        let others: Vec<PortChange> =
            changes.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, change)| *change).collect();
        run_with(model, part, right, &others)
    };
    // Each of several must change what the others give, by more than what f32 loses then.
    let floors = match changes.len() {
        1 => computed.floors.clone(),
        _ => floors_of_changed(model, right, computed, &changes, &changed),
    };
    let tells =
        (0..changes.len()).all(|at| without(at).is_ok_and(|others| is_over(&others, &floors, &changed)));
    if !tells {
        return Ok(outcome(PlantedOutcome::Equivalent));
    }
    let dumped = simulated(model, part, right, &changes, SEED + 1).map_err(Failure::unreadable)?;
    let tensors = computed.inputs.tensors.clone().into_iter().chain(dumped.clone()).collect();
    let faulty = CandidateTensors::at_hand(model.parts(), tensors);
    let oracle = Oracle { model, tensors: &faulty };
    let judged = oracle.alone(part)?.filter(|judged| is_over(&judged.outputs, &judged.floors, &dumped));
    Ok(match judged.and_then(|judged| verdict(&oracle, &judged)) {
        Some(verdict) => outcome(PlantedOutcome::Seen(Box::new(verdict))),
        None => outcome(PlantedOutcome::Missed),
    })
}

/// How far runs of a changed part may be from each other, or those of the right one, where that is more.
fn floors_of_changed(
    model: &ReferenceModel<'_>,
    right: &SimulatedTensors,
    computed: &ComputedPart,
    changes: &[PortChange],
    changed: &[(String, Tensor64)],
) -> BTreeMap<String, NoiseFloor> {
    let mut floors = computed.floors.clone();
    for seed in SEED + 2..SEED + 2 + RUNS {
        let run = simulated(model, &computed.part, right, changes, seed).unwrap_or_default();
        for ((name, own), (_, exact)) in run.into_iter().zip(changed) {
            let (Some(found), Some(floor)) = (distance(&own, exact), floors.get_mut(&name)) else {
                continue;
            };
            let (figures, found) = (&mut floor.figures, found.figures);
            figures.rel_l2 = figures.rel_l2.max(found.rel_l2);
            figures.rel_linf = figures.rel_linf.max(found.rel_linf);
        }
    }
    floors
}

/// Whether an output is farther from what it should be than a right port's.
fn is_over(
    exact: &[(String, Tensor64)],
    floors: &BTreeMap<String, NoiseFloor>,
    outputs: &[(String, Tensor64)],
) -> bool {
    outputs.iter().any(|(name, tensor)| {
        let exact = exact.iter().find(|(output, _)| output == name).map(|(_, exact)| exact);
        exact.is_some_and(|exact| floors.contains_key(name) && !is_within(tensor, exact, floors.get(name)))
    })
}

/// What a part gives with changes.
fn run_with(
    model: &ReferenceModel<'_>,
    part: &Part,
    tensors: &SimulatedTensors,
    changes: &[PortChange],
) -> Result<Vec<(String, Tensor64)>, encoder::Error> {
    model.run_part_by(part, tensors, &PartOptions { changes, ..PartOptions::default() })
}

/// The same in a port, with what f32 loses.
fn simulated(
    model: &ReferenceModel<'_>,
    part: &Part,
    tensors: &SimulatedTensors,
    changes: &[PortChange],
    seed: u64,
) -> Result<Vec<(String, Tensor64)>, encoder::Error> {
    let nudge = Some((seed, 1.0));
    let options = PartOptions { changes, nudge, known: true, gives_f32: true, ..PartOptions::default() };
    model.run_part_by(part, tensors, &options)
}
