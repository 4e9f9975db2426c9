//! Rules and ignores that can take one name.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::mistake::{MappingMistake, MappingMistakeKind, RuleAndPlace};
use super::name_index::NameIndex;
use super::rule::{Ignore, Rule};
use super::template::Template;
use crate::side::Side;

/// The number that stands for every placeholder in the names that are tried.
const SAMPLE: u64 = 7;

/// Two rules of one name, two rules that take one tensor, a rule and an ignore that take one tensor. For each rule a
/// name is tried that fits it; what this does not find is found when real names are paired.
pub(super) fn conflicts(rules: &[Rule], ignores: &[Ignore]) -> Vec<MappingMistake> {
    let mut mistakes = Vec::new();
    let mut named: BTreeMap<&str, &Rule> = BTreeMap::new();
    let mut taken = taken_twice(rules);
    for (i, rule) in rules.iter().enumerate() {
        let kind = match named.entry(&rule.name) {
            Entry::Occupied(first) => {
                let (name, first) = (rule.name.clone(), first.get().span.clone());
                Some(MappingMistakeKind::TwoRulesNamed { name, first })
            }
            Entry::Vacant(entry) => {
                entry.insert(rule);
                taken.remove(&i)
            }
        };
        mistakes.extend(kind.map(|kind| MappingMistake { place: rule.span.clone(), kind }));
    }
    for (i, rules) in compared_and_ignored(rules, ignores) {
        let kind = MappingMistakeKind::ComparedAndIgnored { side: ignores[i].side, rules };
        mistakes.push(MappingMistake { place: ignores[i].span.clone(), kind });
    }
    mistakes
}

/// Rules with a name that an earlier one takes too, or that take one of an earlier one; of each side the first such.
fn taken_twice(rules: &[Rule]) -> BTreeMap<usize, MappingMistakeKind> {
    let mut found = BTreeMap::new();
    for side in [Side::Reference, Side::Candidate] {
        // By rule, the first earlier one with the name that both take.
        let mut first: BTreeMap<usize, (usize, &Template)> = BTreeMap::new();
        let all = rules.iter().enumerate().rev();
        let index = NameIndex::of(
            all.clone().flat_map(|(i, rule)| rule.names(side).iter().map(move |template| (i, template))),
        );
        for (i, rule) in all {
            for template in rule.names(side) {
                let sample = template.sample(SAMPLE);
                for other in index.may_take(&sample).into_iter().filter(|other| *other != i) {
                    let (earlier, later) = (i.min(other), i.max(other));
                    let is_known = first.get(&later).is_some_and(|(known, _)| *known <= earlier);
                    if !is_known && takes(rules[other].names(side), &sample) {
                        first.insert(later, (earlier, template));
                    }
                }
            }
        }
        // What is found of the candidate's side holds before what is found of the reference's.
        found.extend(first.into_iter().map(|(later, (earlier, template))| {
            let (template, other) = (template.clone(), located(&rules[earlier], template));
            (later, MappingMistakeKind::TwoRulesTake { side, template, other })
        }));
    }
    found
}

/// Ignores that list what rules compare, by their number, with those rules.
fn compared_and_ignored(rules: &[Rule], ignores: &[Ignore]) -> BTreeMap<usize, Vec<RuleAndPlace>> {
    let mut found: BTreeMap<usize, Vec<RuleAndPlace>> = BTreeMap::new();
    for side in [Side::Candidate, Side::Reference] {
        let unconditional =
            |(_, ignore): &(usize, &Ignore)| ignore.side == side && ignore.when_identical_to.is_empty();
        let of_side = ignores.iter().enumerate().filter(unconditional);
        let index = NameIndex::of(
            of_side.flat_map(|(i, ignore)| ignore.names.iter().map(move |template| (i, template))),
        );
        for rule in rules {
            let mut told = BTreeSet::new();
            for template in rule.names(side) {
                let sample = template.sample(SAMPLE);
                for i in index.may_take(&sample) {
                    if !told.contains(&i) && takes(&ignores[i].names, &sample) {
                        told.insert(i);
                        found.entry(i).or_default().push(located(rule, template));
                    }
                }
            }
        }
    }
    found
}

fn takes(templates: &[Template], name: &str) -> bool {
    templates.iter().any(|template| template.matches(name).is_some())
}

fn located(rule: &Rule, template: &Template) -> RuleAndPlace {
    RuleAndPlace { name: rule.name.clone(), template: template.clone(), place: rule.span.clone() }
}
