//! What the numbers in the names of both sides have to do with each other.

use std::collections::{BTreeMap, BTreeSet};

use super::numbered::{NumberedName, last_word};
use crate::mapping::Flattened;
use crate::mapping::template::{Template, Wildcards};
use crate::mapping::{Lengths, LengthsSource, Placeholders};
use crate::side::Side;

/// A relation holds when at least this share of the pairs fits it: a wrong pair does not hide it.
pub(super) const MAJORITY: f64 = 0.8;

/// Texts up to a number on both sides.
type Stems = (Vec<String>, Vec<String>);

/// A number that counts over all values of two numbers of the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FlatCount {
    /// The side that counts over all.
    pub(super) flat_side: Side,
    /// Texts up to its number.
    pub(super) flat: Vec<String>,
    /// Texts up to the inner number of the other side.
    pub(super) nested: Vec<String>,
    /// How many values the inner number has, for each of the outer one.
    pub(super) lengths: Vec<u64>,
    /// What the mapping calls it.
    pub(super) placeholder: String,
    pub(super) outer: String,
    pub(super) inner: String,
    /// The reference's names that show the lengths; otherwise they have to be given.
    pub(super) lengths_from: Option<String>,
    /// Whether the mapping that is extended declares it.
    pub(super) declared: bool,
}

impl FlatCount {
    pub(super) fn fits(&self, flat: u64, outer: u64, inner: u64) -> bool {
        let Ok(outer) = usize::try_from(outer) else { return false };
        let before = self.lengths.get(..outer).map(|lengths| lengths.iter().sum::<u64>());
        before
            .zip(self.lengths.get(outer))
            .is_some_and(|(before, length)| inner < *length && before + inner == flat)
    }

    /// The columns of its number, of the outer and of the inner one, where names have them.
    pub(super) fn columns(&self, candidate: &[String], reference: &[String]) -> Option<[usize; 3]> {
        let (flat, nested) = match self.flat_side {
            Side::Candidate => (candidate, reference),
            Side::Reference => (reference, candidate),
        };
        let begins = |texts: &[String], stem: &[String]| texts.len() > stem.len() && texts.starts_with(stem);
        let fit = begins(flat, &self.flat) && begins(nested, &self.nested);
        fit.then(|| [self.flat.len() - 1, self.nested.len() - 2, self.nested.len() - 1])
    }

    /// As the mapping has it.
    pub(super) fn flattened(&self) -> Flattened {
        let parsed = self.lengths_from.as_deref().map(|text| Template::parse(text, Wildcards::Refused));
        let lengths = match parsed {
            Some(Ok(template)) => LengthsSource::ReferenceNames(template),
            _ => LengthsSource::Given(self.lengths.clone()),
        };
        Flattened { outer: self.outer.clone(), inner: self.inner.clone(), lengths, span: 0..0 }
    }
}

/// What the numbers of both sides have to do with each other, as pairs show it.
#[derive(Clone, Debug, Default)]
pub(super) struct Relations {
    pub(super) flat_counts: Vec<FlatCount>,
    /// The candidate's number minus the reference's, where that is always the same.
    offsets: BTreeMap<Stems, i64>,
    /// How many pairs have these texts.
    skeletons: BTreeMap<Stems, usize>,
}

impl Relations {
    /// What pairs show; `references` are all names of the reference, `declared` are the placeholders of a mapping that is
    /// extended.
    pub(super) fn of(
        pairs: &[(NumberedName, NumberedName)],
        references: &[String],
        declared: &Placeholders,
    ) -> Relations {
        let mut relations = Relations::default();
        for (candidate, reference) in pairs {
            *relations.skeletons.entry((candidate.texts.clone(), reference.texts.clone())).or_default() += 1;
        }
        relations.offsets = offsets(pairs);
        for flat_side in [Side::Candidate, Side::Reference] {
            relations.find_flat_counts(flat_side, pairs, references, declared);
        }
        relations
    }

    /// How much speaks for a pair of names: others that are named alike, twice where the numbers fit too.
    pub(super) fn support(&self, candidate: &str, reference: &str) -> usize {
        let (candidate, reference) = (NumberedName::of(candidate), NumberedName::of(reference));
        let alike =
            self.skeletons.get(&(candidate.texts.clone(), reference.texts.clone())).copied().unwrap_or(0);
        let numbers_fit = self.flat_counts.iter().any(|count| {
            count.columns(&candidate.texts, &reference.texts).is_some_and(|columns| {
                let [flat, outer, inner] = numbers(count.flat_side, columns, &candidate, &reference);
                count.fits(flat, outer, inner)
            })
        }) || self.offset_fits(&candidate, &reference);
        match (alike, numbers_fit) {
            (0, fits) => usize::from(fits),
            (alike, true) => 2 * alike + 1,
            (_, false) => 0,
        }
    }

