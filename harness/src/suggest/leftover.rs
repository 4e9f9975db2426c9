//! Tensors without a partner, and what a suggested mapping says of them.

use std::collections::{BTreeMap, BTreeSet};

use super::catalogue::{Catalogue, Catalogues};
use super::draft::{DraftAlias, DraftRule, SuggestedPair};
use super::numbered::NumberedName;
use crate::mapping::bindings::Bindings;
use crate::mapping::template::{Template, Wildcards};
use crate::side::Side;

/// A tensor without a partner.
#[derive(Clone, Debug)]
pub struct Leftover {
    /// Its side.
    pub side: Side,
    /// Its name.
    pub name: String,
    /// Why it has none.
    pub reason: LeftoverReason,
    /// Whether a rule takes it all the same: then it is missing on the other side.
    pub missing: bool,
}

/// Why a tensor has no partner.
#[derive(Clone, Debug, PartialEq)]
pub enum LeftoverReason {
    /// It has the values of another one, in whatever order, which has a partner.
    SameValues {
        /// The other one.
        of: String,
    },
    /// Nothing on the other side has its values; the nearest one, and how near it is.
    NoPartner {
        /// Name and distance.
        nearest: Option<(String, f64)>,
    },
    /// It holds no floating-point numbers.
    OtherType {
        /// What it holds.
        found: String,
    },
    /// Its name has characters that no rule can name.
    Unnameable,
}

impl Leftover {
    pub(super) fn of(side: Side, name: &str, reason: LeftoverReason) -> Leftover {
        Leftover { side, name: name.to_string(), reason, missing: false }
    }
}

/// An ignore before it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DraftIgnore {
    pub(super) side: Side,
    pub(super) kind: IgnoreKind,
    pub(super) names: Vec<String>,
    pub(super) when_identical_to: Vec<String>,
}

/// What the names of an ignore have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum IgnoreKind {
    SameValues,
    NoPartner,
    OtherType,
    Unnameable,
}

impl LeftoverReason {
    fn kind(&self) -> IgnoreKind {
        match self {
            LeftoverReason::SameValues { .. } => IgnoreKind::SameValues,
            LeftoverReason::NoPartner { .. } => IgnoreKind::NoPartner,
            LeftoverReason::OtherType { .. } => IgnoreKind::OtherType,
            LeftoverReason::Unnameable => IgnoreKind::Unnameable,
        }
    }
}

/// All tensors that no pair has, and why.
pub(super) fn leftovers(catalogues: &Catalogues<'_>, pairs: &[SuggestedPair]) -> Vec<Leftover> {
    let mut leftovers = Vec::new();
    for (side, catalogue) in
        [(Side::Candidate, &catalogues.candidate), (Side::Reference, &catalogues.reference)]
    {
        let place =
            |pair: &SuggestedPair| if side == Side::Candidate { pair.places.0 } else { pair.places.1 };
        let paired: BTreeSet<usize> = pairs.iter().map(place).collect();
        for i in (0..catalogue.tensors.len()).filter(|i| !paired.contains(i)) {
            let twin = paired.iter().find(|other| catalogue.twins(i, **other));
            let reason = match twin {
                Some(other) => LeftoverReason::SameValues { of: catalogue.tensors[*other].name.clone() },
                None => LeftoverReason::NoPartner { nearest: nearest(catalogues, side, i) },
            };
            leftovers.push(Leftover::of(side, &catalogue.tensors[i].name, reason));
        }
        leftovers.extend(other_types(side, catalogue));
    }
    leftovers
}

fn other_types(side: Side, catalogue: &Catalogue) -> impl Iterator<Item = Leftover> {
    catalogue.other_types.iter().map(move |(name, found)| {
        Leftover::of(side, name, LeftoverReason::OtherType { found: found.clone() })
    })
}

/// The nearest tensor of the other side.
fn nearest(catalogues: &Catalogues<'_>, side: Side, i: usize) -> Option<(String, f64)> {
    let of = |(c, r): (usize, usize)| match side {
        Side::Candidate => (c == i).then(|| &catalogues.reference.tensors[r].name),
        Side::Reference => (r == i).then(|| &catalogues.candidate.tensors[c].name),
    };
    let others =
        catalogues.trials.iter().filter_map(|(pair, trial)| Some((of(*pair)?, trial.closeness.distance())));
    others.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(name, distance)| (name.clone(), distance))
}

