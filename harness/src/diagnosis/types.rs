//! Integers of two bytes that are the bits of another type.

use crate::compare::comparison::{Comparison, Layer, Outcome, Unreadable};
use crate::compare::explanation::{Explanation, ExplanationKind};
use crate::compare::terms::Terms;
use crate::provenance::Dump;
use crate::side::Side;
use crate::store::{self, ReadAs, TensorProblem};
use crate::tensor::{Dtype, Tensor};

/// Layers that the types are tried on.
const MAX_LAYERS: usize = 16;
/// ‖d‖ / ‖b‖ up to which integers are taken for what they are read as: far less than what another type makes of them.
const PLAUSIBLE: f64 = 0.1;

/// The type whose bits a candidate's integers of two bytes are.
pub(super) fn explain(terms: &Terms<'_>, dump: &Dump, comparison: &Comparison) -> Option<Explanation> {
    let integers = |layer: &&Layer| match &layer.outcome {
        Outcome::Unreadable { side: Side::Candidate, cause: Unreadable::Store(error) } => {
            matches!(error.problem, TensorProblem::Dtype { two_byte_integers: true, .. })
        }
        _ => false,
    };
    let layers: Vec<&Layer> = comparison.layers.iter().filter(integers).collect();
    if layers.is_empty() {
        return None;
    }
    let format = &terms.mapping.candidate;
    let explained = |dtype: Dtype| {
        let read_as = ReadAs { two_byte_integers: Some(dtype), ..format.read_as };
        let store = store::open(dump.store().location(), &format.naming, read_as).ok()?;
        let holds = |layer: &&&Layer| {
            let read = || -> Option<f64> {
                let pair = terms.pair_of(layer)?;
                let candidate = store.open(dump.key(&layer.name)).ok()?.read().ok()?;
                let reference: Tensor = terms.reference.dump().read(&layer.reference).ok()?;
                terms.compare(&pair, candidate, &reference).ok()?.metrics.rel_l2
            };
            read().is_some_and(|distance| distance < PLAUSIBLE)
        };
        let tried = layers.len().min(MAX_LAYERS);
        let fitting = layers.iter().take(tried).filter(holds).map(|layer| layer.pair_name().to_string());
        let explains: Vec<String> = fitting.collect();
        let kind = ExplanationKind::IntegersOf { dtype };
        (2 * explains.len() > tried).then_some(Explanation { kind, explains, tried, ties: Vec::new() })
    };
    [Dtype::Bf16, Dtype::F16].into_iter().find_map(explained)
}
