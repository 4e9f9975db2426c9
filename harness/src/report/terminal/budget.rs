//! The end of a run whose parts were judged alone, and what its error is made of.

use super::{Detail, Report};
use crate::compare::budget::ErrorBudget;
use crate::report::words;

/// Columns of a source's name.
const SOURCE: usize = 24;

impl Report {
    pub(super) fn budget(&mut self, budget: &ErrorBudget) {
        if budget.passed() && budget.shares.is_empty() && self.shows(Detail::Quiet) {
            return;
        }
        self.wrapped(2, &words::budget(budget));
        for share in &budget.shares {
            let source = words::source(&share.source);
            self.wrapped(4, &format!("{source:SOURCE$} {}", words::share(share)));
        }
        if let Some(conclusion) = words::conclusion(budget) {
            self.wrapped(4, &conclusion);
        }
    }
}
