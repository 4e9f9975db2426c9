//! What an error says, as data: programs need not read its sentence.

use std::collections::BTreeMap;

/// What an error is about.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Facts {
    /// What is wrong, in one word or a few: stable, for programs.
    pub what: &'static str,
    /// Which file, what was expected, what was found, and the like.
    #[serde(flatten)]
    pub values: BTreeMap<&'static str, String>,
}

impl Facts {
    /// Facts of an error.
    pub fn of<const N: usize>(what: &'static str, values: [(&'static str, String); N]) -> Facts {
        Facts { what, values: values.into() }
    }

    /// With one more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Facts {
        self.values.insert(name, value.into());
        self
    }
}

/// An error that says what it is about as data too.
pub trait Factual {
    /// What it is about.
    fn facts(&self) -> Facts;
}
