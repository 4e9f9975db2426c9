//! The candidate's tensors under the names of the model's parts.

use std::collections::BTreeMap;

use encoder::reference::{ReferenceModel, Tensor64};
use encoder::tap::INPUT;
use encoder::{Part, TapTensor};
use harness::compare::terms::Terms;
use harness::mapping::Mapping;
use harness::mapping::explanation::explain;
use harness::mapping::pairing::{Pair, pair};
use harness::provenance::Dump;
use harness::reference::{ComputedReference, Reference, ReferenceNames};
use harness::side::Side;
use harness::store::MemoryStore;

use crate::shell::failure::Failure;
use crate::shell::paths;

/// What the candidate has of the tensors between parts.
#[derive(Default)]
pub(super) struct CandidateTensors {
    /// The model's parts in the order of execution.
    pub(super) parts: Vec<Part>,
    /// By the names that parts give them; the input is among them.
    pub(super) by_part: BTreeMap<String, Tensor64>,
    /// The reference's name of each tensor that the candidate has, by the name that parts give it.
    pub(super) references: BTreeMap<String, String>,
    /// The candidate's own name of each, for messages.
    pub(super) own_names: BTreeMap<String, String>,
}

impl CandidateTensors {
    /// Reads what a dump has of the tensors that a model gives.
    pub(super) fn read(
        mapping: &Mapping,
        dump: &Dump,
        model: &ReferenceModel<'_>,
        image: &TapTensor,
    ) -> Result<CandidateTensors, Failure> {
        let parts = model.parts();
        let names = reference_names(&parts, mapping)?;
        let present: Vec<String> = names.iter().map(|(_, reference)| reference.clone()).collect();
        let listed = ReferenceNames { present, in_order: true, ..ReferenceNames::default() };
        let pairing = pair(mapping, &dump.names(), &listed, &|_, _| false);
        let by_reference: BTreeMap<&str, &Pair> =
            pairing.pairs.iter().map(|pair| (pair.reference.as_str(), pair)).collect();
        let empty = MemoryStore::new(dump.store().location(), []);
        let computed = ComputedReference { title: String::new(), floors: BTreeMap::new() };
        let reference = Reference::computed(empty, computed, &mapping.reference.naming);
        let profile = mapping.profiles.values().next().ok_or_else(|| Failure::unusable("no profile"))?;
        let terms =
            Terms { mapping, profile, reference: &reference, tolerances: None, input: None, known: None };
        let mut found = CandidateTensors {
            parts,
            by_part: BTreeMap::new(),
            references: BTreeMap::new(),
            own_names: BTreeMap::new(),
        };
        for (name, reference) in &names {
            let Some(pair) = by_reference.get(reference.as_str()) else { continue };
            // What cannot be read is told where it is compared.
            let tensor = terms.candidate_as_reference(pair, dump).ok().flatten();
            found.references.insert(name.clone(), reference.clone());
            found.own_names.insert(name.clone(), pair.candidate.clone());
            if let Some(tensor) = tensor.filter(|tensor| tensor.iter().all(f64::is_finite)) {
                let (shape, data) = (tensor.shape().to_vec(), tensor.iter().collect());
                found.by_part.insert(name.clone(), Tensor64 { shape, data });
            }
        }
        // What the port says that it took comes before what it was given.
        let data = image.data.iter().map(|x| f64::from(*x)).collect();
        found.by_part.insert(INPUT.to_string(), Tensor64 { shape: image.shape.clone(), data });
        for name in dump.names().iter().filter(|name| mapping.input.candidate.contains(name)) {
            let Ok(own) = dump.read(name) else { continue };
            if own.len() == image.data.len() && own.iter().all(f64::is_finite) {
                let data = own.iter().collect();
                found.by_part.insert(INPUT.to_string(), Tensor64 { shape: image.shape.clone(), data });
            }
        }
        Ok(found)
    }
}

/// The reference's names of all tensors that parts give, by the mapping that this project ships: parts have llama.cpp's
/// names, references timm's.
fn reference_names(parts: &[Part], mapping: &Mapping) -> Result<Vec<(String, String)>, Failure> {
    let shipped = paths::mapping(None)?;
    let blocks: Vec<String> = parts
        .iter()
        .filter(|part| part.name.starts_with("blocks."))
        .map(|part| format!("timm_model_{}", part.name.replace('.', "_")))
        .collect();
    let mut names = Vec::new();
    for output in parts.iter().flat_map(|part| &part.outputs) {
        let name = shipped.candidate.naming.canonical(output);
        let found = explain(&shipped, Side::Candidate, &name, Some(&blocks));
        if let Some(partner) = found.rules.first().and_then(|rule| rule.partners.first()) {
            names.push((output.clone(), mapping.reference.naming.canonical(partner)));
        }
    }
    Ok(names)
}
