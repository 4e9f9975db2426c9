//! Why a comparison failed: what is tried on the values and names of a dump, and told only where it holds.
//!
//! Everything here is bounded: only what failed is looked at, in the order of execution, on samples first, and never on more
//! elements than [`MAX_ELEMENTS`].

mod held;
mod input;
mod names;
mod narrow;
mod profile;
mod readings;
mod types;
mod values;

use crate::compare::comparison::Comparison;
use crate::compare::terms::Terms;
use crate::exit_code;
use crate::provenance::Dump;

/// Elements that are held of each side at the most, over all layers: 256 MiB of f32.
const MAX_ELEMENTS: usize = 1 << 26;

/// Looks for what explains the findings of a comparison of a dump, and puts it into the comparison.
pub fn explain(terms: &Terms<'_>, candidate: &Dump, comparison: &mut Comparison) {
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
        let isolated = values::isolated(comparison, &found);
        found.extend(isolated);
    }
    let nothing_found = !found.iter().any(|found| found.kind.is_final());
    comparison.explanations.extend(found);
    if nothing_found && comparison.exit_code() == exit_code::NUMBERS {
        comparison.remarks.extend(profile::remark(terms, comparison));
    }
}
