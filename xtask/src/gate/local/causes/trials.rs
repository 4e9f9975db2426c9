//! Changes that are tried on the values of a part.

use std::cell::Cell;
use std::sync::Arc;

use encoder::reference::{Operations, PortChange, Tensor64};
use rayon::prelude::*;

use super::fit::{self, FittedNumber};
use super::{NEAR, hypotheses};
use crate::gate::local::computed::ComputedPart;
use crate::gate::local::floors::{LEAST, TIMES_FLOOR, distance, is_within, named};
use crate::gate::local::oracle::Oracle;

/// Pairs whose numbers are fitted, of those that come nearest.
const NEAREST: usize = 6;
/// Changes that come nearest alone, with each of which every number of a second is fitted.
const FITTED_FIRST: usize = 2;
/// Numbers nearer to the model's than this are the same.
const RIGHT: f64 = 1e-4;
/// Runs that find the floor of a changed part.
const SEEDS: u64 = 8;
/// Changes that come nearest alone, each of which is tried with every other one.
const FIRST_OF_PAIR: usize = 8;
/// Elements of a part's inputs, beyond which fewer are.
const LARGE: usize = 1 << 18;
/// The most channels that are tried one by one.
const CHANNELS: usize = 2048;

/// Changes that were tried on a part.
pub(crate) struct PartTrial {
    pub(crate) changes: Vec<PortChange>,
    /// ‖candidate - changed‖ / ‖changed‖ of the outputs that are looked at, as the root of the sum of their squares; more than
    /// half of what it was where one of them is left as it was.
    pub(crate) left: f64,
    /// Of the number of each change that has one, where it was fitted.
    pub(crate) uncertainties: Vec<Option<f64>>,
}

impl PartTrial {
    /// How many of its changes have a number that is fitted.
    pub(super) fn numbers(&self) -> usize {
        self.changes.iter().filter(|change| fit::number(**change).is_some()).count()
    }

    /// Its changes without their places, their numbers to one digit.
    pub(super) fn kind(&self) -> String {
        let kind = |change: &PortChange| {
            let number = fit::number(*change).map_or(String::new(), |number| format!("{number:.0e}"));
            format!("{:?} {number}", fit::with_number(change.everywhere(), 1.0))
        };
        self.changes.iter().map(kind).collect::<Vec<_>>().join(" ")
    }

    /// Whether one of its changes is told for every operation of a kind.
    pub(super) fn is_everywhere(&self) -> bool {
        self.changes.iter().any(|change| change.is_everywhere())
    }

    /// Changes that have a number, each with it and how uncertain it is, where it was fitted.
    fn numbered(&self) -> impl Iterator<Item = (PortChange, f64, Option<f64>)> {
        let all = self.changes.iter().zip(&self.uncertainties);
        all.filter_map(|(change, uncertainty)| Some((*change, fit::number(*change)?, *uncertainty)))
    }

    /// Whether it says nothing of the part: a number is that of the model, as far as it is known, or could be any other.
    pub(in crate::gate::local) fn says_nothing(&self) -> bool {
        self.numbered().any(|(change, number, uncertainty)| {
            let right = fit::right_number(change);
            let is_right = (number - right).abs() <= uncertainty.unwrap_or(0.0).max(RIGHT * right);
            is_right || uncertainty.is_some_and(|uncertainty| uncertainty >= number)
        })
    }

    /// Whether it is the same one change as another, in one place for everywhere or everywhere for one place.
    pub(super) fn is_done_elsewhere(&self, other: &PartTrial) -> bool {
        let ([a], [b]) = (self.changes.as_slice(), other.changes.as_slice()) else { return false };
        let of_its_kind = |change: &PortChange| fit::with_number(change.everywhere(), 1.0);
        a.is_everywhere() != b.is_everywhere() && of_its_kind(a) == of_its_kind(b)
    }

    /// Whether it differs from another only in where it is done, or is part of it.
    pub(super) fn is_like(&self, other: &PartTrial) -> bool {
        let kind = |change: &PortChange| std::mem::discriminant(change);
        let kinds: Vec<_> = other.changes.iter().map(kind).collect();
        self.changes.iter().all(|change| kinds.contains(&kind(change)))
            || (self.changes.len() > 1 && other.changes.iter().all(|change| self.changes.contains(change)))
    }
}

