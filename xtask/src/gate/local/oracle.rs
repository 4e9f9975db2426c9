//! The parts of the model, computed from the candidate's tensors.

use std::collections::{BTreeMap, BTreeSet};

use encoder::Part;
use encoder::reference::{PartOptions, PortChange, ReferenceModel, Rounding, Tensor64};
use harness::limits::tolerance::NoiseFloor;
use harness::store::ComputedStore;
use harness::tensor::Dtype;
use rayon::prelude::*;

use super::computed::{ComputedPart, ComputedParts, JudgedPart, PartInputs};
use super::floors::{distance, floor_of, is_large, is_within, named, no_nudged, nudge_of, nudged_runs};
use super::parts::CandidateTensors;
use super::storage::{before_rounding, floor_of_storage};
use crate::shell::failure::Failure;

/// A tensor that the port did not go on with leaves so many times more of an error than its inputs do.
const MUCH_NEARER: f64 = 2.0;

/// Gets the number of a part and what it gives, by name.
type BesidePart<'b> = dyn FnMut(usize, &[(String, Tensor64)]) -> Result<(), Failure> + 'b;

/// Parts computed from the candidate's own tensors.
pub(super) struct Oracle<'a> {
    pub(super) model: &'a ReferenceModel<'a>,
    pub(super) tensors: &'a CandidateTensors<'a>,
}

/// A part that was computed, and what it gives from its inputs alone.
struct CheckedPart {
    computed: ComputedPart,
    /// None where there is nothing between inputs and last output that it could be computed from instead.
    from_inputs: Option<Vec<(String, Tensor64)>>,
}

