//! Parts that were computed.

use std::collections::{BTreeMap, BTreeSet};

use encoder::Part;
use encoder::reference::Tensor64;
use harness::limits::tolerance::NoiseFloor;

use super::floors::is_large;
use super::parts::CandidateTensors;

/// What a part is computed from.
#[derive(Clone)]
pub(super) struct PartInputs {
    /// What it takes, by name.
    pub(super) tensors: BTreeMap<String, Tensor64>,
    /// Those that were computed: the candidate has none, or one that it did not go on with. The others are the candidate's own.
    pub(super) computed: BTreeSet<String>,
    /// The candidate's own outputs that the later ones are computed from.
    pub(super) along: BTreeMap<String, Tensor64>,
}

impl PartInputs {
    /// The same without the candidate's own outputs.
    pub(super) fn alone(&self) -> PartInputs {
        PartInputs { tensors: self.tensors.clone(), computed: self.computed.clone(), along: BTreeMap::new() }
    }

    /// The same with other tensors in the place of those that were computed.
    pub(super) fn with(&self, others: &BTreeMap<String, Tensor64>) -> PartInputs {
        let other = |name: &String| others.get(name).filter(|_| self.computed.contains(name));
        let tensor = |(name, own): (&String, &Tensor64)| (name.clone(), other(name).unwrap_or(own).clone());
        let tensors = self.tensors.iter().map(tensor).collect();
        PartInputs { tensors, computed: self.computed.clone(), along: self.along.clone() }
    }
}

/// A part that was computed.
pub(super) struct ComputedPart {
    pub(super) part: Part,
    pub(super) inputs: PartInputs,
    /// What it gives, by name, in the order of execution.
    pub(super) outputs: Vec<(String, Tensor64)>,
    /// How far what f32 sums lose can move each output.
    pub(super) floors: BTreeMap<String, NoiseFloor>,
    /// Outputs that a later one is right without, and those between: where they are off, the candidate did not go on with what it
    /// dumped.
    pub(super) dropped: Vec<String>,
}

impl ComputedPart {
    /// Of several runs of this part, how many are done before others are begun: a large part keeps all threads busy by itself, and
    /// several would not fit in memory.
    pub(super) fn runs_in_turn(&self) -> usize {
        if is_large(&self.outputs) { usize::MAX } else { 1 }
    }
}

/// What is kept of a part that was computed: the rest is computed again where it is asked for.
pub(super) struct JudgedPart {
    pub(super) part: Part,
    /// Inputs that were computed.
    pub(super) given: BTreeMap<String, Tensor64>,
    /// Outputs that the candidate did not go on with.
    pub(super) dropped: Vec<String>,
    pub(super) floors: BTreeMap<String, NoiseFloor>,
    /// Outputs of the candidate that are outside their floors.
    pub(super) off: Vec<String>,
}

/// All parts.
pub(super) struct ComputedParts {
    pub(super) parts: Vec<JudgedPart>,
}

impl JudgedPart {
    /// Inputs that the candidate has, and did not go on with.
    pub(super) fn inputs_not_taken<'a>(
        &'a self,
        tensors: &'a CandidateTensors<'_>,
    ) -> impl Iterator<Item = &'a String> {
        // One that cannot be read says nothing by itself, but where the part is right without it.
        let shows = self.part.outputs.iter().any(|name| tensors.has(name) && !self.off.contains(name));
        self.given
            .keys()
            .filter(move |name| tensors.has(name) || (shows && tensors.own_names.contains_key(*name)))
    }
}

impl ComputedParts {
    /// The floors by the reference's names.
    pub(super) fn floors(&self, tensors: &CandidateTensors<'_>) -> BTreeMap<String, NoiseFloor> {
        let floors = self.parts.iter().flat_map(|part| &part.floors);
        let named = |(name, floor): (&String, &NoiseFloor)| {
            tensors.references_of(name).map(|reference| (reference.clone(), *floor)).collect::<Vec<_>>()
        };
        floors.flat_map(named).collect()
    }

    /// Parts the end of which the candidate lacks, and which are followed by one whose end it has: their error shows there.
    pub(super) fn joined(&self, tensors: &CandidateTensors<'_>) -> Vec<String> {
        let has_end = |part: &JudgedPart| tensors.has_end(&part.part);
        let until = self.parts.iter().rposition(has_end).unwrap_or(0);
        let joined = self.parts[..until].iter().filter(|part| !has_end(part));
        joined.map(|part| part.part.name.clone()).collect()
    }

    /// How many were judged: all up to the last one whose end the candidate has.
    pub(super) fn judged(&self, tensors: &CandidateTensors<'_>) -> usize {
        let has_end = |part: &JudgedPart| tensors.has_end(&part.part);
        self.parts.iter().rposition(has_end).map_or(0, |last| last + 1)
    }

    /// Whether the candidate dumped something else under that name than it went on with, for a later part comes out right
    /// without it.
    pub(super) fn is_not_taken(&self, name: &String, tensors: &CandidateTensors<'_>) -> bool {
        self.parts.iter().any(|part| part.inputs_not_taken(tensors).any(|input| input == name))
    }
}
