//! What comparisons are judged by, and what that makes of the pairs of both sides.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::comparison::{Compared, Comparison, Layer, Origin, Seen};
use super::laxity;
use super::metrics::Metrics;
use super::remark::{Remark, RemarkKind};
use super::verdict::CriterionKind;
use crate::limits::derived::DerivedTolerances;
use crate::limits::known_errors::{KnownErrors, Trend};
use crate::limits::metric::PerMetric;
use crate::limits::tolerance::{Derived, Resolved, Tolerance};
use crate::mapping::order::ExecutionOrder;
use crate::mapping::pairing::{
    AmbiguityCause, Ambiguous, Ignored, Pair, Pairing, Unmapped, UnmappedHint, pair,
};
use crate::mapping::{Ignore, Mapping, Profile, Rule, position};
use crate::provenance::{Dump, Several};
use crate::reference::Reference;
use crate::side::Side;
use crate::store::StoreError;
use crate::tensor::fit::{DeclaredLayouts, with_batch_of};
use crate::tensor::layout::align;
use crate::tensor::{Dtype, Tensor, element_count};

/// The input that the reference was computed from.
#[derive(Clone, Debug)]
pub struct KnownInput {
    /// What it is called, such as its file.
    pub name: String,
    /// Its values, `[B, C, H, W]`.
    pub tensor: Tensor,
}

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
    /// The model's input, where it is known.
    pub input: Option<&'a KnownInput>,
    /// The errors that the candidate is known to have on it, where they are known, with the conditions of this run.
    pub known: Option<(&'a KnownErrors, &'a str)>,
}

