//! From two dumps to a mapping.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use toml_edit::DocumentMut;

use super::catalogue::{Catalogues, Places};
use super::confidence::Confidence;
use super::document::MappingDocument;
use super::draft::{self, DraftRule, SuggestedPair};
use super::leftover::{self, Leftover, LeftoverReason};
use super::matching::Matching;
use super::names::SideNames;
use super::proof::{self, Proof};
use super::relation::Relations;
use super::rule_order;
use crate::mapping::Mapping;
use crate::mapping::template::Template;
use crate::provenance::Dump;
use crate::reference::Reference;
use crate::side::Side;
use crate::store::StoreError;

/// Why no mapping can be suggested.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what its fields are")]
pub enum SuggestError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "expected tensors that are near to each other, found none among {candidates} of the candidate and \
         {references} of the reference"
    )]
    NoPairs { candidates: usize, references: usize },
    #[error("{}: expected a mapping that can be extended (rules as [[rule]] tables): {found}", path.display())]
    Base { path: PathBuf, found: String },
}

/// What a suggestion starts from.
#[derive(Clone, Copy, Debug)]
pub struct Base<'a> {
    /// Its profiles are copied, and what it says of the sides where `files` gives nothing else.
    pub mapping: &'a Mapping,
    /// The patterns of the files of candidate and reference where they are not those of the mapping.
    pub files: [Option<&'a str>; 2],
    /// Keep the mapping with its comments and only add what it does not know.
    pub extend: bool,
}

/// A suggested mapping.
#[derive(Debug)]
pub struct Suggestion {
    /// The mapping as TOML.
    pub text: String,
    /// Its pairs, without those of a mapping that was extended, in the reference's order.
    pub pairs: Vec<SuggestedPair>,
    /// References that are compared with the candidate of another one, since both have the same values: to each the
    /// candidate.
    pub aliased: BTreeMap<String, String>,
    /// Tensors without a partner.
    pub leftovers: Vec<Leftover>,
    /// How many rules were written.
    pub rules: usize,
    /// Whether the reference says in which order its tensors are computed.
    pub in_order: bool,
}

/// Suggests a mapping. Memory is bounded by one candidate for each thread; time by the size of the dumps.
///
/// # Errors
/// Tensors that cannot be read, no pair at all, and a base that is not as tables.
pub fn suggest(candidate: &Dump, reference: &Reference, base: Base<'_>) -> Result<Suggestion, SuggestError> {
    let names = SideNames::of(candidate, reference, base.extend.then_some(base.mapping));
    let mut catalogues = Catalogues::of(
        (candidate, &names.nameable(Side::Candidate)),
        (reference.dump(), &names.nameable(Side::Reference)),
    )?;
    let (pairs, relations) = paired(&mut catalogues, &names, base)?;
    let (pairs, known): (Vec<_>, Vec<_>) =
        pairs.into_iter().partition(|pair| !names.is_known(&pair.candidate, &pair.reference));
    if pairs.is_empty() && known.is_empty() {
        let (candidates, references) = (names.candidates.len(), names.references.present.len());
        return Err(SuggestError::NoPairs { candidates, references });
    }
    let all: Vec<SuggestedPair> = pairs.iter().chain(&known).cloned().collect();
    let mut leftovers = leftover::leftovers(&catalogues, &all);
    leftovers.extend(names.unnameable());
    leftovers.retain(|leftover| !names.is_settled(leftover.side, &leftover.name));
    let identical = |a: &str, b: &str| reference.dump().identical(a, b);
    let writing = Writing { names: &names, base, relations: &relations, identical: &identical };
    let pairs = writing.writable(pairs);
    writing.proven(pairs, leftovers)
}

/// All pairs, surest first, in the order of the reference; and what their names have to do with each other.
fn paired(
    catalogues: &mut Catalogues<'_>,
    names: &SideNames,
    base: Base<'_>,
) -> Result<(Vec<SuggestedPair>, Relations), StoreError> {
    let known: Vec<Places> = names.known.iter().filter_map(|(c, r)| places(catalogues, c, r)).collect();
    catalogues.hold(known.iter().copied())?;
    let (candidate, reference) = (&catalogues.candidate, &catalogues.reference);
    let settled: Vec<Places> = catalogues
        .trials
        .keys()
        .filter(|(c, r)| {
            !names.is_free(Side::Candidate, &candidate.tensors[*c].name)
                || !names.is_free(Side::Reference, &reference.tensors[*r].name)
        })
        .filter(|places| !known.contains(places))
        .copied()
        .collect();
    settled.iter().for_each(|places| drop(catalogues.trials.remove(places)));
    let mut matching = Matching::of_known(&known, catalogues);
    matching.pair_clear_ones(catalogues);
    let declared = &base.mapping.placeholders;
    let declared = if base.extend { declared.clone() } else { Default::default() };
    let relate = |matching: &Matching, catalogues: &Catalogues<'_>| {
        Relations::of(&draft::names(&shown(matching, catalogues)), &names.references.present, &declared)
    };
    let relations = relate(&matching, catalogues);
    matching.settle_ties(catalogues, &relations);
    for _ in 0..2 {
        let relations = relate(&matching, catalogues);
        let outliers = proof::outliers(&shown(&matching, catalogues), &relations);
        matching.drop_matches(&outliers, catalogues);
        let more = proof::named_alike(&shown(&matching, catalogues), &relations, catalogues, &matching);
        catalogues.hold(more.iter().copied())?;
        matching.pair_by_names(more.into_iter(), catalogues);
    }
    matching.pair_the_rest(catalogues);
    let relations = relate(&matching, catalogues);
    let mut pairs = shown(&matching, catalogues);
    pairs.sort_by_key(|pair| pair.places.1);
    Ok((pairs, relations))
}