    fn offset_fits(&self, candidate: &NumberedName, reference: &NumberedName) -> bool {
        (0..candidate.numbers.len()).any(|c| {
            (0..reference.numbers.len()).any(|r| {
                let known = self.offset(candidate.stem(c), reference.stem(r));
                known.is_some_and(|offset| difference(candidate.numbers[c], reference.numbers[r]) == offset)
            })
        })
    }

    /// What the candidate's number is more than the reference's, where pairs have established it.
    pub(super) fn offset(&self, candidate: &[String], reference: &[String]) -> Option<i64> {
        self.offsets.get(&(candidate.to_vec(), reference.to_vec())).copied()
    }

    fn find_flat_counts(
        &mut self,
        flat_side: Side,
        pairs: &[(NumberedName, NumberedName)],
        references: &[String],
        declared: &Placeholders,
    ) {
        let mut points: BTreeMap<Stems, BTreeSet<[u64; 3]>> = BTreeMap::new();
        for (candidate, reference) in pairs {
            let (flat, nested) = match flat_side {
                Side::Candidate => (candidate, reference),
                Side::Reference => (reference, candidate),
            };
            for f in 0..flat.numbers.len() {
                for n in 1..nested.numbers.len() {
                    let stems = (flat.stem(f).to_vec(), nested.stem(n).to_vec());
                    let point = [flat.numbers[f], nested.numbers[n - 1], nested.numbers[n]];
                    points.entry(stems).or_default().insert(point);
                }
            }
        }
        let nested_names: Vec<NumberedName> = match flat_side {
            Side::Candidate => references.iter().map(|name| NumberedName::of(name)).collect(),
            Side::Reference => pairs.iter().map(|(candidate, _)| candidate.clone()).collect(),
        };
        for (stems, points) in points {
            let Some(lengths) = lengths(&points, &nested_names, &stems.1) else { continue };
            let count = self.named(flat_side, stems, lengths, references, declared);
            self.flat_counts.push(count);
        }
    }

    /// A count with the names that the mapping has for it, or new ones.
    fn named(
        &self,
        flat_side: Side,
        (flat, nested): Stems,
        lengths: Vec<u64>,
        references: &[String],
        declared: &Placeholders,
    ) -> FlatCount {
        let counted = |flattened: &Flattened| Lengths::of(flattened, references.iter().map(String::as_str));
        let known = declared.iter().find(|(_, known)| counted(known).as_slice().starts_with(&lengths));
        let known = known.map(|(name, known)| [name, &known.outer, &known.inner]);
        let same = self.flat_counts.iter().find(|count| count.lengths == lengths);
        let known = known.or(same.map(|count| [&count.placeholder, &count.outer, &count.inner]));
        let declared_here = known.is_some();
        let [placeholder, outer, inner] =
            known.map_or_else(|| self.new_names(&flat, declared), |names| names.map(String::clone));
        let mut count = FlatCount {
            flat_side,
            flat,
            nested,
            lengths,
            placeholder,
            outer,
            inner,
            lengths_from: None,
            declared: declared_here,
        };
        count.lengths_from = lengths_from(&count, references);
        count
    }

    /// Names for a new count: the last word before its number, and words for the two numbers that it is made of.
    fn new_names(&self, flat: &[String], declared: &Placeholders) -> [String; 3] {
        let ours = self.flat_counts.iter().flat_map(|count| [&count.placeholder, &count.outer, &count.inner]);
        let others = declared.iter().flat_map(|(name, known)| [name, &known.outer, &known.inner]);
        let taken: BTreeSet<&String> = ours.chain(others).collect();
        let word = flat.last().and_then(|text| last_word(text)).unwrap_or("block").to_lowercase();
        [word.as_str(), "stage", "index"].map(|word| free_name(word, &taken))
    }
}

