//! Where the error of layers is.

use serde_json::{Value, json};

use crate::compare::error_shape::{AxisShares, ErrorPlace, ErrorShape, LayerPart};
use crate::report::words;

/// The shape of an error as data.
pub(super) fn error_shape(shape: &ErrorShape) -> Value {
    let axis = |AxisShares { axis, extent, largest }: &AxisShares| {
        let largest: Vec<Value> =
            largest.iter().map(|(index, share)| json!({"index": index, "share": share})).collect();
        json!({"axis": axis, "extent": extent, "largest": largest})
    };
    json!({
        "text": shape.place.as_ref().map(words::error_place),
        "place": shape.place.as_ref().map(error_place),
        "axes": shape.axes.iter().map(axis).collect::<Vec<_>>(),
        "rings": shape.rings,
        "phases": shape.phases,
        "groups": shape.groups,
        "map": shape.map.as_ref().map(|map| json!({"pixels": [map.pixels.0, map.pixels.1], "cells": map.cells})),
    })
}

fn error_place(place: &ErrorPlace) -> Value {
    let part = match &place.part {
        LayerPart::Elements { count, first } => json!({"of": "elements", "count": count, "first": first}),
        LayerPart::Indices { axis, extent, indices } => {
            json!({"of": "indices", "axis": axis, "extent": extent, "indices": indices})
        }
        LayerPart::EverySecond(phases) => {
            let phases: Vec<Value> =
                phases.iter().map(|(axis, phase)| json!({"axis": axis, "from": phase})).collect();
            json!({"of": "every_second", "axes": phases})
        }
        LayerPart::Edges { pixels, edges: [first_rows, last_rows, first_columns, last_columns] } => json!({
            "of": "edges", "pixels": pixels, "first_rows": first_rows, "last_rows": last_rows,
            "first_columns": first_columns, "last_columns": last_columns,
        }),
    };
    json!({"part": part, "share": place.share, "elements": place.elements})
}
