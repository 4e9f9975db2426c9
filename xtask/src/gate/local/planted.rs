//! Faults planted in the parts of a simulated port: whether each is seen, and whether it is called by its name.

use encoder::reference::{Operations, PortChange, ReferenceModel, Tensor64};
use encoder::tap::INPUT;
use encoder::{Part, TapTensor};

use super::causes::{Verdict, hypotheses, verdict};
use super::oracle::{ComputedPart, Oracle, distance};
use super::parts::CandidateTensors;
use crate::shell::failure::Failure;

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
    Seen(Verdict),
}

/// The seed of what f32 loses in the simulated port.
const SEED: u64 = 41;

/// Plants faults in one part of each kind that a model has.
pub(crate) fn plant(model: &ReferenceModel<'_>, image: &TapTensor) -> Result<Vec<PlantedInPart>, Failure> {
    let right = right_port(model, image)?;
    let mut kinds: Vec<String> = Vec::new();
    let mut planted = Vec::new();
    for part in &right.parts {
        let operations = model.operations(part, &right.by_part).map_err(Failure::unreadable)?;
        let kind = kind_of(part, &operations);
        if kinds.contains(&kind) {
            continue;
        }
        let oracle = Oracle { model, tensors: &right };
        let Some(computed) = oracle.alone(part)? else { continue };
        for changes in faults(part, &operations, kinds.len()) {
            planted.push(planted_in(model, &right, &computed, changes)?);
        }
        kinds.push(kind);
    }
    Ok(planted)
}

/// What a right port dumps, in f32.
fn right_port(model: &ReferenceModel<'_>, image: &TapTensor) -> Result<CandidateTensors<'static>, Failure> {
    let unusable = || Failure::unusable("an image of another rank than 4");
    let shape = <[usize; 4]>::try_from(image.shape.as_slice()).map_err(|_| unusable())?;
    let dumped = model.simulate(&[], SEED, shape, &image.data).map_err(Failure::unreadable)?;
    let mut right = CandidateTensors::of(model.parts());
    right.by_part.extend(dumped.into_iter().map(|(name, tensor)| (name, in_f32(tensor))));
    let data = image.data.iter().map(|x| f64::from(*x)).collect();
    right.by_part.insert(INPUT.to_string(), Tensor64 { shape: image.shape.clone(), data });
    Ok(right)
}

fn in_f32(tensor: Tensor64) -> Tensor64 {
    Tensor64 { data: tensor.data.into_iter().map(|x| f64::from(x as f32)).collect(), ..tensor }
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

/// Numbers that no trial starts from.
fn with_own_number(change: PortChange) -> PortChange {
    match change {
        PortChange::Epsilon { norm, value } => PortChange::Epsilon { norm, value: 2.3 * value },
        PortChange::LayerScaleTimes(_) => PortChange::LayerScaleTimes(1.002),
        PortChange::ScoresTimes(_) => PortChange::ScoresTimes(0.98),
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
    right: &CandidateTensors<'_>,
    computed: &ComputedPart,
    changes: Vec<PortChange>,
) -> Result<PlantedInPart, Failure> {
    let part = &computed.part;
    let name = part.name.clone();
    let outcome = |outcome| PlantedInPart { part: name.clone(), changes: changes.clone(), outcome };
    // Weights of another shape cannot be taken by mistake.
    let Ok(changed) = model.run_part_with(part, &right.by_part, &changes) else {
        return Ok(outcome(PlantedOutcome::Equivalent));
    };
    if !is_over(computed, &changed) {
        return Ok(outcome(PlantedOutcome::Equivalent));
    }
    let dumped =
        model.simulate_part(part, &right.by_part, &changes, SEED + 1).map_err(Failure::unreadable)?;
    let dumped: Vec<(String, Tensor64)> =
        dumped.into_iter().map(|(name, tensor)| (name, in_f32(tensor))).collect();
    if !is_over(computed, &dumped) {
        return Ok(outcome(PlantedOutcome::Missed));
    }
    let mut faulty = CandidateTensors::of(right.parts.clone());
    faulty.by_part.extend(computed.inputs.clone());
    faulty.by_part.extend(dumped);
    let oracle = Oracle { model, tensors: &faulty };
    Ok(match verdict(&oracle, computed) {
        Some(verdict) => outcome(PlantedOutcome::Seen(verdict)),
        None => outcome(PlantedOutcome::Missed),
    })
}

/// Whether an output is farther off than a right port's.
fn is_over(computed: &ComputedPart, outputs: &[(String, Tensor64)]) -> bool {
    let over = |(name, tensor): &(String, Tensor64)| {
        let exact = computed.outputs.iter().find(|(output, _)| output == name).map(|(_, exact)| exact);
        let floor = computed.floors.get(name).map(|floor| floor.figures);
        match (exact, floor) {
            (Some(exact), Some(floor)) => distance(tensor, exact).is_none_or(|found| {
                found.figures.rel_l2 > super::causes::TIMES_FLOOR * floor.rel_l2
                    || found.figures.rel_linf > super::causes::TIMES_FLOOR * floor.rel_linf
            }),
            _ => false,
        }
    };
    outputs.iter().any(over)
}
