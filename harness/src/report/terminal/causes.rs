//! What explains findings: one cause in one line, though several parts have it.

use super::{Detail, Report};
use crate::compare::comparison::Comparison;
use crate::compare::explanation::{Explanation, ExplanationKind};
use crate::report::words;

/// Parts from which on those that do the same are told together.
const MANY: usize = 3;

/// A part, and what it does otherwise.
fn part_and_kind(explanation: &Explanation) -> Option<(&str, &str)> {
    match &explanation.kind {
        ExplanationKind::PartChange { part, kind, .. } => Some((part, kind)),
        _ => None,
    }
}

impl Report {
    /// Every cause; of many parts that do the same, the first in full and the names of the others.
    pub(super) fn causes(&mut self, comparison: &Comparison) {
        let told = |found: &&Explanation| !found.kind.is_of_names();
        let all: Vec<&Explanation> = comparison.explanations.iter().filter(told).collect();
        for (at, explanation) in all.iter().enumerate() {
            let kind = part_and_kind(explanation).filter(|_| !self.shows(Detail::Verbose));
            let same: Vec<(usize, &str)> = all
                .iter()
                .enumerate()
                .filter_map(|(other, found)| Some((other, part_and_kind(found)?)))
                .filter(|(_, (_, of))| kind.is_some_and(|(_, kind)| kind == *of))
                .map(|(other, (part, _))| (other, part))
                .collect();
            let together = same.len() >= MANY;
            if together && same.first().is_some_and(|(first, _)| *first != at) {
                continue;
            }
            let head = self.strong("cause");
            self.wrapped(2, &format!("{head}: {}", words::explanation(explanation)));
            if together {
                let others: Vec<&str> = same[1..].iter().map(|(_, part)| *part).collect();
                self.wrapped(4, &words::same_in(&others));
            }
        }
    }
}
