//! JSON lines: an object a line, so that a reader need not wait for the end. The `kind` of each says what it is: those of one
//! comparison come as soon as it is made, the summary comes last.

use serde::Serialize;
use serde_json::Value;

use super::document::ReportDocument;

/// The report as text.
///
/// # Errors
/// When it cannot be written as JSON.
pub(super) fn render(document: &ReportDocument) -> Result<String, serde_json::Error> {
    let comparisons: Result<String, _> =
        (0..document.provenance.len()).map(|at| comparison(document, at)).collect();
    Ok(comparisons? + &summary(document)?)
}

/// The lines of one comparison: what was compared, its layers, and what was not compared.
///
/// # Errors
/// When they cannot be written as JSON.
pub fn comparison(document: &ReportDocument, at: usize) -> Result<String, serde_json::Error> {
    let mut lines = String::new();
    if let Some(provenance) = document.provenance.get(at) {
        line(&mut lines, "comparison", provenance)?;
    }
    each(&mut lines, "layer", document.layers.iter().filter(|one| one.comparison == at))?;
    each(&mut lines, "missing", document.missing.iter().filter(|one| one.comparison == at))?;
    each(&mut lines, "unmapped", document.unmapped.iter().filter(|one| one.comparison == at))?;
    each(&mut lines, "ambiguous", document.ambiguous.iter().filter(|one| one.comparison == at))?;
    each(&mut lines, "ignored", document.ignored.iter().filter(|one| one.comparison == at))?;
    each(&mut lines, "absent", document.absent.iter().filter(|one| one.comparison == at))?;
    each(&mut lines, "gap", document.gaps.iter().filter(|one| one.comparison == at))?;
    Ok(lines)
}

/// The last line: counts, verdict, and what to do next.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn summary(document: &ReportDocument) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct SummaryLine<'a> {
        schema_version: u32,
        #[serde(flatten)]
        summary: &'a super::document::DocumentSummary,
        next: &'a [String],
    }
    let mut lines = String::new();
    let (schema_version, summary, next) = (document.schema_version, &document.summary, &document.next);
    line(&mut lines, "summary", &SummaryLine { schema_version, summary, next })?;
    Ok(lines)
}

fn each<'a, T: Serialize + 'a>(
    lines: &mut String,
    kind: &str,
    mut things: impl Iterator<Item = &'a T>,
) -> Result<(), serde_json::Error> {
    things.try_for_each(|thing| line(lines, kind, thing))
}

fn line(lines: &mut String, kind: &str, thing: &impl Serialize) -> Result<(), serde_json::Error> {
    let mut value = serde_json::to_value(thing)?;
    if let Value::Object(object) = &mut value {
        object.insert("kind".to_string(), kind.into());
    }
    lines.push_str(&serde_json::to_string(&value)?);
    lines.push('\n');
    Ok(())
}
