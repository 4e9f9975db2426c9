//! From pairs of names to templates that take them: `block_{block}_norm` and `blocks_{stage}_{index}_norm`.

use std::collections::{BTreeMap, BTreeSet};

use super::numbered::NumberedName;
use super::relation::{FlatCount, MAJORITY, Relations, difference, majority, numbers};
use crate::mapping::template::{Template, Wildcards};
use crate::side::Side;

/// Names of plain numbers.
const PLAIN: [&str; 6] = ["i", "j", "k", "l", "m", "n"];

/// What stands in the place of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Slot {
    Fixed(u64),
    Placeholder { name: String, offset: i64 },
}

impl Slot {
    fn plain(name: &str) -> Slot {
        Slot::Placeholder { name: name.to_string(), offset: 0 }
    }

    fn text(&self) -> String {
        match self {
            Slot::Fixed(number) => number.to_string(),
            Slot::Placeholder { name, offset: 0 } => format!("{{{name}}}"),
            Slot::Placeholder { name, offset } if *offset < 0 => {
                format!("{{{name} - {}}}", offset.unsigned_abs())
            }
            Slot::Placeholder { name, offset } => format!("{{{name} + {offset}}}"),
        }
    }
}

/// Templates of both sides that take a kind of pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Generalised {
    pub(super) candidate: Template,
    pub(super) reference: Template,
    /// Which of the pairs they do not take.
    pub(super) outliers: BTreeSet<usize>,
}

/// The slots of both names while they are found; `None` where nothing is known yet.
struct Slots<'a> {
    relations: &'a Relations,
    pairs: &'a [(NumberedName, NumberedName)],
    candidate: Vec<Option<Slot>>,
    reference: Vec<Option<Slot>>,
}

/// Templates for pairs of equal texts, if their numbers have to do with each other; a template without placeholders takes a
/// single pair.
pub(super) fn generalised(
    pairs: &[(NumberedName, NumberedName)],
    relations: &Relations,
) -> Option<Generalised> {
    let (candidate, reference) = pairs.first()?;
    let mut slots = Slots {
        relations,
        pairs,
        candidate: vec![None; candidate.numbers.len()],
        reference: vec![None; reference.numbers.len()],
    };
    relations.flat_counts.iter().for_each(|count| slots.try_flat_count(count));
    slots.plain_numbers();
    slots.repeated_numbers();
    slots.fixed_numbers();
    let candidate_slots: Vec<Slot> = slots.candidate.into_iter().collect::<Option<_>>()?;
    let reference_slots: Vec<Slot> = slots.reference.into_iter().collect::<Option<_>>()?;
    let outliers = (0..pairs.len())
        .filter(|i| !takes(&pairs[*i], &candidate_slots, &reference_slots, &relations.flat_counts))
        .collect();
    let template = |name: &NumberedName, slots: &[Slot]| {
        let numbers = slots.iter().map(Slot::text).chain([String::new()]);
        let text: String = name.texts.iter().cloned().zip(numbers).map(|(text, slot)| text + &slot).collect();
        Template::parse(&text, Wildcards::Refused).ok()
    };
    Some(Generalised {
        candidate: template(candidate, &candidate_slots)?,
        reference: template(reference, &reference_slots)?,
        outliers,
    })
}

