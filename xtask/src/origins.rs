//! Whether both sides of a comparison were computed from the same weights and input.

use std::path::Path;

use harness::comparison::Comparison;
use harness::mapping::Side;
use harness::provenance::{self, Identity, ProvenanceError};
use harness::reference::Reference;

use crate::console::Failure;

/// What is known of the candidate.
pub(crate) struct Origins<'a> {
    /// What it was computed from, where that is recorded.
    pub(crate) candidate: Option<Identity>,
    /// Its folder, where it has one.
    pub(crate) path: Option<&'a Path>,
    /// Its files that are not as they were recorded.
    pub(crate) changed: Vec<String>,
    /// Refuse what is not known.
    pub(crate) strict: bool,
}

/// Both sides may be compared.
pub(crate) struct Settled {
    input: Option<String>,
    remarks: Vec<String>,
}

impl Origins<'_> {
    /// Refuses sides that do not belong together, before any number is judged.
    pub(crate) fn settle(self, reference: &Reference, pool: &rayon::ThreadPool) -> Result<Settled, Failure> {
        let mut remarks = Vec::new();
        let known = reference.identity();
        let sides = [
            (Side::Candidate, self.candidate.is_some(), self.path.unwrap_or(reference.folder())),
            (Side::Reference, known.is_some(), reference.folder()),
        ];
        for (side, known, path) in sides {
            if !known && self.strict {
                return Err(Failure::unreadable(ProvenanceError::Unknown { side, path: path.to_path_buf() }));
            }
            if !known {
                remarks.push(format!("what weights and input the {side} is of is not recorded"));
            }
        }
        let input = match (&self.candidate, &known) {
            (Some(candidate), Some(reference)) => {
                provenance::check(candidate, reference).map_err(Failure::unreadable)?;
                Some(reference.input.file.clone())
            }
            _ => None,
        };
        let changed = pool.install(|| reference.changed());
        for (side, changed) in [(Side::Candidate, self.changed), (Side::Reference, changed)] {
            let Some(first) = changed.first() else { continue };
            let others = match changed.len() {
                1 => String::new(),
                n => format!(" and {} more", n - 1),
            };
            let remark = format!("changed since its hash was recorded: {side} {first}{others}");
            if self.strict {
                return Err(Failure::unusable(remark)
                    .help("write it again, or leave --strict out to compare all the same"));
            }
            remarks.push(remark);
        }
        Ok(Settled { input, remarks })
    }
}

impl Settled {
    /// Puts what is known into the report.
    pub(crate) fn note(self, comparison: &mut Comparison) {
        comparison.input = self.input;
        comparison.remarks.splice(0..0, self.remarks);
    }
}
