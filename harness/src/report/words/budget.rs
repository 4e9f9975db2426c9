//! Sentences about the errors of a run's parts and what they come to.

use super::count;
use crate::compare::budget::{ErrorBudget, ErrorShare, ErrorSource, RunErrors};
use crate::report::figures;

/// How far the end is off, and how far it may be.
pub fn budget(budget: &ErrorBudget) -> String {
    let ErrorBudget { end, error, limit, .. } = budget;
    let verdict = match limit {
        Some(limit) if budget.passed() => format!("within the limit of {limit:.1e}"),
        Some(limit) => format!("over the limit of {limit:.1e}"),
        None => "which is not judged: values as narrow as these do not show how it rounds".to_string(),
    };
    format!("the run as a whole: {end} is off by {error:.1e} from a run of its own, {verdict}")
}

/// Where a share of the error at the end comes from.
pub fn source(source: &ErrorSource) -> String {
    match source {
        ErrorSource::Input => "the input".to_string(),
        ErrorSource::Part(part) => part.clone(),
        ErrorSource::Others(parts) => count(*parts, "other part"),
    }
}

/// A share of the error at the end, without its source.
pub fn share(share: &ErrorShare) -> String {
    let own = share.of_limit.map_or(String::new(), |used| format!("{} of its limit, ", figures::share(used)));
    // No minus stands before what is rounded to nothing.
    let percent = (100.0 * share.share).round() + 0.0;
    format!("{own}adds {:.1e} at the end ({percent:.0} %)", share.at_end)
}

/// What the shares as a whole say that none says alone.
pub fn conclusion(budget: &ErrorBudget) -> Option<String> {
    if budget.cancels() {
        let sources: Vec<String> = budget.cancelling().map(|share| source(&share.source)).collect();
        let sources = sources.join(", ");
        return Some(format!("local errors cancel at the end: without {sources} it would be farther off"));
    }
    let right = budget.shares.iter().all(|share| share.of_limit.is_none_or(|used| used <= 1.0));
    if budget.passed() || !right || !budget.parts_are_right {
        return None;
    }
    let input = budget.shares.iter().find(|share| share.source == ErrorSource::Input && share.share > 0.5);
    if input.is_some() {
        return Some("every part is right; the end is off for the input is another".to_string());
    }
    let most: Vec<String> =
        budget.amplifiers.iter().map(|(part, gain)| format!("{part} ({gain:.1} times)")).collect();
    Some(match most.is_empty() {
        true => "every part is within its limit, and none multiplies what comes in: the end is what their \
                 roundings add up to"
            .to_string(),
        false => format!(
            "every part is within its limit; the end is off for these multiply the error that comes in: {}",
            most.join(", ")
        ),
    })
}

/// The errors of a layer within its run.
pub fn run_errors(errors: &RunErrors) -> String {
    let RunErrors { inherited, whole, gain } = errors;
    let gain = gain.map_or(String::new(), |gain| format!(", gain {gain:.2}"));
    format!("inherited {inherited:.1e}, whole {whole:.1e}{gain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget_of(error: f64, shares: Vec<ErrorShare>, amplifiers: Vec<(String, f64)>) -> ErrorBudget {
        ErrorBudget { end: "out".into(), error, limit: Some(1e-3), parts_are_right: true, shares, amplifiers }
    }

    fn part(of_limit: f64, share: f64) -> ErrorShare {
        let source = ErrorSource::Part("b.1".into());
        ErrorShare { source, of_limit: Some(of_limit), at_end: 1e-2, share }
    }

    #[test]
    fn in_words() {
        let others = ErrorShare { source: ErrorSource::Others(3), of_limit: None, at_end: 1e-4, share: 0.02 };
        let input = ErrorShare { source: ErrorSource::Input, of_limit: None, at_end: 1e-2, share: 0.9 };
        let cases = [
            budget_of(1e-4, Vec::new(), Vec::new()),
            budget_of(1e-2, vec![part(8.0, 0.98), others.clone()], Vec::new()),
            budget_of(1e-2, vec![part(8.0, 1.5), part(3.0, -0.5)], Vec::new()),
            budget_of(1e-2, vec![input, others.clone()], Vec::new()),
            budget_of(1e-2, vec![others.clone()], vec![("b.2".into(), 7.0)]),
            budget_of(1e-2, vec![others], Vec::new()),
        ];
        let text: Vec<String> = cases
            .iter()
            .map(|case| {
                let shares =
                    case.shares.iter().map(|one| format!("  {}: {}", source(&one.source), share(one)));
                let lines = std::iter::once(budget(case)).chain(shares).chain(conclusion(case));
                lines.collect::<Vec<_>>().join("\n")
            })
            .collect();
        insta::assert_snapshot!(text.join("\n\n"));
    }
}
