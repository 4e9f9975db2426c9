//! Layers: their table, a row each, and what is known about those that failed.

use owo_colors::Style;

use super::{Detail, Report};
use crate::compare::comparison::{Compared, Comparison, Layer, Outcome, Unreadable};
use crate::compare::explanation::ExplanationKind;
use crate::compare::value_change::ValueChange;
use crate::compare::verdict::Diagnosis;
use crate::exit_code;
use crate::limits::known_errors::Trend;
use crate::mapping::order::ExecutionOrder;
use crate::report::figures::{figure, share};
use crate::report::pattern::grouped;
use crate::report::words;

/// Columns of a layer's name; longer names get a line of their own.
const NAME: usize = 38;
/// Layers that pass and follow each other, before they are counted instead of shown.
const PASSING: usize = 3;
/// Layers that do not pass, before the others are counted instead of shown.
const FAILING: usize = 16;
/// The same where a line says why all of them do not pass.
const EXPLAINED: usize = 4;

impl Report {
    pub(super) fn table(&mut self, comparison: &Comparison) {
        let failing = comparison.failures().count();
        if comparison.layers.is_empty() || (failing == 0 && self.shows(Detail::Quiet)) {
            return;
        }
        if failing == 0 && self.shows(Detail::Normal) {
            self.input(comparison);
            self.all_passed(comparison);
            return;
        }
        let header = format!("  {:NAME$} {:>9} {:>9} {:>9}", "layer", "rel_l2", "max|d|", "of limit");
        let header = self.paint(&header, Style::new().dimmed());
        self.line(header);
        self.input(comparison);
        let passes = |layer: &Layer| layer.exit_code() == exit_code::PASSED;
        let most = if explained(comparison) >= failing { EXPLAINED } else { FAILING };
        let (mut shown, mut skipped) = (0, 0);
        for chunk in comparison.layers.chunk_by(|a, b| passes(a) == passes(b)) {
            match chunk.first().is_some_and(passes) {
                true => self.passing(chunk),
                false => {
                    for layer in chunk {
                        if shown < most || self.shows(Detail::Verbose) {
                            self.row(layer);
                            shown += 1;
                        } else {
                            skipped += 1;
                        }
                    }
                }
            }
        }
        if skipped > 0 {
            self.line(format!("  … {skipped} more that fail; --verbose shows them"));
        }
    }

    /// The input, where both sides are known to have had the same.
    fn input(&mut self, comparison: &Comparison) {
        if let Some(input) = comparison.input.as_ref().filter(|_| !self.shows(Detail::Quiet)) {
            let name = format!("input ({input})");
            let row = format!("  {name:NAME$} {:>29}  {}", "bit-identical", self.good("ok"));
            self.line(row);
        }
    }

    fn all_passed(&mut self, comparison: &Comparison) {
        let (layers, ok) = (comparison.layers.len(), self.good("ok"));
        let closest = comparison.worst().map_or(String::new(), |layer| {
            format!("; closest to its limit: {}, {}", layer.pair_name(), share(layer.used()))
        });
        self.wrapped(2, &format!("{layers} layers {ok}{closest}"));
    }

    /// Layers that pass and follow each other: all where they are few, else their number and the last of them.
    fn passing(&mut self, layers: &[Layer]) {
        let all = self.shows(Detail::Verbose) || (layers.len() <= PASSING && !self.shows(Detail::Quiet));
        match layers.split_last() {
            _ if all => layers.iter().for_each(|layer| self.row(layer)),
            Some((last, others)) if self.shows(Detail::Normal) => {
                let used = others.iter().map(Layer::used).fold(0.0, f64::max);
                let name = format!("… {} layers", others.len());
                let ok = self.good("ok");
                let row = format!("  {name:NAME$} {:>29}  {ok}", format!("at most {}", share(used)));
                self.line(row);
                self.row(last);
            }
            _ => {}
        }
    }

    fn row(&mut self, layer: &Layer) {
        let name = match &layer.stands_for {
            Some(stands_for) => format!("{stands_for} *"),
            None => layer.name.clone(),
        };
        let name = if name.chars().count() > NAME {
            self.line(format!("  {name}"));
            String::new()
        } else {
            name
        };
        let row = match &layer.outcome {
            Outcome::Compared(compared) => {
                let verdict = match (compared.judgement.passed, compared.trend) {
                    (false, _) => self.bad("FAIL"),
                    (true, Some(Trend::Worse(_))) => self.bad("WORSE"),
                    (true, Some(Trend::Better(_))) => self.good("better"),
                    (true, _) => self.good("ok"),
                };
                let metrics = &compared.metrics;
                let (rel_l2, max_abs) = (figure(metrics.rel_l2), figure(metrics.max_abs));
                let seen = compared.seen.map_or_else(String::new, words::seen);
                format!("  {name:NAME$} {rel_l2:>9} {max_abs:>9} {:>9}  {verdict}{seen}", share(layer.used()))
            }
            Outcome::ShapeMismatch(_) => {
                format!("  {name:NAME$} {:>29}  {}", "does not fit", self.bad("SHAPE"))
            }
            Outcome::Unreadable { side, .. } => {
                format!("  {name:NAME$} {:>29}  {}", format!("{side} unreadable"), self.bad("READ"))
            }
        };
        self.line(row);
        if self.shows(Detail::Verbose) {
            if let Some(stands_for) = &layer.stands_for {
                let reason = layer.alias_reason.as_ref().map(|reason| format!(": {reason}"));
                let reason = reason.unwrap_or_default();
                self.wrapped(4, &format!("* {} stands for {stands_for}{reason}", layer.name));
            }
            self.wrapped(4, &format!("{} (rule `{}`)", layer.reference, layer.rule));
            if let Some(errors) = layer.compared().and_then(|compared| compared.in_run.as_ref()) {
                self.wrapped(4, &words::run_errors(errors));
            }
        }
    }

