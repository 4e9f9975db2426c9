//! Which candidate meets which reference. Every name of both sides ends in exactly one list; nothing is paired by
//! position or by part of a name.

use std::collections::{BTreeMap, BTreeSet};

use super::bindings::Bindings;
use super::definition::Mapping;
pub use super::lists::{
    Absent, AmbiguityCause, Ambiguous, CountedLengths, Ignored, Missing, Pair, Pairing, Unmapped,
    UnmappedHint, WantedBy,
};
use super::mistake::MappingWarning;
use super::name_index::NameIndex;
use super::order::{self, ExecutionOrder, UnknownOrder};
use super::placeholder::{Lengths, LengthsSource, expand};
use super::rule::Ignore;
use super::template::Template;
use crate::reference::ReferenceNames;
use crate::side::{PerSide, Side};
use crate::text::nearest::NearestSearch;

/// Whether two tensors of the reference have the same shape and values.
pub type Identical<'a> = dyn Fn(&str, &str) -> bool + 'a;

/// Pairs the names of both sides.
pub fn pair(
    mapping: &Mapping,
    candidates: &[String],
    references: &ReferenceNames,
    identical: &Identical<'_>,
) -> Pairing {
    let names = |side| match side {
        Side::Candidate => candidates,
        Side::Reference => &references.present,
    };
    let known = || {
        let listed = references.present.iter().chain(&references.gone).chain(&references.counted);
        listed.map(String::as_str)
    };
    let lengths: BTreeMap<String, Lengths> = mapping
        .placeholders
        .iter()
        .map(|(name, flattened)| (name.clone(), Lengths::of(flattened, known())))
        .collect();
    let groups = order::groups(&mapping.rules);
    let all: BTreeSet<&str> = candidates.iter().map(String::as_str).collect();
    let taking = PerSide::of_each(|side| TakingRules::of(mapping, side));
    let mut work =
        PairingWork { mapping, lengths, groups, taking, instances: BTreeMap::new(), out: Pairing::default() };
    for side in [Side::Candidate, Side::Reference] {
        for name in names(side) {
            work.place(side, name, identical);
        }
    }
    let instances = std::mem::take(&mut work.instances);
    for (key, instance) in &instances {
        work.settle(key, instance, &all, identical);
    }
    let missing = work.out.missing.iter().flat_map(|missing| missing.expected.iter().cloned());
    let missing: BTreeSet<String> = missing.collect();
    for name in references.gone.iter().filter(|name| !missing.contains(*name)) {
        let (side, expected) = (Side::Reference, vec![name.clone()]);
        work.out.missing.push(Missing { side, expected, wanted_by: WantedBy::Manifest });
    }
    work.hints();
    work.unused(&instances);
    let lengths = work.counted();
    let mut out = work.out;
    out.lengths = lengths;
    let mut pairs_of = vec![0; mapping.rules.len()];
    out.pairs.iter().for_each(|pair| pairs_of[pair.rule] += 1);
    let unordered = || !mapping.rules_in_order;
    out.order = match order::unknown(&mapping.rules, |rule| pairs_of[rule]) {
        _ if references.in_order => ExecutionOrder::Manifest,
        _ if unordered() => ExecutionOrder::Unknown(UnknownOrder::NoOrder),
        Some(unknown) => ExecutionOrder::Unknown(unknown),
        None => ExecutionOrder::Mapping,
    };
    if references.in_order {
        let position: BTreeMap<&str, usize> =
            references.present.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
        out.pairs.sort_by_key(|pair| position.get(pair.reference.as_str()).copied().unwrap_or(usize::MAX));
    }
    out
}

/// One rule with its numbers. Sorted, keys are in the order of execution.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    group: usize,
    numbers: Vec<u64>,
    rule: usize,
    bindings: Bindings,
}

#[derive(Default)]
struct Instance {
    candidates: Vec<String>,
    references: Vec<String>,
}

