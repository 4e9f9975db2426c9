//! The two metrics that layers are judged by, and a figure of each.

use serde::{Deserialize, Serialize};

/// What layers are judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// ‖d‖ / ‖b‖.
    RelL2,
    /// max |d| / max |b|.
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

/// A figure for each metric.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// ‖d‖ / ‖b‖.
    pub rel_l2: f64,
    /// max |d| / max |b|.
    pub rel_linf: f64,
}

impl Figures {
    /// That of one metric.
    pub fn of(&self, metric: Metric) -> f64 {
        match metric {
            Metric::RelL2 => self.rel_l2,
            Metric::RelLinf => self.rel_linf,
        }
    }

    /// That of one metric, to be changed.
    pub fn of_mut(&mut self, metric: Metric) -> &mut f64 {
        match metric {
            Metric::RelL2 => &mut self.rel_l2,
            Metric::RelLinf => &mut self.rel_linf,
        }
    }

    /// The larger of each.
    pub fn max(self, other: Figures) -> Figures {
        Figures { rel_l2: self.rel_l2.max(other.rel_l2), rel_linf: self.rel_linf.max(other.rel_linf) }
    }
}
