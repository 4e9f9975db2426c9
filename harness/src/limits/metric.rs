//! The two metrics that layers are judged by, and a value for each.

use serde::{Deserialize, Serialize};

/// What layers are judged by.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum Metric {
    /// ‖d‖ / ‖b‖.
    #[serde(rename = "rel_l2")]
    RelL2,
    /// max |d| / max |b|.
    #[serde(rename = "rel_linf")]
    RelLinf,
}

impl Metric {
    /// Both.
    pub const ALL: [Metric; 2] = [Metric::RelL2, Metric::RelLinf];

    /// The name in reports and files.
    pub fn name(self) -> &'static str {
        match self {
            Metric::RelL2 => "rel_l2",
            Metric::RelLinf => "rel_linf",
        }
    }
}

impl std::fmt::Display for Metric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A value for each metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerMetric<T> {
    /// Of ‖d‖ / ‖b‖.
    pub rel_l2: T,
    /// Of max |d| / max |b|.
    pub rel_linf: T,
}

/// A figure for each metric.
pub type Figures = PerMetric<f64>;

impl<T> PerMetric<T> {
    /// A value for each metric, made by `value`.
    pub fn of_each(mut value: impl FnMut(Metric) -> T) -> PerMetric<T> {
        PerMetric { rel_l2: value(Metric::RelL2), rel_linf: value(Metric::RelLinf) }
    }

    /// That of one metric.
    pub fn get(&self, metric: Metric) -> &T {
        match metric {
            Metric::RelL2 => &self.rel_l2,
            Metric::RelLinf => &self.rel_linf,
        }
    }

    /// That of one metric, to be changed.
    pub fn get_mut(&mut self, metric: Metric) -> &mut T {
        match metric {
            Metric::RelL2 => &mut self.rel_l2,
            Metric::RelLinf => &mut self.rel_linf,
        }
    }
}

impl<T: Copy> PerMetric<T> {
    /// That of one metric.
    pub fn of(&self, metric: Metric) -> T {
        *self.get(metric)
    }
}

impl Figures {
    /// The larger of each.
    pub fn max(self, other: Figures) -> Figures {
        Figures::of_each(|metric| self.of(metric).max(other.of(metric)))
    }
}
