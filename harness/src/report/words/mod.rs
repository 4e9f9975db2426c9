//! Every sentence about a finding.

mod budget;
mod error_shapes;
mod explanations;
mod layers;
mod mapping;
mod pairs;
mod remarks;
mod value_changes;
mod verdict;

pub use budget::{budget, conclusion, run_errors, share, source};
pub use error_shapes::error_place;
pub use explanations::{explanation, same_in};
pub use layers::{broken, diagnosis, mismatch, seen, shortfall, trend, unreadable};
pub use mapping::{document_mistake, mapping_mistake, mapping_warning, suggestion};
pub use pairs::{ambiguity, gap, unknown_order, unmapped, wanted_by};
pub use remarks::{dropped_waiver, record_difference, remark, remarks};
pub use verdict::verdict;

use std::ops::Range;

use crate::text::shown::escaped;

/// A finding in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InFile {
    /// What it is.
    pub message: String,
    /// Where, each place with what is said about it.
    pub labels: Vec<(Range<usize>, String)>,
    /// What to do.
    pub help: Option<String>,
    /// Whether the file can be used all the same.
    pub warning: bool,
}

impl InFile {
    fn error(place: Range<usize>, message: impl Into<String>, label: impl Into<String>) -> InFile {
        let labels = vec![(place, label.into())];
        InFile { message: message.into(), labels, help: None, warning: false }
    }

    fn warning(place: Range<usize>, message: impl Into<String>, label: impl Into<String>) -> InFile {
        InFile { warning: true, ..InFile::error(place, message, label) }
    }

    /// The same, with whatever would steer a terminal escaped.
    pub(super) fn escaped(self) -> InFile {
        let shown = |text: String| escaped(&text).into_owned();
        let labels = self.labels.into_iter().map(|(place, label)| (place, shown(label))).collect();
        InFile { message: shown(self.message), labels, help: self.help.map(shown), warning: self.warning }
    }

    fn help(mut self, help: impl Into<String>) -> InFile {
        self.help = Some(help.into());
        self
    }
}

/// `1 layer`, `2 layers`.
fn count(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}
