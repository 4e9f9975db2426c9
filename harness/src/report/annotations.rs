//! Annotations of GitHub Actions: commands that a step prints, which the pull request shows beside the mapping's lines.

use super::document::ReportDocument;
use super::place::below;
use super::problems::problems;
use crate::text::shown;

/// Annotations that GitHub shows of one step and kind.
pub const MOST: usize = 10;
/// Characters of a message or a name.
const LONG: usize = 1000;

/// The lines to print, at most [`MOST`] of them: the first failure first; the last one counts what is not told.
pub fn lines(document: &ReportDocument) -> Vec<String> {
    let problems = problems(document);
    let told = if problems.len() > MOST { MOST - 1 } else { MOST };
    let line = |file: &str, line: usize, title: &str, message: &str| {
        let (file, title) = (escaped(&below(file), true), escaped(title, true));
        format!("::error file={file},line={line},title={title}::{}", escaped(message, false))
    };
    let mut lines: Vec<String> = problems
        .iter()
        .take(told)
        .map(|of| line(&of.comparison.mapping, of.line(), &of.name, &of.message))
        .collect();
    if let Some(of) = problems.get(told) {
        let more = format!("{} more: {}", problems.len() - told, document.summary.text);
        lines.push(line(&of.comparison.mapping, 1, "parity", &more));
    }
    lines
}

/// Text of a command, or of one of its properties, as the runner's own toolkit escapes it.
fn escaped(text: &str, property: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().take(LONG) {
        match c {
            '%' => out.push_str("%25"),
            '\r' => out.push_str("%0D"),
            '\n' => out.push_str("%0A"),
            ':' if property => out.push_str("%3A"),
            ',' if property => out.push_str("%2C"),
            c if shown::steers(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
