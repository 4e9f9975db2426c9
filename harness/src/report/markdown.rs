//! For job summaries and comments: the first failure first, then counts, then what else fails.
//!
//! A job summary may have 1 MiB; what would go beyond [`MOST_BYTES`] is counted instead of shown.

use super::document::{DocumentLayer, ReportDocument, RunVerdict};
use super::figures::{figure, share};
use super::problems::{RunProblem, problems, suite};
use crate::text::shown;

/// Bytes of a summary: some room is left under the limit of 1 MiB, which all steps of a job share.
const MOST_BYTES: usize = 512 << 10;
/// Failing layers that are listed.
const LAYERS: usize = 50;
/// Other problems that are listed.
const OTHERS: usize = 50;
/// Characters of a name or a sentence.
const LONG: usize = 400;

/// The report as text.
pub(super) fn render(document: &ReportDocument) -> String {
    let mut out = MarkdownLines::default();
    let verdict = match document.summary.verdict {
        RunVerdict::Pass => "PASS",
        RunVerdict::Fail => "FAIL",
    };
    out.line(&format!("## {verdict}"));
    out.line("");
    out.line(&escaped(&document.summary.text));
    if let Some(layer) = document.first_failure() {
        first_failure(&mut out, document, layer);
    }
    counts(&mut out, document);
    let found = problems(document);
    layers(&mut out, document);
    others(&mut out, &found);
    if !document.next.is_empty() {
        out.heading("Next");
        for step in &document.next {
            let lines: Vec<String> = step.lines().map(|line| escaped(line.trim())).collect();
            out.line(&format!("- {}", lines.join("<br>")));
        }
    }
    if out.left_out > 0 {
        out.text += &format!("\n{} lines left out; the JSON report has everything\n", out.left_out);
    }
    out.text
}

/// Lines, as many as fit.
#[derive(Default)]
struct MarkdownLines {
    text: String,
    /// Lines that did not fit.
    left_out: usize,
}

impl MarkdownLines {
    fn line(&mut self, line: &str) {
        if self.text.len() + line.len() < MOST_BYTES {
            self.text.push_str(line);
            self.text.push('\n');
        } else {
            self.left_out += 1;
        }
    }

    fn heading(&mut self, heading: &str) {
        self.line("");
        self.line(&format!("### {heading}"));
        self.line("");
    }
}

/// Text for any place in a line of Markdown: what could begin markup, HTML, a link, a mention or a cell of a table is written
/// as a character reference, which stands for itself everywhere; lines are joined.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut before, mut rest) = (' ', text.chars().take(LONG).peekable());
    let is_item = text.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(['.', ')']);
    while let Some(c) = rest.next() {
        let after = rest.peek().copied().unwrap_or(' ');
        let is_marked = match c {
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '#' | '|' | '~' | '$' | '&' | '@' => true,
            // Within a word it is a letter.
            '_' => !(before.is_alphanumeric() && after.is_alphanumeric()),
            // What could begin an address.
            ':' => after == '/',
            '.' => before.eq_ignore_ascii_case(&'w'),
            // What could make a list or a heading of a line.
            '-' | '+' | '=' | '0'..='9' => out.is_empty() && (is_item || !c.is_ascii_digit()),
            _ => false,
        };
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            c if shown::steers(c) => out.push('\u{fffd}'),
            c if is_marked => out.push_str(&reference(c)),
            c => out.push(c),
        }
        before = c;
    }
    if text.chars().nth(LONG).is_some() {
        out.push('…');
    }
    out
}

fn reference(c: char) -> String {
    format!("&#{};", u32::from(c))
}

fn code(name: &str) -> String {
    format!("<code>{}</code>", escaped(name))
}

fn first_failure(out: &mut MarkdownLines, document: &ReportDocument, layer: &DocumentLayer) {
    out.heading("First failing layer");
    let set = document.provenance.get(layer.comparison).map(suite).unwrap_or_default();
    out.line(&format!(
        "{} against {} ({}, rule {})",
        code(layer.pair_name()),
        code(&layer.reference),
        escaped(&set),
        code(&layer.rule)
    ));
    out.line("");
    let worst = layer.worst.as_ref().map(|worst| {
        format!(
            "worst element {:?}: candidate {}, reference {}",
            worst.index, worst.candidate, worst.reference
        )
    });
    let diagnosis = layer.diagnosis.clone().filter(|diagnosis| !layer.reasons.contains(diagnosis));
    let causes = document.causes(layer).map(|cause| format!("cause: {cause}"));
    let told = layer.reasons.iter().cloned().chain(worst).chain(diagnosis).chain(causes);
    told.for_each(|sentence| out.line(&format!("- {}", escaped(&sentence))));
}

fn counts(out: &mut MarkdownLines, document: &ReportDocument) {
    out.heading("Counts");
    out.line("| set | profile | layers | failing | worst layer | of limit |");
    out.line("|---|---|---:|---:|---|---:|");
    for (at, provenance) in document.provenance.iter().enumerate() {
        let of = || document.layers.iter().filter(move |layer| layer.comparison == at);
        let failing = of().filter(|layer| !layer.passed()).count();
        let compared = of().filter_map(|layer| Some((layer, layer.used_up()?)));
        // Of several that are beyond any limit, the first.
        let worst = compared.reduce(|worst, next| if next.1 > worst.1 { next } else { worst });
        out.line(&format!(
            "| {} | {} | {} | {failing} | {} | {} |",
            escaped(&suite(provenance)),
            escaped(&provenance.profile),
            of().count(),
            worst.map(|(layer, _)| code(layer.pair_name())).unwrap_or_default(),
            worst
                .map(|(_, used)| if used.is_finite() { share(used) } else { "beyond any limit".into() })
                .unwrap_or_default(),
        ));
    }
}

fn layers(out: &mut MarkdownLines, document: &ReportDocument) {
    let failing: Vec<&DocumentLayer> = document.failures().collect();
    if failing.is_empty() {
        return;
    }
    out.heading(&format!("Failing layers ({})", failing.len()));
    out.line("| layer | rel_l2 | max abs | of limit | why |");
    out.line("|---|---:|---:|---:|---|");
    for layer in failing.iter().take(LAYERS) {
        let why = layer.reasons.first().map(String::as_str).unwrap_or_default();
        out.line(&format!(
            "| {} | {} | {} | {} | {} |",
            code(layer.pair_name()),
            figure(layer.rel_l2),
            figure(layer.max_abs),
            layer.used.map(share).unwrap_or_default(),
            escaped(why)
        ));
    }
    more(out, failing.len(), LAYERS);
}

fn others(out: &mut MarkdownLines, problems: &[RunProblem<'_>]) {
    let others: Vec<_> = problems.iter().filter(|problem| problem.layer.is_none()).collect();
    if others.is_empty() {
        return;
    }
    out.heading(&format!("Not compared ({})", others.len()));
    for problem in others.iter().take(OTHERS) {
        out.line(&format!("- {}: {}", escaped(problem.kind.name()), escaped(&problem.message)));
    }
    more(out, others.len(), OTHERS);
}

fn more(out: &mut MarkdownLines, count: usize, shown: usize) {
    if count > shown {
        out.line("");
        out.line(&format!("{} more; the JSON report lists them", count - shown));
    }
}
