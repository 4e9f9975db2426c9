//! How a layer stands to its known errors.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::number::finite;
use crate::limits::known_errors::Trend;
use crate::limits::metric::Metric;

/// How a layer stands to its known errors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentBaseline {
    /// What became of it.
    pub trend: DocumentTrend,
    /// The metric that changed by most.
    pub metric: Option<Metric>,
    /// Its known error.
    pub old: Option<f64>,
    /// Its error now.
    pub new: Option<f64>,
    /// The factor that it may be worse by.
    pub allowed: Option<f64>,
}

/// What became of a layer since its errors became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is what it is called")]
pub enum DocumentTrend {
    Worse,
    Better,
    Same,
}

pub(super) fn baseline(trend: Trend) -> DocumentBaseline {
    let (trend, change) = match trend {
        Trend::Worse(change) => (DocumentTrend::Worse, Some(change)),
        Trend::Better(change) => (DocumentTrend::Better, Some(change)),
        Trend::Same => (DocumentTrend::Same, None),
    };
    DocumentBaseline {
        trend,
        metric: change.map(|change| change.metric),
        old: change.and_then(|change| finite(change.old)),
        new: change.and_then(|change| finite(change.new)),
        allowed: change.and_then(|change| finite(change.allowed)),
    }
}