/// Gives rules an alias for references that they take and that have the values of another rule's; which references those
/// are, with the candidates that are compared for them.
pub(super) fn give_aliases(
    rules: &mut [DraftRule],
    leftovers: &[Leftover],
    pairs: &[SuggestedPair],
    identical: &dyn Fn(&str, &str) -> bool,
) -> BTreeMap<String, String> {
    let mut aliased = BTreeMap::new();
    for leftover in leftovers.iter().filter(|leftover| leftover.side == Side::Reference) {
        let LeftoverReason::SameValues { of } = &leftover.reason else { continue };
        let owner = rules.iter().find(|rule| rule.pairs.iter().any(|i| pairs[*i].reference == *of));
        let Some(owner) = owner.filter(|owner| !owner.is_exact() && identical(&leftover.name, of)) else {
            continue;
        };
        let alias =
            DraftAlias { candidates: owner.candidates.clone(), when_identical_to: owner.reference.clone() };
        let rule = rules.iter_mut().find(|rule| {
            let numbers = rule.reference.matches(&leftover.name);
            // The other name must follow from the numbers of this one.
            let follows = |numbers: Bindings| alias.when_identical_to.render(&numbers);
            numbers.and_then(follows).is_some_and(|same| same == *of)
        });
        let Some(rule) = rule else { continue };
        let candidate = pairs.iter().find(|pair| pair.reference == *of).map(|pair| pair.candidate.clone());
        if *rule.alias.get_or_insert_with(|| alias.clone()) == alias {
            aliased.extend(candidate.map(|candidate| (leftover.name.clone(), candidate)));
        }
    }
    aliased
}

/// Ignores for leftovers. Names become templates with the placeholders of the rules, where these take nothing else.
pub(super) fn ignores(
    leftovers: &[Leftover],
    rules: &[DraftRule],
    pairs: &[SuggestedPair],
    identical: &dyn Fn(&str, &str) -> bool,
) -> Vec<DraftIgnore> {
    let mut groups: BTreeMap<(Side, IgnoreKind, Vec<String>), BTreeSet<String>> = BTreeMap::new();
    // What a port computes and no reference has may be what is wrong with it: it is left unmapped, and so told.
    let wrong = |leftover: &Leftover| {
        leftover.side == Side::Candidate && leftover.reason.kind() == IgnoreKind::NoPartner
    };
    for leftover in leftovers.iter().filter(|leftover| !leftover.missing && !wrong(leftover)) {
        let (name, same) = ignored_names(leftover, rules, pairs, identical);
        groups.entry((leftover.side, leftover.reason.kind(), same)).or_default().insert(name);
    }
    let draft = |((side, kind, when_identical_to), names): ((_, _, _), BTreeSet<String>)| DraftIgnore {
        side,
        kind,
        names: names.into_iter().collect(),
        when_identical_to,
    };
    groups.into_iter().map(draft).collect()
}

/// What an ignore calls a leftover, and the reference that it must be identical to, where there is one: templates where
/// they take nothing else and one follows from the other, else the names themselves.
fn ignored_names(
    leftover: &Leftover,
    rules: &[DraftRule],
    pairs: &[SuggestedPair],
    identical: &dyn Fn(&str, &str) -> bool,
) -> (String, Vec<String>) {
    let Leftover { side, name, reason, .. } = leftover;
    let known = StemPlaceholders::of(*side, rules);
    let text = known.template(name);
    let same = match reason {
        LeftoverReason::SameValues { of } if *side == Side::Reference && identical(name, of) => of,
        _ => {
            let compared = pairs.iter().map(|pair| name_of(pair, *side));
            let general = takes_nothing_else(&text, rules, *side, compared);
            return (if general { text } else { escaped(name) }, Vec::new());
        }
    };
    let same_text = known.template(same);
    let template = |text: &str| Template::parse(text, Wildcards::Allowed).ok();
    let numbers = template(&text).and_then(|template| template.matches(name));
    match numbers.and_then(|numbers| template(&same_text)?.render(&numbers)) {
        Some(rendered) if rendered == *same => (text, vec![same_text]),
        _ => (escaped(name), vec![escaped(same)]),
    }
}

fn name_of(pair: &SuggestedPair, side: Side) -> &str {
    if side == Side::Candidate { &pair.candidate } else { &pair.reference }
}

/// Whether a template takes neither a compared name nor one that a rule would take.
fn takes_nothing_else<'a>(
    text: &str,
    rules: &[DraftRule],
    side: Side,
    mut compared: impl Iterator<Item = &'a str>,
) -> bool {
    let Ok(template) = Template::parse(text, Wildcards::Allowed) else { return false };
    let sampled = rules.iter().flat_map(|rule| names(rule, side)).any(|name| {
        let (ours, theirs) = (template.sample(7), name.sample(7));
        template.matches(&theirs).is_some() || name.matches(&ours).is_some()
    });
    !sampled && !compared.any(|name| template.matches(name).is_some())
}

pub(super) fn names(rule: &DraftRule, side: Side) -> &[Template] {
    match side {
        Side::Candidate => &rule.candidates,
        Side::Reference => std::slice::from_ref(&rule.reference),
    }
}

