//! How far a layer may be from its reference.

use super::metric::{Figures, Metric, PerMetric};
use super::waiver::Waivers;

/// Under no limits may ‖d‖ / ‖b‖ be more: a tensor of zeros is 1 from every reference, one with its sign turned 2.
pub const MOST_RELATIVE: f64 = 0.99;
/// The share of elements that may break the element rule under any limits, rounded up.
pub const MOST_OUTLIERS: f64 = 0.01;

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
    /// Elements that may break the element rule; 0 where it is not set.
    pub outliers: Option<u64>,
    /// Whether NaN and Inf may stand where the reference has the same; not where it is not set.
    pub allow_non_finite: Option<bool>,
}

impl Limits {
    /// That of one of the metrics.
    pub fn of(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::RelL2 => self.rel_l2,
            Metric::RelLinf => self.rel_linf,
        }
    }

    /// The names of those that a tensor of zeros keeps, or one with its sign turned, whatever the reference is.
    pub fn passing_zeros(&self) -> impl Iterator<Item = &'static str> + use<> {
        let too_wide = |limit: Option<f64>| limit.is_some_and(|limit| limit > MOST_RELATIVE);
        let found = [
            ("rel_l2", too_wide(self.rel_l2)),
            ("rel_linf", too_wide(self.rel_linf)),
            ("rtol", too_wide(self.rtol)),
            ("cosine", self.cosine.is_some_and(|cosine| cosine <= 0.0)),
        ];
        found.into_iter().filter(|(_, found)| *found).map(|(name, _)| name)
    }

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
            outliers: over.outliers.or(self.outliers),
            allow_non_finite: over.allow_non_finite.or(self.allow_non_finite),
        }
    }
}

/// Limits as multiples of the noise floor that the reference's manifest records.
pub type FloorFactors = PerMetric<Option<f64>>;

/// The error of the reference's own f32 run against its f64 run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseFloor {
    /// The figures that layers are judged by.
    pub figures: Figures,
    /// max |d|.
    pub max_abs: f64,
}

/// The tolerance of one layer under one profile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tolerance {
    /// The rule's own limits; they come first, but where there are derived ones they can only tighten those.
    pub rule: Limits,
    /// Derived limits of this layer of this set, with their floors; they come second.
    pub derived: Option<Derived>,
    /// Multiples of the noise floor, where one is recorded; they come third.
    pub times_floor: Option<FloorFactors>,
    /// The profile's limits, for what is left.
    pub profile: Limits,
}

/// Derived limits of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Derived {
    /// The limits.
    pub tolerance: Figures,
    /// What they are multiples of.
    pub floor: Figures,
    /// Which of them are waived.
    pub waivers: Waivers,
}

/// Where a limit came from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Basis {
    /// Derived for this layer of this set: a multiple of a measured floor.
    Derived {
        /// The floor.
        floor: f64,
        /// The factor.
        factor: f64,
    },
    /// A multiple of the recorded noise floor.
    NoiseFloor {
        /// The floor.
        floor: f64,
        /// The factor.
        factor: f64,
    },
    /// The mapping's own figure, of a rule or a profile.
    Mapping,
    /// What no mapping can allow: [`MOST_RELATIVE`], [`MOST_OUTLIERS`].
    Cap,
}

/// What holds for one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The limits.
    pub limits: Limits,
    /// Where those of the metrics came from.
    pub basis: PerMetric<Basis>,
    /// Which of them are waived.
    pub waivers: Waivers,
}

/// Half a unit in the last place of f32: references are stored rounded to it, so no floor is lower.
pub const STORAGE_FLOOR: f64 = 5.960_464_477_539_063e-8;

impl Tolerance {
    /// The limits that hold for a layer with or without a known noise floor: figure by figure the rule's, else the
    /// multiple of the floor, else the profile's. Where there is a derived limit the rule can only tighten it: what loosens
    /// one is a waiver.
    pub fn resolve(&self, floor: Option<&NoiseFloor>) -> Resolved {
        let figures = PerMetric::of_each(|metric| self.figure(metric, floor));
        let (rel_l2, rel_linf) = (figures.rel_l2.0, figures.rel_linf.0);
        let limits = Limits { rel_l2, rel_linf, ..self.profile.overridden_by(&self.rule) };
        let basis = PerMetric::of_each(|metric| figures.get(metric).1);
        let mut waivers = Waivers::default();
        for metric in Metric::ALL {
            if let (Basis::Derived { .. }, Some(derived)) = (basis.get(metric), &self.derived) {
                *waivers.of_mut(metric) = derived.waivers.of(metric).cloned();
            }
        }
        Resolved { limits, basis, waivers }
    }

