//! Which tensor is whose partner: one to one, by values, then by names.

use std::collections::BTreeSet;

use super::catalogue::{Catalogues, Places};
use super::closeness::Closeness;
use super::confidence::{Confidence, Evidence, usual_distance};
use super::relation::Relations;

/// Pairs further apart than this are not paired by their values.
const STRANGERS: f64 = 0.5;
/// Tied pairs are no further than this many times the distance of the nearest.
const TIED: f64 = 1.5;
const NEGLIGIBLE: f64 = 1e-6;

/// What made two tensors a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairedBy {
    /// Their values, which no other tensor is as near to.
    Values,
    /// Their names, among tensors of equal values.
    Tie,
    /// Their names alone: others that are named alike are pairs by their values.
    Names,
    /// The mapping that is extended.
    Mapping,
}

/// Two tensors, by their places in the catalogues.
#[derive(Clone, Debug)]
pub(super) struct Match {
    pub(super) places: Places,
    pub(super) paired_by: PairedBy,
    /// `None` where they were not held against each other, or say nothing.
    pub(super) evidence: Option<Evidence>,
}

/// Tensors of equal values, of which names have to say who belongs to whom.
#[derive(Clone, Debug)]
struct Tie {
    pairs: Vec<Places>,
}

/// A one-to-one assignment that grows from the surest pairs on.
#[derive(Debug, Default)]
pub(super) struct Matching {
    pub(super) matches: Vec<Match>,
    ties: Vec<Tie>,
    /// Candidates and references that have a partner, or the values of one that has.
    taken: [BTreeSet<usize>; 2],
}

impl Matching {
    /// Begins with pairs that are known.
    pub(super) fn of_known(known: &[Places], catalogues: &Catalogues<'_>) -> Matching {
        let mut matching = Matching::default();
        for places in known {
            matching.add(*places, PairedBy::Mapping, catalogues);
        }
        matching
    }

    /// Notes a pair. Tensors of equal values are not free for other partners any more.
    fn add(&mut self, places: Places, paired_by: PairedBy, catalogues: &Catalogues<'_>) {
        let evidence = Evidence::of(catalogues, places);
        self.matches.push(Match { places, paired_by, evidence });
        self.take(places, catalogues);
    }

    fn take(&mut self, (c, r): Places, catalogues: &Catalogues<'_>) {
        let (candidate, reference) = (&catalogues.candidate, &catalogues.reference);
        self.taken[0].extend((0..candidate.tensors.len()).filter(|c2| candidate.twins(c, *c2)));
        self.taken[1].extend((0..reference.tensors.len()).filter(|r2| reference.twins(r, *r2)));
    }

    /// Whether neither of two tensors is paired, or has the values of one that is.
    pub(super) fn is_free(&self, (c, r): Places) -> bool {
        !self.taken[0].contains(&c) && !self.taken[1].contains(&r)
    }

    /// Pairs that their values make, without help of names; ties among them are kept for later.
    pub(super) fn pair_clear_ones(&mut self, catalogues: &Catalogues<'_>) {
        let mut clear: Vec<(f64, Places)> = Vec::new();
        for places in catalogues.trials.keys() {
            let evidence = Evidence::of(catalogues, *places);
            clear.extend(
                evidence.filter(Evidence::is_clear).map(|evidence| (evidence.closeness.distance(), *places)),
            );
        }
        clear.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (distance, places) in clear {
            if !self.is_free(places) {
                continue;
            }
            let tied = tied(catalogues, places, distance);
            if tied.len() > 1 {
                self.take(places, catalogues);
                self.ties.push(Tie { pairs: tied });
            } else {
                self.add(places, PairedBy::Values, catalogues);
            }
        }
    }

    /// Settles ties: names that others are paired by first, then the layout in which least moves, then the likeness of the
    /// names, then their order.
    pub(super) fn settle_ties(&mut self, catalogues: &Catalogues<'_>, relations: &Relations) {
        for Tie { mut pairs } in std::mem::take(&mut self.ties) {
            let rank = |(c, r): &Places| {
                let (candidate, reference) =
                    (&catalogues.candidate.tensors[*c].name, &catalogues.reference.tensors[*r].name);
                let layouts = catalogues.trials.get(&(*c, *r)).and_then(|trial| trial.layouts.first());
                let unlike = 1.0 - likeness(candidate, reference);
                (
                    usize::MAX - relations.support(candidate, reference),
                    layouts.map_or(usize::MAX, |layouts| layouts.moved),
                    (unlike * 1e6) as u64,
                    (*r, *c),
                )
            };
            pairs.sort_by_cached_key(rank);
            let Some(first) = pairs.first().map(rank) else { continue };
            let mut used: [BTreeSet<usize>; 2] = Default::default();
            for (c, r) in pairs {
                // A view of the first pair's tensor, or one that is named otherwise, is not the second's partner.
                let (support, moved, ..) = rank(&(c, r));
                let as_good = moved <= first.1 && (support < usize::MAX || first.0 == usize::MAX);
                if as_good && !used[0].contains(&c) && !used[1].contains(&r) {
                    used[0].insert(c);
                    used[1].insert(r);
                    self.add((c, r), PairedBy::Tie, catalogues);
                }
            }
        }
    }