/// A word that nothing is called yet. Letters alone are what plain numbers are called.
fn free_name(word: &str, taken: &BTreeSet<&String>) -> String {
    let word = if word.len() > 1 { word } else { "block" };
    let more = (2..).map(|n| format!("{word}_{n}"));
    std::iter::once(word.to_string()).chain(more).find(|name| !taken.contains(name)).unwrap_or_default()
}

/// The template of the reference's names that show a count's lengths, where the mapping finds the same in them.
fn lengths_from(count: &FlatCount, references: &[String]) -> Option<String> {
    if count.flat_side == Side::Reference {
        return None;
    }
    let [.., before_outer, between] = count.nested.as_slice() else { return None };
    // Numbers before the outer one would have to be told apart.
    let text = (count.nested.len() == 2)
        .then(|| format!("{before_outer}{{{}}}{between}{{{}}}", count.outer, count.inner))?;
    let with = FlatCount { lengths_from: Some(text.clone()), ..count.clone() };
    let counted = Lengths::of(&with.flattened(), references.iter().map(String::as_str));
    (counted.as_slice() == count.lengths).then_some(text)
}

pub(super) fn difference(a: u64, b: u64) -> i64 {
    i64::try_from(a).unwrap_or(i64::MAX) - i64::try_from(b).unwrap_or(i64::MAX)
}

/// The numbers of a pair in the columns of a count.
pub(super) fn numbers(
    flat_side: Side,
    [flat, outer, inner]: [usize; 3],
    candidate: &NumberedName,
    reference: &NumberedName,
) -> [u64; 3] {
    let (a, b) = match flat_side {
        Side::Candidate => (candidate, reference),
        Side::Reference => (reference, candidate),
    };
    [a.numbers[flat], b.numbers[outer], b.numbers[inner]]
}

/// Numbers that differ by the same in most pairs, of at least two different ones.
fn offsets(pairs: &[(NumberedName, NumberedName)]) -> BTreeMap<Stems, i64> {
    let mut points: BTreeMap<Stems, BTreeSet<(u64, u64)>> = BTreeMap::new();
    for (candidate, reference) in pairs {
        for c in 0..candidate.numbers.len() {
            for r in 0..reference.numbers.len() {
                let stems = (candidate.stem(c).to_vec(), reference.stem(r).to_vec());
                points.entry(stems).or_default().insert((candidate.numbers[c], reference.numbers[r]));
            }
        }
    }
    let settled = points.into_iter().filter_map(|(stems, points)| {
        let (offset, share) = majority(points.iter().map(|(c, r)| difference(*c, *r)))?;
        let fitting = || points.iter().filter(|(c, r)| difference(*c, *r) == offset);
        (share >= MAJORITY && fitting().count() > 1).then_some((stems, offset))
    });
    settled.collect()
}