/// A part that failed, and what is tried on it.
pub(in crate::gate::local) struct PartTrials<'a> {
    oracle: &'a Oracle<'a>,
    part: &'a ComputedPart,
    /// The outputs that are looked at.
    looked_at: Vec<LookedAt<'a>>,
    /// Outputs that are right: what moves one of them is not what the port does.
    right: Vec<RightOutput>,
    pub(in crate::gate::local) operations: Operations,
    pub(in crate::gate::local) floor: f64,
    /// How far the candidate is off without a change.
    pub(in crate::gate::local) before: f64,
    tried: Cell<usize>,
}

/// An output that is looked at: one that is off, or the last one where none is.
struct LookedAt<'a> {
    name: &'a str,
    candidate: Arc<Tensor64>,
    exact: &'a Tensor64,
    floor: f64,
    /// How far the candidate is off.
    before: f64,
}

impl LookedAt<'_> {
    /// Whether an error that is left is hardly less than before: large ones of other outputs must not hide it.
    fn is_left_as_it_was(&self, left: f64) -> bool {
        left > NEAR * self.before && left > TIMES_FLOOR * self.floor
    }
}

/// An output of a part that the candidate has right.
struct RightOutput {
    name: String,
    candidate: Arc<Tensor64>,
    /// How far it may be from a changed one's.
    limit: f64,
}

impl RightOutput {
    /// Whether changed outputs have another in its place.
    fn is_moved(&self, outputs: &[(String, Tensor64)]) -> bool {
        named(outputs, &self.name)
            .and_then(|changed| distance(&self.candidate, changed))
            .is_none_or(|found| found.figures.rel_l2 > self.limit)
    }
}