/// The rules and the ignores of one side, found by name.
struct TakingRules {
    rules: NameIndex<usize>,
    ignores: NameIndex<usize>,
}

impl TakingRules {
    fn of(mapping: &Mapping, side: Side) -> TakingRules {
        let rules = mapping.rules.iter().enumerate();
        let rules = rules.flat_map(|(i, rule)| rule.names(side).iter().map(move |template| (i, template)));
        let ignores = mapping.ignores.iter().enumerate().filter(|(_, ignore)| ignore.side == side);
        let ignores = ignores.flat_map(|(i, ignore)| ignore.names.iter().map(move |template| (i, template)));
        TakingRules { rules: NameIndex::of(rules), ignores: NameIndex::of(ignores) }
    }
}

struct PairingWork<'a> {
    mapping: &'a Mapping,
    lengths: BTreeMap<String, Lengths>,
    /// For each rule the first one of its group.
    groups: Vec<usize>,
    taking: PerSide<TakingRules>,
    instances: BTreeMap<Key, Instance>,
    out: Pairing,
}

impl PairingWork<'_> {
    /// Puts a name with the rule that takes it, or into one of the lists.
    fn place(&mut self, side: Side, name: &str, identical: &Identical<'_>) {
        if self.mapping.input.of(side).iter().any(|known| known == name) {
            self.out.inputs.push((side, name.to_string()));
            return;
        }
        let mut found: Vec<(usize, Bindings)> = Vec::new();
        let mut beyond = false;
        for i in self.taking.get(side).rules.may_take(name) {
            for template in self.mapping.rules[i].names(side) {
                if let Some(bindings) = template.matches(name) {
                    match expand(bindings, &self.mapping.placeholders, &self.lengths) {
                        Some(bindings) => found.push((i, bindings)),
                        None => beyond = true,
                    }
                }
            }
        }
        let mut ignore = self.ignore(side, name, |ignore| ignore.when_identical_to.is_empty());
        if found.is_empty() && ignore.is_none() && self.is_cut(side, name) {
            found = self.taken_cut(side, name);
            ignore = self.ignore_of(side, |ignore| {
                ignore.when_identical_to.is_empty()
                    && ignore.names.iter().any(|template| template.matches_cut(name).is_some())
            });
        }
        match (found.as_slice(), ignore) {
            ([(rule, bindings)], None) => {
                let key = Key {
                    group: self.groups[*rule],
                    numbers: order::numbers(&self.mapping.rules[*rule], bindings),
                    rule: *rule,
                    bindings: bindings.clone(),
                };
                let instance = self.instances.entry(key).or_default();
                match side {
                    Side::Candidate => instance.candidates.push(name.to_string()),
                    Side::Reference => instance.references.push(name.to_string()),
                }
            }
            ([], Some((line, reason))) => {
                self.out.ignored.push(Ignored { side, name: name.to_string(), reason, line });
            }
            ([], None) => {
                if let Some((line, reason)) =
                    self.ignore(side, name, |ignore| self.hands_on(ignore, name, identical))
                {
                    self.out.ignored.push(Ignored { side, name: name.to_string(), reason, line });
                    return;
                }
                let hint = beyond.then(|| UnmappedHint::BeyondLengths(self.counted()));
                self.out.unmapped.push(Unmapped { side, name: name.to_string(), hint });
            }
            (rules, ignore) => {
                let rules = rules.iter().map(|(i, _)| self.mapping.rules[*i].name.clone()).collect();
                let cause = AmbiguityCause::TakenTwice { rules, ignore: ignore.map(|(line, _)| line) };
                self.out.ambiguous.push(Ambiguous { side, names: vec![name.to_string()], cause });
            }
        }
    }

    /// Whether a name is as long as its program lets names be, so that its end may be lost.
    fn is_cut(&self, side: Side, name: &str) -> bool {
        self.mapping.format(side).names_cut_at == Some(name.len())
    }

    /// The rules that take the beginning of a name whose end is lost.
    fn taken_cut(&self, side: Side, name: &str) -> Vec<(usize, Bindings)> {
        let rules = self.mapping.rules.iter().enumerate();
        let taken = rules.flat_map(|(i, rule)| {
            let bound = rule.names(side).iter().filter_map(move |template| template.matches_cut(name));
            bound.filter_map(move |bindings| {
                Some((i, expand(bindings, &self.mapping.placeholders, &self.lengths)?))
            })
        });
        taken.collect()
    }

    /// Line and reason of the ignore that lists a name.
    fn ignore(&self, side: Side, name: &str, which: impl Fn(&Ignore) -> bool) -> Option<(usize, String)> {
        let named = |ignore: &Ignore| ignore.names.iter().any(|template| template.matches(name).is_some());
        let listed = self.taking.get(side).ignores.may_take(name).into_iter();
        let mut listed = listed.map(|i| &self.mapping.ignores[i]);
        let found = listed.find(|ignore| named(ignore) && which(ignore))?;
        Some((found.line, found.reason.clone()))
    }

    /// Line and reason of the first ignore of a side that `lists` says lists a name.
    fn ignore_of(&self, side: Side, lists: impl Fn(&Ignore) -> bool) -> Option<(usize, String)> {
        let found = self.mapping.ignores.iter().find(|ignore| ignore.side == side && lists(ignore));
        found.map(|ignore| (ignore.line, ignore.reason.clone()))
    }

    /// Whether a tensor of the reference has the values of one that the ignore names.
    fn hands_on(&self, ignore: &Ignore, name: &str, identical: &Identical<'_>) -> bool {
        let numbers = || ignore.names.iter().find_map(|template| template.matches(name));
        let Some(numbers) =
            Some(&ignore.when_identical_to).filter(|same| !same.is_empty()).and_then(|_| numbers())
        else {
            return false;
        };
        let Some(numbers) = expand(numbers, &self.mapping.placeholders, &self.lengths) else {
            return false;
        };
        let mut others = ignore.when_identical_to.iter().filter_map(|template| template.render(&numbers));
        others.any(|other| identical(name, &other))
    }

    /// How many values each flattened placeholder has.
    fn counted(&self) -> Vec<CountedLengths> {
        let counted = |(placeholder, lengths): (&String, &Lengths)| CountedLengths {
            placeholder: placeholder.clone(),
            lengths: lengths.as_slice().to_vec(),
            given: matches!(
                self.mapping.placeholders.get(placeholder).map(|flattened| &flattened.lengths),
                Some(LengthsSource::Given(_))
            ),
        };
        self.lengths.iter().map(counted).collect()
    }

    fn settle(&mut self, key: &Key, instance: &Instance, all: &BTreeSet<&str>, identical: &Identical<'_>) {
        let rule = &self.mapping.rules[key.rule];
        let render = |templates: &[Template]| -> Vec<String> {
            templates.iter().filter_map(|template| template.render(&key.bindings)).collect()
        };
        let twice = |side: Side, names: &[String]| Ambiguous {
            side,
            names: names.to_vec(),
            cause: AmbiguityCause::SeveralFit { rule: rule.name.clone() },
        };
        match (instance.candidates.as_slice(), instance.references.as_slice()) {
            ([candidate], [reference]) => self.out.pairs.push(Pair {
                rule: key.rule,
                candidate: candidate.clone(),
                reference: reference.clone(),
                stands_for: None,
            }),
            ([candidate], []) => {
                let expected = render(std::slice::from_ref(&rule.reference));
                match (rule.reference_optional, expected.first()) {
                    (true, Some(reference)) => self.out.absent.push(Absent {
                        lacking: Side::Reference,
                        candidate: candidate.clone(),
                        reference: reference.clone(),
                    }),
                    _ => self.out.missing.push(Missing {
                        side: Side::Reference,
                        expected,
                        wanted_by: WantedBy::Partner(candidate.clone()),
                    }),
                }
            }
            ([], [reference]) => {
                let alias = rule.alias.as_ref().and_then(|alias| {
                    let same = alias.when_identical_to.render(&key.bindings)?;
                    let mut present =
                        render(&alias.candidates).into_iter().filter(|name| all.contains(name.as_str()));
                    let (found, more) = (present.next()?, present.next());
                    (more.is_none() && identical(reference, &same)).then_some(found)
                });
                let expected = render(&rule.candidates);
                if let Some(candidate) = alias {
                    let stands_for = expected.into_iter().next();
                    self.out.pairs.push(Pair {
                        rule: key.rule,
                        candidate,
                        reference: reference.clone(),
                        stands_for,
                    });
                    return;
                }
                if render(&rule.absent_with).iter().any(|name| all.contains(name.as_str())) {
                    let candidate = expected.into_iter().next().unwrap_or_default();
                    let (lacking, reference) = (Side::Candidate, reference.clone());
                    self.out.absent.push(Absent { lacking, candidate, reference });
                    return;
                }
                let handed_on = |ignore: &Ignore| self.hands_on(ignore, reference, identical);
                match self.ignore(Side::Reference, reference, handed_on) {
                    Some((line, reason)) => {
                        let (side, name) = (Side::Reference, reference.clone());
                        self.out.ignored.push(Ignored { side, name, reason, line });
                    }
                    None => {
                        let (side, wanted_by) = (Side::Candidate, WantedBy::Partner(reference.clone()));
                        self.out.missing.push(Missing { side, expected, wanted_by });
                    }
                }
            }
            (candidates, references) => {
                for (side, names) in [(Side::Candidate, candidates), (Side::Reference, references)] {
                    match names {
                        [] => {}
                        [one] => self.out.ambiguous.push(Ambiguous {
                            side,
                            names: vec![one.clone()],
                            cause: AmbiguityCause::Partner,
                        }),
                        several => self.out.ambiguous.push(twice(side, several)),
                    }
                }
            }
        }
    }

    /// Says of unmapped names which missing one they are close to.
    fn hints(&mut self) {
        let missing = PerSide::of_each(|side| {
            let missing = self.out.missing.iter().filter(|missing| missing.side == side);
            missing.flat_map(|missing| &missing.expected).map(String::as_str).collect::<Vec<_>>()
        });
        let mut search = NearestSearch::default();
        for unmapped in &mut self.out.unmapped {
            let expected = missing.get(unmapped.side);
            if let Some(name) = search.nearest(&unmapped.name, expected.iter().copied()) {
                unmapped.hint.get_or_insert_with(|| UnmappedHint::NearMissing(name.to_string()));
            }
        }
    }

    fn unused(&mut self, instances: &BTreeMap<Key, Instance>) {
        for (name, flattened) in &self.mapping.placeholders {
            if self.lengths.get(name).is_none_or(|lengths| lengths.as_slice().is_empty()) {
                let (placeholder, place) = (name.clone(), flattened.span.clone());
                self.out.warnings.push(MappingWarning::CountsOverNothing { placeholder, place });
            }
        }
        let used: BTreeSet<usize> = instances.keys().map(|key| key.rule).collect();
        let mut search = NearestSearch::default();
        for (i, rule) in self.mapping.rules.iter().enumerate() {
            if rule.may_be_unused || used.contains(&i) {
                continue;
            }
            let texts = PerSide::of_each(|side| -> Vec<String> {
                rule.names(side).iter().map(|template| template.sample(0)).collect()
            });
            let near = self.out.unmapped.iter().find_map(|unmapped| {
                let texts = texts.get(unmapped.side).iter().map(String::as_str);
                search.nearest(&unmapped.name, texts).map(|_| unmapped.name.clone())
            });
            let (rule, place) = (rule.name.clone(), rule.span.clone());
            self.out.warnings.push(MappingWarning::RuleTakesNothing { rule, place, near });
        }
    }
}
