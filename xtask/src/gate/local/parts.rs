//! The candidate's tensors under the names of the model's parts.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use encoder::reference::{ReferenceModel, Site, Tensor64};
use encoder::tap::{self, INPUT};
use encoder::{Part, TapTensor};
use harness::compare::terms::Terms;
use harness::mapping::Mapping;
use harness::mapping::explanation::explain;
use harness::mapping::pairing::{Missing, WantedBy};
use harness::mapping::pairing::{Pair, pair};
use harness::provenance::Dump;
use harness::reference::{ComputedReference, Reference, ReferenceNames};
use harness::side::Side;
use harness::store::ComputedStore;
use harness::tensor::{Dtype, Values};
use harness::text::nearest::nearest;
use rayon::prelude::*;

use super::storage::narrow_type_of;
use crate::shell::failure::Failure;
use crate::shell::paths;

/// What the candidate has of the tensors between parts. They are read when they are needed: those of a large model would take
/// gigabytes.
pub(super) struct CandidateTensors<'a> {
    /// The model's parts in the order of execution.
    pub(super) parts: Vec<Part>,
    /// What is looked at of each: what it gives, and what is inside it of which the candidate has a tensor.
    looked_at: Vec<Vec<String>>,
    /// The reference's name of each tensor that the candidate has, by the name that parts give it.
    pub(super) references: BTreeMap<String, String>,
    /// Tensors that the candidate dumps under a second name too, by the name that parts give them: where a block has no skip, the
    /// result of its layer scale is the block's.
    aliases: BTreeMap<String, Pair>,
    /// The reference's names of all tensors that the model has.
    pub(super) all_references: Vec<String>,
    /// What the candidate lacks and its mapping does not leave out, by the name that parts give it.
    missing: BTreeMap<String, Missing>,
    /// The candidate's own name of each, for messages.
    pub(super) own_names: BTreeMap<String, String>,
    /// Where they are read from, unless they are all at hand.
    dumped: Option<DumpedTensors<'a>>,
    /// Those at hand: the input at the least.
    at_hand: BTreeMap<String, Arc<Tensor64>>,
    /// The tensors that were read last.
    last: Mutex<VecDeque<(String, Option<Arc<Tensor64>>)>>,
}

/// Tensors of a dump.
struct DumpedTensors<'a> {
    mapping: &'a Mapping,
    dump: &'a Dump,
    /// Those that can be read.
    tensors: BTreeMap<String, DumpedTensor>,
}

/// A tensor of a dump that can be read.
struct DumpedTensor {
    pair: Pair,
    /// A type narrower than f32 that its values were rounded to when they were stored: what they were before is not known.
    narrow_type: Option<Dtype>,
    /// Whether it is the type of its file, and not only what its values show.
    by_type: bool,
}

/// Tensors that are kept after they were read: what a part gives is what the next one takes.
const KEPT: usize = 4;

