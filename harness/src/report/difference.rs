//! Two reports of one comparison: what got worse, what better, what is new and what is gone.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{DocumentLayer, ReportDocument, RunVerdict};
use super::figures::{figure, share};
use super::problems::suite;
use crate::limits::known_errors::ROUNDING;

/// A share of its limit that a layer changes by at least, as a factor, to be worse or better: less is rounding.
const FACTOR: f64 = 1.1;
/// Layers of a kind that are listed.
const LISTED: usize = 40;

/// What became of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LayerChange {
    /// It passed and does not, or its error grew.
    Worse,
    /// It is there in the second report alone, and does not pass.
    NewFailing,
    /// It is there in the first report alone.
    Gone,
    /// It is there in the second report alone, and passes.
    New,
    /// It did not pass and does, or its error shrank.
    Better,
}

impl LayerChange {
    /// Whether it makes the second report the worse one.
    pub fn is_worse(self) -> bool {
        matches!(self, LayerChange::Worse | LayerChange::NewFailing | LayerChange::Gone)
    }

    fn name(self) -> &'static str {
        match self {
            LayerChange::Worse => "worse",
            LayerChange::NewFailing => "new, failing",
            LayerChange::Gone => "gone",
            LayerChange::New => "new",
            LayerChange::Better => "better",
        }
    }
}

/// How two reports differ.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportDifference {
    /// Each layer that changed: the worst kinds first, then in the order of the reports.
    pub changes: Vec<ChangedLayer>,
    /// Layers that are as they were.
    pub same: usize,
    /// Whether the first report passed, and the second.
    pub passed: [bool; 2],
    /// What the second report says as a whole.
    pub verdict: String,
    /// Profiles of the two reports that are not the same: shares of limits say nothing about each other.
    pub profiles: Option<[String; 2]>,
}

/// A layer that changed.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangedLayer {
    /// What became of it.
    pub change: LayerChange,
    /// What its pair is called.
    pub name: String,
    /// The reference set.
    pub set: String,
    /// ‖d‖ / ‖b‖ before and after.
    pub rel_l2: [Option<f64>; 2],
    /// The share of its limit before and after.
    pub used: [Option<f64>; 2],
}

type LayerKey = (String, String, String);

fn by_key(document: &ReportDocument) -> BTreeMap<LayerKey, &DocumentLayer> {
    let key = |layer: &DocumentLayer| {
        let set = document.provenance.get(layer.comparison).map(suite).unwrap_or_default();
        (set, layer.pair_name().to_string(), layer.reference.clone())
    };
    document.layers.iter().map(|layer| (key(layer), layer)).collect()
}

/// How the second report differs from the first.
pub fn difference(before: &ReportDocument, after: &ReportDocument) -> ReportDifference {
    let (old, new) = (by_key(before), by_key(after));
    let mut found: Vec<(usize, ChangedLayer)> = Vec::new();
    let mut same = 0;
    let mut add = |order, change, key: &LayerKey, a: Option<&DocumentLayer>, b: Option<&DocumentLayer>| {
        let both = |of: fn(&DocumentLayer) -> Option<f64>| [a.and_then(of), b.and_then(of)];
        let (set, name, _) = key.clone();
        let (rel_l2, used) = (both(|layer| layer.rel_l2), both(|layer| layer.used));
        found.push((order, ChangedLayer { change, name, set, rel_l2, used }));
    };
    for (key, layer) in &old {
        match new.get(key) {
            None => add(layer.order, LayerChange::Gone, key, Some(layer), None),
            Some(now) => match changed(layer, now) {
                None => same += 1,
                Some(change) => add(now.order, change, key, Some(layer), Some(now)),
            },
        }
    }
    for (key, layer) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
        let change = if layer.passed() { LayerChange::New } else { LayerChange::NewFailing };
        add(layer.order, change, key, None, Some(layer));
    }
    found.sort_by(|(a, one), (b, other)| (one.change, &one.set, a).cmp(&(other.change, &other.set, b)));
    let changes = found.into_iter().map(|(_, changed)| changed).collect();
    let passed = [before, after].map(|document| document.summary.verdict == RunVerdict::Pass);
    let profiles = [before, after].map(profiles);
    let profiles = (profiles[0] != profiles[1]).then_some(profiles);
    ReportDifference { changes, same, passed, verdict: after.summary.text.clone(), profiles }
}

/// The profiles of a report's comparisons, each once.
fn profiles(document: &ReportDocument) -> String {
    let all: BTreeSet<&str> = document.provenance.iter().map(|of| of.profile.as_str()).collect();
    all.into_iter().collect::<Vec<_>>().join(", ")
}

/// By the verdict, and else by the share of the limit that is used up.
fn changed(before: &DocumentLayer, after: &DocumentLayer) -> Option<LayerChange> {
    match (before.passed(), after.passed()) {
        (true, false) => return Some(LayerChange::Worse),
        (false, true) => return Some(LayerChange::Better),
        _ => {}
    }
    let is_rounding = |layer: &DocumentLayer| layer.rel_l2.is_some_and(|error| error <= ROUNDING);
    match (before.used, after.used) {
        (Some(_), Some(_)) if is_rounding(before) && is_rounding(after) => None,
        (Some(a), Some(b)) if b > a * FACTOR => Some(LayerChange::Worse),
        (Some(a), Some(b)) if b * FACTOR < a => Some(LayerChange::Better),
        (Some(_), None) => Some(LayerChange::Worse),
        (None, Some(_)) => Some(LayerChange::Better),
        _ => None,
    }
}

impl ReportDifference {
    /// Whether the second report is the worse one.
    pub fn is_worse(&self) -> bool {
        self.passed == [true, false] || self.changes.iter().any(|changed| changed.change.is_worse())
    }

    /// The difference as lines for a terminal.
    pub fn render(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        if self.passed[0] != self.passed[1] {
            let [before, after] = self.passed.map(|passed| if passed { "PASS" } else { "FAIL" });
            lines.push(format!("verdict: {before} -> {after}: {}", self.verdict));
        }
        if let Some([before, after]) = &self.profiles {
            lines.push(format!(
                "profile: {before} -> {after}: shares of limits cannot be compared, rel_l2 can"
            ));
        }
        for of in self.changes.chunk_by(|a, b| a.change == b.change) {
            let kind = of.first().map(|changed| changed.change.name()).unwrap_or_default();
            lines.push(format!("{kind}: {}", of.len()));
            for ChangedLayer { name, set, rel_l2, used, .. } in of.iter().take(LISTED) {
                let [a, b] = rel_l2.map(figure);
                let [from, to] = used.map(|used| used.map_or("-".to_string(), share));
                lines.push(format!("  {name:38} rel_l2 {a:>8} -> {b:>8}  {from:>6} -> {to:>6}  {set}"));
            }
            if of.len() > LISTED {
                lines.push(format!("  and {} more", of.len() - LISTED));
            }
        }
        lines.push(format!("the same: {}", self.same));
        lines.join("\n") + "\n"
    }
}
