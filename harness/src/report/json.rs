//! The report for programs: see [`super::document`].

use schemars::generate::SchemaSettings;

use super::document::{ReportDocument, SCHEMA_VERSION};
use crate::compare::comparison::Run;

/// What is wrong with a report that was read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what its fields are")]
pub enum ReportError {
    #[error("expected a JSON report: {0}")]
    Invalid(#[from] serde_json::Error),
    #[error("expected a report of schema_version {SCHEMA_VERSION}, found {found}; compare again")]
    Version { found: u64 },
}

/// The report as text.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn render(run: &Run) -> Result<String, serde_json::Error> {
    document(&ReportDocument::of(run))
}

/// A document as text.
///
/// # Errors
/// As [`render`].
pub fn document(document: &ReportDocument) -> Result<String, serde_json::Error> {
    Ok(serde_json::to_string_pretty(document)? + "\n")
}

/// Reads a report that this program wrote.
///
/// # Errors
/// Text that is not one, or is of another version.
pub fn parse(text: &str) -> Result<ReportDocument, ReportError> {
    #[derive(serde::Deserialize)]
    struct ReportVersion {
        schema_version: u64,
    }
    let ReportVersion { schema_version: found } = serde_json::from_str(text)?;
    match found == u64::from(SCHEMA_VERSION) {
        true => Ok(serde_json::from_str(text)?),
        false => Err(ReportError::Version { found }),
    }
}

/// A JSON schema (draft 2020-12) of reports, derived from the types that write them.
pub fn schema() -> String {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<ReportDocument>();
    format!("{:#}\n", schema.as_value())
}
