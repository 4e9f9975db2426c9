//! Tensors that met no partner, and layers without bounds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::findings::{about_ambiguity, about_unmapped};
use crate::compare::gap::{Counterpart, Gap};
use crate::mapping::pairing::{Absent, Ambiguous, Ignored, Missing, Unmapped, WantedBy};
use crate::report::words;
use crate::side::Side;

/// A tensor that is not there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentMissing {
    /// The comparison, of those in `provenance`.
    pub comparison: usize,
    /// The side that lacks it.
    pub side: Side,
    /// The names that it may have.
    pub expected: Vec<String>,
    /// The partner that it lacks for, or `manifest`.
    pub wanted_by: String,
    /// The same as a sentence.
    pub detail: String,
}

/// A tensor that nothing takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentUnmapped {
    /// The comparison, of those in `provenance`.
    pub comparison: usize,
    /// The side that has it.
    pub side: Side,
    /// Its name.
    pub name: String,
    /// What it may be, where something is known.
    pub hint: Option<String>,
    /// The hint, or that nothing is known.
    pub detail: String,
    /// What `hint` is about.
    pub about: Option<Value>,
}

/// Tensors of which it cannot be said what they belong to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentAmbiguous {
    /// The comparison, of those in `provenance`.
    pub comparison: usize,
    /// The side that has them.
    pub side: Side,
    /// Their names.
    pub names: Vec<String>,
    /// Why.
    pub detail: String,
    /// What `detail` is about.
    pub about: Value,
}

/// A tensor that is not compared, with a reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentIgnored {
    /// The comparison, of those in `provenance`.
    pub comparison: usize,
    /// The side that has it.
    pub side: Side,
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
    /// The line of the mapping that says so, from 1; 0 where none does.
    pub line: usize,
}

/// An optional tensor that is not there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentAbsent {
    /// The comparison, of those in `provenance`.
    pub comparison: usize,
    /// The side that lacks it.
    pub side: Side,
    /// The candidate's name.
    pub name: String,
    /// The reference's name.
    pub reference: String,
}

/// A pair that a file of figures does not know, or an entry of it without a pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentGap {
    /// The comparison, of those in `provenance`.
    pub comparison: usize,
    /// What the file holds.
    pub of: String,
    /// The candidate's name.
    pub name: String,
    /// The reference's name.
    pub reference: String,
    /// Which of the two is missing.
    pub missing: DocumentCounterpart,
    /// The same as a sentence.
    pub detail: String,
}

/// What should be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentCounterpart {
    /// The entry of a pair.
    Entry,
    /// The pair of an entry.
    Pair,
}

pub(super) fn missing(comparison: usize, missing: &Missing) -> DocumentMissing {
    DocumentMissing {
        comparison,
        side: missing.side,
        expected: missing.expected.clone(),
        wanted_by: match &missing.wanted_by {
            WantedBy::Partner(partner) => partner.clone(),
            WantedBy::Manifest => "manifest".to_string(),
        },
        detail: words::wanted_by(missing),
    }
}

pub(super) fn unmapped(comparison: usize, unmapped: &Unmapped) -> DocumentUnmapped {
    DocumentUnmapped {
        comparison,
        side: unmapped.side,
        name: unmapped.name.clone(),
        hint: unmapped.hint.as_ref().map(|hint| words::unmapped(Some(hint))),
        detail: words::unmapped(unmapped.hint.as_ref()),
        about: unmapped.hint.as_ref().map(about_unmapped),
    }
}

pub(super) fn ambiguous(comparison: usize, ambiguous: &Ambiguous) -> DocumentAmbiguous {
    DocumentAmbiguous {
        comparison,
        side: ambiguous.side,
        names: ambiguous.names.clone(),
        detail: words::ambiguity(&ambiguous.cause),
        about: about_ambiguity(&ambiguous.cause),
    }
}

pub(super) fn ignored(comparison: usize, ignored: &Ignored) -> DocumentIgnored {
    DocumentIgnored {
        comparison,
        side: ignored.side,
        name: ignored.name.clone(),
        reason: ignored.reason.clone(),
        line: ignored.line,
    }
}

pub(super) fn absent(comparison: usize, absent: &Absent) -> DocumentAbsent {
    DocumentAbsent {
        comparison,
        side: absent.lacking,
        name: absent.candidate.clone(),
        reference: absent.reference.clone(),
    }
}

pub(super) fn gap(comparison: usize, gap: &Gap) -> DocumentGap {
    DocumentGap {
        comparison,
        of: gap.of.to_string(),
        name: gap.name.clone(),
        reference: gap.reference.clone(),
        missing: match gap.missing {
            Counterpart::Entry => DocumentCounterpart::Entry,
            Counterpart::Pair => DocumentCounterpart::Pair,
        },
        detail: words::gap(gap),
    }
}
