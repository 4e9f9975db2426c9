//! What was compared with what, by which rules, and what is to be said of it as a whole.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::budget;
use super::findings::findings;
use crate::compare::comparison::{Comparison, Origin, Run};
use crate::mapping::order::ExecutionOrder;
use crate::report::words;

/// A comparison beside its layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentProvenance {
    /// Its number, from 0.
    pub comparison: usize,
    /// The program that made it, with its version.
    pub program: String,
    /// The mapping's file.
    pub mapping: String,
    /// The profile of limits.
    pub profile: String,
    /// The file that both sides are known to have had as input.
    pub same_input: Option<String>,
    /// What the candidate is.
    pub candidate: DocumentOrigin,
    /// What the reference is.
    pub reference: DocumentOrigin,
    /// Where the order of the layers comes from.
    pub order: DocumentOrder,
    /// The exit code that it alone asks for.
    pub exit_code: u8,
    /// What kept it from being made.
    pub obstacle: Option<String>,
    /// How much less was compared than the mapping asks for.
    pub shortfall: Option<String>,
    /// What the error at the end is made of, where parts were judged alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Value>,
    /// Files that are not those that were recorded.
    pub not_as_recorded: Vec<String>,
    /// What a reader should know.
    pub remarks: Vec<String>,
    /// What the mapping's rules lack.
    pub warnings: Vec<String>,
    /// The sentences above once more, and what explains findings, each with what it is about.
    pub findings: Vec<DocumentFinding>,
    /// Where the program's own files were found, by name.
    pub resources: BTreeMap<String, String>,
}

/// A sentence with what it is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentFinding {
    /// What kind of finding it is.
    pub kind: String,
    /// The finding as a sentence.
    pub text: String,
    /// What it is about, by name.
    #[serde(flatten)]
    pub about: BTreeMap<String, Value>,
}

/// What one side of a comparison is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentOrigin {
    /// In a few words.
    pub title: String,
    /// Its folder, where it has one.
    pub folder: Option<String>,
    /// Versions, settings, hashes.
    pub facts: BTreeMap<String, String>,
}

/// Where the order of layers comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentOrder {
    /// The manifest of the set.
    Manifest,
    /// What wrote the dump.
    Recorded,
    /// The mapping's rules.
    Mapping,
    /// It is not known: no layer is the first.
    Unknown,
}

impl DocumentFinding {
    fn of(finding: Value) -> DocumentFinding {
        let mut about: BTreeMap<String, Value> = match finding {
            Value::Object(about) => about.into_iter().collect(),
            _ => BTreeMap::new(),
        };
        let mut text = |name: &str| match about.remove(name) {
            Some(Value::String(text)) => text,
            _ => String::new(),
        };
        let (kind, text) = (text("kind"), text("text"));
        DocumentFinding { kind, text, about }
    }

    /// Whether it explains a layer, by what its pair is called.
    pub fn explains(&self, layer: &str) -> bool {
        let explained = self.about.get("explains").and_then(Value::as_array);
        self.kind == "explanation" && explained.is_some_and(|names| names.iter().any(|name| name == layer))
    }
}

fn origin(origin: &Origin) -> DocumentOrigin {
    let folder = origin.folder.as_ref().map(|folder| folder.display().to_string());
    DocumentOrigin { title: origin.title.clone(), folder, facts: origin.facts.clone() }
}

pub(super) fn provenance(comparison: usize, of: &Comparison, run: &Run) -> DocumentProvenance {
    DocumentProvenance {
        comparison,
        program: concat!("harness ", env!("CARGO_PKG_VERSION")).to_string(),
        mapping: of.mapping.display().to_string(),
        profile: of.profile.clone(),
        same_input: of.input.clone(),
        candidate: origin(&of.candidate),
        reference: origin(&of.reference),
        order: match of.order {
            ExecutionOrder::Manifest => DocumentOrder::Manifest,
            ExecutionOrder::Recorded => DocumentOrder::Recorded,
            ExecutionOrder::Mapping => DocumentOrder::Mapping,
            ExecutionOrder::Unknown(_) => DocumentOrder::Unknown,
        },
        exit_code: of.exit_code(),
        obstacle: of.obstacle.as_ref().map(|obstacle| obstacle.message.clone()),
        shortfall: of.shortfall().as_ref().map(words::shortfall),
        budget: of.budget.as_ref().map(budget::document),
        not_as_recorded: of.not_as_recorded.iter().map(words::record_difference).collect(),
        remarks: of.remarks.iter().map(words::remark).collect(),
        warnings: of.warnings.iter().map(|warning| words::mapping_warning(warning).message).collect(),
        findings: findings(of).into_iter().map(DocumentFinding::of).collect(),
        resources: run.resources.clone(),
    }
}