/// The most frequent value, and the share that it has.
pub(super) fn majority<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<(T, f64)> {
    let mut counts: BTreeMap<T, usize> = BTreeMap::new();
    values.for_each(|value| *counts.entry(value).or_default() += 1);
    let total: usize = counts.values().sum();
    let (value, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    Some((value, count as f64 / total as f64))
}

/// How long each stage is, where the first number of the points counts over all stages: as names show it, else as the
/// points do.
fn lengths(points: &BTreeSet<[u64; 3]>, names: &[NumberedName], nested: &[String]) -> Option<Vec<u64>> {
    let stages: BTreeSet<u64> = points.iter().map(|[_, outer, _]| *outer).collect();
    let plain = |number: usize| {
        let differences = points.iter().map(|point| difference(point[0], point[number]));
        majority(differences).is_some_and(|(_, share)| share >= MAJORITY)
    };
    if points.len() < 3 || stages.len() < 2 || plain(1) || plain(2) {
        return None;
    }
    let mut of_names: BTreeMap<u64, u64> = BTreeMap::new();
    let inner = nested.len() - 1;
    for name in names.iter().filter(|name| name.texts.len() > nested.len() && name.texts.starts_with(nested))
    {
        let length = of_names.entry(name.numbers[inner - 1]).or_default();
        *length = (*length).max(name.numbers[inner] + 1);
    }
    let of_names = without_gap(of_names);
    let fits = |lengths: &Vec<u64>| {
        let before = |outer: u64| lengths.iter().take(outer as usize).sum::<u64>();
        let fitting = points.iter().filter(|[flat, outer, inner]| {
            lengths.get(*outer as usize).is_some_and(|length| inner < length)
                && before(*outer) + inner == *flat
        });
        fitting.count() as f64 >= MAJORITY * points.len() as f64
    };
    [Some(of_names), lengths_of(points)].into_iter().flatten().find(fits)
}

/// Values by number, up to the first number that is missing.
fn without_gap(values: BTreeMap<u64, u64>) -> Vec<u64> {
    let values = values.into_iter().zip(0..).take_while(|((number, _), expected)| number == expected);
    values.map(|((_, value), _)| value).collect()
}

/// How long stages are, by where most points of each stage begin.
fn lengths_of(points: &BTreeSet<[u64; 3]>) -> Option<Vec<u64>> {
    let mut starts: BTreeMap<u64, u64> = BTreeMap::new();
    let mut last = 0;
    for stage in points.iter().map(|[_, outer, _]| *outer).collect::<BTreeSet<_>>() {
        let of_stage = || points.iter().filter(|[_, outer, _]| *outer == stage);
        let (start, _) = majority(of_stage().filter_map(|[flat, _, inner]| flat.checked_sub(*inner)))?;
        starts.insert(stage, start);
        last = start + of_stage().map(|[_, _, inner]| inner + 1).max()?;
    }
    let starts = Some(without_gap(starts)).filter(|starts| starts.first() == Some(&0))?;
    let ends = starts.iter().skip(1).copied().chain([last]);
    starts.iter().zip(ends).map(|(start, end)| end.checked_sub(*start)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relations(pairs: &[(&str, &str)], more: &[&str]) -> Relations {
        let named: Vec<_> = pairs.iter().map(|(c, r)| (NumberedName::of(c), NumberedName::of(r))).collect();
        let references: Vec<String> =
            pairs.iter().map(|(_, r)| *r).chain(more.iter().copied()).map(String::from).collect();
        Relations::of(&named, &references, &Placeholders::new())
    }

    const FLAT: [(&str, &str); 4] = [
        ("net_block_0_out", "model_blocks_0_0"),
        ("net_block_1_out", "model_blocks_0_1"),
        ("net_block_2_out", "model_blocks_1_0"),
        ("net_block_4_out", "model_blocks_2_0"),
    ];

    #[test]
    fn a_count_over_all_stages_by_the_names() {
        let relations = relations(&FLAT, &["model_blocks_1_1_norm", "model_stem"]);
        let [count] = relations.flat_counts.as_slice() else { panic!("{relations:?}") };
        assert_eq!(count.lengths, [2, 2, 1]);
        assert_eq!(count.lengths_from.as_deref(), Some("model_blocks_{stage}_{index}"));
        assert_eq!([&count.placeholder, &count.outer, &count.inner], ["block", "stage", "index"]);
        assert!(count.fits(3, 1, 1) && !count.fits(3, 2, 0) && !count.fits(4, 1, 2));
        assert_eq!(relations.support("net_block_3_out", "model_blocks_1_1"), 9);
        assert_eq!(relations.support("net_block_3_out", "model_blocks_1_0"), 0);
    }

    #[test]
    fn a_count_over_all_stages_by_the_pairs_where_names_are_missing() {
        let relations = relations(&FLAT, &[]);
        let [count] = relations.flat_counts.as_slice() else { panic!("{relations:?}") };
        assert_eq!((count.lengths.as_slice(), &count.lengths_from), (&[2, 2, 1][..], &None));
    }

    #[test]
    fn the_reference_may_be_the_side_that_counts_over_all() {
        let turned: Vec<_> = FLAT.iter().map(|(c, r)| (*r, *c)).collect();
        let relations = relations(&turned, &[]);
        let [count] = relations.flat_counts.as_slice() else { panic!("{relations:?}") };
        assert_eq!((count.flat_side, count.lengths.as_slice()), (Side::Reference, &[2, 2, 1][..]));
    }

    #[test]
    fn plain_numbers_and_numbers_that_begin_elsewhere() {
        let plain =
            relations(&[("a1", "b.0"), ("a2", "b.1"), ("a5", "b.4"), ("a9", "b.3"), ("a7", "b.6")], &[]);
        let stem = |text: &str| vec![text.to_string()];
        assert_eq!(plain.offset(&stem("a"), &stem("b.")), Some(1));
        assert!(plain.flat_counts.is_empty());
        let unrelated = relations(&[("a1", "b.7"), ("a2", "b.1"), ("a5", "b.2")], &[]);
        assert_eq!(unrelated.offset(&stem("a"), &stem("b.")), None);
    }
}
