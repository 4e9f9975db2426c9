//! What kept a comparison from being made.

use crate::exit_code;
use crate::text::facts::Facts;

/// Why nothing could be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// What kind of thing it is.
    pub kind: ObstacleKind,
    /// What it is about, where the error that it comes from says.
    pub about: Option<Facts>,
    /// Which file, what was expected, what was found; of mistakes in a file a line each.
    pub message: String,
    /// The mistakes of a file that cannot be used.
    pub mistakes: Vec<LocatedMistake>,
}

/// A mistake in a file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LocatedMistake {
    /// The file.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
    /// Its column, from 1.
    pub column: usize,
    /// What was expected, what was found, what to do.
    pub message: String,
}

impl std::fmt::Display for LocatedMistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

/// What kept a comparison from being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ObstacleKind {
    /// Wrong usage, or a mistake in a mapping or a file of figures.
    Usage,
    /// Something that cannot be read, or sides that do not belong together.
    Unreadable,
    /// Something that should be compared is not there.
    Coverage,
}

impl ObstacleKind {
    /// The exit code that it asks for.
    pub fn exit_code(self) -> u8 {
        match self {
            ObstacleKind::Usage => exit_code::USAGE,
            ObstacleKind::Unreadable => exit_code::UNREADABLE,
            ObstacleKind::Coverage => exit_code::COVERAGE,
        }
    }
}
