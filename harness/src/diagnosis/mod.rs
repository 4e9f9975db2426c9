//! Why a comparison failed: what is tried on the values and names of a dump, and told only where it holds.
//!
//! Everything here is bounded: only what failed is looked at, in the order of execution, on samples first, and never on more
//! elements than [`MAX_ELEMENTS`].

mod aligned;
mod background;
mod beginnings;
mod border;
mod changed_values;
mod energies;
mod error_place;
mod held;
mod input;
mod names;
mod narrow;
mod permutation;
mod profile;
mod readings;
mod rounding;
mod scale;
mod shift;
mod stale;
mod types;
mod values;

pub use background::{Background, WeightVector, WeightsOfExtent};

use changed_values::FoundInValues;

use crate::compare::comparison::Comparison;
use crate::compare::explanation::{Explanation, ExplanationKind};
use crate::compare::remark::{Remark, RemarkKind};
use crate::compare::terms::Terms;
use crate::exit_code;
use crate::provenance::Dump;

/// Elements that are held of each side at the most, over all layers: 256 MiB of f32.
const MAX_ELEMENTS: usize = 1 << 26;

/// Looks for what explains the findings of a comparison of a dump, and puts it into the comparison.
pub fn explain(
    terms: &Terms<'_>,
    candidate: &Dump,
    background: &Background<'_>,
    comparison: &mut Comparison,
) {
    if comparison.exit_code() == exit_code::NUMBERS {
        let remarks = narrow::remarks(terms, candidate, comparison);
        comparison.remarks.extend(remarks);
    }
    let mut found = names::explain(terms, candidate, comparison);
    found.extend(values::nothing_finite(comparison));
    found.extend(types::explain(terms, candidate, comparison));
    found.extend(input::explain(terms, candidate, comparison));
    // Where nothing is finite, or the input is another, there is nothing to find in what follows from it.
    let of_the_whole = found.iter().any(|found| found.kind.is_of_the_whole());
    if !of_the_whole {
        let mut held = held::failing(terms, candidate, comparison);
        found.extend(readings::explain(terms, &mut held, comparison));
        found.extend(values::explain(terms, candidate, &held, comparison));
        let of_values = changed_values::explain(terms, candidate, background, &held, comparison, &found);
        found.extend(of_values.explanations);
        comparison.error_shapes.extend(of_values.shapes);
        note_isolated(comparison, &mut found);
    }
    let nothing_found = !found.iter().any(|found| found.kind.is_final());
    comparison.explanations.extend(found);
    if nothing_found && comparison.exit_code() == exit_code::NUMBERS {
        comparison.remarks.extend(profile::remark(terms, comparison));
    }
}

/// Looks for what explains values alone, and for where the error is, of a comparison whose causes are found otherwise: what has
/// a cause already is not explained again.
pub fn explain_values(
    terms: &Terms<'_>,
    candidate: &Dump,
    background: &Background<'_>,
    comparison: &mut Comparison,
) {
    // That layers are stored in a narrow type is said where they are compared.
    let is_said = |remark: &Remark| matches!(remark.kind, RemarkKind::RoundedByStorage { .. });
    if !comparison.remarks.iter().any(is_said) {
        let remarks = narrow::remarks(terms, candidate, comparison);
        comparison.remarks.extend(remarks);
    }
    if !comparison.layers.iter().any(|layer| layer.exit_code() == exit_code::NUMBERS) {
        return;
    }
    let mut held = held::failing(terms, candidate, comparison);
    let mut found = readings::explain(terms, &mut held, comparison);
    found.extend(values::explain(terms, candidate, &held, comparison));
    let FoundInValues { explanations, shapes } =
        changed_values::explain(terms, candidate, background, &held, comparison, &found);
    comparison.explanations.extend(found);
    comparison.explanations.extend(explanations);
    comparison.error_shapes.extend(shapes);
    comparison.keep_one_cause_of_each();
}

/// Adds that every layer after the one that fails is within its limits: to what explains its values, where something does.
fn note_isolated(comparison: &Comparison, found: &mut Vec<Explanation>) {
    let Some(isolated) = values::isolated(comparison, found) else { return };
    let of_values = found.iter_mut().find_map(|known| match &mut known.kind {
        ExplanationKind::Values { isolated: noted, .. } if known.explains == isolated.explains => Some(noted),
        _ => None,
    });
    match of_values {
        Some(noted) => *noted = true,
        None => found.push(isolated),
    }
}