    /// Notes pairs that names make, where both are free.
    pub(super) fn pair_by_names(&mut self, pairs: impl Iterator<Item = Places>, catalogues: &Catalogues<'_>) {
        for places in pairs {
            if self.is_free(places) {
                self.add(places, PairedBy::Names, catalogues);
            }
        }
    }

    /// Pairs what is left by values, the nearest first: first those that are near, then those that follow each other in
    /// another scale.
    pub(super) fn pair_the_rest(&mut self, catalogues: &Catalogues<'_>) {
        for far in [Closeness::distance, Closeness::unexplained] {
            let mut rest: Vec<(f64, Places)> =
                catalogues.trials.iter().map(|(places, trial)| (far(&trial.closeness), *places)).collect();
            rest.retain(|(far, places)| *far <= STRANGERS && self.is_free(*places));
            rest.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            for (_, places) in rest {
                if self.is_free(places) {
                    self.add(places, PairedBy::Values, catalogues);
                }
            }
        }
    }

    /// How sure each pair is.
    pub(super) fn confidences(&self) -> Vec<Confidence> {
        let by_values = self.matches.iter().filter(|found| found.paired_by != PairedBy::Names);
        let clear = by_values.filter_map(|found| found.evidence).filter(Evidence::is_clear);
        let usual = usual_distance(clear.filter(|evidence| evidence.closeness.distance() <= STRANGERS));
        let confidence = |found: &Match| {
            let by_values = found.evidence.map_or(Confidence::Low, |evidence| evidence.confidence(usual));
            match found.paired_by {
                PairedBy::Values | PairedBy::Mapping => by_values,
                // The values are sure, the name is not.
                PairedBy::Tie | PairedBy::Names => by_values.min(Confidence::Medium),
            }
        };
        self.matches.iter().map(confidence).collect()
    }

    /// Takes back pairs that names contradict.
    pub(super) fn drop_matches(&mut self, dropped: &BTreeSet<Places>, catalogues: &Catalogues<'_>) {
        self.matches.retain(|found| !dropped.contains(&found.places));
        self.taken = Default::default();
        for places in self.matches.iter().map(|found| found.places).collect::<Vec<_>>() {
            self.take(places, catalogues);
        }
    }
}

/// Names that are less alike than this are not alike: by a letter or two any two names are.
const ALIKE: f64 = 0.4;

/// How alike names are, from 0 to 1, their numbers aside: each side counts in its own way.
fn likeness(a: &str, b: &str) -> f64 {
    let letters = |name: &str| -> String { name.chars().filter(|c| !c.is_numeric()).collect() };
    let likeness = strsim::normalized_levenshtein(&letters(a), &letters(b));
    if likeness < ALIKE { 0.0 } else { likeness }
}

/// The pairs among the tensors of equal values that are about as near.
fn tied(catalogues: &Catalogues<'_>, (c, r): Places, distance: f64) -> Vec<Places> {
    let twin = |(c2, r2): &Places| catalogues.candidate.twins(c, *c2) && catalogues.reference.twins(r, *r2);
    let (candidates, references) =
        (0..catalogues.candidate.tensors.len(), 0..catalogues.reference.tensors.len());
    let twins_of_c = candidates.filter(|c2| catalogues.candidate.twins(c, *c2));
    let twins_of_r: Vec<usize> = references.filter(|r2| catalogues.reference.twins(r, *r2)).collect();
    let pairs = twins_of_c.flat_map(|c2| twins_of_r.iter().map(move |r2| (c2, *r2)));
    let near = |pair: &Places| {
        let trial = catalogues.trials.get(pair);
        trial.is_some_and(|trial| trial.closeness.distance() <= distance * TIED + NEGLIGIBLE)
    };
    pairs.filter(twin).filter(near).collect()
}
