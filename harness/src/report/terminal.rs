//! The report on a terminal, 80 columns wide: what passed in a line, what needs attention in full.

use std::fmt::Write;

use owo_colors::{OwoColorize, Style};

use super::{boxes, words};
use crate::compare::comparison::{Compared, Comparison, Layer, Outcome, Run};
use crate::compare::gap::Counterpart;
use crate::exit_code;
use crate::limits::known_errors::{Change, Trend};
use crate::mapping::order::ExecutionOrder;
use crate::side::Side;

/// Columns that a line may take.
const WIDTH: usize = 80;
/// Columns of a layer's name; longer names get a line of their own.
const NAME: usize = 38;
/// Layers that are named with what became of them since their errors became known.
const NAMED: usize = 10;
/// Layers that pass and follow each other, before they are counted instead of shown.
const PASSING: usize = 3;
/// Layers that do not pass, before the others are counted instead of shown.
const FAILING: usize = 40;

/// How much is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// What needs attention.
    Quiet,
    /// A line about what passed too.
    #[default]
    Normal,
    /// Every layer, the reference's names, and what was ignored.
    Verbose,
}

/// How much is shown, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// ANSI colours.
    pub colours: bool,
    /// How much.
    pub detail: Detail,
    /// One of several comparisons: each that passes takes one line.
    pub several: bool,
}

/// The report on one comparison.
pub fn comparison(comparison: &Comparison, options: Options) -> String {
    let mut report = Report { out: String::new(), options };
    if comparison.exit_code() == exit_code::PASSED && options.several && options.detail == Detail::Normal {
        report.passed_in_a_line(comparison);
        return report.out;
    }
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

/// Whether a text begins with the escape sequence of a colour or a weight: ESC, `[`, numbers, `m`.
fn is_style(text: &str) -> bool {
    let numbers = text
        .strip_prefix("\u{1b}[")
        .map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';'));
    numbers.is_some_and(|rest| rest.starts_with('m'))
}

impl Report {
    fn line(&mut self, text: impl AsRef<str>) {
        // Names come from files: what would steer a terminal is shown, not sent. Colours and weights are this report's own.
        let text = text.as_ref().trim_end();
        for (at, c) in text.char_indices() {
            let steers = c.is_control() && !(c == '\u{1b}' && is_style(&text[at..]));
            self.out.push(if steers { '\u{fffd}' } else { c });
        }
        self.out.push('\n');
    }

    fn paint(&self, text: &str, style: Style) -> String {
        match self.options.colours {
            true => text.style(style).to_string(),
            false => text.to_string(),
        }
    }

    fn good(&self, text: &str) -> String {
        self.paint(text, Style::new().green())
    }

    fn bad(&self, text: &str) -> String {
        self.paint(text, Style::new().red().bold())
    }

    fn strong(&self, text: &str) -> String {
        self.paint(text, Style::new().bold())
    }

    fn shows(&self, detail: Detail) -> bool {
        self.options.detail == detail
    }

    /// Text over as many lines as it needs, all but the first indented by two more.
    fn wrapped(&mut self, indent: usize, text: &str) {
        let (first, others) = (" ".repeat(indent), " ".repeat(indent + 2));
        let options = textwrap::Options::new(WIDTH)
            .initial_indent(&first)
            .subsequent_indent(&others)
            .break_words(false)
            .word_separator(textwrap::WordSeparator::AsciiSpace)
            .word_splitter(textwrap::WordSplitter::NoHyphenation)
            .wrap_algorithm(textwrap::WrapAlgorithm::FirstFit);
        for line in text.split('\n') {
            for line in textwrap::wrap(line, &options) {
                self.line(line);
            }
        }
    }

    fn passed_in_a_line(&mut self, comparison: &Comparison) {
        let (layers, set) = (comparison.summary().compared, short_title(comparison));
        let used = comparison.worst().map_or(0.0, Layer::used);
        let ok = self.good("ok");
        self.wrapped(2, &format!("{set:24} {layers:>4} layers {ok}, at most {} of a limit", share(used)));
        self.notes(comparison);
        self.warnings(comparison);
    }

    fn notes(&mut self, comparison: &Comparison) {
        for remark in &comparison.remarks {
            self.wrapped(2, &format!("note: {}", words::remark(remark)));
        }
    }

    fn warnings(&mut self, comparison: &Comparison) {
        let path = comparison.mapping.display().to_string();
        for warning in &comparison.warnings {
            let finding = words::mapping_warning(warning);
            let shown = boxes::render(&path, &comparison.mapping_text, finding, self.options.colours);
            self.out.push_str(&shown);
        }
    }

    fn heading(&mut self, comparison: &Comparison) {
        let title = match comparison.candidate.title.as_str() {
            "" => comparison.reference.title.clone(),
            candidate => format!("{candidate} against {}", comparison.reference.title),
        };
        if title.chars().count() <= WIDTH {
            let title = self.strong(&title);
            self.line(title);
        } else {
            let candidate = self.strong(&comparison.candidate.title);
            self.line(candidate);
            self.wrapped(2, &format!("against {}", comparison.reference.title));
        }
        if let Some(obstacle) = &comparison.obstacle {
            let head = self.bad("cannot be compared");
            self.wrapped(2, &format!("{head}: {}", obstacle.message));
            return;
        }
        let basis = basis(comparison.bases());
        self.wrapped(2, &format!("profile {}: {basis}", comparison.profile));
        self.notes(comparison);
        for changed in &comparison.not_as_recorded {
            let head = self.bad("changed");
            self.wrapped(2, &format!("{head}: {}", words::record_difference(changed)));
        }
    }

