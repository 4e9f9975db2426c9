//! Mistakes in a mapping, with the text underlined.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Severity};

use crate::nearest::nearest;

/// One mistake, or one thing worth a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub message: String,
    /// Where, as byte ranges of the file, each with what is said about it.
    pub labels: Vec<(Range<usize>, String)>,
    /// What to do.
    pub help: Option<String>,
    /// Whether the mapping can be used all the same.
    pub warning: bool,
}

impl Finding {
    pub(crate) fn error(span: Range<usize>, message: impl Into<String>, label: impl Into<String>) -> Finding {
        Finding { message: message.into(), labels: vec![(span, label.into())], help: None, warning: false }
    }

    pub(crate) fn warning(
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Finding {
        Finding { warning: true, ..Finding::error(span, message, label) }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Finding {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn and(mut self, span: Range<usize>, label: impl Into<String>) -> Finding {
        self.labels.push((span, label.into()));
        self
    }

    /// Line and column of the first label, from 1.
    pub fn position(&self, text: &str) -> (usize, usize) {
        position(text, self.labels.first().map_or(0, |(span, _)| span.start))
    }

    /// The finding with file, line, column and the text underlined.
    pub fn render(&self, path: &str, text: &str, colours: bool) -> String {
        let theme = if colours { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let shown = Shown { finding: self, source: NamedSource::new(path, text.to_string()) };
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = GraphicalReportHandler::new_themed(theme)
            .with_width(80)
            .with_links(false)
            .render_report(&mut out, &shown);
        out
    }
}

/// Line and column of a byte of `text`, from 1.
pub(crate) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// "did you mean", else the list of what is known.
pub(crate) fn suggestion<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(found, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if known.is_empty() => "there are none".to_string(),
        None => {
            format!("known: {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
        }
    }
}

#[derive(Debug)]
struct Shown<'a> {
    finding: &'a Finding,
    source: NamedSource<String>,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.finding.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
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

/// A mapping that cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what its fields are")]
pub enum MappingError {
    #[error("{}: cannot be read: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: {} mistakes", path.display(), findings.len())]
    Invalid { path: PathBuf, text: String, findings: Vec<Finding> },
    #[error("{}: no profile `{found}`; {}", path.display(), suggestion(found, known.iter().map(String::as_str)))]
    Profile { path: PathBuf, found: String, known: Vec<String> },
}

impl MappingError {
    /// The error as people read it: each mistake underlined.
    pub fn render(&self, colours: bool) -> String {
        match self {
            MappingError::Invalid { path, text, findings } => {
                let path = path.display().to_string();
                findings.iter().map(|finding| finding.render(&path, text, colours)).collect()
            }
            other => format!("{other}\n"),
        }
    }
}