impl<'a> CandidateTensors<'a> {
    /// Finds what a dump has of the tensors that a model gives.
    pub(super) fn find(
        mapping: &'a Mapping,
        dump: &'a Dump,
        model: &ReferenceModel<'_>,
        image: &TapTensor,
    ) -> Result<CandidateTensors<'a>, Failure> {
        let parts = model.parts();
        let with_inner: Vec<Vec<String>> =
            parts.iter().map(|part| part.outputs_with_inner(model.architecture())).collect();
        let names = reference_names(with_inner.iter().flatten().map(String::as_str), &parts, mapping)?;
        let aliases = alias_names(&parts, model);
        let alias_references = reference_names(aliases.keys().map(String::as_str), &parts, mapping)?;
        let present: Vec<String> =
            names.iter().chain(&alias_references).map(|(_, reference)| reference.clone()).collect();
        let all_references = present.clone();
        let listed = ReferenceNames { present, in_order: true, ..ReferenceNames::default() };
        let pairing = pair(mapping, &dump.names(), &listed, &|_, _| false);
        let by_reference: BTreeMap<&str, &Pair> =
            pairing.pairs.iter().map(|pair| (pair.reference.as_str(), pair)).collect();
        let wanted = |missing: &Missing| match &missing.wanted_by {
            WantedBy::Partner(reference) if missing.side == Side::Candidate => {
                Some((reference.clone(), missing.clone()))
            }
            _ => None,
        };
        let missing: BTreeMap<String, Missing> = pairing.missing.iter().filter_map(wanted).collect();
        let reference =
            |(name, reference): &(String, String)| Some((name.clone(), missing.get(reference)?.clone()));
        let missing = names.iter().filter_map(reference).collect();
        let mut found = CandidateTensors {
            missing,
            all_references,
            parts,
            looked_at: Vec::new(),
            references: BTreeMap::new(),
            aliases: BTreeMap::new(),
            own_names: BTreeMap::new(),
            dumped: None,
            at_hand: [(INPUT.to_string(), Arc::new(input_of(mapping, dump, image)))].into(),
            last: Mutex::default(),
        };
        let mut pairs: Vec<(String, Pair)> = Vec::new();
        for (name, reference) in &names {
            let Some(pair) = by_reference.get(reference.as_str()) else { continue };
            found.references.insert(name.clone(), reference.clone());
            found.own_names.insert(name.clone(), pair.candidate.clone());
            pairs.push((name.clone(), (*pair).clone()));
        }
        for (name, reference) in alias_references {
            let pair = by_reference.get(reference.as_str());
            if let (Some(pair), Some(output)) = (pair, aliases.get(&name)) {
                found.aliases.insert(output.clone(), (*pair).clone());
            }
        }
        let dumped = DumpedTensors { mapping, dump, tensors: BTreeMap::new() };
        // What cannot be read is told where it is compared.
        let readable = |(name, pair): (String, Pair)| {
            let (tensor, dtype) = dumped.read(&pair)?;
            let stored = Some(dtype).filter(|dtype| *dtype < Dtype::F32);
            let of_values = narrow_type_of(&tensor.data);
            let by_type = stored.is_some();
            Some((name, DumpedTensor { pair, narrow_type: stored.or(of_values), by_type }))
        };
        let mut tensors: BTreeMap<String, DumpedTensor> =
            pairs.into_par_iter().filter_map(readable).collect();
        // ggml's table of GELU gives f16: where little else is, that is how it was computed.
        let others = tensors.iter().filter(|(name, _)| !tap::is_activated(name));
        let (all, narrow) = others.fold((0, 0), |(all, narrow), (_, tensor)| {
            (all + 1, narrow + usize::from(tensor.narrow_type == Some(Dtype::F16)))
        });
        let is_computed_so = |(name, tensor): &(&String, &mut DumpedTensor)| {
            2 * narrow < all && tap::is_activated(name) && !tensor.by_type
        };
        for (_, tensor) in tensors.iter_mut().filter(is_computed_so) {
            tensor.narrow_type = tensor.narrow_type.filter(|dtype| *dtype != Dtype::F16);
        }
        let looked_at = |(part, mut names): (&Part, Vec<String>)| {
            names.retain(|name| part.outputs.contains(name) || tensors.contains_key(name));
            names
        };
        found.looked_at = found.parts.iter().zip(with_inner).map(looked_at).collect();
        found.dumped = Some(DumpedTensors { tensors, ..dumped });
        Ok(found)
    }

    /// Tensors of a simulated port, by the names that parts give them.
    pub(super) fn at_hand(parts: Vec<Part>, tensors: BTreeMap<String, Tensor64>) -> CandidateTensors<'a> {
        CandidateTensors {
            looked_at: parts.iter().map(|part| part.outputs.clone()).collect(),
            parts,
            references: BTreeMap::new(),
            aliases: BTreeMap::new(),
            missing: BTreeMap::new(),
            all_references: Vec::new(),
            own_names: BTreeMap::new(),
            dumped: None,
            at_hand: tensors.into_iter().map(|(name, tensor)| (name, Arc::new(tensor))).collect(),
            last: Mutex::default(),
        }
    }

    /// What is looked at of a part, in the order of execution: what it gives, and what is inside it of which the candidate has a
    /// tensor.
    pub(super) fn outputs_of<'p>(&'p self, part: &'p Part) -> &'p [String] {
        let number = self.parts.iter().position(|one| one == part);
        number.and_then(|number| self.looked_at.get(number)).map_or(&part.outputs, Vec::as_slice)
    }

    /// Whether something inside a part is looked at.
    pub(super) fn looks_inside(&self, part: &Part) -> bool {
        self.outputs_of(part).len() > part.outputs.len()
    }

    /// The part that a user names: by its own name, or by that of one of its tensors on either side. Separators count as one.
    ///
    /// # Errors
    /// No part has that name: the nearest one, and all parts.
    pub(super) fn part_named(&self, asked: &str) -> Result<&Part, Failure> {
        let names = |part: &Part| -> Vec<String> {
            let outputs = self.outputs_of(part);
            let given =
                outputs.iter().flat_map(|name| self.own_names_of(name).chain(self.references_of(name)));
            let given: Vec<String> = given.cloned().collect();
            [vec![part.name.clone()], outputs.to_vec(), given].concat()
        };
        let known: Vec<(Vec<String>, &Part)> = self.parts.iter().map(|part| (names(part), part)).collect();
        let plain = |name: &str| name.replace(['.', '/'], "_");
        let is_asked = |name: &String| plain(name) == plain(asked);
        let part = known.iter().find(|(names, _)| names.iter().any(is_asked));
        part.map(|(_, part)| *part).ok_or_else(|| {
            let all: Vec<&str> =
                known.iter().flat_map(|(names, _)| names.iter().map(String::as_str)).collect();
            let hint = nearest(asked, all).map_or(String::new(), |near| format!("did you mean {near}? "));
            let parts: Vec<&str> = self.parts.iter().map(|part| part.name.as_str()).collect();
            Failure::usage(
                format!("{asked}: no part, and no tensor of one, has that name"),
                format!("{hint}the parts are {}", parts.join(", ")),
            )
        })
    }

    /// The reference's names of a tensor that the candidate has, by the name that parts give it, in the order of execution.
    pub(super) fn references_of(&self, name: &str) -> impl Iterator<Item = &String> {
        self.aliases.get(name).map(|pair| &pair.reference).into_iter().chain(self.references.get(name))
    }

    /// The candidate's own names of a tensor, likewise.
    pub(super) fn own_names_of(&self, name: &str) -> impl Iterator<Item = &String> {
        self.aliases.get(name).map(|pair| &pair.candidate).into_iter().chain(self.own_names.get(name))
    }

    /// Whether the candidate has what a part gives last.
    pub(super) fn has_end(&self, part: &Part) -> bool {
        part.outputs.last().is_some_and(|name| self.own_names.contains_key(name))
    }

    /// What the parts after the last tensor that the candidate has give in the end: nothing shows whether they are right.
    pub(super) fn missing_at_the_end(&self) -> Vec<Missing> {
        let judged = self.parts.iter().rposition(|part| self.has_end(part)).map_or(0, |last| last + 1);
        let ends = self.parts[judged..].iter().filter_map(|part| part.outputs.last());
        ends.filter_map(|name| self.missing.get(name).cloned()).collect()
    }

    /// Whether the candidate has a tensor of that name that can be read.
    pub(super) fn has(&self, name: &str) -> bool {
        let is_dumped = |dumped: &DumpedTensors<'_>| dumped.tensors.contains_key(name);
        self.at_hand.contains_key(name) || self.dumped.as_ref().is_some_and(is_dumped)
    }

    /// The type narrower than f32 that the values of a tensor were rounded to when they were stored.
    pub(super) fn narrow_type(&self, name: &str) -> Option<Dtype> {
        self.dumped.as_ref()?.tensors.get(name)?.narrow_type
    }

    /// What the candidate has of a part's outputs but the last: what comes after them may be computed from them.
    pub(super) fn within(&self, part: &Part) -> BTreeMap<String, Tensor64> {
        let within = self.outputs_of(part).split_last().map_or(&[][..], |(_, within)| within);
        let own = |name: &String| Some((name.clone(), Tensor64::clone(&*self.tensor(name)?)));
        within.iter().filter_map(own).collect()
    }

    /// The candidate's tensor by the name that parts give it, the input among them; `None` where the candidate has none that can
    /// be read.
    pub(super) fn tensor(&self, name: &str) -> Option<Arc<Tensor64>> {
        if let Some(tensor) = self.at_hand.get(name) {
            return Some(tensor.clone());
        }
        let dumped = self.dumped.as_ref()?;
        let DumpedTensor { pair, .. } = dumped.tensors.get(name)?;
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, tensor)) = last().iter().find(|(kept, _)| kept == name) {
            return tensor.clone();
        }
        let tensor = dumped.read(pair).map(|(tensor, _)| Arc::new(tensor));
        let mut last = last();
        last.push_back((name.to_string(), tensor.clone()));
        if last.len() > KEPT {
            last.pop_front();
        }
        tensor
    }
}

