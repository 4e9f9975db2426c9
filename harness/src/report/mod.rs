//! Comparisons as people and programs read them.
//!
//! Findings come as data; [`words`] holds every sentence about them. What is written to a file is made from a
//! [`document::ReportDocument`], so that a report that was kept can be shown in another format later. A format is one file
//! here and one arm of [`Format`].

pub mod annotations;
mod boxes;
pub mod difference;
pub mod document;
pub mod explanation;
pub mod figures;
mod html;
pub mod json;
pub mod jsonl;
mod junit;
mod markdown;
pub mod mistakes;
mod model_explorer;
mod pattern;
mod place;
mod problems;
mod sarif;
pub mod terminal;
pub mod words;

use self::document::ReportDocument;

/// A format that reports can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For programs: see [`document`].
    Json,
    /// The same line by line: see [`jsonl`].
    JsonLines,
    /// A page, for people.
    Html,
    /// JUnit XML, for dashboards of tests.
    Junit,
    /// Markdown, for job summaries and comments.
    Markdown,
    /// SARIF, for code scanning.
    Sarif,
    /// Node data for Model Explorer, which colours the graph of a model.
    ModelExplorer,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 7] = [
        Format::Json,
        Format::JsonLines,
        Format::Html,
        Format::Junit,
        Format::Markdown,
        Format::Sarif,
        Format::ModelExplorer,
    ];

    /// The name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::JsonLines => "jsonl",
            Format::Html => "html",
            Format::Junit => "junit",
            Format::Markdown => "markdown",
            Format::Sarif => "sarif",
            Format::ModelExplorer => "model-explorer",
        }
    }

    /// Whether it shows maps of layers, which a comparison keeps only where they are asked for.
    pub fn has_maps(self) -> bool {
        self == Format::Html
    }

    /// The format of that name.
    pub fn from_name(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The report as text.
    ///
    /// # Errors
    /// Whatever the format cannot express.
    pub fn render(self, document: &ReportDocument) -> std::io::Result<String> {
        match self {
            Format::Json => json::document(document).map_err(std::io::Error::other),
            Format::JsonLines => jsonl::render(document).map_err(std::io::Error::other),
            Format::Html => html::render(document).map_err(std::io::Error::other),
            Format::Junit => junit::render(document).map_err(std::io::Error::other),
            Format::Markdown => Ok(markdown::render(document)),
            Format::Sarif => sarif::render(document).map_err(std::io::Error::other),
            Format::ModelExplorer => model_explorer::render(document).map_err(std::io::Error::other),
        }
    }
}
