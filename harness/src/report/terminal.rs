//! The report on a terminal, 80 columns wide: a table in the order of execution, then what needs attention.

use std::fmt::Write;

use owo_colors::{OwoColorize, Style};

use crate::baseline::{Change, Trend};
use crate::comparison::{Compared, Comparison, Layer, Outcome, Run};
use crate::exit_code;
use crate::gap::Counterpart;
use crate::mapping::Side;
use crate::pairing::WantedBy;
use crate::verdict::Criterion;

/// Columns that a line may take.
const WIDTH: usize = 80;
/// Columns of a layer's name; longer names get a line of their own.
const NAME: usize = 38;
/// Layers that are named with what became of them since their baseline.
const NAMED: usize = 10;

/// How much is shown, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// ANSI colours.
    pub colours: bool,
    /// Only what needs attention.
    pub quiet: bool,
    /// Also what was ignored, and the reference's names.
    pub verbose: bool,
}

/// The report on one comparison.
pub fn comparison(comparison: &Comparison, options: Options) -> String {
    let mut report = Report { out: String::new(), options };
    report.heading(comparison);
    report.table(comparison);
    report.lists(comparison);
    report.details(comparison);
    report.out
}

/// The last lines: counts over all comparisons, the worst and the first failing layer.
pub fn summary(run: &Run, options: Options) -> String {
    let mut report = Report { out: String::new(), options };
    report.summary(run);
    report.out
}

struct Report {
    out: String,
    options: Options,
}

impl Report {
    fn line(&mut self, text: impl AsRef<str>) {
        // Names come from files: what would steer a terminal is shown, not sent.
        let plain = |c: char| if c.is_control() && c != '\u{1b}' { '\u{fffd}' } else { c };
        self.out.extend(text.as_ref().trim_end().chars().map(plain));
        self.out.push('\n');
    }

    fn paint(&self, text: &str, style: Style) -> String {
        match self.options.colours {
            true => text.style(style).to_string(),
            false => text.to_string(),
        }
    }

    /// Text over as many lines as it needs, those behind the first indented by two more.
    fn wrapped(&mut self, indent: usize, text: &str) {
        let mut line = " ".repeat(indent);
        let mut empty = true;
        for word in text.split(' ') {
            if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.line(&line);
                line = " ".repeat(indent + 2);
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
            empty = false;
        }
        self.line(line);
    }

    fn heading(&mut self, comparison: &Comparison) {
        let title = match comparison.candidate.title.as_str() {
            "" => comparison.reference.title.clone(),
            candidate => format!("{candidate} against {}", comparison.reference.title),
        };
        if title.chars().count() <= WIDTH {
            let title = self.paint(&title, Style::new().bold());
            self.line(title);
        } else {
            let candidate = self.paint(&comparison.candidate.title, Style::new().bold());
            self.line(candidate);
            self.wrapped(2, &format!("against {}", comparison.reference.title));
        }
        if let Some(obstacle) = &comparison.obstacle {
            let head = self.paint("cannot be compared", Style::new().red().bold());
            self.wrapped(2, &format!("{head}: {}", obstacle.message));
            return;
        }
        let basis = match comparison.bases() {
            (false, false) => "nothing was judged",
            (true, false) => "limits are multiples of a measured noise floor",
            (false, true) => "limits are the mapping's own",
            (true, true) => "limits are multiples of a noise floor where one is measured, else the mapping's",
        };
        self.wrapped(2, &format!("profile {}: {basis}", comparison.profile));
        for remark in &comparison.remarks {
            self.wrapped(2, &format!("note: {remark}"));
        }
        for changed in &comparison.not_as_recorded {
            let head = self.paint("changed", Style::new().red().bold());
            self.wrapped(2, &format!("{head}: {changed}"));
        }
    }

