//! The report on a terminal, 80 columns wide: what passed in a line, what needs attention in full.

mod budget;
mod causes;
mod comparison;
mod error_map;
mod layers;
mod summary;

use owo_colors::{OwoColorize, Style};

use crate::compare::comparison::{Comparison, Run};
use crate::exit_code;

/// Columns that a line may take.
const WIDTH: usize = 80;

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
    if let Some(budget) = &comparison.budget {
        report.budget(budget);
    }
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
