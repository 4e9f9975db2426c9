//! Changes that are tried on the values of a part.

use std::cell::Cell;
use std::sync::Arc;

use encoder::reference::{Operations, PortChange, Tensor64};
use rayon::prelude::*;

use super::fit::{self, FittedNumber};
use super::{LEAST, TIMES_FLOOR, hypotheses};
use crate::gate::local::oracle::{ComputedPart, Oracle, distance};

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
    /// ‖candidate - changed‖ / ‖changed‖ of the part's last output that the candidate has.
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
    /// The output that is looked at.
    output: &'a str,
    candidate: Arc<Tensor64>,
    exact: &'a Tensor64,
    /// Outputs that are right: what moves one of them is not what the port does.
    right: Vec<RightOutput>,
    pub(in crate::gate::local) operations: Operations,
    pub(in crate::gate::local) floor: f64,
    /// How far the candidate is off without a change.
    pub(in crate::gate::local) before: f64,
    tried: Cell<usize>,
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
        let changed = outputs.iter().find(|(name, _)| *name == self.name).map(|(_, changed)| changed);
        changed
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
            let own = oracle.tensors.tensor(name).filter(|own| own.shape == exact.shape)?;
            Some((name, exact, own))
        };
        let (output, exact, candidate) = part.outputs.iter().rev().find_map(fits)?;
        let floor = part.floors.get(output)?.figures.rel_l2;
        let before = distance(&candidate, exact)?.figures.rel_l2;
        let operations = oracle.model.operations(&part.part, &part.inputs).ok()?;
        let right = part.outputs.iter().filter_map(|(name, exact)| {
            let candidate = oracle.tensors.tensor(name)?;
            let limit = TIMES_FLOOR * part.floors.get(name)?.figures.rel_l2.max(LEAST);
            let is_right = distance(&candidate, exact)?.figures.rel_l2 <= limit;
            is_right.then(|| RightOutput { name: name.clone(), candidate, limit })
        });
        let (right, tried) = (right.collect(), Cell::new(0));
        Some(PartTrials { oracle, part, output, candidate, exact, right, operations, floor, before, tried })
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
        let run = |seed: Option<u64>| {
            let (part, inputs) = (&self.part.part, &self.part.inputs);
            let outputs = match seed {
                Some(seed) => self.oracle.model.simulate_part(part, inputs, &trial.changes, seed),
                None => self.oracle.model.run_part_with(part, inputs, &trial.changes),
            };
            outputs.ok()?.into_iter().find(|(name, _)| name == self.output).map(|(_, tensor)| tensor)
        };
        let Some(exact) = run(None) else { return 0.0 };
        let off = |seed| Some(distance(&run(Some(seed))?, &exact)?.figures.rel_l2);
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
        trial.numbers() > 0 && self.run().left(&trial.changes, &self.candidate, self.exact).is_none()
    }

    fn run(&self) -> PartRun<'_> {
        PartRun { oracle: self.oracle, part: self.part, output: self.output, right: &self.right }
    }

    fn is_large(&self) -> bool {
        self.part.inputs.values().map(|tensor| tensor.data.len()).sum::<usize>() > LARGE
    }

    /// Trials of those that change anything.
    fn tried(&self, changes: Vec<Vec<PortChange>>) -> Vec<PartTrial> {
        self.tried.set(self.tried.get() + changes.len());
        let run = self.run();
        let (candidate, exact) = (&self.candidate, self.exact);
        let trial = |changes: Vec<PortChange>| {
            // A number that is still to be fitted may move what the right one does not.
            let to_be_fitted = changes.iter().any(|change| fit::number(*change).is_some());
            let right = if to_be_fitted { &[] } else { run.right };
            let left = PartRun { right, ..run }.left(&changes, candidate, exact)?;
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
                PartRun { right: &[], ..run }.left(&changes, &self.candidate, self.exact)
            };
            let FittedNumber { value, left, uncertainty } = fit::fit(start, &left);
            if left < trial.left {
                trial.changes[*at] = fit::with_number(trial.changes[*at], value);
                (trial.left, trial.uncertainties[*at]) = (left, Some(uncertainty));
            }
        }
    }
}

/// A part, and the output of it that is looked at.
#[derive(Clone, Copy)]
struct PartRun<'a> {
    oracle: &'a Oracle<'a>,
    part: &'a ComputedPart,
    output: &'a str,
    right: &'a [RightOutput],
}

impl PartRun<'_> {
    /// What changes leave of the candidate's error; `None` where they change nothing, cannot be made, or move what is right.
    fn left(&self, changes: &[PortChange], candidate: &Tensor64, exact: &Tensor64) -> Option<f64> {
        let outputs = self.oracle.model.run_part_with(&self.part.part, &self.part.inputs, changes).ok()?;
        let changed = outputs.iter().find(|(name, _)| name == self.output).map(|(_, tensor)| tensor)?;
        if changed == exact || self.right.iter().any(|right| right.is_moved(&outputs)) {
            return None;
        }
        distance(candidate, changed).map(|found| found.figures.rel_l2)
    }
}
