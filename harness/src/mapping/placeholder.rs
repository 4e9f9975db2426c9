//! Numbers that are made of others: block 17 over all stages is block 9 of stage 2.

use std::collections::BTreeMap;

use super::bindings::{Bindings, Bound};
use super::template::Template;

/// The flattened placeholders of a mapping by name.
pub type Placeholders = BTreeMap<String, Flattened>;

/// A placeholder that counts `inner` over all values of `outer`.
#[derive(Clone, Debug)]
pub struct Flattened {
    /// Such as `stage`.
    pub outer: String,
    /// Such as `index`.
    pub inner: String,
    /// How many values `inner` has for each of `outer`.
    pub lengths: LengthsSource,
    /// Byte range of the lengths in the file.
    pub span: std::ops::Range<usize>,
}

/// Where the lengths come from.
#[derive(Clone, Debug)]
pub enum LengthsSource {
    /// The mapping gives them.
    Given(Vec<u64>),
    /// The reference's names show them: those that fit, or go on with `_`.
    ReferenceNames(Template),
}

/// How many values the inner number has, for each value of the outer one from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lengths(Vec<u64>);

impl Lengths {
    /// Given lengths, or those that the reference's names show; a gap in the outer numbers ends them.
    pub fn of<'a>(flattened: &Flattened, reference: impl Iterator<Item = &'a str>) -> Lengths {
        let template = match &flattened.lengths {
            LengthsSource::Given(lengths) => return Lengths(lengths.clone()),
            LengthsSource::ReferenceNames(template) => template,
        };
        let mut seen: BTreeMap<u64, u64> = BTreeMap::new();
        for bindings in reference.filter_map(|name| template.matches_start(name)) {
            if let (Some(outer), Some(inner)) =
                (bindings.number(&flattened.outer), bindings.number(&flattened.inner))
            {
                let length = seen.entry(outer).or_default();
                *length = (*length).max(inner + 1);
            }
        }
        let without_gap = seen.into_iter().zip(0..).take_while(|((outer, _), expected)| outer == expected);
        Lengths(without_gap.map(|((_, length), _)| length).collect())
    }

    /// The lengths in order.
    pub fn as_slice(&self) -> &[u64] {
        &self.0
    }

    /// Flattens (outer, inner).
    pub fn flatten(&self, outer: u64, inner: u64) -> Option<u64> {
        let outer = usize::try_from(outer).ok()?;
        let before: u64 = self.0.get(..outer)?.iter().sum();
        (inner < *self.0.get(outer)?).then(|| before + inner)
    }

    /// Splits a flat number into (outer, inner).
    pub fn split(&self, flat: u64) -> Option<(u64, u64)> {
        let mut rest = flat;
        for (outer, length) in (0..).zip(&self.0) {
            match rest.checked_sub(*length) {
                None => return Some((outer, rest)),
                Some(more) => rest = more,
            }
        }
        None
    }
}

/// Adds to the numbers of a name those that follow from them; `None` where they contradict each other or cannot be.
pub(crate) fn expand(
    mut bindings: Bindings,
    placeholders: &Placeholders,
    lengths: &BTreeMap<String, Lengths>,
) -> Option<Bindings> {
    for (name, flattened) in placeholders {
        let lengths = lengths.get(name)?;
        let (outer, inner) = (bindings.number(&flattened.outer), bindings.number(&flattened.inner));
        let flat = bindings.number(name);
        let flat = match (flat, outer, inner) {
            (Some(flat), ..) => flat,
            (None, Some(outer), Some(inner)) => lengths.flatten(outer, inner)?,
            _ => continue,
        };
        let (outer_value, inner_value) = lengths.split(flat)?;
        if outer.is_some_and(|outer| outer != outer_value) || inner.is_some_and(|inner| inner != inner_value)
        {
            return None;
        }
        // Each of them was absent or is the same: what contradicts itself has been refused.
        for (placeholder, number) in
            [(name, flat), (&flattened.outer, outer_value), (&flattened.inner, inner_value)]
        {
            bindings.bind(placeholder, Bound::Number(number));
        }
    }
    Some(bindings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::template::Wildcards;

    fn from_names(names: &[&str]) -> Lengths {
        let template = Template::parse("blocks_{stage}_{index}", Wildcards::Refused).unwrap();
        let flattened = Flattened {
            outer: "stage".into(),
            inner: "index".into(),
            lengths: LengthsSource::ReferenceNames(template),
            span: 0..0,
        };
        Lengths::of(&flattened, names.iter().copied())
    }

    #[test]
    fn lengths_come_from_the_names() {
        let lengths = from_names(&["blocks_0_0", "blocks_0_2_norm", "blocks_1_0", "blocks_1_1x", "stem"]);
        assert_eq!(lengths.as_slice(), [3, 1]);
    }

    #[test]
    fn a_missing_stage_ends_them() {
        assert_eq!(from_names(&["blocks_0_0", "blocks_2_0"]).as_slice(), [1]);
        assert_eq!(from_names(&["blocks_1_0"]).as_slice(), [0; 0]);
    }

    #[test]
    fn trap_13_absurd_numbers_allocate_nothing() {
        let lengths = from_names(&["blocks_0_999999999", "blocks_1_999999999", "blocks_999999999_0"]);
        assert_eq!(lengths.as_slice(), [1_000_000_000, 1_000_000_000]);
    }

    #[test]
    fn flattening_and_splitting_are_inverse() {
        let lengths = Lengths(vec![3, 5, 37, 39]);
        assert_eq!(lengths.flatten(2, 9), Some(17));
        assert_eq!(lengths.split(17), Some((2, 9)));
        for flat in 0..84 {
            let (outer, inner) = lengths.split(flat).unwrap();
            assert_eq!(lengths.flatten(outer, inner), Some(flat));
        }
        assert_eq!((lengths.split(84), lengths.flatten(0, 3), lengths.flatten(4, 0)), (None, None, None));
        assert_eq!(Lengths(vec![0, 2]).split(0), Some((1, 0)));
    }
}
