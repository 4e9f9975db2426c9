//! Layers that a file of figures does not know, and entries of it that no layer meets. Either way a layer escapes its
//! limit.

use std::collections::BTreeSet;

use super::comparison::{Comparison, Layer};
use crate::limits::file::FigureKind;

/// A pair without an entry, or an entry without a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// What the file holds.
    pub of: FigureKind,
    /// The candidate's name.
    pub name: String,
    /// The reference's name.
    pub reference: String,
    /// Which of the two is missing.
    pub missing: Counterpart,
}

/// What should be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counterpart {
    /// The entry of a pair.
    Entry,
    /// The pair of an entry.
    Pair,
}

impl Comparison {
    /// Holds the pairs against the entries (candidate's name, reference's name) of a file of figures: each pair must have
    /// an entry, and `both_ways` each entry a pair; one that has none is a matter of coverage.
    pub fn expect_entries<'a>(
        &mut self,
        of: FigureKind,
        entries: impl Iterator<Item = (&'a str, &'a str)>,
        both_ways: bool,
    ) {
        let gap = |name: &str, reference: &str, missing| Gap {
            of,
            name: name.to_string(),
            reference: reference.to_string(),
            missing,
        };
        let entries: Vec<(&str, &str)> = entries.collect();
        let known: BTreeSet<&(&str, &str)> = entries.iter().collect();
        let pair = |layer: &Layer| (layer.pair_name().to_string(), layer.reference.clone());
        let pairs: BTreeSet<(String, String)> = self.layers.iter().map(pair).collect();
        for layer in &self.layers {
            let (name, reference) = (layer.pair_name(), layer.reference.as_str());
            if !known.contains(&(name, reference)) {
                self.gaps.push(gap(name, reference, Counterpart::Entry));
            }
        }
        for (name, reference) in entries.iter().filter(|_| both_ways) {
            if !pairs.contains(&(name.to_string(), reference.to_string())) {
                self.gaps.push(gap(name, reference, Counterpart::Pair));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::comparison::{Outcome, Unreadable};
    use crate::side::Side;

    #[test]
    fn entries_and_pairs_meet_one_to_one() {
        let layer = |name: &str| Layer {
            name: name.into(),
            reference: format!("ref_{name}"),
            rule: "r".into(),
            stands_for: None,
            alias_reason: None,
            order: 0,
            outcome: Outcome::Unreadable { side: Side::Candidate, cause: Unreadable::NeverComputed },
        };
        let mut comparison = Comparison { layers: vec![layer("a"), layer("b")], ..Comparison::default() };
        comparison.expect_entries(
            FigureKind::KnownErrors,
            [("a", "ref_a"), ("b", "ref_b")].into_iter(),
            true,
        );
        assert_eq!(comparison.gaps, []);
        comparison.expect_entries(
            FigureKind::KnownErrors,
            [("a", "ref_a"), ("b", "ref_c")].into_iter(),
            true,
        );
        let found: Vec<_> = comparison.gaps.iter().map(|gap| (gap.reference.as_str(), gap.missing)).collect();
        assert_eq!(found, [("ref_b", Counterpart::Entry), ("ref_c", Counterpart::Pair)]);
        assert_eq!(comparison.summary().gaps, 2);
        comparison.expect_entries(
            FigureKind::KnownErrors,
            [("a", "ref_a"), ("b", "ref_b"), ("c", "")].into_iter(),
            false,
        );
        assert_eq!(comparison.summary().gaps, 2);
    }
}
