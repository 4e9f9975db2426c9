//! Rules of a suggested mapping before they are written.

use std::collections::{BTreeMap, BTreeSet};

use super::arrangement::LayoutPair;
use super::catalogue::{Catalogues, Places};
use super::closeness::{Closeness, Trial};
use super::confidence::Confidence;
use super::generalise::{Generalised, generalised};
use super::matching::{Match, PairedBy};
use super::numbered::NumberedName;
use super::relation::Relations;
use crate::mapping::template::{Template, Wildcards};

/// A pair of a suggested mapping.
#[derive(Clone, Debug)]
pub struct SuggestedPair {
    /// The candidate's name.
    pub candidate: String,
    /// The reference's name.
    pub reference: String,
    /// How sure it is.
    pub confidence: Confidence,
    /// What made it a pair.
    pub paired_by: PairedBy,
    /// How near both are; `None` where their values say nothing.
    pub closeness: Option<Closeness>,
    /// How near the next best is, of other values.
    pub next: Option<f64>,
    /// Where names had to decide: the other tensors of both sides that have the same values.
    pub ties: Vec<String>,
    pub(super) places: Places,
    /// The layouts in which they are near, the simplest first.
    pub(super) layouts: Vec<LayoutPair>,
}

impl SuggestedPair {
    pub(super) fn of(found: &Match, confidence: Confidence, catalogues: &Catalogues<'_>) -> SuggestedPair {
        let (c, r) = found.places;
        let ties = match found.paired_by {
            PairedBy::Tie => {
                catalogues.candidate.twins_of(c).chain(catalogues.reference.twins_of(r)).collect()
            }
            _ => Vec::new(),
        };
        SuggestedPair {
            candidate: catalogues.candidate.tensors[c].name.clone(),
            reference: catalogues.reference.tensors[r].name.clone(),
            confidence,
            paired_by: found.paired_by,
            closeness: found.evidence.map(|evidence| evidence.closeness),
            next: found.evidence.and_then(|evidence| evidence.next),
            ties: ties.into_iter().map(String::from).collect(),
            places: found.places,
            layouts: catalogues
                .trials
                .get(&found.places)
                .map(|trial: &Trial| trial.layouts.clone())
                .unwrap_or_default(),
        }
    }
}

/// A rule before it is written.
#[derive(Clone, Debug)]
pub(super) struct DraftRule {
    pub(super) candidates: Vec<Template>,
    pub(super) reference: Template,
    pub(super) layouts: LayoutPair,
    /// Its pairs, by their places in the list.
    pub(super) pairs: Vec<usize>,
    pub(super) alias: Option<DraftAlias>,
}

/// Another candidate for references that have none of their own, but the values of one that has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DraftAlias {
    pub(super) candidates: Vec<Template>,
    pub(super) when_identical_to: Template,
}

impl DraftRule {
    pub(super) fn is_exact(&self) -> bool {
        self.reference.placeholders().next().is_none()
    }
}

/// Pairs in groups of equal texts.
fn groups(pairs: &[(NumberedName, NumberedName)]) -> BTreeMap<[Vec<String>; 2], Vec<usize>> {
    let mut groups: BTreeMap<[Vec<String>; 2], Vec<usize>> = BTreeMap::new();
    for (i, (candidate, reference)) in pairs.iter().enumerate() {
        groups.entry([candidate.texts.clone(), reference.texts.clone()]).or_default().push(i);
    }
    groups
}

/// Templates for each group of pairs of equal texts, where there are some.
pub(super) fn templates(
    pairs: &[(NumberedName, NumberedName)],
    relations: &Relations,
) -> Vec<(Vec<usize>, Option<Generalised>)> {
    let of_group = |members: Vec<usize>| {
        let group: Vec<_> = members.iter().map(|i| pairs[*i].clone()).collect();
        let found = generalised(&group, relations);
        (members, found)
    };
    groups(pairs).into_values().map(of_group).collect()
}

/// Names as they are in a mapping's templates.
pub(super) fn names(pairs: &[SuggestedPair]) -> Vec<(NumberedName, NumberedName)> {
    pairs.iter().map(|pair| (NumberedName::of(&pair.candidate), NumberedName::of(&pair.reference))).collect()
}

/// Rules for pairs. Those whose reference is in `exact` get a rule each.
pub(super) fn rules(
    pairs: &[SuggestedPair],
    relations: &Relations,
    exact: &BTreeSet<String>,
) -> Vec<DraftRule> {
    let mut rules: Vec<DraftRule> = Vec::new();
    let named = names(pairs);
    for (members, found) in templates(&named, relations) {
        let fits = |found: &Generalised| {
            found.outliers.is_empty() && !members.iter().any(|i| exact.contains(&pairs[*i].reference))
        };
        let layouts = common_layouts(members.iter().map(|i| &pairs[*i]));
        match (found.filter(fits), layouts) {
            (Some(found), Some(layouts)) => {
                let candidates = vec![found.candidate];
                rules.push(DraftRule {
                    candidates,
                    reference: found.reference,
                    layouts,
                    pairs: members,
                    alias: None,
                });
            }
            _ => rules.extend(members.iter().filter_map(|i| exact_rule(pairs, *i))),
        }
    }
    merged(rules, pairs)
}

fn exact_rule(pairs: &[SuggestedPair], i: usize) -> Option<DraftRule> {
    let pair = &pairs[i];
    let parse = |name: &str| Template::parse(name, Wildcards::Refused).ok();
    Some(DraftRule {
        candidates: vec![parse(&pair.candidate)?],
        reference: parse(&pair.reference)?,
        layouts: pair.layouts.first()?.clone(),
        pairs: vec![i],
        alias: None,
    })
}

/// The simplest layouts in which all pairs are near.
fn common_layouts<'a>(mut pairs: impl Iterator<Item = &'a SuggestedPair>) -> Option<LayoutPair> {
    let first = pairs.next()?;
    let others: Vec<&SuggestedPair> = pairs.collect();
    let in_all = |layouts: &&LayoutPair| {
        let same =
            |other: &LayoutPair| other.candidate == layouts.candidate && other.reference == layouts.reference;
        others.iter().all(|pair| pair.layouts.iter().any(same))
    };
    first.layouts.iter().find(in_all).cloned()
}

/// Rules of one reference become one with several names for the candidate.
fn merged(rules: Vec<DraftRule>, pairs: &[SuggestedPair]) -> Vec<DraftRule> {
    let mut by_reference: BTreeMap<String, Vec<DraftRule>> = BTreeMap::new();
    for rule in rules {
        by_reference.entry(rule.reference.to_string()).or_default().push(rule);
    }
    by_reference.into_values().flat_map(|rules| merged_rules(rules, pairs)).collect()
}

/// One rule for those of one reference that have a layout in common with the largest; the others' pairs get a rule each.
fn merged_rules(mut rules: Vec<DraftRule>, pairs: &[SuggestedPair]) -> Vec<DraftRule> {
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.pairs.len()));
    let mut rules = rules.into_iter();
    let Some(mut merged) = rules.next() else { return Vec::new() };
    let mut exact = Vec::new();
    for rule in rules {
        let members: Vec<usize> = merged.pairs.iter().chain(&rule.pairs).copied().collect();
        match common_layouts(members.iter().map(|i| &pairs[*i])) {
            Some(layouts) => {
                merged.candidates.extend(rule.candidates);
                merged = DraftRule { layouts, pairs: members, ..merged };
            }
            None => exact.extend(rule.pairs.iter().filter_map(|i| exact_rule(pairs, *i))),
        }
    }
    exact.push(merged);
    exact
}
