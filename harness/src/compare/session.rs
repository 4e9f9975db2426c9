//! From two sides to a comparison: pair by pair, of dumps or of tensors that are still to be computed.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::comparison::{Compared, Comparison, Layer, Origin, Outcome, Unreadable};
use super::evidence;
use super::kept_maps::{KeptMaps, MapLimits};
use super::pair_comparison::Failed;
use super::terms::{Terms, of_other_runs, several};
use crate::mapping::Mapping;
use crate::mapping::pairing::{Pair, Pairing};
use crate::provenance::Dump;
use crate::side::Side;
use crate::store::StoreError;
use crate::tensor::Tensor;
use crate::text::shown;

impl<'a> Terms<'a> {
    /// Compares dumped tensors with the reference; pairs are gone through in parallel.
    pub fn compare_dump(&self, candidate: &Dump) -> Comparison {
        let mut pairing = self.pair(&candidate.names(), &candidate.strangers());
        pairing.ambiguous.extend(several(Side::Candidate, candidate));
        pairing.ignored.extend(of_other_runs(Side::Candidate, candidate));
        let pairs: Vec<(usize, &Pair)> = pairing.pairs.iter().enumerate().collect();
        let layers = pairs
            .into_par_iter()
            .map(|(order, pair)| {
                let outcome = match candidate.printed(&pair.candidate) {
                    Some(printed) => outcome(self.compare_printed(pair, printed)),
                    None => match candidate.open_tensor(&pair.candidate) {
                        Ok(tensor) => outcome(self.compare_stored(pair, candidate, &tensor)),
                        Err(error) => unreadable(Side::Candidate, error),
                    },
                };
                layer(self.mapping, pair, order, outcome)
            })
            .collect();
        let mut layers: Vec<Layer> = layers;
        let inputs = self.input_layers(&pairing, candidate);
        layers.iter_mut().for_each(|layer| layer.order += inputs.len());
        layers.splice(0..0, inputs);
        let path = candidate.store().location();
        let origin =
            Origin { title: shown::path(path), folder: Some(path.to_path_buf()), ..Origin::default() };
        let mut comparison = self.comparison(pairing, layers, origin);
        let remarks = evidence::remarks(candidate, self.reference.dump(), &comparison.layers);
        comparison.remarks.extend(remarks);
        if candidate.store().has_whole_names() {
            comparison.remarks.push(self.whole_names(Side::Candidate));
        }
        comparison
    }

    /// Begins a comparison of tensors that are still to be computed, of which only the names are known.
    pub fn session(&self, names: &[String]) -> Session<'a> {
        let pairing = self.pair(names, &[]);
        let mut partners: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (order, pair) in pairing.pairs.iter().enumerate() {
            partners.entry(pair.candidate.clone()).or_default().push(order);
        }
        let (layers, maps) = (BTreeMap::new(), KeptMaps::default());
        Session { terms: *self, pairing, partners, layers, maps }
    }
}

/// A comparison with tensors that arrive one by one; each is compared at once and then let go.
pub struct Session<'a> {
    terms: Terms<'a>,
    pairing: Pairing,
    /// Positions of the pairs that a candidate is in.
    partners: BTreeMap<String, Vec<usize>>,
    layers: BTreeMap<usize, Layer>,
    maps: KeptMaps,
}

impl Session<'_> {
    /// Keeps some layers as maps.
    #[must_use]
    pub fn with_maps(self, limits: MapLimits) -> Self {
        Session { maps: KeptMaps::of(limits), ..self }
    }

    /// Whether a tensor has a partner.
    pub fn wants(&self, name: &str) -> bool {
        self.partners.contains_key(name)
    }

    /// Compares a tensor with all its partners.
    pub fn record(&mut self, name: &str, tensor: Tensor) {
        for order in self.partners.get(name).into_iter().flatten() {
            let pair = &self.pairing.pairs[*order];
            let outcome = outcome(self.terms.compare_held(pair, tensor.clone()));
            let layer = layer(self.terms.mapping, pair, *order, outcome);
            self.maps.offer(*order, &layer, || self.terms.maps_of_held(pair, tensor.clone()));
            self.layers.insert(*order, layer);
        }
    }

    /// The comparison; a tensor that was announced and did not arrive is unreadable.
    pub fn finish(mut self, candidate: Origin) -> Comparison {
        for (order, pair) in self.pairing.pairs.iter().enumerate() {
            let never = || {
                let (side, cause) = (Side::Candidate, Unreadable::NeverComputed);
                layer(self.terms.mapping, pair, order, Outcome::Unreadable { side, cause })
            };
            self.layers.entry(order).or_insert_with(never);
        }
        let layers = self.layers.into_values().collect();
        Comparison { maps: self.maps.finish(), ..self.terms.comparison(self.pairing, layers, candidate) }
    }
}

pub(super) fn outcome(compared: Result<Compared, Failed>) -> Outcome {
    match compared {
        Ok(compared) => Outcome::Compared(Box::new(compared)),
        Err(Failed::Shape(mismatch)) => Outcome::ShapeMismatch(mismatch),
        Err(Failed::Read(side, error)) => unreadable(side, error),
    }
}

fn unreadable(side: Side, error: StoreError) -> Outcome {
    Outcome::Unreadable { side, cause: error.into() }
}

fn layer(mapping: &Mapping, pair: &Pair, order: usize, outcome: Outcome) -> Layer {
    let rule = &mapping.rules[pair.rule];
    let alias = rule.alias.as_ref().filter(|_| pair.stands_for.is_some());
    Layer {
        name: pair.candidate.clone(),
        reference: pair.reference.clone(),
        rule: rule.name.clone(),
        stands_for: pair.stands_for.clone(),
        alias_reason: alias.and_then(|alias| alias.reason.clone()),
        is_input: false,
        order,
        outcome,
    }
}
