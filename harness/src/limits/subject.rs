//! What a file of figures is about: one reference set under one profile, as the set's manifest describes it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Days from today until a date such as `2026-12-31`, negative for one that is past; `None` where the text is no date
/// of the calendar.
pub type DaysUntil<'a> = dyn Fn(&str) -> Option<i64> + 'a;

/// Figures of another set, another profile, or of a set that was made anew since.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected figures of {what} `{expected}`, found those of `{found}`")]
#[expect(missing_docs, reason = "the message says what its fields are")]
pub struct SubjectError {
    pub what: &'static str,
    pub expected: String,
    pub found: String,
}

/// What figures are about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The reference set.
    pub set: String,
    /// The profile.
    pub profile: String,
    /// SHA-256 of the set's manifest, which holds the hashes of everything else.
    pub manifest_sha256: String,
}

impl Subject {
    /// Refuses figures that are about something else than `expected`.
    ///
    /// # Errors
    /// The first difference.
    pub fn require(&self, expected: &Subject) -> Result<(), SubjectError> {
        let parts = [
            ("set", &expected.set, &self.set),
            ("profile", &expected.profile, &self.profile),
            ("a manifest of sha256", &expected.manifest_sha256, &self.manifest_sha256),
        ];
        match parts.into_iter().find(|(_, expected, found)| expected != found) {
            Some((what, expected, found)) => {
                Err(SubjectError { what, expected: expected.clone(), found: found.clone() })
            }
            None => Ok(()),
        }
    }
}

/// Days that a clock may be slow before what was measured elsewhere seems to be of the future.
const CLOCK_SLOW_DAYS: i64 = 3;

/// What stands in the place of a day that is past, where it is none.
pub(crate) fn not_past(date: &str, days_until: &DaysUntil<'_>) -> Option<String> {
    match days_until(date) {
        None => Some(format!("`{date}`")),
        Some(days) if days > CLOCK_SLOW_DAYS => {
            Some(format!("`{date}`, {days} days from now: is this machine's clock right?"))
        }
        Some(_) => None,
    }
}

/// The first pair of names that is there twice.
pub(crate) fn duplicate<'a>(
    pairs: impl Iterator<Item = (&'a String, &'a String)>,
) -> Option<(&'a String, &'a String)> {
    let mut seen = BTreeSet::new();
    pairs.into_iter().find(|pair| !seen.insert(*pair))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_something_else_are_refused() {
        let subject = |set: &str, profile: &str, sha: &str| Subject {
            set: set.into(),
            profile: profile.into(),
            manifest_sha256: sha.into(),
        };
        let expected = subject("blocks", "f32", "12ab");
        assert_eq!(expected.require(&expected), Ok(()));
        for (other, what) in [
            (subject("variants", "f32", "12ab"), "set"),
            (subject("blocks", "bf16", "12ab"), "profile"),
            (subject("blocks", "f32", "34cd"), "a manifest of sha256"),
        ] {
            assert_eq!(other.require(&expected).unwrap_err().what, what);
        }
    }
}
