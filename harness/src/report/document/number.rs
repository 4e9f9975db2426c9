//! Numbers that JSON can say, and those that it cannot.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A number, or the name of one that JSON cannot say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Number {
    /// A finite number.
    Finite(f64),
    /// `NaN`, `inf` or `-inf`.
    Other(String),
}

impl From<f64> for Number {
    fn from(x: f64) -> Number {
        if x.is_finite() { Number::Finite(x) } else { Number::Other(x.to_string()) }
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Number::Finite(x) => write!(f, "{x:.6e}"),
            Number::Other(name) => f.write_str(name),
        }
    }
}

/// A figure that is defined.
pub(super) fn finite(x: f64) -> Option<f64> {
    Some(x).filter(|x| x.is_finite())
}
