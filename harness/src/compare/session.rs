//! From two sides to a comparison: opens, lays out, compares and judges, pair by pair.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::comparison::{Compared, Comparison, Layer, Origin, Outcome, Unreadable, Worst};
use super::metrics::Metrics;
use super::operand::Operand;
use super::remark::{Remark, RemarkKind};
use super::verdict::judge;
use crate::limits::derived::DerivedTolerances;
use crate::limits::known_errors::{KnownErrors, Trend};
use crate::limits::metric::PerMetric;
use crate::limits::tolerance::{Derived, Resolved, Tolerance};
use crate::mapping::pairing::{Ignored, Pair, Pairing, Unmapped, UnmappedHint, pair};
use crate::mapping::{Ignore, Mapping, Profile, Rule};
use crate::provenance::Dump;
use crate::reference::Reference;
use crate::side::Side;
use crate::store::{StoreError, StoredTensor};
use crate::tensor::layout::{ShapeMismatch, align, candidate_index, check_shapes};
use crate::tensor::{Tensor, unravel};

/// What comparisons are judged by.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// The mapping.
    pub mapping: &'a Mapping,
    /// One of the mapping's profiles.
    pub profile: &'a Profile,
    /// The reference side.
    pub reference: &'a Reference,
    /// Derived tolerances of the reference set, where there are any.
    pub tolerances: Option<&'a DerivedTolerances>,
    /// The errors that the candidate is known to have on it, where they are known, with the conditions of this run.
    pub known: Option<(&'a KnownErrors, &'a str)>,
}

/// Why a pair could not be compared.
enum Failed {
    Shape(Box<ShapeMismatch>),
    Read(Side, StoreError),
}

impl<'a> Terms<'a> {
    /// Compares dumped tensors with the reference; pairs are gone through in parallel.
    pub fn compare_dump(&self, candidate: &Dump) -> Comparison {
        let pairing = self.pair(&candidate.names(), &candidate.strangers());
        let pairs: Vec<(usize, &Pair)> = pairing.pairs.iter().enumerate().collect();
        let layers = pairs
            .into_par_iter()
            .map(|(order, pair)| {
                let outcome = match candidate.open_tensor(&pair.candidate) {
                    Ok(tensor) => outcome(self.compare_stored(pair, candidate, &tensor)),
                    Err(error) => unreadable(Side::Candidate, error),
                };
                layer(self.mapping, pair, order, outcome)
            })
            .collect();
        let path = candidate.store().location();
        let origin = Origin {
            title: path.display().to_string(),
            folder: Some(path.to_path_buf()),
            ..Origin::default()
        };
        self.comparison(pairing, layers, origin)
    }

