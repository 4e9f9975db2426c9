//! Whether names agree with the pairs, and whether a mapping gives back the pairs that it was written from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::arrangement::arrangements;
use super::catalogue::{Catalogues, Places};
use super::confidence::Confidence;
use super::draft::{DraftRule, SuggestedPair, names, templates};
use super::matching::Matching;
use super::names::SideNames;
use super::relation::Relations;
use crate::mapping::pairing::{self, AmbiguityCause};
use crate::mapping::{Lengths, Mapping, Placeholders, expand};

/// Pairs that are not sure and that the names of the others contradict.
pub(super) fn outliers(pairs: &[SuggestedPair], relations: &Relations) -> BTreeSet<Places> {
    let mut outliers = BTreeSet::new();
    for (members, found) in templates(&names(pairs), relations) {
        let unsure = |i: &usize| pairs[*i].confidence != Confidence::High;
        let of_group = found.into_iter().flat_map(|found| found.outliers).map(|i| members[i]);
        outliers.extend(of_group.filter(unsure).map(|i| pairs[i].places));
    }
    outliers
}

/// Pairs that names make: the candidate and the reference that templates of other pairs lead to, where both are free and
/// their shapes fit.
pub(super) fn named_alike(
    pairs: &[SuggestedPair],
    relations: &Relations,
    catalogues: &Catalogues<'_>,
    matching: &Matching,
) -> Vec<Places> {
    let placeholders: Placeholders =
        relations.flat_counts.iter().map(|count| (count.placeholder.clone(), count.flattened())).collect();
    let references = || catalogues.reference.tensors.iter().map(|listed| listed.name.as_str());
    let at: BTreeMap<&str, usize> = references().zip(0..).collect();
    let lengths: BTreeMap<String, Lengths> = placeholders
        .iter()
        .map(|(name, flattened)| (name.clone(), Lengths::of(flattened, references())))
        .collect();
    let mut found = Vec::new();
    for (_, generalised) in templates(&names(pairs), relations) {
        let Some(generalised) = generalised.filter(|found| found.reference.placeholders().next().is_some())
        else {
            continue;
        };
        for (c, listed) in catalogues.candidate.tensors.iter().enumerate() {
            let Some(numbers) = generalised.candidate.matches(&listed.name) else { continue };
            let numbers = expand(numbers, &placeholders, &lengths);
            let name = numbers.and_then(|numbers| generalised.reference.render(&numbers));
            let Some(r) = name.and_then(|name| at.get(name.as_str()).copied()) else { continue };
            let fits = !arrangements(&listed.shape, &catalogues.reference.tensors[r].shape).is_empty();
            if fits && matching.is_free((c, r)) {
                found.push((c, r));
            }
        }
    }
    found
}

/// What is wrong with a mapping that was written.
#[derive(Debug, Default)]
pub(super) struct Proof {
    /// References whose pairs have to be written name by name.
    pub(super) exact: BTreeSet<String>,
    /// References whose pairs are contradicted by rules and not sure.
    pub(super) dropped: BTreeSet<String>,
}

impl Proof {
    /// Uses the mapping on the names that it came from.
    pub(super) fn of(
        text: &str,
        pairs: &[SuggestedPair],
        rules: &[DraftRule],
        names: &SideNames,
        identical: &dyn Fn(&str, &str) -> bool,
    ) -> Proof {
        let mut proof = Proof::default();
        let general: Vec<&DraftRule> = rules.iter().filter(|rule| !rule.is_exact()).collect();
        let mapping = match Mapping::parse(Path::new("suggested"), text.to_string()) {
            Ok(mapping) => mapping,
            Err(_) => {
                // The widest rule first: what is left may be sound.
                let widest = general.iter().max_by_key(|rule| rule.pairs.len());
                let members = widest.into_iter().flat_map(|rule| &rule.pairs);
                proof.exact.extend(members.map(|i| pairs[*i].reference.clone()));
                return proof;
            }
        };
        let found = pairing::pair(&mapping, &names.candidates, &names.references, identical);
        let made: BTreeSet<(&str, &str)> =
            found.pairs.iter().map(|pair| (pair.candidate.as_str(), pair.reference.as_str())).collect();
        let ambiguous: BTreeSet<&str> = found
            .ambiguous
            .iter()
            .filter(|ambiguous| matches!(ambiguous.cause, AmbiguityCause::TakenTwice { .. }))
            .flat_map(|ambiguous| ambiguous.names.iter().map(String::as_str))
            .collect();
        let lost = |pair: &SuggestedPair| !made.contains(&(pair.candidate.as_str(), pair.reference.as_str()));
        for pair in pairs.iter().filter(|pair| lost(pair)) {
            let contradicted =
                ambiguous.contains(pair.candidate.as_str()) || ambiguous.contains(pair.reference.as_str());
            match contradicted && pair.confidence != Confidence::High && is_alone(rules, pairs, pair) {
                true => drop(proof.dropped.insert(pair.reference.clone())),
                false => proof.exact.extend(involved(&general, pairs, pair)),
            }
        }
        proof
    }
}

/// Whether a pair has a rule of its own.
fn is_alone(rules: &[DraftRule], pairs: &[SuggestedPair], pair: &SuggestedPair) -> bool {
    let own = rules.iter().find(|rule| rule.pairs.iter().any(|i| pairs[*i].reference == pair.reference));
    own.is_some_and(|rule| rule.is_exact())
}

/// The references of all rules that take one of a pair's names.
fn involved(rules: &[&DraftRule], pairs: &[SuggestedPair], pair: &SuggestedPair) -> Vec<String> {
    let takes = |rule: &&&DraftRule| {
        let candidate = rule.candidates.iter().any(|template| template.matches(&pair.candidate).is_some());
        candidate || rule.reference.matches(&pair.reference).is_some()
    };
    let members = rules.iter().filter(takes).flat_map(|rule| &rule.pairs);
    members.map(|i| pairs[*i].reference.clone()).collect()
}