impl Oracle<'_> {
    /// Computes every part that it can: of those before which the candidate has no tensor, from what the parts before
    /// give. What the candidate has too goes into `store` by the reference's names. `beside` gets the number of each part
    /// and what it gives.
    pub(super) fn all(
        &self,
        store: &mut ComputedStore,
        beside: &mut BesidePart<'_>,
    ) -> Result<ComputedParts, Failure> {
        let mut parts: Vec<JudgedPart> = Vec::new();
        // Outputs that the candidate lacks, or has wrong.
        let mut given: BTreeMap<String, Tensor64> = BTreeMap::new();
        let mut nudged = no_nudged();
        for (number, part) in self.tensors.parts.iter().enumerate() {
            let Some(CheckedPart { computed, from_inputs }) = self.checked(part, &given, &mut nudged)? else {
                beside(number, &[])?;
                continue;
            };
            let off: Vec<String> = self.off(&computed).map(String::clone).collect();
            let ComputedPart { mut inputs, outputs, floors, dropped, .. } = computed;
            beside(number, from_inputs.as_ref().unwrap_or(&outputs))?;
            for (name, tensor) in &outputs {
                for reference in self.tensors.references_of(name) {
                    let put = store.put(reference, &tensor.shape, &tensor.data);
                    put.map_err(|error| Failure::unusable(format!("no room for what is computed: {error}")))?;
                }
            }
            given.extend(outputs);
            inputs.tensors.retain(|name, _| inputs.computed.contains(name));
            // What no later part takes is let go.
            let (part, later) = (&self.tensors.parts[number], &self.tensors.parts[number + 1..]);
            let is_taken = |name: &String| later.iter().any(|part| part.inputs.contains(name));
            let is_new = |name: &String| !self.tensors.has(name) || off.contains(name);
            let is_needed = |name: &String| is_taken(name) && (is_new(name) || !part.outputs.contains(name));
            given.retain(|name, _| is_needed(name));
            nudged.iter_mut().for_each(|given| given.retain(|name, _| is_needed(name)));
            parts.push(JudgedPart { part: part.clone(), given: inputs.tensors, dropped, floors, off });
        }
        Ok(ComputedParts { parts })
    }

    /// Computes a part once more, as it was judged.
    pub(super) fn again(&self, judged: &JudgedPart) -> Result<ComputedPart, Failure> {
        let JudgedPart { part, given, dropped, floors, .. } = judged;
        let mut inputs = self.inputs(part, given, &BTreeMap::new()).ok_or_else(|| {
            Failure::unusable(format!("{}: the dump was changed while it was judged", part.name))
        })?;
        inputs.along.retain(|name, _| !dropped.contains(name));
        let outputs = self.outputs(part, &inputs).map_err(Failure::unreadable)?;
        let (part, floors, dropped) = (part.clone(), floors.clone(), dropped.clone());
        Ok(ComputedPart { part, inputs, outputs, floors, dropped })
    }

    /// A part computed from the candidate's own tensors alone; `None` where they lack something that it takes.
    pub(super) fn alone(&self, part: &Part) -> Result<Option<ComputedPart>, Failure> {
        let none = BTreeMap::new();
        let Some(inputs) = self.inputs(part, &none, &none) else { return Ok(None) };
        Ok(self.computed(part, inputs, &mut no_nudged())?.map(|checked| checked.computed))
    }

    /// The same from what the part takes alone, whatever the candidate has of what it gives.
    pub(super) fn by_inputs(&self, part: &Part) -> Result<Option<ComputedPart>, Failure> {
        let none = BTreeMap::new();
        let Some(inputs) = self.inputs(part, &none, &none) else { return Ok(None) };
        let inputs = inputs.alone();
        let outputs = self.model.run_part(part, &inputs.tensors).map_err(Failure::unreadable)?;
        let floors = self.floors(part, &inputs, &mut no_nudged(), &outputs)?;
        let (part, dropped) = (part.clone(), Vec::new());
        Ok(Some(ComputedPart { part, inputs, outputs, floors, dropped }))
    }

    /// A part from the candidate's own inputs; from those that were computed in the place of wrong ones, where it is right from
    /// these alone. `None` where inputs are missing, or do not fit the part: that is told where they are compared.
    fn checked(
        &self,
        part: &Part,
        given: &BTreeMap<String, Tensor64>,
        nudged: &mut [BTreeMap<String, Tensor64>],
    ) -> Result<Option<CheckedPart>, Failure> {
        let may_pass_by = part.inputs.iter().any(|name| given.contains_key(name) && self.tensors.has(name));
        let mut before = if may_pass_by { nudged.to_vec() } else { Vec::new() };
        let plain = match self.inputs(part, &BTreeMap::new(), given) {
            Some(inputs) => self.computed(part, inputs, nudged)?,
            None => None,
        };
        let off = |checked: &CheckedPart| -> Vec<String> { self.off(&checked.computed).cloned().collect() };
        if !may_pass_by || plain.as_ref().is_some_and(|plain| off(plain).is_empty()) {
            return Ok(plain);
        }
        let other = match self.inputs(part, given, &BTreeMap::new()) {
            Some(inputs) => self.computed(part, inputs, &mut before)?,
            None => None,
        };
        let (plain, other) = match (plain, other) {
            (Some(plain), Some(other)) => (plain, other),
            (Some(plain), None) => return Ok(Some(plain)),
            // What the candidate has does not fit the part.
            (None, other) => {
                nudged.clone_from_slice(&before);
                return Ok(other);
            }
        };
        let is_much_nearer = |name: &String| {
            let both = named(&other.computed.outputs, name).zip(named(&plain.computed.outputs, name));
            both.is_some_and(|(one, other)| self.is_much_nearer(name, one, other))
        };
        let (wrong, still) = (off(&plain), off(&other));
        let mended: Vec<&String> = wrong.iter().filter(|name| !still.contains(name)).collect();
        let is_chosen = !mended.is_empty()
            && mended.into_iter().all(is_much_nearer)
            && still.iter().all(|name| wrong.contains(name));
        if is_chosen {
            nudged.clone_from_slice(&before);
        }
        Ok(Some(if is_chosen { other } else { plain }))
    }

    /// Outputs that the candidate has otherwise than they were computed.
    pub(super) fn off<'c>(&'c self, computed: &'c ComputedPart) -> impl Iterator<Item = &'c String> {
        let outputs = computed.outputs.iter();
        outputs.filter(|output| self.is_off(output, &computed.floors)).map(|(name, _)| name)
    }

    fn is_off(&self, (name, exact): &(String, Tensor64), floors: &BTreeMap<String, NoiseFloor>) -> bool {
        self.tensors.tensor(name).is_some_and(|own| !is_within(&own, exact, floors.get(name)))
    }

    /// What a part gives on these inputs, going on with the candidate's own outputs in the place of its own.
    fn outputs(&self, part: &Part, inputs: &PartInputs) -> Result<Vec<(String, Tensor64)>, encoder::Error> {
        let mut outputs = self.run(part, inputs, &[], None)?;
        outputs.retain(|(name, _)| self.tensors.outputs_of(part).contains(name));
        Ok(outputs)
    }

    /// A run of a part, with changes; where it is nudged, as a port may have it.
    pub(super) fn run(
        &self,
        part: &Part,
        inputs: &PartInputs,
        changes: &[PortChange],
        nudge: Option<(u64, f64)>,
    ) -> Result<Vec<(String, Tensor64)>, encoder::Error> {
        let inner = self.tensors.looks_inside(part);
        let mut known = inputs.computed.is_empty();
        let mut moved = |all: &BTreeMap<String, Tensor64>, (seed, _): (u64, f64)| {
            let mut moved: Option<BTreeMap<String, Tensor64>> = None;
            for (name, tensor) in all.iter().filter(|(name, _)| !inputs.computed.contains(*name)) {
                let Some(dtype) = self.rounded_to(name) else { continue };
                known = false;
                let moved = moved.get_or_insert_with(|| all.clone());
                moved.insert(name.clone(), before_rounding(tensor, dtype, name, seed));
            }
            moved
        };
        let taken = nudge.and_then(|nudge| moved(&inputs.tensors, nudge));
        let along = nudge.and_then(|nudge| moved(&inputs.along, nudge));
        let (taken, along) =
            (taken.as_ref().unwrap_or(&inputs.tensors), along.as_ref().unwrap_or(&inputs.along));
        let options =
            PartOptions { changes, nudge, along: Some(along), known, inner, ..PartOptions::default() };
        self.model.run_part_by(part, taken, &options)
    }

    /// The type that values of a tensor of the candidate were rounded to when they were dumped; `None` where they are what it
    /// went on with, to the last bit.
    fn rounded_to(&self, name: &str) -> Option<Dtype> {
        let dtype = self.tensors.narrow_type(name)?;
        let is_own = matches!(
            (self.model.rounding(), dtype),
            (Rounding::F16All, Dtype::F16) | (Rounding::Bf16All, Dtype::Bf16)
        );
        (!is_own).then_some(dtype)
    }

    /// A part on these inputs, each output computed from the nearest tensors before it that the candidate has; `None` where they
    /// do not fit it. One that is off, and without which a later one is right, is left out of these.
    fn computed(
        &self,
        part: &Part,
        inputs: PartInputs,
        nudged: &mut [BTreeMap<String, Tensor64>],
    ) -> Result<Option<CheckedPart>, Failure> {
        let Ok(outputs) = self.outputs(part, &inputs) else { return Ok(None) };
        let floors = self.floors(part, &inputs, nudged, &outputs)?;
        let alone = (!inputs.along.is_empty()).then(|| inputs.alone());
        let from_inputs = alone.map(|alone| self.outputs(part, &alone).map_err(Failure::unreadable));
        let from_inputs = from_inputs.transpose()?;
        let mut computed = ComputedPart { part: part.clone(), inputs, outputs, floors, dropped: Vec::new() };
        for number in 1..computed.outputs.len() {
            if self.is_off(&computed.outputs[number], &computed.floors)
                && let Some(without) = self.without_some(&computed, number, nudged)?
            {
                computed = without;
            }
        }
        Ok(Some(CheckedPart { computed, from_inputs }))
    }

    /// The same part with fewer of the candidate's tensors before the output of that number, where it is right without the last
    /// of them, or the last few.
    fn without_some(
        &self,
        computed: &ComputedPart,
        number: usize,
        nudged: &mut [BTreeMap<String, Tensor64>],
    ) -> Result<Option<ComputedPart>, Failure> {
        let (part, output) = (&computed.part, &computed.outputs[number]);
        let mut inputs = computed.inputs.clone();
        let mut dropped = computed.dropped.clone();
        for (name, _) in computed.outputs[..number].iter().rev() {
            if inputs.along.remove(name).is_none() {
                continue;
            }
            dropped.push(name.clone());
            let outputs = self.outputs(part, &inputs).map_err(Failure::unreadable)?;
            if !self.is_much_nearer(&output.0, &outputs[number].1, &output.1) {
                continue;
            }
            let mut of_nudged = nudged.to_vec();
            let floors = self.floors(part, &inputs, &mut of_nudged, &outputs)?;
            if !self.is_off(&outputs[number], &floors) {
                nudged.clone_from_slice(&of_nudged);
                return Ok(Some(ComputedPart { part: part.clone(), inputs, outputs, floors, dropped }));
            }
        }
        Ok(None)
    }

    /// Whether the candidate's tensor is much nearer to one that was computed than to another: floors of a longer way are
    /// wider, and alone say little.
    fn is_much_nearer(&self, name: &str, one: &Tensor64, other: &Tensor64) -> bool {
        let Some(own) = self.tensors.tensor(name) else { return false };
        // From what is zero throughout everything is infinitely far.
        let off = |exact| distance(&own, exact).map_or(f64::INFINITY, |found| found.figures.rel_l2);
        MUCH_NEARER * off(one) < off(other)
    }

    /// What a part is computed from: what `instead` has, else the candidate's own tensors, else what `lacking` has.
    fn inputs(
        &self,
        part: &Part,
        instead: &BTreeMap<String, Tensor64>,
        lacking: &BTreeMap<String, Tensor64>,
    ) -> Option<PartInputs> {
        let mut computed = BTreeSet::new();
        let mut taken = |name: &String| {
            let own = match instead.contains_key(name) {
                true => None,
                false => self.tensors.tensor(name).map(|own| Tensor64::clone(&own)),
            };
            let tensor = own.or_else(|| {
                computed.insert(name.clone());
                instead.get(name).or_else(|| lacking.get(name)).cloned()
            });
            Some((name.clone(), tensor?))
        };
        let tensors: BTreeMap<String, Tensor64> =
            part.inputs.iter().map(&mut taken).collect::<Option<_>>()?;
        Some(PartInputs { tensors, computed, along: self.tensors.within(part) })
    }

    /// How far nudged runs of a part are from the exact one, on `inputs`; `nudged` holds what those of the parts before it gave,
    /// for parts that are joined.
    fn floors(
        &self,
        part: &Part,
        inputs: &PartInputs,
        nudged: &mut [BTreeMap<String, Tensor64>],
        outputs: &[(String, Tensor64)],
    ) -> Result<BTreeMap<String, NoiseFloor>, Failure> {
        let bit_exact =
            inputs.tensors.keys().chain(inputs.along.keys()).all(|name| self.rounded_to(name).is_none());
        let runs = nudged_runs(self.model.rounding(), is_large(outputs), bit_exact);
        // Of large parts fewer runs were done: what is joined to one has no more.
        let has_all =
            |given: &BTreeMap<String, Tensor64>| inputs.computed.iter().all(|name| given.contains_key(name));
        let any_has_all = nudged.iter().any(has_all);
        let found: Vec<(f64, BTreeMap<String, NoiseFloor>)> = nudged
            .par_iter_mut()
            .enumerate()
            .skip(runs.start)
            .take(runs.len())
            .with_min_len(if is_large(outputs) { usize::MAX } else { 1 })
            .filter(|(_, given)| !any_has_all || has_all(given))
            .map(|(number, given)| {
                let (times, share) = nudge_of(number);
                let joined = (!inputs.computed.is_empty()).then(|| inputs.with(given));
                let nudge = Some((number as u64 + 1, times));
                let run = self.run(part, joined.as_ref().unwrap_or(inputs), &[], nudge);
                let run = run.map_err(Failure::unreadable)?;
                let off = |(name, exact): &(String, Tensor64)| {
                    Some((name.clone(), distance(named(&run, name)?, exact)?))
                };
                let errors = outputs.iter().filter_map(off).collect();
                given.extend(run.into_iter().filter(|(name, _)| part.outputs.contains(name)));
                Ok((share, errors))
            })
            .collect::<Result<_, Failure>>()?;
        let floor = |(name, exact): &(String, Tensor64)| {
            let errors: Vec<(f64, NoiseFloor)> =
                found.iter().filter_map(|(share, errors)| Some((*share, *errors.get(name)?))).collect();
            let least = floor_of_storage(exact, self.rounded_to(name));
            (!errors.is_empty()).then(|| (name.clone(), floor_of(&errors, &least)))
        };
        Ok(outputs.iter().filter_map(floor).collect())
    }
}
