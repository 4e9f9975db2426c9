//! Waivers: a tolerance out of bounds, for one metric of one layer, with a reason and for a time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::metric::{Metric, PerMetric};
use super::subject::DaysUntil;

/// No waiver allows more noise floors than this: four times what is allowed without one. An absolute cap would be
/// thousands of floors in `f32` and few in `bf16`.
pub const MAX_FACTOR: f64 = 64.0;
/// A waiver that holds for longer than this many days is forgotten.
pub const MAX_DAYS: i64 = 366;

/// A tolerance out of bounds, for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// Why it must be so.
    pub reason: String,
    /// The last day, such as `2026-12-31`.
    pub expires: String,
}

/// What is wrong with a waiver.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what its fields are")]
pub enum WaiverError {
    #[error("expected a reason, found none")]
    Reason,
    #[error("expected a date such as 2026-12-31, found `{found}`")]
    Date { found: String },
    #[error("it expired on {expires} ({reason})")]
    Expired { expires: String, reason: String },
    #[error("expected a last day within {MAX_DAYS} days, found {expires}")]
    TooLong { expires: String },
}

impl Waiver {
    /// Refuses a waiver that does not hold today.
    ///
    /// # Errors
    /// One without a reason or a date, one that is past, and one that holds for too long.
    pub fn check(&self, days_until: &DaysUntil<'_>) -> Result<(), WaiverError> {
        let Waiver { reason, expires } = self;
        if reason.trim().is_empty() {
            return Err(WaiverError::Reason);
        }
        match days_until(expires) {
            None => Err(WaiverError::Date { found: expires.clone() }),
            Some(..0) => Err(WaiverError::Expired { expires: expires.clone(), reason: reason.clone() }),
            Some(days) if days > MAX_DAYS => Err(WaiverError::TooLong { expires: expires.clone() }),
            Some(_) => Ok(()),
        }
    }
}

/// The waivers of a layer: one for each metric that has one. In a file, an object with the metrics' names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<Metric, Waiver>", into = "BTreeMap<Metric, Waiver>")]
pub struct Waivers(PerMetric<Option<Waiver>>);

impl Waivers {
    /// That of one metric.
    pub fn of(&self, metric: Metric) -> Option<&Waiver> {
        self.0.get(metric).as_ref()
    }

    /// That of one metric, to be changed.
    pub fn of_mut(&mut self, metric: Metric) -> &mut Option<Waiver> {
        self.0.get_mut(metric)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Waivers::default()
    }
}

impl From<BTreeMap<Metric, Waiver>> for Waivers {
    fn from(mut waivers: BTreeMap<Metric, Waiver>) -> Waivers {
        Waivers(PerMetric::of_each(|metric| waivers.remove(&metric)))
    }
}

impl From<Waivers> for BTreeMap<Metric, Waiver> {
    fn from(waivers: Waivers) -> BTreeMap<Metric, Waiver> {
        let PerMetric { rel_l2, rel_linf } = waivers.0;
        let both = [(Metric::RelL2, rel_l2), (Metric::RelLinf, rel_linf)];
        both.into_iter().filter_map(|(metric, waiver)| Some((metric, waiver?))).collect()
    }
}
