//! The model's input as layer 0: what differs there differs everywhere after it.

use super::comparison::{Layer, Outcome};
use super::pair_comparison::{Failed, PairFacts};
use super::session::outcome;
use super::terms::{KnownInput, Terms};
use crate::limits::tolerance::{Limits, Tolerance};
use crate::mapping::pairing::Pairing;
use crate::provenance::Dump;
use crate::side::Side;
use crate::tensor::fit::DeclaredLayouts;

/// What the report calls the rule of the input.
const RULE: &str = "input";
/// Half a level of a picture of 8 bits: what a picture's own rounding may change.
pub(crate) const HALF_A_LEVEL: f64 = 0.5 / 255.0;

impl Terms<'_> {
    /// The tensors of the candidate that hold its input, each held against the reference's; none where that is not known.
    pub(super) fn input_layers(&self, pairing: &Pairing, candidate: &Dump) -> Vec<Layer> {
        let Some((from, to)) = &self.mapping.input.layouts else { return Vec::new() };
        let declared = DeclaredLayouts { candidate: from, memory: None, reference: to };
        let of_reference = pairing.inputs.iter().find(|(side, _)| *side == Side::Reference);
        let Some(reference) = self.reference_input(of_reference.map(|(_, name)| name.as_str())) else {
            return Vec::new();
        };
        // Of a text log no whole tensor is known.
        let whole = |name: &String| candidate.printed(name).is_none();
        let ours = pairing.inputs.iter().filter(|(side, name)| *side == Side::Candidate && whole(name));
        ours.enumerate()
            .map(|(order, (_, ours))| Layer {
                name: ours.clone(),
                reference: reference.name.clone(),
                rule: RULE.to_string(),
                stands_for: None,
                alias_reason: None,
                is_input: true,
                order,
                outcome: compared(candidate, ours, &reference, declared),
            })
            .collect()
    }

    /// The reference's input: the one that is known, else its tensor of that name.
    pub(crate) fn reference_input(&self, named: Option<&str>) -> Option<KnownInput> {
        if let Some(known) = self.input {
            return Some(known.clone());
        }
        let name = named?;
        Some(KnownInput { name: name.to_string(), tensor: self.reference.dump().read(name).ok()? })
    }
}

/// Equal but for a picture's own rounding.
fn compared(dump: &Dump, name: &str, reference: &KnownInput, declared: DeclaredLayouts<'_>) -> Outcome {
    let limits = Limits { max_abs: Some(HALF_A_LEVEL), ..Limits::default() };
    let resolved = Tolerance { rule: limits, ..Tolerance::default() }.resolve(None);
    let read = |error| Failed::Read(Side::Candidate, error);
    outcome(dump.read(name).map_err(read).and_then(|tensor| {
        let facts = PairFacts::of(declared, &tensor, &reference.tensor).map_err(Failed::Shape)?;
        facts.compared(tensor, &reference.tensor, declared, &resolved).map_err(Failed::Shape)
    }))
}