impl Terms<'_> {
    /// Pairs a candidate's names, and lists its files that are not named like tensors.
    pub fn pair(&self, names: &[String], strangers: &[String]) -> Pairing {
        let reference = self.reference.dump();
        let identical = |a: &str, b: &str| reference.identical(a, b);
        let mut pairing = pair(self.mapping, names, self.reference.names(), &identical);
        if pairing.order == ExecutionOrder::Manifest && self.reference.manifest().is_none() {
            pairing.order = ExecutionOrder::Recorded;
        }
        for (side, files) in
            [(Side::Candidate, strangers), (Side::Reference, reference.strangers().as_slice())]
        {
            let naming = &self.mapping.format(side).naming;
            for file in files {
                let canonical = naming.canonical(file);
                let lists = |ignore: &&Ignore| {
                    ignore.side == side && ignore.names.iter().any(|name| name.matches(&canonical).is_some())
                };
                let name = file.clone();
                match self.mapping.ignores.iter().find(lists) {
                    Some(Ignore { reason, line, .. }) => {
                        pairing.ignored.push(Ignored { side, name, reason: reason.clone(), line: *line });
                    }
                    None => {
                        let hint = Some(UnmappedHint::NotNamedLike(naming.shown()));
                        pairing.unmapped.push(Unmapped { side, name, hint });
                    }
                }
            }
        }
        pairing.ambiguous.extend(several(Side::Reference, reference));
        pairing.ignored.extend(of_other_runs(Side::Reference, reference));
        pairing
    }

    /// The pair that a layer was made of; `None` of the input.
    pub(crate) fn pair_of(&self, layer: &Layer) -> Option<Pair> {
        if layer.is_input {
            return None;
        }
        let rule = self.mapping.rules.iter().position(|rule| rule.name == layer.rule)?;
        Some(Pair {
            rule,
            candidate: layer.name.clone(),
            reference: layer.reference.clone(),
            stands_for: layer.stands_for.clone(),
        })
    }

    pub(super) fn rule(&self, pair: &Pair) -> &Rule {
        &self.mapping.rules[pair.rule]
    }

    /// What a pair is judged by.
    pub(crate) fn resolve(&self, pair: &Pair) -> Resolved {
        let derived = self.tolerances.and_then(|tolerances| tolerances.layer(pair.name(), &pair.reference));
        let derived = derived.map(|layer| Derived {
            tolerance: layer.tolerance,
            floor: layer.floor(),
            waivers: layer.waivers.clone(),
        });
        let tolerance = Tolerance { derived, ..self.mapping.tolerance(self.rule(pair), self.profile) };
        tolerance.resolve(self.reference.noise_floor(&pair.reference))
    }

    /// A tensor of a candidate in the layout that the reference's have; `None` where its extents do not fit its layout, or do
    /// not say those of the other.
    ///
    /// # Errors
    /// A tensor that cannot be read.
    pub fn candidate_as_reference(
        &self,
        pair: &Pair,
        candidate: &Dump,
    ) -> Result<Option<Tensor>, StoreError> {
        let DeclaredLayouts { candidate: from, memory, reference: to } = self.rule(pair).layouts();
        let tensor = candidate.read(&pair.candidate)?;
        let shape = with_batch_of(from, tensor.shape());
        let wanted = to.shape_of(from, &shape).filter(|_| memory.is_none());
        let Some(wanted) = wanted.filter(|_| element_count(&shape) == Some(tensor.len())) else {
            return Ok(None);
        };
        Ok(align(tensor.reshaped(&shape), from, &wanted, to).ok())
    }

    pub(super) fn trend(&self, pair: &Pair, metrics: &Metrics) -> Option<Trend> {
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

    pub(super) fn comparison(
        &self,
        mut pairing: Pairing,
        layers: Vec<Layer>,
        candidate: Origin,
    ) -> Comparison {
        pairing.ignored.extend(unknown_inputs(&pairing, &layers));
        let remarks = self.remarks(&pairing, &layers);
        Comparison {
            candidate,
            reference: self.origin(),
            mapping: self.mapping.path.clone(),
            mapping_text: Arc::from(self.mapping.text.as_str()),
            rule_lines: self.rule_lines(),
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
            budget: None,
            explanations: Vec::new(),
            error_shapes: Vec::new(),
            maps: Vec::new(),
            remarks,
        }
    }

    fn remarks(&self, pairing: &Pairing, layers: &[Layer]) -> Vec<Remark> {
        let mut remarks: Vec<Remark> = Vec::new();
        if self.reference.manifest().is_none() && self.reference.as_computed().is_none() {
            remarks.push(RemarkKind::NoManifest.into());
            let shown =
                pairing.lengths.iter().filter(|counted| !counted.given && !counted.lengths.is_empty());
            remarks.extend(shown.map(|counted| RemarkKind::LengthsFromNames(counted.clone()).into()));
        }
        if self.reference.dump().store().has_whole_names() {
            remarks.push(self.whole_names(Side::Reference));
        }
        remarks.extend(of_files(layers));
        remarks.extend(laxity::remarks(self.mapping, self.profile, self.reference, layers));
        for layer in layers {
            let criteria = layer.compared().map(|compared| &compared.judgement.criteria);
            for criterion in criteria.into_iter().flatten() {
                if let (Some(waiver), CriterionKind::Metric(metric)) = (&criterion.waiver, criterion.kind) {
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
            let loose = |layer: &&Layer| {
                let entry = known.layer(layer.pair_name(), &layer.reference);
                let is_measured = entry.is_some_and(|entry| entry.errors.contains_key(conditions));
                let trend = layer.compared().and_then(|compared| compared.trend);
                is_measured && matches!(trend, Some(Trend::Better(_)))
            };
            let loose = layers.iter().filter(loose).count();
            if loose > 0 {
                remarks.push(RemarkKind::LooseKnownErrors { layers: loose }.into());
            }
            // Of conditions that nobody declared none can have been measured.
            if unmeasured > 0 && !conditions.is_empty() {
                let conditions = conditions.to_string();
                remarks.push(RemarkKind::UnmeasuredConditions { layers: unmeasured, conditions }.into());
            }
        }
        remarks
    }

    fn rule_lines(&self) -> BTreeMap<String, usize> {
        let line = |rule: &Rule| (rule.name.clone(), position(&self.mapping.text, rule.span.start).0);
        self.mapping.rules.iter().map(line).collect()
    }

    /// No file of a side is named by the mapping's patterns.
    pub(super) fn whole_names(&self, side: Side) -> Remark {
        RemarkKind::WholeNames { side, patterns: self.mapping.format(side).naming.shown() }.into()
    }

    /// What the reference is.
    fn origin(&self) -> Origin {
        let folder = self.reference.folder().to_path_buf();
        let Some(manifest) = self.reference.manifest() else {
            let title = match self.reference.as_computed() {
                Some(computed) => computed.title.clone(),
                None => folder.display().to_string(),
            };
            return Origin { title, folder: Some(folder), ..Origin::default() };
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

/// What the files of both sides leave out or have rounded, each once.
fn of_files(layers: &[Layer]) -> Vec<Remark> {
    let compared = || layers.iter().filter_map(Layer::compared);
    let mut remarks = Vec::new();
    let seen: Vec<Seen> = compared().filter_map(|compared| compared.seen).collect();
    if !seen.is_empty() {
        let (elements, of) =
            (seen.iter().map(|seen| seen.elements).sum(), seen.iter().map(|seen| seen.of).sum());
        remarks.push(RemarkKind::PartlySeen { layers: seen.len(), elements, of }.into());
    }
    for side in [Side::Candidate, Side::Reference] {
        let without = compared().filter(|compared| compared.without_batch.contains(&side)).count();
        if without > 0 {
            remarks.push(RemarkKind::WithoutBatch { side, layers: without }.into());
        }
        for dtype in [Dtype::Bf16, Dtype::F16] {
            let rounded = |compared: &&Compared| compared.judgement.rounded.contains(&(side, dtype));
            let layers = compared().filter(rounded).count();
            if layers > 0 {
                remarks.push(RemarkKind::RoundedByStorage { side, dtype, layers }.into());
            }
        }
    }
    remarks
}

/// Inputs that were held against nothing.
fn unknown_inputs(pairing: &Pairing, layers: &[Layer]) -> Vec<Ignored> {
    let compared = |name: &String| {
        let mut inputs = layers.iter().filter(|layer| layer.is_input);
        inputs.any(|layer| layer.name == *name || layer.reference == *name)
    };
    let ignored = |(side, name): &(Side, String)| {
        let reason = "the input: what the other side had is not known".to_string();
        Ignored { side: *side, name: name.clone(), reason, line: 0 }
    };
    pairing.inputs.iter().filter(|(_, name)| !compared(name)).map(ignored).collect()
}

/// Names of a side that only other runs have than the one that is chosen.
pub(super) fn of_other_runs(side: Side, dump: &Dump) -> impl Iterator<Item = Ignored> + '_ {
    let reason = || "of other runs than the one that the mapping chooses (`call`)".to_string();
    dump.other_runs().iter().map(move |name| Ignored { side, name: name.clone(), reason: reason(), line: 0 })
}

/// Names that several tensors of a side have.
pub(super) fn several(side: Side, dump: &Dump) -> Vec<Ambiguous> {
    let told =
        dump.several().iter().filter(|several| !(several.must_agree && dump.keys_agree(&several.keys)));
    told.map(|Several { name, keys, runs, must_agree }| {
        let name = name.clone();
        let cause = match must_agree {
            true => AmbiguityCause::RunsDiffer { name },
            false => AmbiguityCause::OneName { name, runs: *runs },
        };
        Ambiguous { side, names: keys.clone(), cause }
    })
    .collect()
}
