//! How many of the faults planted in simulated ports are seen, and how many called by their names: today, and when it was
//! last accepted.

use std::collections::BTreeMap;

use encoder::reference::PortChange;
use serde::{Deserialize, Serialize};

use super::causes::{PartTrial, PartVerdict};
use super::planted::{PlantedInPart, PlantedOutcome};

/// A wrong name with so much margin would send people the wrong way.
const SURE: f64 = 10.0;

/// What became of one kind of fault, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PortFaultScore {
    /// Parts that it was planted in.
    pub(crate) planted: usize,
    /// Of these, where it changes nothing that could be told from rounding.
    pub(crate) equivalent: usize,
    /// Of the others, where a layer failed.
    pub(crate) seen: usize,
    /// Of these, where the first hypothesis is what was planted.
    pub(crate) first: usize,
    /// Of these, where what was planted is told as one that explains the values as well.
    pub(crate) tied: usize,
    /// Of these, where it is told in its place, with a number that is off by more than 2 % and than it is said to be.
    pub(crate) number_off: usize,
    /// Of these, where something else was told, with a margin of 10 or more.
    pub(crate) wrong: usize,
    /// Of these, where nothing explains it.
    pub(crate) unexplained: usize,
}

/// Every kind of fault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PortScore {
    /// By fault.
    pub(crate) faults: BTreeMap<String, PortFaultScore>,
}

impl PortFaultScore {
    fn plus(self, other: PortFaultScore) -> PortFaultScore {
        PortFaultScore {
            planted: self.planted + other.planted,
            equivalent: self.equivalent + other.equivalent,
            seen: self.seen + other.seen,
            first: self.first + other.first,
            tied: self.tied + other.tied,
            number_off: self.number_off + other.number_off,
            wrong: self.wrong + other.wrong,
            unexplained: self.unexplained + other.unexplained,
        }
    }

    fn count(&mut self, outcome: &PlantedOutcome, planted: &[PortChange]) {
        self.planted += 1;
        match outcome {
            PlantedOutcome::Equivalent => self.equivalent += 1,
            PlantedOutcome::Missed => {}
            PlantedOutcome::Seen(verdict) => {
                self.seen += 1;
                match named(verdict, planted) {
                    CalledBy::First => self.first += 1,
                    CalledBy::Tied => self.tied += 1,
                    CalledBy::NumberOff => self.number_off += 1,
                    CalledBy::Wrong if verdict.margin >= SURE => self.wrong += 1,
                    CalledBy::Wrong => {}
                    CalledBy::Unexplained => self.unexplained += 1,
                }
            }
        }
    }
}

/// How a planted fault was called.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CalledBy {
    /// By its name.
    First,
    /// By its name too.
    Tied,
    /// By its name, with another number.
    NumberOff,
    /// By another.
    Wrong,
    /// By none.
    Unexplained,
}

/// How a fault that was seen is called.
pub(crate) fn named(verdict: &PartVerdict, planted: &[PortChange]) -> CalledBy {
    let is_planted = |trial: &PartTrial| {
        trial.changes.len() == planted.len()
            && planted.iter().all(|one| {
                let mut changes = trial.changes.iter().zip(&trial.uncertainties);
                changes.any(|(other, uncertainty)| same(*one, *other, uncertainty.unwrap_or(0.0)))
            })
    };
    let has_planted_places = |trial: &PartTrial| {
        trial.changes.len() == planted.len()
            && planted.iter().all(|one| trial.changes.iter().any(|other| same(*one, *other, f64::INFINITY)))
    };
    match &verdict.best {
        None => CalledBy::Unexplained,
        Some(best) if is_planted(best) => CalledBy::First,
        Some(_) if verdict.ties.iter().any(is_planted) => CalledBy::Tied,
        Some(best) if has_planted_places(best) => CalledBy::NumberOff,
        Some(_) => CalledBy::Wrong,
    }
}

/// The same change in the same place; numbers within 2 %, or within what they are told to be uncertain by.
fn same(planted: PortChange, found: PortChange, uncertainty: f64) -> bool {
    let near = |a: f64, b: f64| (a / b - 1.0).abs() <= 0.02 || (a - b).abs() <= uncertainty;
    match (planted, found) {
        (PortChange::Epsilon { norm: a, value: x }, PortChange::Epsilon { norm: b, value: y })
        | (
            PortChange::EpsilonOutside { norm: a, value: x },
            PortChange::EpsilonOutside { norm: b, value: y },
        ) => a == b && near(x, y),
        (PortChange::LayerScaleTimes(x), PortChange::LayerScaleTimes(y))
        | (PortChange::ScoresTimes(x), PortChange::ScoresTimes(y))
        | (PortChange::KeysPadded(x), PortChange::KeysPadded(y)) => near(x, y),
        (planted, found) => planted == found,
    }
}