    fn table(&mut self, comparison: &Comparison) {
        let shown: Vec<&Layer> = comparison
            .layers
            .iter()
            .filter(|layer| !self.options.quiet || layer.exit_code() != exit_code::PASSED)
            .collect();
        if shown.is_empty() {
            return;
        }
        let header = format!("  {:NAME$} {:>9} {:>9} {:>9}", "layer", "rel_l2", "max|d|", "of limit");
        let header = self.paint(&header, Style::new().dimmed());
        self.line(header);
        if let Some(input) = comparison.input.as_ref().filter(|_| !self.options.quiet) {
            let name = format!("input ({input})");
            let row =
                format!("  {name:NAME$} {:>29}  {}", "bit-identical", self.paint("ok", Style::new().green()));
            self.line(row);
        }
        for layer in shown {
            self.row(layer);
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
        let (good, bad) = (Style::new().green(), Style::new().red().bold());
        let row = match &layer.outcome {
            Outcome::Compared(compared) => {
                let verdict = match (compared.judgement.passed, compared.trend) {
                    (false, _) => self.paint("FAIL", bad),
                    (true, Some(Trend::Worse(_))) => self.paint("WORSE", bad),
                    (true, Some(Trend::Better(_))) => self.paint("better", good),
                    (true, _) => self.paint("ok", good),
                };
                let metrics = &compared.metrics;
                let (rel_l2, max_abs) = (figure(metrics.rel_l2), figure(metrics.max_abs));
                format!("  {name:NAME$} {rel_l2:>9} {max_abs:>9} {:>9}  {verdict}", share(layer.used()))
            }
            Outcome::ShapeMismatch(_) => {
                format!("  {name:NAME$} {:>29}  {}", "does not fit", self.paint("SHAPE", bad))
            }
            Outcome::Unreadable { side, .. } => {
                format!("  {name:NAME$} {:>29}  {}", format!("{side} unreadable"), self.paint("READ", bad))
            }
        };
        self.line(row);
        if let Some(stands_for) = layer.stands_for.as_ref().filter(|_| self.options.verbose) {
            self.wrapped(
                4,
                &format!("* no file of its own: {} is {stands_for} where a block has no skip", layer.name),
            );
        }
        if self.options.verbose {
            self.wrapped(4, &format!("{} (rule `{}`)", layer.reference, layer.rule));
        }
    }

    fn lists(&mut self, comparison: &Comparison) {
        if !self.options.quiet
            && !self.options.verbose
            && comparison.layers.iter().any(|l| l.stands_for.is_some())
        {
            self.line("  * no tensor of its own: where a block has no skip, its output stands for it");
        }
        if let Some(shortfall) = comparison.shortfall() {
            let head = self.paint("too little compared", Style::new().red().bold());
            self.wrapped(2, &format!("{head}: {shortfall} (coverage, in the mapping)"));
        }
        for missing in &comparison.missing {
            let head = self.attention("missing", missing.side);
            match missing.expected.as_slice() {
                [one] => self.line(format!("{head} {one}")),
                several => {
                    self.line(format!("{head}, one of"));
                    for name in several {
                        self.line(format!("    {name}"));
                    }
                }
            }
            let wanted = match &missing.wanted_by {
                WantedBy::Partner(partner) => format!("wanted by {} {partner}", other(missing.side)),
                WantedBy::Manifest => "listed in the manifest of the set".to_string(),
            };
            self.wrapped(4, &wanted);
        }
        for unmapped in &comparison.unmapped {
            let head = self.attention("unmapped", unmapped.side);
            self.line(format!("{head} {}", unmapped.name));
            let hint = unmapped.hint.as_deref().unwrap_or("no rule takes it and no ignore lists it");
            self.wrapped(4, hint);
        }
        for ambiguous in &comparison.ambiguous {
            let head = self.attention("ambiguous", ambiguous.side);
            self.line(format!("{head} {}", ambiguous.names.join(" and ")));
            self.wrapped(4, &ambiguous.detail);
        }
        for gap in &comparison.gaps {
            let (what, explanation) = match gap.missing {
                Counterpart::Entry => ("no entry", "no bound is known for it in the"),
                Counterpart::Pair => ("no pair", "nothing was compared of this entry in the"),
            };
            let head = self.paint(what, Style::new().red().bold());
            self.line(format!("  {head} {}", gap.name));
            self.wrapped(4, &format!("({}) {explanation} {}", gap.reference, gap.of));
        }
        for warning in &comparison.warnings {
            self.out.push_str(warning);
        }
        if !self.options.quiet {
            for absent in &comparison.absent {
                self.wrapped(2, &format!("absent: {} (optional) for {}", absent.reference, absent.candidate));
            }
        }
        self.ignored(comparison);
    }

    fn ignored(&mut self, comparison: &Comparison) {
        if self.options.quiet || comparison.ignored.is_empty() {
            return;
        }
        let mut reasons: Vec<(Side, usize, &str, Vec<&str>)> = Vec::new();
        for ignored in &comparison.ignored {
            match reasons.iter_mut().find(|(side, line, ..)| (*side, *line) == (ignored.side, ignored.line)) {
                Some((.., names)) => names.push(&ignored.name),
                None => reasons.push((ignored.side, ignored.line, &ignored.reason, vec![&ignored.name])),
            }
        }
        for (side, _, reason, names) in reasons {
            self.wrapped(2, &format!("ignored: {} of the {side}: {reason}", names.len()));
            if self.options.verbose {
                for name in names {
                    self.line(format!("    {name}"));
                }
            }
        }
    }

    fn attention(&self, what: &str, side: Side) -> String {
        format!("  {} {side}", self.paint(what, Style::new().red().bold()))
    }

    /// What is known about the first layer that failed, and about those that could not be compared.
    fn details(&mut self, comparison: &Comparison) {
        let first = comparison.first_failure().map(|layer| layer.order);
        for layer in &comparison.layers {
            match &layer.outcome {
                Outcome::Compared(compared) if Some(layer.order) == first => self.failed(layer, compared),
                Outcome::Compared(_) => {}
                Outcome::ShapeMismatch(mismatch) => {
                    self.line(format!("  {}", self.paint(layer.pair_name(), Style::new().bold())));
                    self.wrapped(4, &mismatch.to_string());
                }
                Outcome::Unreadable { message, .. } => {
                    self.line(format!("  {}", self.paint(layer.pair_name(), Style::new().bold())));
                    self.wrapped(4, message);
                }
            }
        }
    }

    fn failed(&mut self, layer: &Layer, compared: &Compared) {
        let name = self.paint(layer.pair_name(), Style::new().bold());
        self.line(format!("  first failing layer: {name}"));
        self.wrapped(4, &format!("reference {} {:?}", layer.reference, compared.shape));
        for criterion in compared.judgement.criteria.iter().filter(|criterion| !criterion.passed) {
            self.wrapped(4, &broken(criterion));
        }
        if let Some(Trend::Worse(Change { metric, old, new, allowed })) = compared.trend {
            let times = new / old;
            self.wrapped(
                4,
                &format!("{metric} {new:.3e} is {times:.2} times its baseline {old:.3e}; {allowed:.2} times are allowed"),
            );
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
        if let Some(diagnosis) = &compared.judgement.diagnosis {
            self.wrapped(4, diagnosis);
        }
    }

    /// What became of layers since their baseline, old and new; those that are worse first.
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
            self.line(format!("{word} than the baseline: {count} layers, old -> new"));
            for (comparison, layer, Change { metric, old, new, .. }) in changed(worse).take(NAMED) {
                let figures = format!("{metric} {old:.3e} -> {new:.3e}");
                self.wrapped(2, &format!("{figures} {}", place(comparison, layer, run.comparisons.len())));
            }
            if count > NAMED {
                self.line(format!("  and {} more", count - NAMED));
            }
        }
    }

