//! The summary of a run: its worst layer, its first failing one, known errors that changed, counts and verdict.

use owo_colors::Style;

use super::comparison::{basis, short_title};
use super::{Detail, Report};
use crate::compare::comparison::{Comparison, Layer, Run};
use crate::exit_code;
use crate::limits::known_errors::{Change, Trend};
use crate::report::figures::share;
use crate::report::words;

/// Layers that are named with what became of them since their errors became known.
const NAMED: usize = 10;

impl Report {
    /// Known errors and new ones of layers; those that are worse first.
    fn trends(&mut self, run: &Run) {
        let layers = || run.comparisons.iter().flat_map(|c| c.layers.iter().map(move |layer| (c, layer)));
        let trend = |layer: &Layer| layer.compared().and_then(|compared| compared.trend);
        let changed = |worse: bool| {
            layers().filter_map(move |(comparison, layer)| match trend(layer)? {
                Trend::Worse(change) if worse => Some((comparison, layer, change)),
                Trend::Better(change) if !worse => Some((comparison, layer, change)),
                _ => None,
            })
        };
        for (worse, word) in [(true, "worse"), (false, "better")] {
            let count = changed(worse).count();
            if count == 0 {
                continue;
            }
            self.line(format!("{word} than their known errors: {count} layers, old -> new"));
            for (comparison, layer, Change { metric, old, new, .. }) in changed(worse).take(NAMED) {
                let figures = format!("{metric} {old:.3e} -> {new:.3e}");
                self.wrapped(2, &format!("{figures} {}", place(comparison, layer, run.comparisons.len())));
            }
            if count > NAMED {
                self.line(format!("  and {} more", count - NAMED));
            }
        }
    }

    /// What several comparisons have in common, which those in a line do not say.
    fn terms(&mut self, run: &Run) {
        let Some(first) = run.comparisons.iter().find(|comparison| comparison.obstacle.is_none()) else {
            return;
        };
        if !(self.options.several && self.shows(Detail::Normal)) {
            return;
        }
        let bases = run.comparisons.iter().map(Comparison::bases);
        let bases = bases.fold((false, false), |all, one| (all.0 | one.0, all.1 | one.1));
        let (candidate, profile) = (&first.candidate.title, &first.profile);
        self.wrapped(0, &format!("{candidate}, profile {profile}: {}", basis(bases)));
    }

    pub(super) fn summary(&mut self, run: &Run) {
        let (total, code) = (run.summary(), run.exit_code());
        let comparisons = run.comparisons.len();
        self.terms(run);
        if let Some((comparison, layer)) = run.worst() {
            let place = place(comparison, layer, comparisons);
            let used = match layer.used() {
                used if used.is_infinite() => "beyond any limit".to_string(),
                used => format!("{} of its limit", share(used)),
            };
            self.wrapped(0, &format!("worst layer: {place}, {used}"));
        }
        if let Some((at, layer)) = run.first_failure() {
            let comparison = &run.comparisons[at];
            self.wrapped(0, &format!("first failing layer: {}", place(comparison, layer, comparisons)));
        }
        self.trends(run);
        let verdict = match code {
            exit_code::PASSED => self.paint("PASS", Style::new().green().bold()),
            _ => self.bad("FAIL"),
        };
        let verdict_line = format!("{verdict}  {}", words::verdict(&total, code));
        self.wrapped(0, &verdict_line);
    }
}

fn place(comparison: &Comparison, layer: &Layer, comparisons: usize) -> String {
    match comparisons {
        1 => layer.pair_name().to_string(),
        _ => format!("{} ({})", layer.pair_name(), short_title(comparison)),
    }
}
