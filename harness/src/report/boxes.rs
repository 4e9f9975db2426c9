//! A finding in a file, with the text underlined.

use std::fmt;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents,
    Severity, SourceCode, SourceSpan, SpanContents,
};

use super::words::InFile;
use crate::text::shown::{escaped, in_place};

/// A finding with file, line, column and the text underlined.
pub(super) fn render(path: &str, text: &str, finding: InFile, colours: bool) -> String {
    let theme = if colours { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let source = Excerpts { path: escaped(path).into_owned(), text: in_place(text).into_owned() };
    let finding = finding.escaped();
    let shown = Shown { finding, source };
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = GraphicalReportHandler::new_themed(theme)
        .with_width(80)
        .with_links(false)
        .render_report(&mut out, &shown);
    out
}

/// Lines that are longer are shown in part.
const LONG: usize = 1000;
/// So much of a long line is shown on either side, in bytes.
const AROUND: usize = 60;

/// A file of which the lines around a place are shown. Machines write JSON in one line, and a box can neither be that wide
/// nor hold places that far to the right.
#[derive(Debug)]
struct Excerpts {
    path: String,
    text: String,
}

impl Excerpts {
    /// What is underlined, within [`AROUND`] where it is part of a long line.
    fn shortened(&self, span: &std::ops::Range<usize>) -> std::ops::Range<usize> {
        let long = self
            .text
            .get(span.clone())
            .is_some_and(|text| text.len() > AROUND && text.lines().any(|line| line.len() > LONG));
        match long {
            true => span.start..self.text.floor_char_boundary(span.start + AROUND),
            false => span.clone(),
        }
    }
}

impl SourceCode for Excerpts {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let whole = self.text.read_span(span, before, after)?;
        let is_long = |line: &[u8]| line.len() > LONG;
        let (shown, line, column, count) = if whole.data().split(|byte| *byte == b'\n').any(is_long) {
            let (start, end) = (span.offset(), span.offset() + span.len());
            if span.len() > LONG {
                // Two places far apart: each is shown by itself.
                return Err(MietteError::OutOfBounds);
            }
            let line_start = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
            let line_end = self.text[end..].find('\n').map_or(self.text.len(), |at| end + at);
            let from = self.text.ceil_char_boundary(start.saturating_sub(AROUND).max(line_start));
            let to = self.text.floor_char_boundary((end + AROUND).min(line_end));
            let line = self.text[..from].matches('\n').count();
            ((from..to), line, self.text[line_start..from].chars().count(), 1)
        } else {
            let at = whole.span().offset();
            (at..at + whole.span().len(), whole.line(), whole.column(), whole.line_count())
        };
        let data = self.text.as_bytes().get(shown.clone()).ok_or(MietteError::OutOfBounds)?;
        let name = self.path.clone();
        Ok(Box::new(MietteSpanContents::new_named(name, data, shown.into(), line, column, count)))
    }
}

#[derive(Debug)]
struct Shown {
    finding: InFile,
    source: Excerpts,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.finding.message)
    }
}

impl std::error::Error for Shown {}

impl Diagnostic for Shown {
    fn severity(&self) -> Option<Severity> {
        Some(if self.finding.warning { Severity::Warning } else { Severity::Error })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.finding.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let labels = self.finding.labels.iter();
        Some(Box::new(labels.map(|(span, label)| {
            LabeledSpan::new_with_span(Some(label.clone()), self.source.shortened(span))
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str, places: &[usize]) -> String {
        let labels = places.iter().map(|at| (*at..at + 3, "here".to_string())).collect();
        let finding = InFile { message: "wrong".into(), labels, help: None, warning: false };
        render("one_line.json", text, finding, false)
    }

    #[test]
    fn a_place_far_to_the_right_is_shown_with_what_is_around_it() {
        let text = format!("first\n{}bad{}", "x, ".repeat(40_000), " y".repeat(40_000));
        let shown = rendered(&text, &[6 + 120_000]);
        assert!(shown.contains("one_line.json:2:120001") && shown.contains("here"), "{shown}");
        assert!(shown.contains("bad") && shown.len() < 1000, "{shown}");
        let shown = rendered(&text, &[6, 6 + 120_000]);
        assert!(shown.matches("here").count() == 2 && shown.len() < 2000, "{shown}");
    }

    #[test]
    fn a_long_place_is_cut() {
        let text = format!("{}\u{e9}", "\u{e9}".repeat(90_000));
        let finding = InFile {
            message: "wrong".into(),
            labels: vec![(0..text.len(), "here".to_string())],
            help: None,
            warning: false,
        };
        let shown = render("one_line.json", &text, finding, false);
        assert!(shown.contains("here") && shown.len() < 1500, "{}", shown.len());
    }
}
