//! What changes of values are, beside their sentences.

use serde_json::{Value, json};

use crate::compare::value_change::{EqualWeight, Filling, IndexOrder, ValueChange, WeightRelation};

/// A change of values as data.
pub(super) fn value_change(change: &ValueChange) -> Value {
    match change {
        ValueChange::Shifted { by, filled, ring } => {
            let by: Vec<Value> = by.iter().map(|(axis, by)| json!({"axis": axis, "by": by})).collect();
            let filled = match filled {
                Filling::Zeros => "zeros",
                Filling::Repeated => "repeated",
                Filling::Wrapped => "wrapped",
                Filling::Other => "other",
            };
            json!({"of": "shifted", "by": by, "filled": filled, "ring": ring})
        }
        ValueChange::Border { edges } => {
            let edges: Vec<Value> = edges
                .iter()
                .map(|edge| json!({"axis": edge.axis, "last": edge.last, "indices": edge.indices}))
                .collect();
            json!({"of": "border", "edges": edges})
        }
        ValueChange::Permuted { axis, extent, order } => {
            json!({"of": "permuted", "axis": axis, "extent": extent, "order": index_order(order)})
        }
        ValueChange::Scaled { factor, shift } => {
            json!({"of": "scaled", "factor": factor, "shift": shift})
        }
        ValueChange::ScaledByIndex { axis, extent, only, factors, shifts, weight } => {
            let bounds = |(least, greatest): &(f64, f64)| json!({"least": least, "greatest": greatest});
            json!({
                "of": "scaled_by_index", "axis": axis, "extent": extent, "only": only,
                "factors": factors.as_ref().map(bounds), "shifts": shifts.as_ref().map(bounds),
                "weight": weight.as_ref().map(equal_weight),
            })
        }
        ValueChange::RoundedTo { dtype } => json!({"of": "rounded_to", "dtype": dtype.to_string()}),
        ValueChange::RoundedToSteps { axis } => json!({"of": "rounded_to_steps", "axis": axis}),
        ValueChange::Stale { earlier, before } => {
            json!({"of": "stale", "earlier": earlier.display().to_string(), "before": before})
        }
    }
}

fn index_order(order: &IndexOrder) -> Value {
    match order {
        IndexOrder::Reversed => json!({"kind": "reversed"}),
        IndexOrder::Rotated(by) => json!({"kind": "rotated", "by": by}),
        IndexOrder::Interleaved(outer, inner) => {
            json!({"kind": "interleaved", "outer": outer, "inner": inner})
        }
        IndexOrder::InGroups(size, order) => {
            json!({"kind": "in_groups", "size": size, "order": index_order(order)})
        }
        IndexOrder::Exchanged(a, b) => json!({"kind": "exchanged", "indices": [a, b]}),
        IndexOrder::Moved(moved) => json!({"kind": "moved", "indices": moved}),
    }
}

fn equal_weight(weight: &EqualWeight) -> Value {
    let relation = match weight.relation {
        WeightRelation::Itself => "w",
        WeightRelation::Inverse => "1/w",
        WeightRelation::OnePlus => "1+w",
        WeightRelation::InverseOnePlus => "1/(1+w)",
        WeightRelation::OnePlusForItself => "(1+w)/w",
        WeightRelation::ItselfForOnePlus => "w/(1+w)",
        WeightRelation::Negative => "-w",
    };
    json!({"name": weight.name, "relation": relation, "others": weight.others})
}
