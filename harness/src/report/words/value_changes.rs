//! Sentences about values that are the reference's after a change.

use super::count;
use super::error_shapes::axis_noun;
use crate::compare::value_change::{EqualWeight, Filling, IndexOrder, MapEdge, ValueChange, WeightRelation};

/// A factor that is nothing.
const LOST: f64 = 1e-5;

/// What explains the values of layers.
pub(super) fn value_change(
    change: &ValueChange,
    first: &str,
    before: f64,
    after: f64,
    isolated: bool,
) -> String {
    let sentence = of_change(change, first);
    let residual = match change {
        ValueChange::Stale { .. } => String::new(),
        ValueChange::Border { .. } => {
            format!(": what is within is off by {after:.1e}, the whole by {before:.1e}")
        }
        _ => format!(": off by {after:.1e} so, by {before:.1e} as it is"),
    };
    let isolated = match isolated {
        true => "; every layer after it is within its limits: its dump is wrong, it seems, and not the port",
        false => "",
    };
    format!("{sentence}{residual}{isolated}")
}

fn of_change(change: &ValueChange, first: &str) -> String {
    match change {
        ValueChange::Shifted { by, filled, ring } => {
            let by: Vec<String> = by.iter().map(|(axis, by)| format!("{by:+} along {axis}")).collect();
            let ring = match ring {
                0 => String::new(),
                n => format!(", all but its outer {}", count(*n, "pixel")),
            };
            let filled = match filled {
                Filling::Zeros => ", with zeros moved in",
                Filling::Repeated => ", with the edge repeated",
                Filling::Wrapped => ", with what is moved out coming in at the other end",
                Filling::Other => "",
            };
            format!("{first}: the reference moved by {}{ring}{filled}", by.join(" and "))
        }
        ValueChange::Border { edges } => {
            format!("{first}: only {} {}, as other padding has it", edge_names(edges), differ(edges))
        }
        ValueChange::Permuted { axis, extent, order } => {
            format!(
                "{first}: the reference with its {extent} indices of {axis} {}",
                index_order(order, *extent)
            )
        }
        ValueChange::Scaled { factor, shift } => {
            let factor = factor.map(|factor| format!(" times {}", number(factor)));
            let shift = shift.map(|shift| format!(" plus {}", number(shift)));
            format!(
                "{first}: the candidate is the reference{}{}",
                factor.unwrap_or_default(),
                shift.unwrap_or_default()
            )
        }
        ValueChange::ScaledByIndex { axis, extent, only, factors, shifts, weight } => {
            scaled_by_index(first, axis, *extent, only, *factors, *shifts, weight.as_ref())
        }
        ValueChange::RoundedTo { dtype } => {
            format!("{first}: the reference rounded to {dtype}, every value of it")
        }
        ValueChange::RoundedToSteps { axis: None } => {
            format!("{first}: the reference rounded to 256 steps, as integers of one byte have them")
        }
        ValueChange::RoundedToSteps { axis: Some(axis) } => format!(
            "{first}: the reference rounded to 256 steps for each index of {axis}, as integers of one byte have them"
        ),
        ValueChange::Stale { earlier, before } => format!(
            "{first}: bit by bit what {} has, though {} before it {} there: it was not written anew",
            earlier.display(),
            count(*before, "layer"),
            if *before == 1 { "differs" } else { "differ" }
        ),
    }
}

