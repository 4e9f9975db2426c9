//! Node data for Model Explorer, which colours the graph of a model: the share of its limit that each tensor uses up, by the
//! reference's names.

use std::collections::BTreeMap;

use serde::Serialize;

use super::document::{DocumentLayer, LayerVerdict, ReportDocument};
use super::problems::suite;

/// Shares of a limit up to which a node has a colour.
const COLOURS: [(f64, &str); 3] = [(0.5, "#8fd3a1"), (1.0, "#eebc4f"), (f64::MAX, "#e5606a")];

#[derive(Serialize)]
struct GraphNodes {
    results: BTreeMap<String, NodeResult>,
    thresholds: [NodeThreshold; 3],
}

#[derive(Serialize)]
struct NodeResult {
    value: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeThreshold {
    value: f64,
    bg_color: &'static str,
}

/// The report as text: data of one graph, or of several by the names of their sets.
///
/// # Errors
/// When it cannot be written as JSON.
pub(super) fn render(document: &ReportDocument) -> Result<String, serde_json::Error> {
    let graph = |at: usize| GraphNodes {
        results: document.layers.iter().filter(|layer| layer.comparison == at).map(node).collect(),
        thresholds: COLOURS.map(|(value, bg_color)| NodeThreshold { value, bg_color }),
    };
    let text = match document.provenance.len() {
        0 | 1 => serde_json::to_string_pretty(&graph(0)),
        _ => {
            let sets = document.provenance.iter().map(|of| (suite(of), graph(of.comparison)));
            serde_json::to_string_pretty(&sets.collect::<BTreeMap<_, _>>())
        }
    };
    Ok(text? + "\n")
}

fn node(layer: &DocumentLayer) -> (String, NodeResult) {
    let value = layer.used.unwrap_or(match layer.verdict {
        LayerVerdict::Pass => 0.0,
        // Beyond any limit.
        _ => f64::MAX,
    });
    (layer.reference.clone(), NodeResult { value })
}
