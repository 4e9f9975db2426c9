//! Which change explains a part.

use encoder::reference::Operations;

use super::NEAR;
use super::trials::{PartTrial, PartTrials};
use crate::gate::local::computed::ComputedPart;
use crate::gate::local::floors::{LEAST, TIMES_FLOOR};
use crate::gate::local::oracle::Oracle;

/// Changes that leave errors within this factor, or within what f32 loses, explain a part alike.
const ALIKE: f64 = 1.25;
/// What is left of an error, at most, by a change that is held against its own floor.
const NEAR_ITS_FLOOR: f64 = 0.2;

/// What was found out about a part that is off.
pub(crate) struct PartVerdict {
    /// The part's operations, by which changes are told.
    pub(super) operations: Operations,
    /// How far the candidate is off without a change.
    pub(crate) before: f64,
    /// How many changes were tried.
    pub(crate) tried: usize,
    /// What explains it.
    pub(crate) best: Option<PartTrial>,
    /// What explains it as well, the nearest first.
    pub(crate) ties: Vec<PartTrial>,
    /// How many times more the next best leaves than the best.
    pub(crate) margin: f64,
    /// What comes nearest, where nothing explains it.
    pub(crate) nearest: Option<PartTrial>,
}

/// Tries changes of one thing, then a lost weight of one channel, then changes of two things. `None` where the candidate has
/// no output of the part that could be looked at.
pub(in crate::gate::local) fn verdict(oracle: &Oracle<'_>, part: &ComputedPart) -> Option<PartVerdict> {
    let trials = PartTrials::of(oracle, part)?;
    let limit = TIMES_FLOOR * trials.floor.max(LEAST);
    let explains = |all: &[PartTrial]| all.iter().any(|trial| trial.left <= limit);
    let mut all = trials.singles();
    // A number that is the model's, or could be any, is no cause.
    all.retain(|trial| !trial.says_nothing());
    if !explains(&all) {
        all.extend(trials.lost_channels());
    }
    if !explains(&all) {
        let pairs = trials.pairs(&all);
        all.extend(pairs);
    }
    all.sort_by(|a, b| a.left.total_cmp(&b.left));
    let mut verdict = PartVerdict {
        operations: trials.operations.clone(),
        before: trials.before,
        tried: trials.count(),
        best: None,
        ties: Vec::new(),
        margin: 1.0,
        nearest: None,
    };
    // Where they are looked at, for it takes a run each.
    while all.first().is_some_and(|first| trials.moves_what_is_right(first)) {
        all.remove(0);
    }
    let Some(least) = all.first().map(|trial| trial.left) else { return Some(verdict) };
    // A part that does something else may lose more to rounding than the right one.
    let own_floor = |trial: &PartTrial| {
        let comes_near = trial.left <= NEAR_ITS_FLOOR * trials.before;
        comes_near && trial.left <= TIMES_FLOOR * trials.floor_of(trial)
    };
    // An error in few elements may be within the limit of all of them as it is.
    if least > NEAR * verdict.before || (least > limit && !all.first().is_some_and(own_floor)) {
        verdict.nearest = all.into_iter().next();
        return Some(verdict);
    }
    // A second change may be none, and a fitted number may stand for something that has a name.
    let alike = |left: f64, least: f64| left <= (ALIKE * least).max(trials.floor);
    let takes_away = |trial: &PartTrial| trial.left <= NEAR * verdict.before;
    let as_near = all.iter().take_while(|trial| alike(trial.left, least) && takes_away(trial));
    let as_near = as_near.enumerate().filter(|(_, trial)| !trials.moves_what_is_right(trial));
    let best = as_near.min_by_key(|(_, trial)| (trial.changes.len(), trial.numbers(), trial.is_everywhere()));
    let best = best.map_or(0, |(at, _)| at);
    let best = all.remove(best);
    let ties = |other: &PartTrial| alike(other.left, best.left);
    // The same done elsewhere too, or only there, where the values cannot tell which.
    let elsewhere: Vec<usize> =
        (0..all.len()).filter(|at| ties(&all[*at]) && all[*at].is_done_elsewhere(&best)).collect();
    let elsewhere: Vec<PartTrial> = elsewhere.into_iter().rev().map(|at| all.remove(at)).collect();
    // One that differs in more than where it is done, or by a number that does the same, is another explanation.
    all.retain(|other| !other.is_like(&best));
    let next =
        all.iter().find(|other| !alike(other.left, best.left)).map_or(verdict.before, |other| other.left);
    verdict.margin = next.min(verdict.before) / best.left;
    let others = all.into_iter().filter(|other| ties(other) && other.numbers() == 0);
    verdict.ties = elsewhere.into_iter().rev().chain(others).collect();
    verdict.best = Some(best);
    Some(verdict)
}