impl<'a> PartTrials<'a> {
    /// `None` where the candidate has no output of the part that could be looked at.
    pub(in crate::gate::local) fn of(
        oracle: &'a Oracle<'a>,
        part: &'a ComputedPart,
    ) -> Option<PartTrials<'a>> {
        let fits = |(name, exact): &'a (String, Tensor64)| {
            let candidate = oracle.tensors.tensor(name).filter(|own| own.shape == exact.shape)?;
            let floor = part.floors.get(name)?.figures.rel_l2.max(LEAST);
            // What is zero throughout has no relative error.
            let before = distance(&candidate, exact)?.figures.rel_l2;
            Some(LookedAt { name, candidate, exact, floor, before })
        };
        let off: Vec<&String> = oracle.off(part).collect();
        let outputs =
            part.outputs.iter().filter(|(name, _)| !(part.dropped.contains(name) && off.contains(&name)));
        let all: Vec<LookedAt<'a>> = outputs.filter_map(fits).collect();
        let is_off = |one: &LookedAt<'a>| !is_within(&one.candidate, one.exact, part.floors.get(one.name));
        let last = all.len().checked_sub(1)?;
        let any = all.iter().any(is_off);
        let (looked_at, others): (Vec<_>, Vec<_>) =
            all.into_iter().enumerate().partition(|(at, one)| if any { is_off(one) } else { *at == last });
        let looked_at: Vec<LookedAt<'a>> = looked_at.into_iter().map(|(_, one)| one).collect();
        let floor = length(looked_at.iter().map(|one| one.floor));
        let before = length(looked_at.iter().map(|one| one.before));
        let operations = oracle.model.operations(&part.part, &part.inputs.tensors).ok()?;
        let right = others.into_iter().map(|(_, one)| RightOutput {
            name: one.name.to_string(),
            limit: TIMES_FLOOR * one.floor,
            candidate: one.candidate,
        });
        let (right, tried) = (right.collect(), Cell::new(0));
        Some(PartTrials { oracle, part, looked_at, right, operations, floor, before, tried })
    }

    /// How many have been tried.
    pub(in crate::gate::local) fn count(&self) -> usize {
        self.tried.get()
    }

    /// Changes of one thing, the numbers of the nearest fitted.
    pub(in crate::gate::local) fn singles(&self) -> Vec<PartTrial> {
        let changes = hypotheses::singles(&self.part.part, &self.operations);
        let mut trials = self.tried(changes.into_iter().map(|change| vec![change]).collect());
        trials.sort_by(|a, b| a.left.total_cmp(&b.left));
        // A wrong number is as far off as anything: of those that are tried for one place the nearest is fitted.
        let mut fitted: Vec<Vec<PortChange>> = Vec::new();
        for trial in &mut trials {
            let place: Vec<PortChange> =
                trial.changes.iter().map(|change| fit::with_number(*change, 1.0)).collect();
            if trial.numbers() > 0 && !fitted.contains(&place) {
                fitted.push(place);
                self.fit_numbers(trial);
            }
        }
        trials
    }

    /// How far runs with these changes may be from each other, as [`floor`](PartTrials::floor) is without a change.
    pub(super) fn floor_of(&self, trial: &PartTrial) -> f64 {
        let run = |nudge| self.run().outputs(&trial.changes, nudge);
        let Some(exact) = run(None) else { return 0.0 };
        let off = |seed| {
            let outputs = run(Some((seed, 1.0)))?;
            let of = |one: &LookedAt<'_>| {
                Some(distance(named(&outputs, one.name)?, named(&exact, one.name)?)?.figures.rel_l2)
            };
            Some(length(self.looked_at.iter().map(of).collect::<Option<Vec<f64>>>()?))
        };
        (1..=SEEDS).filter_map(off).fold(0.0, f64::max)
    }

    /// A norm's weight lost in one channel, where there are not too many.
    pub(super) fn lost_channels(&self) -> Vec<PartTrial> {
        let channels: usize = self.operations.norms.iter().map(|norm| norm.channels).sum();
        if channels > CHANNELS || self.is_large() {
            return Vec::new();
        }
        let changes = hypotheses::lost_channels(&self.operations);
        self.tried(changes.into_iter().map(|change| vec![change]).collect())
    }

    /// The nearest of these with each change of one thing, the numbers of the nearest pairs fitted.
    pub(super) fn pairs(&self, singles: &[PartTrial]) -> Vec<PartTrial> {
        let mut nearest: Vec<&PartTrial> = singles.iter().filter(|trial| trial.left < self.before).collect();
        nearest.sort_by(|a, b| a.left.total_cmp(&b.left));
        nearest.truncate(if self.is_large() { 2 } else { FIRST_OF_PAIR });
        let second = hypotheses::singles(&self.part.part, &self.operations);
        let pair = |first: &&PartTrial| {
            let first = first.changes.clone();
            let with =
                |change: &PortChange| (!first.contains(change)).then(|| [&first[..], &[*change]].concat());
            second.iter().filter_map(with).collect::<Vec<_>>()
        };
        let mut trials = self.tried(nearest.iter().flat_map(pair).collect());
        trials.sort_by(|a, b| a.left.total_cmp(&b.left));
        let first: Vec<Vec<PortChange>> =
            nearest.iter().take(FITTED_FIRST).map(|trial| trial.changes.clone()).collect();
        let mut fitted: Vec<Vec<PortChange>> = Vec::new();
        for (at, trial) in trials.iter_mut().enumerate() {
            let place: Vec<PortChange> =
                trial.changes.iter().map(|change| fit::with_number(*change, 1.0)).collect();
            let is_asked = at < NEAREST || first.iter().any(|first| trial.changes.starts_with(first));
            if is_asked && trial.numbers() > 0 && !fitted.contains(&place) && !self.is_large() {
                fitted.push(place);
                self.fit_numbers(trial);
            }
        }
        // A number that is the right one, or any other, changes nothing.
        trials.retain(|trial| !trial.says_nothing());
        trials
    }

    /// Whether a trial moves an output that is right.
    pub(super) fn moves_what_is_right(&self, trial: &PartTrial) -> bool {
        trial.numbers() > 0 && self.run().left(&trial.changes).is_none()
    }

    fn run(&self) -> PartRun<'_> {
        PartRun { oracle: self.oracle, part: self.part, looked_at: &self.looked_at, right: &self.right }
    }

    fn is_large(&self) -> bool {
        self.part.inputs.tensors.values().map(|tensor| tensor.data.len()).sum::<usize>() > LARGE
    }

    /// Trials of those that change anything.
    fn tried(&self, changes: Vec<Vec<PortChange>>) -> Vec<PartTrial> {
        self.tried.set(self.tried.get() + changes.len());
        let run = self.run();
        let trial = |changes: Vec<PortChange>| {
            // A number that is still to be fitted may move what the right one does not.
            let to_be_fitted = changes.iter().any(|change| fit::number(*change).is_some());
            let right = if to_be_fitted { &[] } else { run.right };
            let left = PartRun { right, ..run }.left(&changes)?;
            let uncertainties = vec![None; changes.len()];
            left.is_finite().then_some(PartTrial { changes, left, uncertainties })
        };
        changes.into_par_iter().with_min_len(self.part.runs_in_turn()).filter_map(trial).collect()
    }

    /// Fits each number of a trial, twice where there are several.
    fn fit_numbers(&self, trial: &mut PartTrial) {
        let run = self.run();
        let numbers: Vec<usize> =
            (0..trial.changes.len()).filter(|at| fit::number(trial.changes[*at]).is_some()).collect();
        for at in numbers.iter().cycle().take(numbers.len() * numbers.len()) {
            let Some(start) = fit::number(trial.changes[*at]) else { continue };
            let left = |value: f64| {
                let mut changes = trial.changes.clone();
                changes[*at] = fit::with_number(changes[*at], value);
                PartRun { right: &[], ..run }.left(&changes)
            };
            let FittedNumber { value, left, uncertainty } = fit::fit(start, &left);
            if left < trial.left {
                trial.changes[*at] = fit::with_number(trial.changes[*at], value);
                (trial.left, trial.uncertainties[*at]) = (left, Some(uncertainty));
            }
        }
    }
}

