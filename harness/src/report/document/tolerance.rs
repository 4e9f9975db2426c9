//! What a layer was judged by.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::compare::comparison::Compared;
use crate::limits::tolerance::Basis;
use crate::limits::waiver::Waiver;

/// What a layer was judged by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentTolerance {
    /// Every figure that was held against a limit.
    pub criteria: Vec<DocumentCriterion>,
}

/// A figure held against its limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentCriterion {
    /// What is held against it.
    pub metric: String,
    /// The figure; null where it is undefined, which fails.
    pub measured: Option<f64>,
    /// Its limit.
    pub limit: f64,
    /// Where the limit came from.
    pub basis: DocumentBasis,
    /// The noise floor that it is a multiple of.
    pub floor: Option<f64>,
    /// The multiple.
    pub factor: Option<f64>,
    /// Why the limit is another than its basis makes it, and until when.
    pub waiver: Option<Waiver>,
    /// Whether it holds.
    pub passed: bool,
}

/// Where a limit came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentBasis {
    /// Derived for this layer of this set.
    Derived,
    /// A multiple of the recorded noise floor.
    NoiseFloor,
    /// The mapping's own.
    Mapping,
    /// What no mapping may go beyond.
    Cap,
}

pub(super) fn tolerance(compared: &Compared) -> DocumentTolerance {
    let criteria = compared.judgement.criteria.iter().map(|criterion| {
        let (basis, floor, factor) = match criterion.basis {
            Basis::Derived { floor, factor } => (DocumentBasis::Derived, Some(floor), Some(factor)),
            Basis::NoiseFloor { floor, factor } => (DocumentBasis::NoiseFloor, Some(floor), Some(factor)),
            Basis::Mapping => (DocumentBasis::Mapping, None, None),
            Basis::Cap => (DocumentBasis::Cap, None, None),
        };
        DocumentCriterion {
            metric: criterion.kind.name().to_string(),
            measured: criterion.measured,
            limit: criterion.limit,
            basis,
            floor,
            factor,
            waiver: criterion.waiver.clone(),
            passed: criterion.passed,
        }
    });
    DocumentTolerance { criteria: criteria.collect() }
}
