//! The verdict on a run.

use std::fmt::Write;

use crate::compare::comparison::Summary;
use crate::exit_code;

/// What a run came to, after its verdict in a word.
pub fn verdict(total: &Summary, code: u8) -> String {
    let counts = counts(total);
    match (code, total.compared) {
        (exit_code::PASSED, _) => counts,
        (_, 0) => format!("nothing was compared (exit code {code}): {counts}"),
        _ => format!("{counts} (exit code {code})"),
    }
}

fn counts(total: &Summary) -> String {
    let mut counts = format!("{} compared, {} passed", total.compared, total.passed);
    let others = [
        (total.failed, "failed"),
        (total.partly_seen, "seen in part only"),
        (total.shape_mismatch, "of another shape"),
        (total.unreadable, "unreadable"),
        (total.missing, "missing"),
        (total.unmapped, "unmapped"),
        (total.ambiguous, "ambiguous"),
        (total.ignored, "ignored"),
        (total.absent, "absent"),
        (total.gaps, "without entry or pair"),
    ];
    for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
        // Writing to a string does not fail.
        let _ = write!(counts, ", {count} {what}");
    }
    counts
}