    /// Begins a comparison of tensors that are still to be computed, of which only the names are known.
    pub fn session(&self, names: &[String]) -> Session<'a> {
        let pairing = self.pair(names, &[]);
        let mut partners: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (order, pair) in pairing.pairs.iter().enumerate() {
            partners.entry(pair.candidate.clone()).or_default().push(order);
        }
        Session { terms: *self, pairing, partners, layers: BTreeMap::new() }
    }

    /// Pairs a candidate's names, and lists its files that are not named like tensors.
    pub fn pair(&self, names: &[String], strangers: &[String]) -> Pairing {
        let reference = self.reference.dump();
        let identical = |a: &str, b: &str| reference.identical(a, b);
        let mut pairing = pair(self.mapping, names, self.reference.names(), &identical);
        for (side, files) in
            [(Side::Candidate, strangers), (Side::Reference, reference.strangers().as_slice())]
        {
            let pattern = &self.mapping.format(side).files;
            for file in files {
                let lists = |ignore: &&Ignore| {
                    ignore.side == side && ignore.names.iter().any(|name| name.matches(file).is_some())
                };
                let name = file.clone();
                match self.mapping.ignores.iter().find(lists) {
                    Some(Ignore { reason, line, .. }) => {
                        pairing.ignored.push(Ignored { side, name, reason: reason.clone(), line: *line });
                    }
                    None => {
                        let hint = Some(UnmappedHint::NotNamedLike(pattern.clone()));
                        pairing.unmapped.push(Unmapped { side, name, hint });
                    }
                }
            }
        }
        pairing
    }

    /// Compares and judges a pair of tensors in memory.
    ///
    /// # Errors
    /// Extents that do not fit each other.
    pub fn compare(
        &self,
        pair: &Pair,
        candidate: Tensor,
        reference: &Tensor,
    ) -> Result<Compared, Box<ShapeMismatch>> {
        let (shape, rule) = (candidate.shape().to_vec(), self.rule(pair));
        let candidate = align(candidate, &rule.candidate_layout, reference.shape(), &rule.reference_layout)?;
        let resolved = self.resolve(pair);
        let metrics = Metrics::with_rule(&candidate, reference, resolved.element_rule());
        let values = |flat: usize| (candidate.get(flat), reference.get(flat));
        Ok(self.judged(pair, &shape, reference.shape(), metrics, &resolved, values))
    }

    /// Compares a tensor in memory with the reference's.
    fn compare_held(&self, pair: &Pair, candidate: Tensor) -> Result<Compared, Failed> {
        let read = |error| Failed::Read(Side::Reference, error);
        let dump = self.reference.dump();
        let reference = dump.open_tensor(&pair.reference).map_err(read)?;
        let (shape, rule) = (candidate.shape().to_vec(), self.rule(pair));
        let candidate = align(candidate, &rule.candidate_layout, reference.shape(), &rule.reference_layout)
            .map_err(Failed::Shape)?;
        let mut a = Operand::held(&candidate);
        self.against_stored(pair, &shape, &mut a, &reference)
    }

    /// Compares a tensor on disk with the reference's.
    fn compare_stored(&self, pair: &Pair, dump: &Dump, candidate: &StoredTensor) -> Result<Compared, Failed> {
        let reference = self.reference.dump().open_tensor(&pair.reference);
        let reference = reference.map_err(|error| Failed::Read(Side::Reference, error))?;
        let (from, to) = {
            let rule = self.rule(pair);
            (&rule.candidate_layout, &rule.reference_layout)
        };
        let shape = candidate.shape();
        check_shapes(from, shape, to, reference.shape()).map_err(Failed::Shape)?;
        let read = |error| Failed::Read(Side::Candidate, error);
        let wanted = dump.wanted_fingerprint(&pair.candidate);
        if from == to {
            let mut a = Operand::stored(candidate, wanted);
            let compared = self.against_stored(pair, shape, &mut a, &reference)?;
            if let Some(fingerprint) = a.fingerprint() {
                dump.keep_fingerprint(&pair.candidate, fingerprint);
            }
            return Ok(compared);
        }
        // Axes move: that takes the tensor as a whole.
        let tensor = match wanted {
            None => candidate.read().map_err(read)?,
            Some(algorithm) => {
                let (tensor, fingerprint) = candidate.read_fingerprinted(algorithm).map_err(read)?;
                dump.keep_fingerprint(&pair.candidate, fingerprint);
                tensor
            }
        };
        let aligned = align(tensor, from, reference.shape(), to).map_err(Failed::Shape)?;
        self.against_stored(pair, shape, &mut Operand::held(&aligned), &reference)
    }

    /// Compares an operand that is laid out as the reference is with the reference's tensor on disk.
    fn against_stored(
        &self,
        pair: &Pair,
        candidate_shape: &[usize],
        candidate: &mut Operand<'_>,
        reference: &StoredTensor,
    ) -> Result<Compared, Failed> {
        let dump = self.reference.dump();
        let resolved = self.resolve(pair);
        let mut b = Operand::stored(reference, dump.wanted_fingerprint(&pair.reference));
        let metrics = Metrics::measure(candidate, &mut b, resolved.element_rule())
            .map_err(|(side, error)| Failed::Read(side, error))?;
        let worst = metrics.worst.map(|flat| -> Result<(f64, f64), Failed> {
            let value = |side, operand: &mut Operand<'_>| {
                operand.get(flat).map_err(|error| Failed::Read(side, error))
            };
            Ok((value(Side::Candidate, candidate)?, value(Side::Reference, &mut b)?))
        });
        let worst = worst.transpose()?.unwrap_or((f64::NAN, f64::NAN));
        if let Some(fingerprint) = b.fingerprint() {
            dump.keep_fingerprint(&pair.reference, fingerprint);
        }
        Ok(self.judged(pair, candidate_shape, reference.shape(), metrics, &resolved, |_| worst))
    }

    /// The verdict on a measured pair; `values` gives the values of an element on both sides.
    fn judged(
        &self,
        pair: &Pair,
        candidate_shape: &[usize],
        reference_shape: &[usize],
        metrics: Metrics,
        resolved: &Resolved,
        values: impl Fn(usize) -> (f64, f64),
    ) -> Compared {
        let judgement = judge(&metrics, resolved);
        let rule = self.rule(pair);
        let worst = metrics.worst.map(|flat| {
            let index = unravel(flat, reference_shape);
            let (from, to) = (&rule.candidate_layout, &rule.reference_layout);
            let candidate_index = candidate_index(&index, from, candidate_shape, to, reference_shape);
            let candidate_index = candidate_index.unwrap_or_else(|| index.clone());
            let (candidate, reference) = values(flat);
            Worst { index, candidate_index, candidate, reference }
        });
        let trend = self.trend(pair, &metrics);
        Compared { shape: reference_shape.to_vec(), metrics, worst, judgement, trend }
    }

    fn rule(&self, pair: &Pair) -> &Rule {
        &self.mapping.rules[pair.rule]
    }

    /// How far a tensor that was moved is from itself, in multiples of the pair's tolerance: it shows above 1. Infinite
    /// where the shape changed. Both are laid out as the reference is: the layout of the candidate does not matter.
    pub fn distance(&self, pair: &Pair, moved: &Tensor, reference: &Tensor) -> f64 {
        if moved.shape() != reference.shape() {
            return f64::INFINITY;
        }
        let resolved = self.resolve(pair);
        judge(&Metrics::with_rule(moved, reference, resolved.element_rule()), &resolved).used()
    }

    /// What a pair is judged by.
    fn resolve(&self, pair: &Pair) -> Resolved {
        let derived = self.tolerances.and_then(|tolerances| tolerances.layer(pair.name(), &pair.reference));
        let derived = derived.map(|layer| Derived {
            tolerance: layer.tolerance,
            floor: layer.floor(),
            waivers: layer.waivers.clone(),
        });
        let tolerance = Tolerance { derived, ..self.mapping.tolerance(self.rule(pair), self.profile) };
        tolerance.resolve(self.reference.noise_floor(&pair.reference))
    }

    fn trend(&self, pair: &Pair, metrics: &Metrics) -> Option<Trend> {
        let (known, conditions) = self.known?;
        let known = known.layer(pair.name(), &pair.reference)?;
        // Of an all-zero reference no relative figure exists; any other undefined one is a failure.
        let undefined = if metrics.zero_reference { 0.0 } else { f64::NAN };
        let new = PerMetric {
            rel_l2: metrics.rel_l2.unwrap_or(undefined),
            rel_linf: metrics.rel_linf.unwrap_or(undefined),
        };
        Some(known.trend(new, conditions))
    }

    fn comparison(&self, pairing: Pairing, layers: Vec<Layer>, candidate: Origin) -> Comparison {
        let remarks = self.remarks(&pairing, &layers);
        Comparison {
            candidate,
            reference: self.origin(),
            mapping: self.mapping.path.clone(),
            mapping_text: Arc::from(self.mapping.text.as_str()),
            order: pairing.order,
            profile: self.profile.name.clone(),
            input: None,
            layers,
            warnings: pairing.warnings,
            ignored: pairing.ignored,
            missing: pairing.missing,
            unmapped: pairing.unmapped,
            ambiguous: pairing.ambiguous,
            absent: pairing.absent,
            gaps: Vec::new(),
            minimum: self.mapping.coverage,
            obstacle: None,
            not_as_recorded: Vec::new(),
            remarks,
        }
    }

    fn remarks(&self, pairing: &Pairing, layers: &[Layer]) -> Vec<Remark> {
        let mut remarks: Vec<Remark> = Vec::new();
        if self.reference.manifest().is_none() {
            remarks.push(RemarkKind::NoManifest.into());
            let shown =
                pairing.lengths.iter().filter(|counted| !counted.given && !counted.lengths.is_empty());
            remarks.extend(shown.map(|counted| RemarkKind::LengthsFromNames(counted.clone()).into()));
        }
        for layer in layers {
            let criteria = layer.compared().map(|compared| &compared.judgement.criteria);
            for criterion in criteria.into_iter().flatten() {
                if let (Some(waiver), super::verdict::CriterionKind::Metric(metric)) =
                    (&criterion.waiver, criterion.kind)
                {
                    let (layer, waiver) = (layer.pair_name().to_string(), waiver.clone());
                    remarks.push(RemarkKind::Waived { layer, metric, waiver }.into());
                }
            }
        }
        if let Some((known, conditions)) = self.known {
            let of = |layer: &&Layer| {
                let known = known.layer(layer.pair_name(), &layer.reference);
                known.is_some_and(|known| !known.errors.contains_key(conditions))
            };
            let unmeasured = layers.iter().filter(of).count();
            if unmeasured > 0 {
                let conditions = conditions.to_string();
                remarks.push(RemarkKind::UnmeasuredConditions { layers: unmeasured, conditions }.into());
            }
        }
        remarks
    }

    /// What the reference is.
    fn origin(&self) -> Origin {
        let folder = self.reference.folder().to_path_buf();
        let Some(manifest) = self.reference.manifest() else {
            return Origin { title: folder.display().to_string(), folder: Some(folder), ..Origin::default() };
        };
        let mut facts = manifest.generator.versions.clone();
        facts.insert("weights sha256".to_string(), manifest.weights.sha256.clone());
        facts.insert("input sha256".to_string(), manifest.input.sha256.clone());
        if let Some(computed_in) = &manifest.reference.computed_in {
            facts.insert("computed in".to_string(), computed_in.clone());
        }
        let title = manifest.title(self.mapping.reference.tool.as_deref());
        Origin { title, folder: Some(folder), facts }
    }
}

/// A comparison with tensors that arrive one by one; each is compared at once and then let go.
pub struct Session<'a> {
    terms: Terms<'a>,
    pairing: Pairing,
    /// Positions of the pairs that a candidate is in.
    partners: BTreeMap<String, Vec<usize>>,
    layers: BTreeMap<usize, Layer>,
}

impl Session<'_> {
    /// Whether a tensor has a partner.
    pub fn wants(&self, name: &str) -> bool {
        self.partners.contains_key(name)
    }

    /// Compares a tensor with all its partners.
    pub fn record(&mut self, name: &str, tensor: Tensor) {
        for order in self.partners.get(name).into_iter().flatten() {
            let pair = &self.pairing.pairs[*order];
            let outcome = outcome(self.terms.compare_held(pair, tensor.clone()));
            self.layers.insert(*order, layer(self.terms.mapping, pair, *order, outcome));
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
        self.terms.comparison(self.pairing, layers, candidate)
    }
}

fn outcome(compared: Result<Compared, Failed>) -> Outcome {
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
        order,
        outcome,
    }
}
