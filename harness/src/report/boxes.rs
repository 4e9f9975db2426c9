//! A finding in a file, with the text underlined.

use std::fmt;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Severity};

use super::words::InFile;

/// A finding with file, line, column and the text underlined.
pub(super) fn render(path: &str, text: &str, finding: InFile, colours: bool) -> String {
    let theme = if colours { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let shown = Shown { finding, source: NamedSource::new(path, text.to_string()) };
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = GraphicalReportHandler::new_themed(theme)
        .with_width(80)
        .with_links(false)
        .render_report(&mut out, &shown);
    out
}

#[derive(Debug)]
struct Shown {
    finding: InFile,
    source: NamedSource<String>,
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
        Some(Box::new(
            labels.map(|(span, label)| LabeledSpan::new_with_span(Some(label.clone()), span.clone())),
        ))
    }
}