    /// What the asterisk after a name says.
    pub(super) fn aliases(&mut self, comparison: &Comparison) {
        if !self.shows(Detail::Normal) || comparison.failures().next().is_none() {
            return;
        }
        let aliased = comparison.layers.iter().filter(|layer| layer.stands_for.is_some());
        let mut reasons: Vec<Option<&str>> = aliased.map(|layer| layer.alias_reason.as_deref()).collect();
        reasons.sort_unstable();
        reasons.dedup();
        for reason in reasons {
            let reason = reason.unwrap_or("another stands for it");
            self.wrapped(2, &format!("* no tensor of its own: {reason}"));
        }
    }

    /// What is known about the first layer that failed, and about those that could not be compared.
    pub(super) fn details(&mut self, comparison: &Comparison) {
        if let (ExecutionOrder::Unknown(unknown), Some(_)) = (&comparison.order, comparison.failures().next())
        {
            let head = self.strong("which layer comes first is not known");
            self.wrapped(2, &format!("{head}: {}", words::unknown_order(unknown)));
        }
        if let Some(layer) = comparison.first_failure()
            && let Outcome::Compared(compared) = &layer.outcome
        {
            self.failed(comparison, layer, compared);
        }
        self.other_error_shapes(comparison);
        self.incomparable(comparison);
        self.causes(comparison);
    }

    /// Layers whose shapes do not fit or that cannot be read: those of one kind once, unless everything is shown.
    fn incomparable(&mut self, comparison: &Comparison) {
        let told: Vec<(&Layer, String, String)> = comparison
            .layers
            .iter()
            .filter_map(|layer| match &layer.outcome {
                Outcome::Compared(_) => None,
                Outcome::ShapeMismatch(mismatch) => {
                    let kind = format!("{:?}", (&mismatch.cause, mismatch.candidate.layout.to_string()));
                    Some((layer, kind, words::mismatch(mismatch)))
                }
                Outcome::Unreadable { cause, .. } => {
                    let kind = match cause {
                        Unreadable::Store(error) => error.problem.to_string(),
                        Unreadable::NeverComputed => String::new(),
                    };
                    Some((layer, kind, words::unreadable(&layer.name, cause)))
                }
            })
            .collect();
        let all = self.shows(Detail::Verbose);
        let kind = |(layer, kind, _): &(&Layer, String, String)| match all {
            true => format!("{}{}", letters(layer.order), kind),
            false => kind.clone(),
        };
        for group in grouped(&told, kind) {
            let [(first, _, sentence), others @ ..] = group.members.as_slice() else { continue };
            let name = self.strong(first.pair_name());
            match others.len() {
                0 => self.line(format!("  {name}")),
                n => self.line(format!("  {name} and {n} more for the same reason")),
            }
            self.wrapped(4, sentence);
        }
    }

    fn failed(&mut self, comparison: &Comparison, layer: &Layer, compared: &Compared) {
        let name = self.strong(layer.pair_name());
        self.line(format!("  first failing layer: {name}"));
        self.wrapped(4, &format!("reference {} {:?}", layer.reference, compared.shape));
        for criterion in compared.judgement.criteria.iter().filter(|criterion| !criterion.passed) {
            self.wrapped(4, &words::broken(criterion));
        }
        if let Some(Trend::Worse(change)) = &compared.trend {
            self.wrapped(4, &words::trend(change));
        }
        if let Some(worst) = &compared.worst {
            let moved = match worst.candidate_index == worst.index {
                true => String::new(),
                false => format!(" (in the candidate {:?})", worst.candidate_index),
            };
            let (a, b) = (worst.candidate, worst.reference);
            self.wrapped(
                4,
                &format!("worst element {:?}{moved}: candidate {a:.6e}, reference {b:.6e}", worst.index),
            );
        }
        let is_told = |diagnosis: &Diagnosis| {
            matches!(diagnosis, Diagnosis::Factor(_)) && tells_a_factor(comparison, layer)
        };
        if let Some(diagnosis) = compared.judgement.diagnosis.filter(|diagnosis| !is_told(diagnosis)) {
            self.wrapped(4, &words::diagnosis(diagnosis));
        }
        self.first_error_shape(comparison, layer);
    }
}

/// Whether a line says by which factor a layer is off.
fn tells_a_factor(comparison: &Comparison, layer: &Layer) -> bool {
    comparison.explanations.iter().any(|found| {
        matches!(found.kind, ExplanationKind::Values { change: ValueChange::Scaled { .. }, .. })
            && found.explains.iter().any(|name| name == layer.pair_name())
    })
}

/// How many layers a line explains.
fn explained(comparison: &Comparison) -> usize {
    let of_layers = comparison.explanations.iter().filter(|found| !found.kind.is_of_names());
    let mut names: Vec<&String> = of_layers.flat_map(|found| &found.explains).collect();
    names.sort_unstable();
    names.dedup();
    names.len()
}

/// A number without a digit.
fn letters(n: usize) -> String {
    n.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
}