    /// The limit of one metric, and where it came from.
    fn figure(&self, metric: Metric, floor: Option<&NoiseFloor>) -> (Option<f64>, Basis) {
        let (rule, profile) = (self.rule.of(metric), self.profile.of(metric));
        let factor = self.times_floor.unwrap_or_default().of(metric);
        let floor = floor.map(|floor| floor.figures.of(metric).max(STORAGE_FLOOR));
        let tighter = |derived: &Derived| rule.is_some_and(|rule| rule < derived.tolerance.of(metric));
        match (rule, &self.derived, factor.zip(floor)) {
            (_, Some(derived), _) if !tighter(derived) => {
                let (tolerance, floor) = (derived.tolerance.of(metric), derived.floor.of(metric));
                (Some(tolerance), Basis::Derived { floor, factor: tolerance / floor })
            }
            (None, _, Some((factor, floor))) => (Some(factor * floor), Basis::NoiseFloor { floor, factor }),
            (rule, ..) => (rule.or(profile), Basis::Mapping),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: NoiseFloor = NoiseFloor { figures: Figures { rel_l2: 1e-6, rel_linf: 1e-6 }, max_abs: 1.0 };

    fn limits(rel_l2: f64, rel_linf: f64) -> Limits {
        Limits { rel_l2: Some(rel_l2), rel_linf: Some(rel_linf), ..Limits::default() }
    }

    fn times_four() -> Option<FloorFactors> {
        Some(FloorFactors { rel_l2: Some(4.0), rel_linf: None })
    }

    #[test]
    fn the_floor_comes_before_the_profile_and_takes_no_limit_away() {
        let tolerance =
            Tolerance { profile: limits(1e-3, 1e-2), times_floor: times_four(), ..Tolerance::default() };
        assert_eq!(tolerance.resolve(None).limits, tolerance.profile);
        let resolved = tolerance.resolve(Some(&FLOOR));
        assert_eq!((resolved.limits.rel_l2, resolved.limits.rel_linf), (Some(4e-6), Some(1e-2)));
        assert_eq!(resolved.basis.rel_l2, Basis::NoiseFloor { floor: 1e-6, factor: 4.0 });
        assert_eq!(resolved.basis.rel_linf, Basis::Mapping);
    }

    #[test]
    fn the_rule_comes_before_the_floor() {
        let tolerance = Tolerance {
            rule: limits(1e-9, 1e-8),
            profile: limits(1e-3, 1e-2),
            times_floor: times_four(),
            derived: None,
        };
        assert_eq!(tolerance.resolve(Some(&FLOOR)).limits, tolerance.rule);
    }

    #[test]
    fn what_was_derived_comes_before_multiples_of_the_floor() {
        let figures = |x: f64| Figures { rel_l2: x, rel_linf: x };
        let derived =
            Some(Derived { tolerance: figures(6e-6), floor: figures(2e-6), waivers: Waivers::default() });
        let tolerance = Tolerance { derived, times_floor: times_four(), ..Tolerance::default() };
        let resolved = tolerance.resolve(Some(&FLOOR));
        assert_eq!((resolved.limits.rel_l2, resolved.limits.rel_linf), (Some(6e-6), Some(6e-6)));
        assert!(matches!(resolved.basis.rel_l2, Basis::Derived { floor: 2e-6, .. }));
    }

    #[test]
    fn a_rule_tightens_what_was_derived_and_never_loosens_it() {
        let figures = |x: f64| Figures { rel_l2: x, rel_linf: x };
        let derived =
            Some(Derived { tolerance: figures(6e-6), floor: figures(2e-6), waivers: Waivers::default() });
        let tolerance = Tolerance { rule: limits(0.9, 1e-6), derived, ..Tolerance::default() };
        let resolved = tolerance.resolve(Some(&FLOOR));
        assert_eq!((resolved.limits.rel_l2, resolved.limits.rel_linf), (Some(6e-6), Some(1e-6)));
        assert!(matches!(resolved.basis.rel_l2, Basis::Derived { .. }));
        assert_eq!(resolved.basis.rel_linf, Basis::Mapping);
    }

    #[test]
    fn a_rule_can_tighten_and_loosen() {
        let profile = Limits { outliers: Some(3), allow_non_finite: Some(true), ..limits(1.0, 2.0) };
        let rule = Limits {
            outliers: Some(0),
            allow_non_finite: Some(false),
            max_abs: Some(7.0),
            ..limits(3.0, 0.5)
        };
        assert_eq!(profile.overridden_by(&rule), rule);
        assert_eq!(rule.overridden_by(&Limits::default()), rule);
    }

    #[test]
    fn no_floor_is_under_the_rounding_of_the_stored_reference() {
        let tolerance = Tolerance { times_floor: times_four(), ..Tolerance::default() };
        let floor = NoiseFloor { figures: Figures::default(), max_abs: 0.0 };
        assert_eq!(tolerance.resolve(Some(&floor)).limits.rel_l2, Some(4.0 * STORAGE_FLOOR));
    }
}