impl Slots<'_> {
    /// Whether most pairs agree; of few, all.
    fn most(&self, agrees: impl Fn(&(NumberedName, NumberedName)) -> bool) -> bool {
        let agreeing = self.pairs.iter().filter(|pair| agrees(pair)).count();
        agreeing as f64 >= MAJORITY * self.pairs.len() as f64
    }

    fn try_flat_count(&mut self, count: &FlatCount) {
        let Some((candidate, reference)) = self.pairs.first() else { return };
        let Some(columns) = count.columns(&candidate.texts, &reference.texts) else { return };
        let fits = |(candidate, reference): &(NumberedName, NumberedName)| {
            let [flat, outer, inner] = numbers(count.flat_side, columns, candidate, reference);
            count.fits(flat, outer, inner)
        };
        if !self.most(fits) {
            return;
        }
        let [flat, outer, inner] = columns;
        let (flat_slots, nested_slots) = match count.flat_side {
            Side::Candidate => (&mut self.candidate, &mut self.reference),
            Side::Reference => (&mut self.reference, &mut self.candidate),
        };
        if flat_slots[flat].is_none() && nested_slots[outer].is_none() && nested_slots[inner].is_none() {
            flat_slots[flat] = Some(Slot::plain(&count.placeholder));
            nested_slots[outer] = Some(Slot::plain(&count.outer));
            nested_slots[inner] = Some(Slot::plain(&count.inner));
        }
    }

    /// By how much a number of the candidate is more than one of the reference: what these pairs show, where the number
    /// varies, else what other pairs have established.
    fn offset(&self, c: usize, r: usize) -> Option<i64> {
        let differences = self.pairs.iter().map(|(c_, r_)| difference(c_.numbers[c], r_.numbers[r]));
        let (offset, share) = majority(differences)?;
        let values: BTreeSet<u64> = self.pairs.iter().map(|(_, reference)| reference.numbers[r]).collect();
        let (candidate, reference) = self.pairs.first()?;
        let established = self.relations.offset(candidate.stem(c), reference.stem(r)) == Some(offset);
        (share >= MAJORITY && (values.len() > 1 || established)).then_some(offset)
    }

    /// Numbers that both sides count alike, from wherever they begin.
    fn plain_numbers(&mut self) {
        for r in 0..self.reference.len() {
            let free = |c: &usize| self.candidate[*c].is_none() && self.reference[r].is_none();
            let found = (0..self.candidate.len()).filter(free).find_map(|c| Some((c, self.offset(c, r)?)));
            let Some((c, offset)) = found else { continue };
            let name = PLAIN.get(r).copied().unwrap_or("n").to_string();
            self.reference[r] = Some(Slot::plain(&name));
            self.candidate[c] = Some(Slot::Placeholder { name, offset });
        }
    }

    /// Numbers that a name of the candidate has twice.
    fn repeated_numbers(&mut self) {
        for c in 0..self.candidate.len() {
            if self.candidate[c].is_some() {
                continue;
            }
            let found = (0..self.reference.len()).find_map(|r| match &self.reference[r] {
                Some(Slot::Placeholder { name, .. }) if PLAIN.contains(&name.as_str()) => {
                    Some((name.clone(), self.offset(c, r)?))
                }
                _ => None,
            });
            self.candidate[c] = found.map(|(name, offset)| Slot::Placeholder { name, offset });
        }
    }

    /// Numbers that are the same in all pairs.
    fn fixed_numbers(&mut self) {
        let column = |side: Side, at: usize| {
            let numbers = self.pairs.iter().map(move |(c, r)| match side {
                Side::Candidate => c.numbers[at],
                Side::Reference => r.numbers[at],
            });
            majority(numbers).filter(|(_, share)| *share >= MAJORITY).map(|(number, _)| Slot::Fixed(number))
        };
        let candidate: Vec<_> = (0..self.candidate.len()).map(|at| column(Side::Candidate, at)).collect();
        let reference: Vec<_> = (0..self.reference.len()).map(|at| column(Side::Reference, at)).collect();
        for (slots, fixed) in [(&mut self.candidate, candidate), (&mut self.reference, reference)] {
            for (slot, fixed) in slots.iter_mut().zip(fixed) {
                *slot = slot.take().or(fixed);
            }
        }
    }
}