impl DumpedTensors<'_> {
    /// A tensor as parts have it, and the type that it is stored in.
    fn read(&self, pair: &Pair) -> Option<(Tensor64, Dtype)> {
        let empty = ComputedStore::new(self.dump.store().location());
        let computed = ComputedReference { title: String::new(), floors: BTreeMap::new(), names: Vec::new() };
        let reference = Reference::computed(empty, computed, &self.mapping.reference.naming);
        let terms = Terms {
            mapping: self.mapping,
            profile: self.mapping.profiles.values().next()?,
            reference: &reference,
            tolerances: None,
            input: None,
            known: None,
        };
        let tensor = terms.candidate_as_reference(pair, self.dump).ok().flatten()?;
        let mut data = vec![0.0; tensor.len()];
        match tensor.values() {
            Values::F32(values) => widen(&mut data, values.as_slice()?),
            Values::F64(values) => data.copy_from_slice(values.as_slice()?),
        }
        let is_finite = data.par_iter().with_min_len(1 << 14).all(|x| x.is_finite());
        is_finite.then(|| (Tensor64 { shape: tensor.shape().to_vec(), data }, tensor.dtype()))
    }
}

fn widen(data: &mut [f64], values: &[f32]) {
    let wide = data.par_iter_mut().with_min_len(1 << 14).zip(values);
    wide.for_each(|(to, from)| *to = f64::from(*from));
}

