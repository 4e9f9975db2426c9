//! Comparisons as people and programs read them.
//!
//! Findings come as data; [`words`] holds every sentence about them. A format of a report is one file here and one arm of
//! [`Format`].

mod boxes;
pub mod json;
pub mod mistakes;
mod pattern;
pub mod terminal;
pub mod words;

use std::path::Path;

use crate::compare::comparison::Run;

/// A format that reports can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For programs: see [`json`].
    Json,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 1] = [Format::Json];

    /// The name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Json => "json",
        }
    }

    /// The format of that name.
    pub fn from_name(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The report as text.
    ///
    /// # Errors
    /// Whatever the format cannot express.
    pub fn render(self, run: &Run) -> std::io::Result<String> {
        match self {
            Format::Json => json::render(run).map_err(std::io::Error::other),
        }
    }

    /// Writes the report as a whole, or leaves what was there.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn write(self, path: &Path, run: &Run) -> std::io::Result<()> {
        let text = self.render(run)?;
        crate::files::atomic::write(path, |out| out.write_all(text.as_bytes()))
    }
}