/// A name as a template: characters that mean something there become `*`.
pub(super) fn escaped(name: &str) -> String {
    name.replace(['{', '}'], "*")
}

/// What the numbers of names are called in the rules, by the texts before them.
struct StemPlaceholders(BTreeMap<Vec<String>, String>);

impl StemPlaceholders {
    fn of(side: Side, rules: &[DraftRule]) -> StemPlaceholders {
        let mut stems = BTreeMap::new();
        for template in rules.iter().flat_map(|rule| names(rule, side)) {
            let mut texts = vec![String::new()];
            let text = template.to_string();
            for part in text.split_inclusive('}') {
                let (before, placeholder) = part.split_once('{').unwrap_or((part, ""));
                let before = NumberedName::of(before);
                for (i, text) in before.texts.into_iter().enumerate() {
                    if i > 0 {
                        texts.push(String::new());
                    }
                    texts.iter_mut().last().into_iter().for_each(|last| last.push_str(&text));
                }
                let name =
                    placeholder.trim_end_matches('}').split([' ', '+', '-']).next().unwrap_or_default();
                if !name.is_empty() {
                    stems.insert(texts.clone(), name.to_string());
                    texts.push(String::new());
                }
            }
        }
        StemPlaceholders(stems)
    }

    /// A name with placeholders where rules have them.
    fn template(&self, name: &str) -> String {
        let numbered = NumberedName::of(name);
        let mut text = String::new();
        for (i, part) in numbered.texts.iter().enumerate() {
            text.push_str(&escaped(part));
            if let Some(number) = numbered.numbers.get(i) {
                match self.0.get(numbered.stem(i)) {
                    Some(placeholder) => text.push_str(&format!("{{{placeholder}}}")),
                    None => text.push_str(&number.to_string()),
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suggest::arrangement::LayoutPair;

    fn rule(candidate: &str, reference: &str) -> DraftRule {
        let parse = |text: &str| Template::parse(text, Wildcards::Refused).unwrap();
        let layouts = LayoutPair { moved: 0, candidate: "n".into(), reference: "n".into() };
        DraftRule {
            candidates: vec![parse(candidate)],
            reference: parse(reference),
            layouts,
            pairs: Vec::new(),
            alias: None,
        }
    }

    #[test]
    fn names_get_the_placeholders_of_the_rules() {
        let rules = [rule("b2_{block + 1}_out", "blocks_{stage}_{index}_1")];
        let of = |side, name: &str| StemPlaceholders::of(side, &rules).template(name);
        assert_eq!(of(Side::Reference, "blocks_0_1_norm_3"), "blocks_{stage}_{index}_norm_3");
        assert_eq!(of(Side::Candidate, "b2_3_out (view)"), "b2_{block}_out (view)");
        assert_eq!(of(Side::Candidate, "b3_3_out {x}"), "b3_{block}_out *x*");
    }

    #[test]
    fn leftovers_of_a_kind_become_one_ignore() {
        let rules = [rule("b_{i}", "blocks.{i}")];
        let none = || LeftoverReason::NoPartner { nearest: None };
        let same = |of: &str| LeftoverReason::SameValues { of: of.to_string() };
        let leftovers = [
            Leftover::of(Side::Reference, "blocks.0.norm", none()),
            Leftover::of(Side::Reference, "blocks.1.norm", none()),
            Leftover::of(Side::Reference, "blocks.0.scale", same("blocks.0")),
            Leftover::of(Side::Reference, "blocks.1.scale", same("blocks.1")),
            Leftover::of(Side::Candidate, "b_1 (view)", same("b_1")),
        ];
        let found = ignores(&leftovers, &rules, &[], &|_, _| true);
        let shown: Vec<_> = found
            .iter()
            .map(|ignore| (ignore.side, ignore.names.join(" "), ignore.when_identical_to.join(" ")))
            .collect();
        assert_eq!(
            shown,
            [
                (Side::Candidate, "b_{i} (view)".to_string(), String::new()),
                (Side::Reference, "blocks.{i}.scale".to_string(), "blocks.{i}".to_string()),
                (Side::Reference, "blocks.{i}.norm".to_string(), String::new()),
            ]
        );
    }

    #[test]
    fn an_ignore_takes_nothing_that_rules_take() {
        let rules = [rule("b_{i}", "blocks.{i}")];
        let compared = ["blocks.3.norm"];
        let free = |text: &str| takes_nothing_else(text, &rules, Side::Reference, compared.into_iter());
        assert!(free("blocks.{i}.scale"));
        assert!(!free("blocks.{i}.norm"));
        assert!(!free("blocks.{j}"));
        assert!(!free("blocks.*"));
    }
}