fn scaled_by_index(
    first: &str,
    axis: &str,
    extent: usize,
    only: &[usize],
    factors: Option<(f64, f64)>,
    shifts: Option<(f64, f64)>,
    weight: Option<&EqualWeight>,
) -> String {
    let (what, bounds) = match (factors, shifts) {
        (Some(factors), None) => ("times a factor", bounds(factors)),
        (None, Some(shifts)) => ("plus a number", bounds(shifts)),
        (factors, shifts) => {
            let both = [factors, shifts].into_iter().flatten().map(bounds).collect::<Vec<_>>();
            ("times a factor and plus a number", both.join(" and "))
        }
    };
    if let ([one], Some((least, greatest)), None) = (only, factors, shifts) {
        let factor = if (least - 1.0).abs() > (greatest - 1.0).abs() { least } else { greatest };
        // What is left of one that is lost is noise.
        let factor = if factor.abs() < LOST { "0".to_string() } else { number(factor) };
        return format!(
            "{first}: the reference with index {one} of {axis} alone times {factor}, of {extent}"
        );
    }
    let place = match only {
        [] => format!("for each index of {axis}"),
        [one] => format!("at index {one} of {axis} alone, of {extent}"),
        some => {
            let some: Vec<String> = some.iter().map(ToString::to_string).collect();
            format!("at {} of {extent} indices of {axis} ({})", some.len(), some.join(", "))
        }
    };
    let weight = weight.map(|weight| equal_weight(weight, factors.is_some())).unwrap_or_default();
    format!("{first}: the reference {what} {place}, {bounds}{weight}")
}

fn bounds((least, greatest): (f64, f64)) -> String {
    format!("from {} to {}", number(least), number(greatest))
}

fn equal_weight(weight: &EqualWeight, factors: bool) -> String {
    let EqualWeight { name, relation, others } = weight;
    let formula = match (relation, factors) {
        (WeightRelation::Itself, true) => format!("{name}, as if it were applied once more"),
        (WeightRelation::Inverse, _) => format!("1 / {name}, as if it were left out"),
        (WeightRelation::OnePlus, _) => format!("1 + {name}, as if that were applied once more"),
        (WeightRelation::InverseOnePlus, _) => format!("1 / (1 + {name}), as if that were left out"),
        (WeightRelation::OnePlusForItself, _) => {
            format!("(1 + {name}) / {name}, as if 1 were added to the weight")
        }
        (WeightRelation::ItselfForOnePlus, _) => {
            format!("{name} / (1 + {name}), as if 1 were not added to the weight")
        }
        (WeightRelation::Itself, false) => format!("{name}, as if it were added once more"),
        (WeightRelation::Negative, _) => format!("-{name}, as if it were left out"),
    };
    let others = match others {
        0 => String::new(),
        n => format!(" ({} like it)", count(*n, "more weight")),
    };
    format!(", which is {formula}{others}")
}

fn index_order(order: &IndexOrder, extent: usize) -> String {
    match order {
        IndexOrder::Reversed => "in reverse".to_string(),
        IndexOrder::Rotated(by) if 2 * by == extent => "in exchanged halves".to_string(),
        IndexOrder::Rotated(by) => format!("rotated by {by}"),
        IndexOrder::Interleaved(outer, inner) => {
            format!("as [{inner}, {outer}] for [{outer}, {inner}]: interleaved otherwise")
        }
        IndexOrder::InGroups(size, order) => {
            format!("{}, in each {size} of them", index_order(order, *size))
        }
        IndexOrder::Exchanged(a, b) => format!("in order but for {a} and {b}, which are exchanged"),
        IndexOrder::Moved(moved) => format!("in another order, {moved} of them in other places"),
    }
}

fn edge_names(edges: &[MapEdge]) -> String {
    let name = |edge: &MapEdge| {
        let end = if edge.last { "last" } else { "first" };
        match edge.indices {
            1 => format!("the {end} {}", axis_noun(&edge.axis).0),
            n => format!("the {end} {n} {}", axis_noun(&edge.axis).1),
        }
    };
    let widths: Vec<usize> = edges.iter().map(|edge| edge.indices).collect();
    match (edges, widths.as_slice()) {
        ([_, _, _, _], [n, others @ ..]) if others.iter().all(|other| other == n) => {
            format!("the outer {}", count(*n, "pixel"))
        }
        _ => edges.iter().map(name).collect::<Vec<_>>().join(" and "),
    }
}

fn differ(edges: &[MapEdge]) -> &'static str {
    match edges {
        [MapEdge { indices: 1, .. }] => "differs",
        _ => "differ",
    }
}

/// A number in six digits.
fn number(x: f64) -> String {
    match x.abs() {
        0.0 | 1e-3..1e6 => format!("{x:.6}"),
        _ => format!("{x:.6e}"),
    }
}
