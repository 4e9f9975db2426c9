//! SARIF 2.1.0, for code scanning: every problem at the line of the mapping that it comes from.

use serde_json::{Value, json};

use super::document::ReportDocument;
use super::place::uri;
use super::problems::{ProblemKind, RunProblem, problems, suite};
use crate::text::shown::in_lines;

/// Results that code scanning shows of one run.
const RESULTS: usize = 5000;

/// The report as text.
///
/// # Errors
/// When it cannot be written as JSON.
pub(super) fn render(document: &ReportDocument) -> Result<String, serde_json::Error> {
    let rules: Vec<Value> = ProblemKind::ALL.into_iter().map(rule).chain([mapping_rule()]).collect();
    let problems = problems(document);
    let warnings = document.provenance.iter().flat_map(|of| {
        let warnings = of.findings.iter().filter(|finding| MAPPING_WARNINGS.contains(&finding.kind.as_str()));
        warnings.map(move |finding| {
            let line = finding.about.get("line").and_then(Value::as_u64);
            json!({
                "ruleId": MAPPING, "ruleIndex": ProblemKind::ALL.len(), "level": "warning",
                "message": {"text": in_lines(&finding.text)},
                "locations": [{"physicalLocation": place(&of.mapping, line.unwrap_or(1))}],
            })
        })
    });
    let results: Vec<Value> = problems.iter().map(result).chain(warnings).take(RESULTS).collect();
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "parity", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": problems.iter().all(|problem| problem.kind != ProblemKind::Obstacle),
                "exitCode": document.summary.exit_code,
            }],
            "results": results,
        }],
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// The rule of what a mapping lacks.
const MAPPING: &str = "mapping";
/// Findings that are of it.
const MAPPING_WARNINGS: [&str; 2] = ["counts_over_nothing", "rule_takes_nothing"];

fn mapping_rule() -> Value {
    json!({"id": MAPPING, "shortDescription": {"text": "A rule of the mapping lacks something."}})
}

fn rule(kind: ProblemKind) -> Value {
    json!({"id": kind.name(), "shortDescription": {"text": kind.description()}})
}

fn result(problem: &RunProblem<'_>) -> Value {
    let name = in_lines(&problem.name);
    json!({
        "ruleId": problem.kind.name(),
        "ruleIndex": ProblemKind::ALL.iter().position(|kind| *kind == problem.kind),
        "level": "error",
        "message": {"text": format!("{name}: {}", in_lines(&problem.message))},
        "locations": [{
            "physicalLocation": place(&problem.comparison.mapping, problem.line() as u64),
            "logicalLocations": [{"name": name, "kind": "member"}],
        }],
        // One layer of several sets fails several times.
        "partialFingerprints": {
            "problem/v1": format!("{}/{}/{name}", problem.kind.name(), in_lines(&suite(problem.comparison))),
        },
    })
}

fn place(file: &str, line: u64) -> Value {
    json!({"artifactLocation": {"uri": uri(file)}, "region": {"startLine": line}})
}
