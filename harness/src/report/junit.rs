//! JUnit XML as nextest writes it: a suite for each comparison, a test case for each layer.
//!
//! Wrong numbers are failures; what could not be compared is an error. Text is escaped by `quick-junit`; what XML may hold and
//! a viewer should not be shown is replaced before.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::document::{DocumentLayer, ReportDocument};
use super::figures::{figure, share};
use super::problems::{RunProblem, problems, suite};
use crate::text::shown::in_lines;

/// The report as text.
///
/// # Errors
/// When it cannot be written as XML.
pub(super) fn render(document: &ReportDocument) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new("parity");
    let found = problems(document);
    for (at, provenance) in document.provenance.iter().enumerate() {
        let name = in_lines(&suite(provenance));
        let mut suite = TestSuite::new(name.as_str());
        let classname = |mut case: TestCase| {
            case.set_classname(name.as_str());
            case
        };
        let layers = document.layers.iter().filter(|layer| layer.comparison == at);
        suite.add_test_cases(layers.map(|layer| classname(of_layer(document, layer, &found))));
        let others = found.iter().filter(|problem| {
            problem.comparison.comparison == provenance.comparison && problem.layer.is_none()
        });
        suite.add_test_cases(others.map(|problem| classname(of_problem(problem))));
        let ignored = document.ignored.iter().filter(|ignored| ignored.comparison == at);
        suite.add_test_cases(ignored.map(|ignored| {
            let mut status = TestCaseStatus::skipped();
            status.set_message(in_lines(&ignored.reason));
            classname(TestCase::new(in_lines(&format!("{} ({})", ignored.name, ignored.side)), status))
        }));
        report.add_test_suite(suite);
    }
    report.to_string()
}

fn of_layer(document: &ReportDocument, layer: &DocumentLayer, problems: &[RunProblem<'_>]) -> TestCase {
    let problem = problems.iter().find(|problem| problem.layer.is_some_and(|of| std::ptr::eq(of, layer)));
    let status = match problem {
        None => TestCaseStatus::success(),
        Some(problem) => {
            let mut status = failed(problem);
            status.set_description(described(document, layer));
            status
        }
    };
    TestCase::new(in_lines(layer.pair_name()), status)
}

fn of_problem(problem: &RunProblem<'_>) -> TestCase {
    TestCase::new(in_lines(&format!("{}: {}", problem.kind.name(), problem.name)), failed(problem))
}

fn failed(problem: &RunProblem<'_>) -> TestCaseStatus {
    let kind = match problem.kind.is_of_numbers() {
        true => NonSuccessKind::Failure,
        false => NonSuccessKind::Error,
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(problem.kind.name()).set_message(in_lines(&problem.message));
    status
}

/// Everything that is known of a layer that fails.
fn described(document: &ReportDocument, layer: &DocumentLayer) -> String {
    let figures = layer.used.map(|used| {
        let (rel_l2, max_abs) = (figure(layer.rel_l2), figure(layer.max_abs));
        format!("rel_l2 {rel_l2}, max abs {max_abs}, {} of its limit", share(used))
    });
    let worst = layer.worst.as_ref().map(|worst| {
        let (candidate, reference) = (&worst.candidate, &worst.reference);
        format!("worst element {:?}: candidate {candidate}, reference {reference}", worst.index)
    });
    let reference = format!("reference {} (rule {})", layer.reference, layer.rule);
    let causes = document.causes(layer).map(|cause| format!("cause: {cause}"));
    let lines = layer.reasons.iter().cloned().chain([reference]).chain(figures).chain(worst).chain(causes);
    in_lines(&lines.collect::<Vec<_>>().join("\n"))
}
