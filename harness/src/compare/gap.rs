//! Layers that a file of figures does not know, and entries of it that no layer meets. Either way a layer escapes its
//! limit.

use std::collections::{BTreeMap, BTreeSet};

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

/// The gaps between pairs and the entries of a file of figures, both as (candidate's name, reference's name): each pair
/// must have an entry, and `both_ways` each entry a pair.
pub fn gaps<'a>(
    of: FigureKind,
    pairs: &[(&str, &str)],
    entries: impl Iterator<Item = (&'a str, &'a str)>,
    both_ways: bool,
) -> Vec<Gap> {
    let gap = |(name, reference): (&str, &str), missing| Gap {
        of,
        name: name.to_string(),
        reference: reference.to_string(),
        missing,
    };
    let entries: Vec<(&str, &str)> = entries.collect();
    let has_entry: BTreeSet<_> = entries.iter().copied().collect();
    let has_pair: BTreeSet<_> = pairs.iter().copied().collect();
    let mut of_reference: BTreeMap<&str, usize> = BTreeMap::new();
    entries.iter().for_each(|(_, reference)| *of_reference.entry(reference).or_default() += 1);
    let sole = |of: &str| of_reference.get(of) == Some(&1);
    // A port that has a name of its own for a tensor is judged by the entry of its reference.
    let without_entry =
        pairs.iter().filter(|pair| !has_entry.contains(*pair) && (both_ways || !sole(pair.1)));
    let without_pair = entries.iter().filter(|entry| both_ways && !has_pair.contains(*entry));
    without_entry
        .map(|pair| gap(*pair, Counterpart::Entry))
        .chain(without_pair.map(|entry| gap(*entry, Counterpart::Pair)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(entries: &[(&str, &str)], both_ways: bool) -> Vec<(String, Counterpart)> {
        let pairs = [("a", "ref_a"), ("b", "ref_b")];
        let gaps = gaps(FigureKind::KnownErrors, &pairs, entries.iter().copied(), both_ways);
        gaps.into_iter().map(|gap| (gap.reference, gap.missing)).collect()
    }

    #[test]
    fn entries_and_pairs_meet_one_to_one() {
        assert_eq!(found(&[("a", "ref_a"), ("b", "ref_b")], true), []);
        let expected = [("ref_b".to_string(), Counterpart::Entry), ("ref_c".to_string(), Counterpart::Pair)];
        assert_eq!(found(&[("a", "ref_a"), ("b", "ref_c")], true), expected);
    }

    #[test]
    fn a_port_with_a_name_of_its_own_has_the_entry_of_its_reference() {
        assert_eq!(found(&[("a", "ref_a"), ("x", "ref_b")], false), []);
        let expected = [("ref_b".to_string(), Counterpart::Entry)];
        assert_eq!(found(&[("a", "ref_a"), ("x", "ref_b"), ("y", "ref_b")], false), expected);
    }

    #[test]
    fn entries_of_other_conditions_need_no_pair() {
        assert_eq!(found(&[("a", "ref_a"), ("b", "ref_b"), ("c", "")], false), []);
    }
}
