//! What explains findings: one cause in one line, though several parts have it.

use super::{Detail, Report};
use crate::compare::comparison::Comparison;
use crate::compare::explanation::{Explanation, ExplanationKind};
use crate::report::words;

/// Parts from which on those of one cause are told together.
const MANY: usize = 3;

/// A part, and what it does otherwise without places and numbers; the empty word where nothing explains it.
fn part_and_kind(explanation: &Explanation) -> Option<(&str, String)> {
    match &explanation.kind {
        ExplanationKind::PartChange { part, change, .. } => Some((part, kind_of(change))),
        ExplanationKind::PartUnexplained { part, .. } => Some((part, String::new())),
        _ => None,
    }
}

/// The words of a change that are neither a number nor a place.
fn kind_of(change: &str) -> String {
    let is_number = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    let words = change.split([' ', ',']).filter(|word| !is_number(word));
    let before_place = words.take_while(|word| !["in", "after", "everywhere"].contains(word));
    before_place.filter(|word| *word != "±").collect::<Vec<_>>().join(" ")
}

impl Report {
    /// Every cause; of many parts that have the same one, the first in full and the names of the others.
    pub(super) fn causes(&mut self, comparison: &Comparison) {
        let told = |found: &&Explanation| !found.kind.is_of_names();
        let all: Vec<&Explanation> = comparison.explanations.iter().filter(told).collect();
        let kinds: Vec<Option<(&str, String)>> = all.iter().map(|found| part_and_kind(found)).collect();
        for (at, explanation) in all.iter().enumerate() {
            let of_kind: Vec<usize> = match &kinds[at] {
                Some((_, kind)) if !self.shows(Detail::Verbose) => {
                    let same = |other: &Option<(&str, String)>| {
                        other.as_ref().is_some_and(|(_, other)| other == kind)
                    };
                    (0..all.len()).filter(|other| same(&kinds[*other])).collect()
                }
                _ => vec![at],
            };
            let is_first = of_kind.first() == Some(&at);
            if of_kind.len() >= MANY && !is_first {
                continue;
            }
            let head = self.strong("cause");
            self.wrapped(2, &format!("{head}: {}", words::explanation(explanation)));
            if of_kind.len() >= MANY {
                let others: Vec<&str> =
                    of_kind[1..].iter().filter_map(|other| Some(kinds[*other].as_ref()?.0)).collect();
                self.wrapped(4, &format!("so are {} other parts: {}", others.len(), others.join(", ")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_has_one_kind_in_every_place() {
        for (change, kind) in [
            ("epsilon 1.00e-5 ± 5e-8, expected 1e-6, in bn", "epsilon expected"),
            ("epsilon 1.01e-5, expected 1e-6, in every norm", "epsilon expected"),
            ("the layer scale rounded to f16", "the layer scale rounded to f16"),
            (
                "GELU by erf instead of its tanh approximation after pw_exp.bn",
                "GELU by erf instead of its tanh approximation",
            ),
        ] {
            let words: Vec<String> = kind_of(change).split_whitespace().map(String::from).collect();
            assert_eq!(words.join(" "), kind);
        }
    }
}