    fn summary(&mut self, run: &Run) {
        let (total, code) = (run.summary(), run.exit_code());
        let comparisons = run.comparisons.len();
        if let Some((comparison, layer)) = run.worst() {
            let place = place(comparison, layer, comparisons);
            let used = match layer.used() {
                used if used.is_infinite() => "beyond any limit".to_string(),
                used => format!("{} of its limit", share(used)),
            };
            self.wrapped(0, &format!("worst layer: {place}, {used}"));
        }
        if let Some((comparison, layer)) = run.first_failure() {
            self.wrapped(0, &format!("first failing layer: {}", place(comparison, layer, comparisons)));
        }
        let mut counts = format!("{} compared, {} passed", total.compared, total.passed);
        let others = [
            (total.failed, "failed"),
            (total.shape_mismatch, "of another shape"),
            (total.unreadable, "unreadable"),
            (total.missing, "missing"),
            (total.unmapped, "unmapped"),
            (total.ambiguous, "ambiguous"),
            (total.ignored, "ignored"),
            (total.absent, "absent"),
            (total.gaps, "without entry or pair"),
        ];
        for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
            // Writing to a string does not fail.
            let _ = write!(counts, ", {count} {what}");
        }
        self.trends(run);
        let verdict = match code {
            exit_code::PASSED => self.paint("PASS", Style::new().green().bold()),
            _ => self.paint("FAIL", Style::new().red().bold()),
        };
        let verdict_line = match (code, total.compared) {
            (exit_code::PASSED, _) => format!("{verdict}  {counts}"),
            (_, 0) => format!("{verdict}  nothing was compared (exit code {code}): {counts}"),
            _ => format!("{verdict}  {counts} (exit code {code})"),
        };
        self.wrapped(0, &verdict_line);
    }
}

fn place(comparison: &Comparison, layer: &Layer, comparisons: usize) -> String {
    match comparisons {
        1 => layer.pair_name().to_string(),
        _ => format!(
            "{} ({})",
            layer.pair_name(),
            comparison.reference.title.split(',').next().unwrap_or_default()
        ),
    }
}

fn other(side: Side) -> Side {
    match side {
        Side::Candidate => Side::Reference,
        Side::Reference => Side::Candidate,
    }
}

fn figure(figure: Option<f64>) -> String {
    match figure {
        Some(0.0) => "0".to_string(),
        Some(figure) => format!("{figure:.1e}"),
        None => "-".to_string(),
    }
}

/// A share of a limit: in percent up to 1000, as a factor above.
fn share(used: f64) -> String {
    match used {
        used if used.is_infinite() => "-".to_string(),
        used if used < 10.0 => format!("{:.0} %", (used * 100.0).ceil()),
        used if used < 1e4 => format!("{used:.0}x"),
        used => format!("{used:.0e}x"),
    }
}

fn broken(criterion: &Criterion) -> String {
    let Criterion { name, measured, limit, .. } = criterion;
    match (*name, measured) {
        ("elements", _) => "there is no element to compare".to_string(),
        ("limits", _) => "this profile sets no limit for this layer; add one to the mapping".to_string(),
        (name, None) => format!("{name} is undefined, its limit is {limit:.1e}"),
        ("non_finite" | "non_finite_mismatches" | "outliers", Some(measured)) => {
            format!("{name}: {measured:.0}, at most {limit:.0}")
        }
        ("cosine", Some(measured)) => format!("cosine {measured:.9} is under its limit {limit:.9}"),
        (name, Some(measured)) => format!("{name} {measured:.3e} is over its limit {limit:.3e}"),
    }
}
