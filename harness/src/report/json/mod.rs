//! The report for programs: stable, with a `schema_version`. A figure that is undefined is null, never 0 and never NaN.
//! Beside each sentence stands what it is about, under `about`.

mod budget;
mod error_shape;
mod findings;
mod layer;
mod value_change;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use self::findings::{about_ambiguity, about_unmapped, findings};
use self::layer::{DocumentLayer, layer};
use super::words;
use crate::compare::comparison::{Origin, Run};
use crate::compare::gap::Counterpart;
use crate::exit_code;
use crate::mapping::order::ExecutionOrder;
use crate::mapping::pairing::WantedBy;
use crate::side::Side;

/// The version of the schema that this program writes.
pub const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
struct JsonDocument<'a> {
    schema_version: u32,
    summary: DocumentSummary<'a>,
    layers: Vec<DocumentLayer<'a>>,
    missing: Vec<DocumentMissing<'a>>,
    unmapped: Vec<DocumentUnmapped<'a>>,
    ambiguous: Vec<DocumentAmbiguous<'a>>,
    ignored: Vec<DocumentIgnored<'a>>,
    absent: Vec<DocumentAbsent<'a>>,
    gaps: Vec<DocumentGap<'a>>,
    provenance: Vec<DocumentProvenance<'a>>,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

#[derive(Serialize)]
struct DocumentSummary<'a> {
    compared: usize,
    passed: usize,
    failed: usize,
    /// Of those that were compared, where not all elements of all were.
    #[serde(skip_serializing_if = "is_zero")]
    partly_seen: usize,
    missing: usize,
    unmapped: usize,
    ambiguous: usize,
    ignored: usize,
    absent: usize,
    gaps: usize,
    shape_mismatch: usize,
    unreadable: usize,
    verdict: &'static str,
    exit_code: u8,
    /// The `stands_for` of a layer that has one, else its `name`.
    first_failure: Option<&'a str>,
    /// The comparison that it is in, of those in `provenance`.
    first_failure_comparison: Option<usize>,
}

#[derive(Serialize)]
struct DocumentMissing<'a> {
    comparison: usize,
    side: Side,
    expected: &'a [String],
    wanted_by: &'a str,
}

#[derive(Serialize)]
struct DocumentUnmapped<'a> {
    comparison: usize,
    side: Side,
    name: &'a str,
    hint: Option<String>,
    about: Option<Value>,
}

#[derive(Serialize)]
struct DocumentAmbiguous<'a> {
    comparison: usize,
    side: Side,
    names: &'a [String],
    detail: String,
    about: Value,
}

#[derive(Serialize)]
struct DocumentIgnored<'a> {
    comparison: usize,
    side: Side,
    name: &'a str,
    reason: &'a str,
    line: usize,
}

#[derive(Serialize)]
struct DocumentAbsent<'a> {
    comparison: usize,
    side: Side,
    name: &'a str,
    reference: &'a str,
}

#[derive(Serialize)]
struct DocumentGap<'a> {
    comparison: usize,
    of: String,
    name: &'a str,
    reference: &'a str,
    missing: &'static str,
}

#[derive(Serialize)]
struct DocumentProvenance<'a> {
    comparison: usize,
    program: &'static str,
    mapping: String,
    profile: &'a str,
    same_input: Option<&'a str>,
    candidate: DocumentOrigin<'a>,
    reference: DocumentOrigin<'a>,
    order: &'static str,
    obstacle: Option<&'a str>,
    /// What the error at the end is made of, where parts were judged alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<Value>,
    not_as_recorded: Vec<String>,
    remarks: Vec<String>,
    warnings: Vec<String>,
    /// The sentences above once more, each with what it is about.
    findings: Vec<Value>,
    resources: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct DocumentOrigin<'a> {
    title: &'a str,
    folder: Option<String>,
    facts: &'a BTreeMap<String, String>,
}

fn origin(origin: &Origin) -> DocumentOrigin<'_> {
    let folder = origin.folder.as_ref().map(|folder| folder.display().to_string());
    DocumentOrigin { title: &origin.title, folder, facts: &origin.facts }
}

