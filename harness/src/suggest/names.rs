//! The names that a suggestion is made of.

use std::collections::BTreeSet;

use super::leftover::{Leftover, LeftoverReason};
use super::numbered::natural_order;
use crate::mapping::Mapping;
use crate::mapping::pairing::{self, WantedBy};
use crate::provenance::Dump;
use crate::reference::{Reference, ReferenceNames};
use crate::side::Side;

/// The names of both sides, and what a mapping that is extended makes of them.
pub(super) struct SideNames {
    /// In natural order.
    pub(super) candidates: Vec<String>,
    pub(super) references: ReferenceNames,
    /// Pairs of the mapping that is extended.
    pub(super) known: Vec<(String, String)>,
    /// Tensors that the mapping that is extended settles: pairs, ignored and missing ones.
    settled: BTreeSet<(Side, String)>,
    /// References that a rule of that mapping takes, and whose candidates are not there under the names that it gives.
    wanting: BTreeSet<String>,
}

impl SideNames {
    /// `extended` is the mapping that is extended.
    pub(super) fn of(candidate: &Dump, reference: &Reference, extended: Option<&Mapping>) -> SideNames {
        let mut candidates = candidate.names();
        candidates.sort_by_cached_key(|name| natural_order(name));
        let mut references = reference.names().clone();
        if !references.in_order {
            references.present.sort_by_cached_key(|name| natural_order(name));
        }
        let (known, settled, wanting) = Default::default();
        let mut names = SideNames { candidates, references, known, settled, wanting };
        if let Some(mapping) = extended {
            let identical = |a: &str, b: &str| reference.dump().identical(a, b);
            let found = pairing::pair(mapping, &names.candidates, &names.references, &identical);
            let free: BTreeSet<(Side, String)> =
                found.unmapped.into_iter().map(|unmapped| (unmapped.side, unmapped.name)).collect();
            names.wanting = found
                .missing
                .into_iter()
                .filter_map(|missing| match (missing.side, missing.wanted_by) {
                    (Side::Candidate, WantedBy::Partner(reference)) => Some(reference),
                    _ => None,
                })
                .collect();
            let own = found.pairs.into_iter().filter(|pair| pair.stands_for.is_none());
            names.known = own.map(|pair| (pair.candidate, pair.reference)).collect();
            let candidates = names.candidates.iter().map(|name| (Side::Candidate, name.clone()));
            let all =
                candidates.chain(names.references.present.iter().map(|name| (Side::Reference, name.clone())));
            names.settled = all.filter(|name| !free.contains(name)).collect();
        }
        names
    }

    /// Whether the mapping that is extended pairs the two.
    pub(super) fn is_known(&self, candidate: &str, reference: &str) -> bool {
        self.known.iter().any(|(c, r)| c == candidate && r == reference)
    }

    /// Whether the mapping that is extended settles a tensor.
    pub(super) fn is_settled(&self, side: Side, name: &str) -> bool {
        self.settled.contains(&(side, name.to_string()))
    }

    /// Whether a tensor can be a part of a new pair.
    pub(super) fn is_free(&self, side: Side, name: &str) -> bool {
        !self.is_settled(side, name) || (side == Side::Reference && self.wanting.contains(name))
    }

    fn of_side(&self, side: Side) -> &[String] {
        match side {
            Side::Candidate => &self.candidates,
            Side::Reference => &self.references.present,
        }
    }

    /// The names of a side that a rule can take.
    pub(super) fn nameable(&self, side: Side) -> Vec<String> {
        self.of_side(side).iter().filter(|name| is_nameable(name)).cloned().collect()
    }

    /// The tensors with other names.
    pub(super) fn unnameable(&self) -> Vec<Leftover> {
        let of = |side| {
            let names = self.of_side(side).iter().filter(|name| !is_nameable(name));
            names.map(move |name| Leftover::of(side, name, LeftoverReason::Unnameable))
        };
        of(Side::Candidate).chain(of(Side::Reference)).collect()
    }
}

/// Whether a name is its own template.
fn is_nameable(name: &str) -> bool {
    !name.contains(['{', '}', '*'])
}