fn places(catalogues: &Catalogues<'_>, candidate: &str, reference: &str) -> Option<Places> {
    Some((catalogues.candidate.position(candidate)?, catalogues.reference.position(reference)?))
}

fn shown(matching: &Matching, catalogues: &Catalogues<'_>) -> Vec<SuggestedPair> {
    let sure = matching.matches.iter().zip(matching.confidences());
    sure.map(|(found, confidence)| SuggestedPair::of(found, confidence, catalogues)).collect()
}

/// What a mapping is written from.
struct Writing<'a> {
    names: &'a SideNames,
    base: Base<'a>,
    relations: &'a Relations,
    identical: &'a dyn Fn(&str, &str) -> bool,
}

impl Writing<'_> {
    /// The rule of the mapping that is extended which takes the references of a new one: the same template.
    fn extended_rule(&self, rule: &DraftRule) -> Option<usize> {
        let rules = self.base.extend.then_some(&self.base.mapping.rules)?;
        rules.iter().position(|known| known.reference == rule.reference)
    }

    /// Pairs without those whose reference a rule of the mapping that is extended takes by another template: a rule of their
    /// own would contradict it.
    fn writable(&self, pairs: Vec<SuggestedPair>) -> Vec<SuggestedPair> {
        let rules = draft::rules(&pairs, self.relations, &BTreeSet::new());
        let known = || self.base.mapping.rules.iter().filter(|_| self.base.extend);
        let is_taken = |name: &str| known().any(|rule| rule.reference.matches(name).is_some());
        let mut blocked: BTreeSet<usize> = BTreeSet::new();
        for rule in rules.iter().filter(|rule| self.extended_rule(rule).is_none()) {
            blocked.extend(rule.pairs.iter().filter(|i| is_taken(&pairs[**i].reference)));
        }
        pairs.into_iter().enumerate().filter(|(i, _)| !blocked.contains(i)).map(|(_, pair)| pair).collect()
    }

    /// Writes the mapping, uses it, and writes rules that do not give their pairs back name by name, until all do.
    fn proven(
        &self,
        mut pairs: Vec<SuggestedPair>,
        mut leftovers: Vec<Leftover>,
    ) -> Result<Suggestion, SuggestError> {
        let mut exact: BTreeSet<String> = BTreeSet::new();
        loop {
            let (suggestion, rules) = self.written(&pairs, &leftovers, &exact)?;
            let proof = Proof::of(&suggestion.text, &pairs, &rules, self.names, self.identical);
            let before = (exact.len(), pairs.len());
            exact.extend(proof.exact);
            // A pair that rules contradict, and that is not sure, is none.
            let dropped = |pair: &SuggestedPair| proof.dropped.contains(&pair.reference);
            for pair in pairs.iter().filter(|pair| dropped(pair)) {
                let reason = |nearest: &str| LeftoverReason::NoPartner {
                    nearest: pair.closeness.map(|closeness| (nearest.to_string(), closeness.distance())),
                };
                for (side, name, other) in [
                    (Side::Candidate, &pair.candidate, &pair.reference),
                    (Side::Reference, &pair.reference, &pair.candidate),
                ] {
                    leftovers.push(Leftover::of(side, name, reason(other)));
                }
            }
            pairs.retain(|pair| !dropped(pair));
            if before == (exact.len(), pairs.len()) {
                return Ok(suggestion);
            }
        }
    }

    fn written(
        &self,
        pairs: &[SuggestedPair],
        leftovers: &[Leftover],
        exact: &BTreeSet<String>,
    ) -> Result<(Suggestion, Vec<DraftRule>), SuggestError> {
        let mut rules = draft::rules(pairs, self.relations, exact);
        rule_order::sort(&mut rules, pairs);
        let aliased = leftover::give_aliases(&mut rules, leftovers, pairs, self.identical);
        let mut leftovers: Vec<Leftover> = leftovers.to_vec();
        leftovers
            .retain(|leftover| leftover.side == Side::Candidate || !aliased.contains_key(&leftover.name));
        for leftover in &mut leftovers {
            let same = match &leftover.reason {
                LeftoverReason::SameValues { of } => (self.identical)(&leftover.name, of),
                _ => false,
            };
            // Where a rule takes it, it can only be ignored for having the values of another reference.
            let ignored = leftover.side == Side::Reference && same;
            leftover.missing = !ignored && taken(&rules, leftover);
        }
        let ignores = leftover::ignores(&leftovers, &rules, pairs, self.identical);
        let mut document = self.document(&rules, pairs, &leftovers)?;
        let rule_names = rule_order::names(&rules, document.rule_names());
        if !self.base.extend {
            document.add_coverage(pairs.len());
        }
        for count in &self.relations.flat_counts {
            if !count.declared && rules.iter().any(|rule| uses(rule, &count.placeholder)) {
                document.add_placeholder(count);
            }
        }
        for (rule, name) in rules.iter().zip(&rule_names) {
            match self.extended_rule(rule) {
                Some(known) => document.extend_rule(known, rule),
                None => document.add_rule(name, rule, pairs),
            }
        }
        ignores.iter().for_each(|ignore| document.add_ignore(ignore));
        if !self.base.extend {
            document.add_profiles(&self.base_document()?);
        }
        let suggestion = Suggestion {
            text: document.to_string(),
            pairs: pairs.to_vec(),
            aliased,
            leftovers,
            rules: rules.len(),
            in_order: self.names.references.in_order,
        };
        Ok((suggestion, rules))
    }

    fn base_document(&self) -> Result<DocumentMut, SuggestError> {
        let Mapping { text, path, .. } = self.base.mapping;
        text.parse().map_err(|error: toml_edit::TomlError| SuggestError::Base {
            path: path.clone(),
            found: error.to_string(),
        })
    }

    fn document(
        &self,
        rules: &[DraftRule],
        pairs: &[SuggestedPair],
        leftovers: &[Leftover],
    ) -> Result<MappingDocument, SuggestError> {
        let base = self.base_document()?;
        if !self.base.extend {
            let in_order = self.names.references.in_order;
            let comment = introduction(pairs, leftovers, in_order);
            let layouts = usual_layouts(rules);
            return Ok(MappingDocument::new(
                &base,
                "suggested",
                self.base.files,
                layouts,
                in_order,
                &comment,
            ));
        }
        for list in ["rule", "ignore"] {
            if base.get(list).is_some_and(|list| list.as_array_of_tables().is_none()) {
                let (path, found) = (self.base.mapping.path.clone(), format!("`{list} = [...]`"));
                return Err(SuggestError::Base { path, found });
            }
        }
        Ok(MappingDocument::extending(base))
    }
}