/// The kind of a fault: its name, without place and numbers.
pub(crate) fn kind(changes: &[PortChange]) -> String {
    let name = |change: &PortChange| {
        let written = format!("{change:?}");
        let inner = ["function: ", "axes: ", "to: "].iter().find_map(|field| written.split_once(field));
        let end = |text: &str| text.split([' ', '(', '{', '}', ',']).next().unwrap_or_default().to_string();
        match (inner, change) {
            (Some((_, inner)), _) => format!("{} {}", end(&written), end(inner)),
            (None, PortChange::Image(_) | PortChange::Pooling(_) | PortChange::Upsampling(_)) => written,
            (None, _) => end(&written),
        }
    };
    match changes {
        [one] => name(one),
        _ => "two at once".to_string(),
    }
}

impl PortScore {
    pub(crate) fn of(planted: &[PlantedInPart]) -> PortScore {
        let mut score = PortScore::default();
        for one in planted {
            score.faults.entry(kind(&one.changes)).or_default().count(&one.outcome, &one.changes);
        }
        score
    }

    pub(crate) fn total(&self) -> PortFaultScore {
        self.faults.values().fold(PortFaultScore::default(), |sum, one| sum.plus(*one))
    }

    /// In what it falls short of what was accepted.
    pub(crate) fn shortfalls(&self, accepted: &PortScore) -> Vec<String> {
        let mut shortfalls = Vec::new();
        for (fault, old) in &accepted.faults {
            let new = self.faults.get(fault).copied().unwrap_or_default();
            let more_is_better = [
                ("planted", new.planted, old.planted),
                ("seen", new.seen, old.seen),
                ("called by its name", new.first, old.first),
                ("called by its name, alone or with others", new.first + new.tied, old.first + old.tied),
            ];
            let fell = more_is_better.into_iter().filter(|(_, new, old)| new < old);
            shortfalls.extend(fell.map(|(what, new, old)| format!("{fault}: {what} {new} times, was {old}")));
            if new.wrong > old.wrong {
                shortfalls
                    .push(format!("{fault}: called by a wrong name {} times, was {}", new.wrong, old.wrong));
            }
        }
        let unknown = self.faults.keys().filter(|fault| !accepted.faults.contains_key(*fault));
        shortfalls.extend(unknown.map(|fault| format!("{fault}: not in the accepted score")));
        shortfalls
    }

    /// A line for each kind of fault.
    pub(crate) fn table(&self) -> String {
        let mut table = format!(
            "{:32} {:>7} {:>10} {:>5} {:>6} {:>6} {:>10} {:>6} {:>12}",
            "fault", "planted", "equivalent", "seen", "first", "tied", "number off", "wrong", "unexplained"
        );
        for (fault, score) in self.faults.iter().map(|(fault, score)| (fault.as_str(), *score)) {
            table += &format!(
                "\n{fault:32} {:>7} {:>10} {:>5} {:>6} {:>6} {:>10} {:>6} {:>12}",
                score.planted,
                score.equivalent,
                score.seen,
                score.first,
                score.tied,
                score.number_off,
                score.wrong,
                score.unexplained
            );
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(seen: usize, first: usize, wrong: usize) -> PortScore {
        let one = PortFaultScore { planted: 3, seen, first, wrong, ..PortFaultScore::default() };
        PortScore { faults: [("NoSkip".to_string(), one)].into() }
    }

    #[test]
    fn every_way_to_fall_short_is_named() {
        let old = score(3, 3, 0);
        assert!(old.shortfalls(&old).is_empty());
        assert_eq!(score(2, 3, 0).shortfalls(&old), ["NoSkip: seen 2 times, was 3"]);
        assert_eq!(score(3, 2, 0).shortfalls(&old).len(), 2);
        assert_eq!(score(3, 3, 1).shortfalls(&old), ["NoSkip: called by a wrong name 1 times, was 0"]);
        assert_eq!(old.shortfalls(&PortScore::default()), ["NoSkip: not in the accepted score"]);
    }

    #[test]
    fn kinds_have_no_place() {
        let epsilon = PortChange::Epsilon { norm: Some(3), value: 1e-5 };
        assert_eq!(kind(&[epsilon]), "Epsilon");
        assert_eq!(kind(&[epsilon, PortChange::NoSkip]), "two at once");
    }
}
