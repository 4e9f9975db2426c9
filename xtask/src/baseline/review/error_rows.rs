//! Old and new errors of a layer side by side.

use std::collections::BTreeSet;

use harness::limits::known_errors::{Difference, KnownError, LayerErrors, Trend};
use harness::limits::metric::Metric;

/// What became of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorChange {
    /// The layer is new.
    NewLayer,
    /// The layer is gone.
    LayerGone,
    /// It is worse by more than is allowed, in this metric most.
    Worse(Metric),
    /// It is better by more than is allowed, in this metric most.
    Better(Metric),
    /// It is about what it was.
    Same,
    /// It was not measured again.
    Lost,
    /// It was not known under these conditions.
    NewlyMeasured,
}

/// The errors of a layer under the same conditions, accepted and measured.
pub(super) struct ErrorRow {
    pub(super) conditions: String,
    pub(super) old: Option<KnownError>,
    pub(super) new: Option<KnownError>,
    pub(super) change: ErrorChange,
}

impl ErrorChange {
    /// In a word.
    pub(super) fn word(self) -> String {
        match self {
            ErrorChange::NewLayer => "new".to_string(),
            ErrorChange::LayerGone => "GONE".to_string(),
            ErrorChange::Worse(metric) => format!("WORSE {metric}"),
            ErrorChange::Better(metric) => format!("better {metric}"),
            ErrorChange::Same => String::new(),
            ErrorChange::Lost => "LOST".to_string(),
            ErrorChange::NewlyMeasured => "newly measured".to_string(),
        }
    }
}

/// All conditions under which a layer's errors differ.
pub(super) fn error_rows(difference: &Difference) -> Vec<ErrorRow> {
    let errors = |layer: &Option<LayerErrors>, conditions: &str| {
        layer.as_ref().and_then(|layer| layer.errors.get(conditions)).cloned()
    };
    let layers = [&difference.old, &difference.new];
    let conditions: BTreeSet<&String> = layers.into_iter().flatten().flat_map(|l| l.errors.keys()).collect();
    let rows = conditions.into_iter().filter_map(|conditions| {
        let (old, new) = (errors(&difference.old, conditions), errors(&difference.new, conditions));
        if old.as_ref().map(KnownError::figures) == new.as_ref().map(KnownError::figures) {
            return None;
        }
        let change = match (&difference.old, &difference.new, &old, &new) {
            (None, ..) => ErrorChange::NewLayer,
            (_, None, ..) => ErrorChange::LayerGone,
            (Some(layer), _, Some(_), Some(new)) => match layer.trend(new.figures(), conditions) {
                Trend::Worse(change) => ErrorChange::Worse(change.metric),
                Trend::Better(change) => ErrorChange::Better(change.metric),
                Trend::Same => ErrorChange::Same,
            },
            (.., Some(_), None) => ErrorChange::Lost,
            _ => ErrorChange::NewlyMeasured,
        };
        Some(ErrorRow { conditions: conditions.clone(), old, new, change })
    });
    rows.collect()
}

/// A figure before and after, with `-` for one that is not known.
pub(super) fn old_and_new(row: &ErrorRow, of: fn(&KnownError) -> f64) -> [String; 2] {
    [&row.old, &row.new]
        .map(|error| error.as_ref().map_or("-".to_string(), |error| format!("{:.2e}", of(error))))
}

/// What the columns of [`lines`] are.
pub(super) fn heading() -> String {
    line("old -> new", "rel_l2", "rel_linf", "")
}

/// The rows of a layer, for a terminal.
pub(super) fn lines(difference: &Difference) -> Vec<String> {
    let shown = |row: &ErrorRow| {
        let figure = |of: fn(&KnownError) -> f64| old_and_new(row, of).join(" -> ");
        line(
            &row.conditions,
            &figure(|error| error.rel_l2),
            &figure(|error| error.rel_linf),
            &row.change.word(),
        )
    };
    error_rows(difference).iter().map(shown).collect()
}

fn line(conditions: &str, rel_l2: &str, rel_linf: &str, word: &str) -> String {
    format!("  {conditions:19} {rel_l2:>20} {rel_linf:>20}  {word}").trim_end().to_string()
}