    fn table(&mut self, comparison: &Comparison) {
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
        let (mut shown, mut skipped) = (0, 0);
        for chunk in comparison.layers.chunk_by(|a, b| passes(a) == passes(b)) {
            match chunk.first().is_some_and(passes) {
                true => self.passing(chunk),
                false => {
                    for layer in chunk {
                        if shown < FAILING || self.shows(Detail::Verbose) {
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
                format!("  {name:NAME$} {rel_l2:>9} {max_abs:>9} {:>9}  {verdict}", share(layer.used()))
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
        }
    }

    /// What the asterisk after a name says.
    fn aliases(&mut self, comparison: &Comparison) {
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

    fn lists(&mut self, comparison: &Comparison) {
        self.aliases(comparison);
        if let Some(shortfall) = comparison.shortfall() {
            let head = self.bad("too little compared");
            self.wrapped(2, &format!("{head}: {}", words::shortfall(&shortfall)));
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
            self.wrapped(4, &words::wanted_by(missing));
        }
        for unmapped in &comparison.unmapped {
            let head = self.attention("unmapped", unmapped.side);
            self.line(format!("{head} {}", unmapped.name));
            self.wrapped(4, &words::unmapped(unmapped.hint.as_ref()));
        }
        for ambiguous in &comparison.ambiguous {
            let head = self.attention("ambiguous", ambiguous.side);
            self.line(format!("{head} {}", ambiguous.names.join(" and ")));
            self.wrapped(4, &words::ambiguity(&ambiguous.cause));
        }
        for gap in &comparison.gaps {
            let what = match gap.missing {
                Counterpart::Entry => "no entry",
                Counterpart::Pair => "no pair",
            };
            let head = self.bad(what);
            self.line(format!("  {head} {}", gap.name));
            self.wrapped(4, &words::gap(gap));
        }
        self.warnings(comparison);
        if !self.shows(Detail::Quiet) {
            for absent in &comparison.absent {
                self.wrapped(2, &format!("absent: {} (optional) for {}", absent.reference, absent.candidate));
            }
        }
        self.ignored(comparison);
    }

    fn ignored(&mut self, comparison: &Comparison) {
        if self.shows(Detail::Quiet) || comparison.ignored.is_empty() {
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
            if self.shows(Detail::Verbose) {
                for name in names {
                    self.line(format!("    {name}"));
                }
            }
        }
    }

    fn attention(&self, what: &str, side: Side) -> String {
        format!("  {} {side}", self.bad(what))
    }

    /// What is known about the first layer that failed, and about those that could not be compared.
    fn details(&mut self, comparison: &Comparison) {
        if let (ExecutionOrder::Unknown(unknown), Some(_)) = (&comparison.order, comparison.failures().next())
        {
            let head = self.strong("which layer comes first is not known");
            self.wrapped(2, &format!("{head}: {}", words::unknown_order(unknown)));
        }
        let first = comparison.first_failure().map(|layer| layer.order);
        for layer in &comparison.layers {
            let sentence = match &layer.outcome {
                Outcome::Compared(compared) => {
                    if Some(layer.order) == first {
                        self.failed(layer, compared);
                    }
                    continue;
                }
                Outcome::ShapeMismatch(mismatch) => words::mismatch(mismatch),
                Outcome::Unreadable { cause, .. } => words::unreadable(&layer.name, cause),
            };
            let name = self.strong(layer.pair_name());
            self.line(format!("  {name}"));
            self.wrapped(4, &sentence);
        }
    }

    fn failed(&mut self, layer: &Layer, compared: &Compared) {
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
        if let Some(diagnosis) = compared.judgement.diagnosis {
            self.wrapped(4, &words::diagnosis(diagnosis));
        }
    }

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

    fn summary(&mut self, run: &Run) {
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
            _ => self.bad("FAIL"),
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
        _ => format!("{} ({})", layer.pair_name(), short_title(comparison)),
    }
}

/// The reference's title up to how it was made.
fn short_title(comparison: &Comparison) -> &str {
    comparison.reference.title.split(',').next().unwrap_or_default()
}

/// What limits were made of: multiples of a noise floor, the mapping's own.
fn basis(bases: (bool, bool)) -> &'static str {
    match bases {
        (false, false) => "nothing was judged",
        (true, false) => "limits are multiples of a measured noise floor",
        (false, true) => "limits are the mapping's own",
        (true, true) => "limits are multiples of a noise floor where one is measured, else the mapping's",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_steers_no_terminal() {
        let mut report = Report { out: String::new(), options: Options::default() };
        report.line("a\u{1b}[2Jb\u{1b}]0;title\u{7}c\rd\u{9b}2J");
        assert_eq!(report.out, "a\u{fffd}[2Jb\u{fffd}]0;title\u{fffd}c\u{fffd}d\u{fffd}2J\n");
        report.out.clear();
        report.line("\u{1b}[1;31mFAIL\u{1b}[0m");
        assert_eq!(report.out, "\u{1b}[1;31mFAIL\u{1b}[0m\n");
    }
}