/// The report as text.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn render(run: &Run) -> Result<String, serde_json::Error> {
    let (total, code) = (run.summary(), run.exit_code());
    let numbered = || run.comparisons.iter().enumerate();
    let document = JsonDocument {
        schema_version: SCHEMA_VERSION,
        summary: DocumentSummary {
            compared: total.compared,
            passed: total.passed,
            failed: total.failed,
            partly_seen: total.partly_seen,
            missing: total.missing,
            unmapped: total.unmapped,
            ambiguous: total.ambiguous,
            ignored: total.ignored,
            absent: total.absent,
            gaps: total.gaps,
            shape_mismatch: total.shape_mismatch,
            unreadable: total.unreadable,
            verdict: if code == exit_code::PASSED { "pass" } else { "fail" },
            exit_code: code,
            first_failure: run.first_failure().map(|(_, layer)| layer.pair_name()),
            first_failure_comparison: run.first_failure().map(|(at, _)| at),
        },
        layers: numbered().flat_map(|(i, c)| c.layers.iter().map(move |l| layer(i, c, l))).collect(),
        missing: numbered()
            .flat_map(|(comparison, c)| {
                c.missing.iter().map(move |m| DocumentMissing {
                    comparison,
                    side: m.side,
                    expected: &m.expected,
                    wanted_by: match &m.wanted_by {
                        WantedBy::Partner(partner) => partner,
                        WantedBy::Manifest => "manifest",
                    },
                })
            })
            .collect(),
        unmapped: numbered()
            .flat_map(|(comparison, c)| {
                c.unmapped.iter().map(move |u| DocumentUnmapped {
                    comparison,
                    side: u.side,
                    name: &u.name,
                    hint: u.hint.as_ref().map(|hint| words::unmapped(Some(hint))),
                    about: u.hint.as_ref().map(about_unmapped),
                })
            })
            .collect(),
        ambiguous: numbered()
            .flat_map(|(comparison, c)| {
                c.ambiguous.iter().map(move |a| DocumentAmbiguous {
                    comparison,
                    side: a.side,
                    names: &a.names,
                    detail: words::ambiguity(&a.cause),
                    about: about_ambiguity(&a.cause),
                })
            })
            .collect(),
        ignored: numbered()
            .flat_map(|(comparison, c)| {
                c.ignored.iter().map(move |ignored| DocumentIgnored {
                    comparison,
                    side: ignored.side,
                    name: &ignored.name,
                    reason: &ignored.reason,
                    line: ignored.line,
                })
            })
            .collect(),
        absent: numbered()
            .flat_map(|(comparison, c)| {
                c.absent.iter().map(move |a| DocumentAbsent {
                    side: a.lacking,
                    comparison,
                    name: &a.candidate,
                    reference: &a.reference,
                })
            })
            .collect(),
        gaps: numbered()
            .flat_map(|(comparison, c)| {
                c.gaps.iter().map(move |gap| DocumentGap {
                    comparison,
                    of: gap.of.to_string(),
                    name: &gap.name,
                    reference: &gap.reference,
                    missing: match gap.missing {
                        Counterpart::Entry => "entry",
                        Counterpart::Pair => "pair",
                    },
                })
            })
            .collect(),
        provenance: numbered()
            .map(|(comparison, c)| DocumentProvenance {
                comparison,
                program: concat!("harness ", env!("CARGO_PKG_VERSION")),
                mapping: c.mapping.display().to_string(),
                profile: &c.profile,
                same_input: c.input.as_deref(),
                candidate: origin(&c.candidate),
                reference: origin(&c.reference),
                order: match c.order {
                    ExecutionOrder::Manifest => "manifest",
                    ExecutionOrder::Recorded => "recorded",
                    ExecutionOrder::Mapping => "mapping",
                    ExecutionOrder::Unknown(_) => "unknown",
                },
                obstacle: c.obstacle.as_ref().map(|obstacle| obstacle.message.as_str()),
                budget: c.budget.as_ref().map(budget::document),
                not_as_recorded: c.not_as_recorded.iter().map(words::record_difference).collect(),
                remarks: c.remarks.iter().map(words::remark).collect(),
                warnings: c.warnings.iter().map(|warning| words::mapping_warning(warning).message).collect(),
                findings: findings(c),
                resources: &run.resources,
            })
            .collect(),
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}