/// The model's input: what the port says that it took comes before what it was given.
fn input_of(mapping: &Mapping, dump: &Dump, image: &TapTensor) -> Tensor64 {
    let own = |name: &String| {
        let own = dump.read(name).ok()?;
        let fits = own.len() == image.data.len() && own.iter().all(f64::is_finite);
        fits.then(|| Tensor64 { shape: image.shape.clone(), data: own.iter().collect() })
    };
    let named = dump.names().into_iter().filter(|name| mapping.input.candidate.contains(name));
    named.filter_map(|name| own(&name)).next_back().unwrap_or_else(|| Tensor64::from(image))
}

/// The results of layer scales of blocks that have no skip, which are those of the blocks: a second name for what a part gives
/// last.
fn alias_names(parts: &[Part], model: &ReferenceModel<'_>) -> BTreeMap<String, String> {
    let scaled = |part: &Part| {
        let Site::Block(number) = part.site() else { return None };
        let name = tap::layer_scale(number);
        let weights = part.weight_names(model.architecture());
        let has_scale = weights.iter().any(|weight| weight.ends_with(".layer_scale.gamma"));
        let output = part.outputs.last().filter(|_| has_scale && !part.outputs.contains(&name))?;
        Some((name, output.clone()))
    };
    parts.iter().filter_map(scaled).collect()
}

/// The reference's names of tensors, by the mapping that this project ships: parts have llama.cpp's names, references timm's.
fn reference_names<'a>(
    names: impl Iterator<Item = &'a str>,
    parts: &[Part],
    mapping: &Mapping,
) -> Result<Vec<(String, String)>, Failure> {
    let shipped = paths::built_in_inner_mapping()?;
    let blocks: Vec<String> = parts
        .iter()
        .filter(|part| part.name.starts_with("blocks."))
        .map(|part| format!("timm_model_{}", part.name.replace('.', "_")))
        .collect();
    let reference = |name: &str| {
        let canonical = shipped.candidate.naming.canonical(name);
        let found = explain(&shipped, Side::Candidate, &canonical, Some(&blocks));
        let partner = found.rules.first().and_then(|rule| rule.partners.first())?;
        Some((name.to_string(), mapping.reference.naming.canonical(partner)))
    };
    Ok(names.filter_map(reference).collect())
}