/// Whether a rule takes a tensor.
fn taken(rules: &[DraftRule], leftover: &Leftover) -> bool {
    let mut templates = rules.iter().flat_map(|rule| leftover::names(rule, leftover.side));
    templates.any(|template| template.matches(&leftover.name).is_some())
}

/// Whether a rule uses a placeholder.
fn uses(rule: &DraftRule, placeholder: &str) -> bool {
    let templates = rule.candidates.iter().chain([&rule.reference]);
    templates.flat_map(Template::placeholders).any(|name| name == placeholder)
}

/// The layouts that most pairs have.
fn usual_layouts(rules: &[DraftRule]) -> [String; 2] {
    let mut counts: BTreeMap<[&String; 2], usize> = BTreeMap::new();
    for DraftRule { layouts, pairs, .. } in rules {
        *counts.entry([&layouts.candidate, &layouts.reference]).or_default() += pairs.len();
    }
    let usual = counts.into_iter().max_by_key(|(_, count)| *count);
    usual.map_or(["n".to_string(), "n".to_string()], |(layouts, _)| layouts.map(String::clone))
}

/// The comment at the head of a new mapping.
fn introduction(pairs: &[SuggestedPair], leftovers: &[Leftover], in_order: bool) -> Vec<String> {
    let sure = |confidence| pairs.iter().filter(|pair| pair.confidence == confidence).count();
    let mut lines = vec![
        "Suggested from the values of two dumps. Each rule says how sure it is:".to_string(),
        "high: near, and nothing else is; medium: near, but look at it; low: a guess.".to_string(),
        format!(
            "{} pairs: {} high, {} medium, {} low.",
            pairs.len(),
            sure(Confidence::High),
            sure(Confidence::Medium),
            sure(Confidence::Low)
        ),
    ];
    if !in_order {
        lines.push(
            "Rules are in the order of their names: the reference does not say when its tensors are"
                .to_string(),
        );
        lines.push(
            "computed. Put them in the order of execution, and take `rules_in_order` out: until then no"
                .to_string(),
        );
        lines.push("layer is called the first that fails.".to_string());
    }
    let missing = |side: Side| {
        leftovers.iter().filter(move |leftover| leftover.missing && leftover.side == side.other())
    };
    for side in [Side::Candidate, Side::Reference] {
        let names: Vec<&str> = missing(side).map(|leftover| leftover.name.as_str()).collect();
        if !names.is_empty() {
            lines.push(format!("missing in the {side}, partners of: {}", names.join(", ")));
        }
    }
    for leftover in leftovers.iter().filter(|leftover| !leftover.missing) {
        if let LeftoverReason::NoPartner { nearest } = &leftover.reason {
            let nearest = nearest.as_ref().map_or("nothing of its size".to_string(), |(name, distance)| {
                format!("nearest {name}, {distance:.1e}")
            });
            lines.push(format!("without a partner: {} of the {} ({nearest})", leftover.name, leftover.side));
        }
    }
    lines
}