/// Whether slots take a pair, with the same values on both sides.
fn takes(
    (candidate, reference): &(NumberedName, NumberedName),
    candidate_slots: &[Slot],
    reference_slots: &[Slot],
    counts: &[FlatCount],
) -> bool {
    let mut values: BTreeMap<&str, i64> = BTreeMap::new();
    let slots = candidate_slots.iter().zip(&candidate.numbers);
    let agree =
        slots.chain(reference_slots.iter().zip(&reference.numbers)).all(|(slot, number)| match slot {
            Slot::Fixed(fixed) => fixed == number,
            Slot::Placeholder { name, offset } => {
                let value = difference(*number, 0) - offset;
                *values.entry(name).or_insert(value) == value
            }
        });
    let flat = counts.iter().all(|count| {
        let of = |name: &String| values.get(name.as_str()).and_then(|value| u64::try_from(*value).ok());
        match (of(&count.placeholder), of(&count.outer), of(&count.inner)) {
            (Some(flat), Some(outer), Some(inner)) => count.fits(flat, outer, inner),
            _ => true,
        }
    });
    agree && flat
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Placeholders;

    fn named(pairs: &[(&str, &str)]) -> Vec<(NumberedName, NumberedName)> {
        pairs.iter().map(|(c, r)| (NumberedName::of(c), NumberedName::of(r))).collect()
    }

    /// The templates of the last group of pairs, when all of them show how numbers are related.
    fn shown(others: &[(&str, &str)], pairs: &[(&str, &str)]) -> Option<(String, String, Vec<usize>)> {
        let all = named(&[others, pairs].concat());
        let references: Vec<String> =
            others.iter().chain(pairs).map(|(_, reference)| reference.to_string()).collect();
        let relations = Relations::of(&all, &references, &Placeholders::new());
        let found = generalised(&named(pairs), &relations)?;
        let outliers = found.outliers.into_iter().collect();
        Some((found.candidate.to_string(), found.reference.to_string(), outliers))
    }

    fn templates(candidate: &str, reference: &str) -> Option<(String, String, Vec<usize>)> {
        Some((candidate.into(), reference.into(), Vec::new()))
    }

    const BLOCKS: [(&str, &str); 4] = [
        ("block_0_out", "blocks_0_0"),
        ("block_1_out", "blocks_0_1"),
        ("block_2_out", "blocks_1_0"),
        ("block_3_out", "blocks_2_0"),
    ];

    #[test]
    fn one_side_counts_over_all() {
        assert_eq!(shown(&[], &BLOCKS), templates("block_{block}_out", "blocks_{stage}_{index}"));
        // Established by the others.
        assert_eq!(
            shown(&BLOCKS, &[("block_3_norm", "blocks_2_0_norm")]),
            templates("block_{block}_norm", "blocks_{stage}_{index}_norm")
        );
    }

    #[test]
    fn both_count_alike() {
        assert_eq!(
            shown(&[], &[("l1.norm", "layer.0.norm2"), ("l2.norm", "layer.1.norm2")]),
            templates("l{i + 1}.norm", "layer.{i}.norm2")
        );
        assert_eq!(
            shown(&[], &[("s0_b1", "s.0.b.1"), ("s1_b0", "s.1.b.0"), ("s1_b1", "s.1.b.1")]),
            templates("s{i}_b{j}", "s.{i}.b.{j}")
        );
    }

    #[test]
    fn numbers_that_have_nothing_to_do_with_each_other() {
        assert_eq!(shown(&[], &[("t1", "x7"), ("t2", "x1"), ("t5", "x2")]), None);
        assert_eq!(shown(&[], &[("t1", "x1")]), templates("t1", "x1"));
    }

    #[test]
    fn a_wrong_pair_is_told_apart() {
        let mut pairs: Vec<(String, String)> = (0..10).map(|i| (format!("a{i}"), format!("b{i}"))).collect();
        pairs[4].1 = "b11".to_string();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(c, r)| (c.as_str(), r.as_str())).collect();
        assert_eq!(shown(&[], &pairs), Some(("a{i}".into(), "b{i}".into(), vec![4])));
    }
}
