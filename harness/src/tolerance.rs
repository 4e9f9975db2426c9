//! How far a layer may be from its reference.

/// Limits that a layer must keep; one that is `None` is not asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Largest ‖d‖ / ‖b‖.
    pub rel_l2: Option<f64>,
    /// Largest max |d| / max |b|.
    pub rel_linf: Option<f64>,
    /// Largest max |d|.
    pub max_abs: Option<f64>,
    /// Largest mean |d|.
    pub mean_abs: Option<f64>,
    /// Smallest cosine.
    pub cosine: Option<f64>,
    /// Element rule: |d| <= atol + rtol |b|.
    pub atol: Option<f64>,
    /// Element rule: |d| <= atol + rtol |b|.
    pub rtol: Option<f64>,
    /// Elements that may break the element rule.
    pub outliers: u64,
    /// Whether NaN and Inf may stand where the reference has the same.
    pub allow_non_finite: bool,
}

impl Limits {
    /// These limits, with those of `over` in the place of what it sets.
    pub fn overridden_by(self, over: &Limits) -> Limits {
        Limits {
            rel_l2: over.rel_l2.or(self.rel_l2),
            rel_linf: over.rel_linf.or(self.rel_linf),
            max_abs: over.max_abs.or(self.max_abs),
            mean_abs: over.mean_abs.or(self.mean_abs),
            cosine: over.cosine.or(self.cosine),
            atol: over.atol.or(self.atol),
            rtol: over.rtol.or(self.rtol),
            outliers: self.outliers.max(over.outliers),
            allow_non_finite: self.allow_non_finite || over.allow_non_finite,
        }
    }
}

/// Limits as multiples of the noise floor that the reference's manifest records.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FloorFactors {
    /// Times the floor of ‖d‖ / ‖b‖.
    pub rel_l2: Option<f64>,
    /// Times the floor of max |d| / max |b|.
    pub rel_linf: Option<f64>,
}

/// The error of the reference's own f32 run against its f64 run.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoiseFloor {
    /// ‖d‖ / ‖b‖.
    pub rel_l2: f64,
    /// max |d| / max |b|.
    pub rel_linf: f64,
    /// max |d|.
    pub max_abs: f64,
}

/// The tolerance of one layer under one profile.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tolerance {
    /// What holds where no noise floor is known, and whatever a multiple of it does not cover.
    pub limits: Limits,
    /// What holds where a noise floor is known.
    pub times_floor: Option<FloorFactors>,
}

/// Where a layer's limits came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// Multiples of the recorded noise floor.
    NoiseFloor,
    /// The mapping's own figures.
    Mapping,
}

/// Half a unit in the last place of f32: references are stored rounded to it, so no floor is lower.
const STORAGE_FLOOR: f64 = 5.960_464_477_539_063e-8;

impl Tolerance {
    /// The limits that hold for a layer with or without a known noise floor.
    pub fn resolve(&self, floor: Option<&NoiseFloor>) -> (Limits, Basis) {
        let (Some(factors), Some(floor)) = (self.times_floor, floor) else {
            return (self.limits, Basis::Mapping);
        };
        let times = |factor: Option<f64>, floor: f64| factor.map(|factor| factor * floor.max(STORAGE_FLOOR));
        let limits = Limits {
            rel_l2: times(factors.rel_l2, floor.rel_l2),
            rel_linf: times(factors.rel_linf, floor.rel_linf),
            ..self.limits
        };
        (limits, Basis::NoiseFloor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_replaces_the_limits_where_it_is_known() {
        let tolerance = Tolerance {
            limits: Limits { rel_l2: Some(1e-3), rel_linf: Some(1e-2), ..Limits::default() },
            times_floor: Some(FloorFactors { rel_l2: Some(4.0), rel_linf: None }),
        };
        assert_eq!(tolerance.resolve(None), (tolerance.limits, Basis::Mapping));
        let floor = NoiseFloor { rel_l2: 1e-6, rel_linf: 1e-6, max_abs: 1.0 };
        let (limits, basis) = tolerance.resolve(Some(&floor));
        assert_eq!((limits.rel_l2, limits.rel_linf, basis), (Some(4e-6), None, Basis::NoiseFloor));
    }

    #[test]
    fn no_floor_is_under_the_rounding_of_the_stored_reference() {
        let tolerance = Tolerance {
            times_floor: Some(FloorFactors { rel_l2: Some(4.0), rel_linf: None }),
            ..Tolerance::default()
        };
        let floor = NoiseFloor { rel_l2: 0.0, rel_linf: 0.0, max_abs: 0.0 };
        assert_eq!(tolerance.resolve(Some(&floor)).0.rel_l2, Some(4.0 * STORAGE_FLOOR));
    }
}
