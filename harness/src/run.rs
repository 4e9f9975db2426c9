//! From two sides to a comparison: reads, lays out, compares and judges, pair by pair.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::baseline::{Baseline, Trend};
use crate::comparison::{Compared, Comparison, Layer, Origin, Outcome, Worst};
use crate::figures::Figures;
use crate::folder::DumpFolder;
use crate::layout::{ShapeMismatch, align, candidate_index};
use crate::mapping::{Ignore, Mapping, Profile, Side};
use crate::metrics::Metrics;
use crate::npy;
use crate::pairing::{Ignored, Pair, Pairing, Unmapped, pair};
use crate::reference::Reference;
use crate::tensor::{Tensor, unravel};
use crate::tolerance::{Derived, Tolerance};
use crate::tolerances::Tolerances;
use crate::verdict::judge;
use crate::waiver::Waiver;

/// What both kinds of run share.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// The mapping.
    pub mapping: &'a Mapping,
    /// One of the mapping's profiles.
    pub profile: &'a Profile,
    /// The reference side.
    pub reference: &'a Reference,
    /// Derived tolerances of the reference set, where there are any.
    pub tolerances: Option<&'a Tolerances>,
    /// The errors that the candidate is known to have on it, where they are known, with the conditions of this run.
    pub baseline: Option<(&'a Baseline, &'a str)>,
}

impl<'a> Terms<'a> {
    /// Compares a dump folder with the reference; pairs are gone through in parallel.
    pub fn compare_folder(&self, candidate: &DumpFolder) -> Comparison {
        let two_byte_integers = self.mapping.candidate.two_byte_integers;
        let read = |name: &str| match candidate.file(name) {
            Some(file) => npy::read(file, two_byte_integers).map_err(|error| error.to_string()),
            None => Err(format!("{name}: no such tensor")),
        };
        let pairing = self.pair(&candidate.names(), candidate.strangers());
        let pairs: Vec<(usize, &Pair)> = pairing.pairs.iter().enumerate().collect();
        let layers = pairs
            .into_par_iter()
            .map(|(order, pair)| match read(&pair.candidate) {
                Ok(tensor) => self.layer(pair, order, tensor),
                Err(message) => {
                    layer(self.mapping, pair, order, Outcome::Unreadable { side: Side::Candidate, message })
                }
            })
            .collect();
        let origin = Origin {
            title: candidate.path().display().to_string(),
            folder: Some(candidate.path().to_path_buf()),
            ..Origin::default()
        };
        self.comparison(pairing, layers, origin)
    }

