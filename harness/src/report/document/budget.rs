//! What the error at the end of a run is made of.

use serde_json::{Value, json};

use crate::compare::budget::{ErrorBudget, ErrorShare, ErrorSource};
use crate::report::words;

pub(super) fn document(budget: &ErrorBudget) -> Value {
    let ErrorBudget { end, error, limit, shares, amplifiers, .. } = budget;
    let shares: Vec<Value> = shares.iter().map(share).collect();
    let amplifiers: Vec<Value> =
        amplifiers.iter().map(|(part, gain)| json!({"part": part, "gain": gain})).collect();
    json!({
        "end": end, "error": error, "limit": limit, "passed": limit.map(|_| budget.passed()), "shares": shares,
        "amplifiers": amplifiers, "sentence": words::budget(budget), "conclusion": words::conclusion(budget),
    })
}

fn share(share: &ErrorShare) -> Value {
    let ErrorShare { source, of_limit, at_end, share } = share;
    let source = match source {
        ErrorSource::Input => json!({"kind": "input"}),
        ErrorSource::Part(part) => json!({"kind": "part", "part": part}),
        ErrorSource::Others(parts) => json!({"kind": "others", "parts": parts}),
    };
    json!({"source": source, "of_limit": of_limit, "at_end": at_end, "share": share})
}
