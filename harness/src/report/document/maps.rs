//! Both sides of a layer as maps. They are for pages and not part of the JSON: numbers are little-endian in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::layer::{DocumentWorst, worst};
use crate::compare::maps::{ChannelMap, Histogram, LayerMaps};
use crate::side::PerSide;

/// Both sides of a layer as maps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DocumentMaps {
    comparison: usize,
    layer: String,
    axes: Vec<DocumentAxis>,
    layouts: DocumentLayouts,
    /// Which of the axes rows are.
    row: usize,
    column: usize,
    cells: [usize; 2],
    /// f32: Σ d² of each channel.
    errors: String,
    channels: Vec<DocumentChannel>,
    histogram: DocumentHistogram,
    worst: Vec<DocumentWorst>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct DocumentAxis {
    name: String,
    extent: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct DocumentLayouts {
    candidate: Vec<Vec<String>>,
    reference: Vec<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct DocumentChannel {
    channel: usize,
    /// f32, as are the next two.
    candidate: String,
    reference: String,
    difference: String,
    /// u32: the element that each cell shows, where not every element has one.
    #[serde(skip_serializing_if = "String::is_empty")]
    elements: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct DocumentHistogram {
    counts: Vec<u64>,
    /// The largest finite |d|, at which the bars end.
    most: f64,
    others: u64,
}

pub(super) fn maps(comparison: usize, of: &LayerMaps) -> DocumentMaps {
    let PerSide { candidate, reference } = of.layouts.clone();
    let axes = of.axes.iter().map(|axis| DocumentAxis { name: axis.name.clone(), extent: axis.extent });
    let errors: Vec<f32> = of.errors.iter().map(|error| *error as f32).collect();
    let Histogram { counts, most, others } = of.histogram.clone();
    DocumentMaps {
        comparison,
        layer: of.layer.clone(),
        axes: axes.collect(),
        layouts: DocumentLayouts { candidate, reference },
        row: of.row_axis,
        column: of.column_axis,
        cells: [of.cells.0, of.cells.1],
        errors: floats(&errors),
        channels: of.channels.iter().map(channel).collect(),
        histogram: DocumentHistogram { counts, most, others },
        worst: of.worst.iter().map(worst).collect(),
    }
}

fn channel(map: &ChannelMap) -> DocumentChannel {
    let elements: Vec<u8> = map.elements.iter().flat_map(|element| element.to_le_bytes()).collect();
    DocumentChannel {
        channel: map.channel,
        candidate: floats(&map.candidate),
        reference: floats(&map.reference),
        difference: floats(&map.difference),
        elements: STANDARD.encode(elements),
    }
}

fn floats(values: &[f32]) -> String {
    STANDARD.encode(values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
}