    /// Begins a comparison of tensors that are still to be computed, of which only the names are known.
    pub fn session(&self, names: &[String]) -> Session<'a> {
        let pairing = self.pair(names, &[]);
        Session { terms: *self, pairing, layers: BTreeMap::new() }
    }

    /// Pairs a candidate's names, and lists its files that are not named like tensors.
    pub fn pair(&self, names: &[String], strangers: &[String]) -> Pairing {
        let mut pairing =
            pair(self.mapping, names, self.reference.names(), &|a, b| self.reference.identical(a, b));
        for (side, files) in [(Side::Candidate, strangers), (Side::Reference, self.reference.strangers())] {
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
                        let hint = Some(format!("a file that is not named like `{pattern}`"));
                        pairing.unmapped.push(Unmapped { side, name, hint });
                    }
                }
            }
        }
        pairing
    }

    fn layer(&self, pair: &Pair, order: usize, candidate: Tensor) -> Layer {
        layer(self.mapping, pair, order, self.outcome(pair, candidate))
    }

    fn outcome(&self, pair: &Pair, candidate: Tensor) -> Outcome {
        let reference = match self.reference.read(&pair.reference) {
            Ok(reference) => reference,
            Err(error) => return Outcome::Unreadable { side: Side::Reference, message: error.to_string() },
        };
        match self.compare(pair, candidate, &reference) {
            Ok(compared) => Outcome::Compared(Box::new(compared)),
            Err(mismatch) => Outcome::ShapeMismatch(mismatch),
        }
    }

    /// Compares and judges a pair of tensors.
    ///
    /// # Errors
    /// Extents that do not fit each other.
    pub fn compare(
        &self,
        pair: &Pair,
        candidate: Tensor,
        reference: &Tensor,
    ) -> Result<Compared, ShapeMismatch> {
        let rule = &self.mapping.rules[pair.rule];
        let (from, to) = (&rule.candidate_layout, &rule.reference_layout);
        let (shape, types) = (candidate.shape().to_vec(), (candidate.dtype(), reference.dtype()));
        let candidate = align(candidate, from, reference.shape(), to)?;
        let (a, b) = (candidate.values(), reference.values());
        let metrics = Metrics::of(a, b, types);
        let tolerance = self.tolerance(pair);
        let judgement = judge(&metrics, a, b, &tolerance, self.reference.noise_floor(&pair.reference));
        let worst = metrics.worst.map(|flat| {
            let index = unravel(flat, reference.shape());
            let candidate_index = candidate_index(&index, from, &shape, to, reference.shape());
            let candidate_index = candidate_index.unwrap_or_else(|| index.clone());
            Worst { index, candidate_index, candidate: a.get(flat), reference: b.get(flat) }
        });
        let trend = self.trend(pair, &metrics);
        Ok(Compared { shape: reference.shape().to_vec(), metrics, worst, judgement, trend })
    }

    /// What a pair is judged by.
    pub(crate) fn tolerance(&self, pair: &Pair) -> Tolerance {
        let derived = self.tolerances.and_then(|tolerances| tolerances.layer(pair.name(), &pair.reference));
        let derived = derived.map(|layer| Derived {
            tolerance: layer.tolerance,
            floor: layer.floor(),
            waivers: layer.waivers.clone(),
        });
        Tolerance { derived, ..self.mapping.tolerance(&self.mapping.rules[pair.rule], self.profile) }
    }

    fn trend(&self, pair: &Pair, metrics: &Metrics) -> Option<Trend> {
        let (baseline, conditions) = self.baseline?;
        let known = baseline.layer(pair.name(), &pair.reference)?;
        // Of an all-zero reference no relative figure exists; any other undefined one is a failure.
        let undefined = if metrics.zero_reference { 0.0 } else { f64::NAN };
        let new = Figures {
            rel_l2: metrics.rel_l2.unwrap_or(undefined),
            rel_linf: metrics.rel_linf.unwrap_or(undefined),
        };
        Some(known.trend(new, conditions))
    }

    fn comparison(&self, pairing: Pairing, layers: Vec<Layer>, candidate: Origin) -> Comparison {
        let mut remarks = Vec::new();
        if self.reference.manifest().is_none() {
            remarks.push(
                "the reference has no manifest: judged by the mapping's limits, not by a noise floor"
                    .to_string(),
            );
            for (name, lengths) in &pairing.lengths {
                let lengths = lengths.as_slice();
                remarks.push(format!("`{name}` counts over {lengths:?}, as the reference's names show"));
            }
        }
        for layer in &layers {
            let criteria = layer.compared().map(|compared| &compared.judgement.criteria);
            for criterion in criteria.into_iter().flatten() {
                if let Some(Waiver { reason, expires }) = &criterion.waiver {
                    let (name, metric) = (layer.pair_name(), criterion.name);
                    remarks.push(format!("{name}: {metric} is judged by a waiver until {expires}: {reason}"));
                }
            }
        }
        if let Some((baseline, conditions)) = self.baseline {
            let of = |layer: &&Layer| {
                let known = baseline.layer(layer.pair_name(), &layer.reference);
                known.is_some_and(|known| !known.errors.contains_key(conditions))
            };
            let unmeasured = layers.iter().filter(of).count();
            if unmeasured > 0 {
                remarks.push(format!(
                    "{unmeasured} layers have no known error on {conditions}: held against those of other instruction sets"
                ));
            }
        }
        let path = self.mapping.path.display().to_string();
        let warnings =
            pairing.warnings.iter().map(|finding| finding.render(&path, &self.mapping.text, false));
        Comparison {
            candidate,
            reference: origin(self.reference),
            mapping: self.mapping.path.clone(),
            profile: self.profile.name.clone(),
            input: None,
            layers,
            warnings: warnings.collect(),
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
}

/// A comparison with tensors that arrive one by one; each is compared at once and then let go.
pub struct Session<'a> {
    terms: Terms<'a>,
    pairing: Pairing,
    layers: BTreeMap<usize, Layer>,
}

impl Session<'_> {
    /// Whether a tensor has a partner.
    pub fn wants(&self, name: &str) -> bool {
        self.pairing.pairs.iter().any(|pair| pair.candidate == name)
    }

    /// Compares a tensor with all its partners.
    pub fn record(&mut self, name: &str, tensor: Tensor) {
        let partners = self.pairing.pairs.iter().enumerate().filter(|(_, pair)| pair.candidate == name);
        for (order, pair) in partners {
            self.layers.insert(order, self.terms.layer(pair, order, tensor.clone()));
        }
    }

    /// The comparison; a tensor that was announced and did not arrive is unreadable.
    pub fn finish(mut self, candidate: Origin) -> Comparison {
        for (order, pair) in self.pairing.pairs.iter().enumerate() {
            let never = || {
                let message = format!("{}: announced, but never computed", pair.candidate);
                layer(self.terms.mapping, pair, order, Outcome::Unreadable { side: Side::Candidate, message })
            };
            self.layers.entry(order).or_insert_with(never);
        }
        let layers = self.layers.into_values().collect();
        self.terms.comparison(self.pairing, layers, candidate)
    }
}

fn layer(mapping: &Mapping, pair: &Pair, order: usize, outcome: Outcome) -> Layer {
    Layer {
        name: pair.candidate.clone(),
        reference: pair.reference.clone(),
        rule: mapping.rules[pair.rule].name.clone(),
        stands_for: pair.stands_for.clone(),
        order,
        outcome,
    }
}

fn origin(reference: &Reference) -> Origin {
    let folder = reference.folder().to_path_buf();
    let Some(manifest) = reference.manifest() else {
        return Origin { title: folder.display().to_string(), folder: Some(folder), ..Origin::default() };
    };
    let mut facts = manifest.generator.versions.clone();
    facts.insert("python".to_string(), manifest.generator.python.clone());
    facts.insert("weights sha256".to_string(), manifest.weights.sha256.clone());
    facts.insert("input sha256".to_string(), manifest.input.sha256.clone());
    facts.insert("computed in".to_string(), manifest.reference.computed_in.clone());
    let timm = facts.get("timm").map(|version| format!(" {version}")).unwrap_or_default();
    let title = format!("set {}, timm{timm} in {}", manifest.set, manifest.reference.computed_in);
    Origin { title, folder: Some(folder), facts }
}