/// A part, and the outputs of it that are looked at.
#[derive(Clone, Copy)]
struct PartRun<'a> {
    oracle: &'a Oracle<'a>,
    part: &'a ComputedPart,
    looked_at: &'a [LookedAt<'a>],
    right: &'a [RightOutput],
}

impl PartRun<'_> {
    /// What the part gives with changes; `None` where they cannot be made.
    fn outputs(&self, changes: &[PortChange], nudge: Option<(u64, f64)>) -> Option<Vec<(String, Tensor64)>> {
        let ComputedPart { part, inputs, .. } = self.part;
        self.oracle.run(part, inputs, changes, nudge).ok()
    }

    /// What changes leave of the candidate's error; `None` where they change nothing, cannot be made, or move what is right.
    fn left(&self, changes: &[PortChange]) -> Option<f64> {
        let outputs = self.outputs(changes, None)?;
        let of = self.looked_at.iter().map(|one| Some((one, named(&outputs, one.name)?)));
        let changed: Vec<(&LookedAt<'_>, &Tensor64)> = of.collect::<Option<_>>()?;
        let changes_nothing = changed.iter().all(|(one, changed)| *changed == one.exact);
        if changes_nothing || self.right.iter().any(|right| right.is_moved(&outputs)) {
            return None;
        }
        let off =
            changed.iter().map(|(one, changed)| Some(distance(&one.candidate, changed)?.figures.rel_l2));
        let off: Vec<f64> = off.collect::<Option<_>>()?;
        let hardly = off.iter().zip(self.looked_at).any(|(left, one)| one.is_left_as_it_was(*left));
        let before = length(self.looked_at.iter().map(|one| one.before));
        let left = length(off);
        // What helps some outputs alone explains nothing, and comes after all that helps each.
        Some(if hardly { left.max(NEAR * before * (1.0 + left.min(before) / before)) } else { left })
    }
}

/// The root of the sum of squares.
fn length(errors: impl IntoIterator<Item = f64>) -> f64 {
    errors.into_iter().map(|error| error * error).sum::<f64>().sqrt()
}
