//! Whether a layer keeps its tolerance, and what can be said with certainty about one that does not.

use crate::metrics::{Metrics, count_outliers};
use crate::tensor::Values;
use crate::tolerance::{Basis, Limits, NoiseFloor, Resolved, Tolerance};
use crate::waiver::Waiver;

/// One figure held against its limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Criterion {
    /// The metric's name.
    pub name: &'static str,
    /// The figure; `None` where it is undefined, which fails.
    pub measured: Option<f64>,
    /// Its limit.
    pub limit: f64,
    /// Where the limit came from.
    pub basis: Basis,
    /// Why the limit is another than its basis makes it, and until when.
    pub waiver: Option<Waiver>,
    /// Whether it holds.
    pub passed: bool,
    /// Share of the limit used up; above 1 it is broken. `None` where no such number exists.
    pub used: Option<f64>,
}

/// The verdict on one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Whether every criterion holds.
    pub passed: bool,
    /// All that were asked for.
    pub criteria: Vec<Criterion>,
    /// A cause that the figures prove.
    pub diagnosis: Option<String>,
}

impl Judgement {
    /// The largest share of a limit that is used up; infinite where a limit is broken by more than any share.
    pub fn used(&self) -> f64 {
        let used = |criterion: &Criterion| match criterion.used {
            Some(used) => used,
            None if criterion.passed => 0.0,
            None => f64::INFINITY,
        };
        self.criteria.iter().map(used).max_by(f64::total_cmp).unwrap_or(0.0)
    }
}

/// Judges a compared pair. Every test is written so that NaN and undefined figures fail.
pub fn judge(
    metrics: &Metrics,
    a: &Values,
    b: &Values,
    tolerance: &Tolerance,
    floor: Option<&NoiseFloor>,
) -> Judgement {
    let Resolved { limits, rel_l2, rel_linf, waivers } = tolerance.resolve(floor);
    let mut criteria = Vec::new();
    let count = |name, measured: usize| at_most(name, Some(measured as f64), 0.0, Basis::Mapping);
    if metrics.n == 0 {
        criteria.push(unmet("elements"));
    }
    if metrics.non_finite_mismatches > 0 {
        criteria.push(count("non_finite_mismatches", metrics.non_finite_mismatches));
    } else if limits.allow_non_finite != Some(true) && metrics.non_finite() > 0 {
        criteria.push(count("non_finite", metrics.non_finite()));
    }
    if metrics.zero_reference {
        // Relative figures are undefined: the absolute error decides.
        criteria.push(at_most("max_abs", metrics.max_abs, limits.max_abs.unwrap_or(0.0), Basis::Mapping));
    } else {
        let figures = [
            ("rel_l2", metrics.rel_l2, limits.rel_l2, rel_l2),
            ("rel_linf", metrics.rel_linf, limits.rel_linf, rel_linf),
            ("max_abs", metrics.max_abs, limits.max_abs, Basis::Mapping),
            ("mean_abs", metrics.mean_abs, limits.mean_abs, Basis::Mapping),
        ];
        for (name, measured, limit, basis) in figures {
            let waiver = match name {
                "rel_l2" => waivers.rel_l2.clone(),
                "rel_linf" => waivers.rel_linf.clone(),
                _ => None,
            };
            criteria.extend(limit.map(|limit| Criterion { waiver, ..at_most(name, measured, limit, basis) }));
        }
        criteria.extend(limits.cosine.map(|limit| at_least_cosine(metrics.cosine, limit)));
    }
    criteria.extend(element_rule(&limits, a, b));
    if criteria.is_empty() {
        criteria.push(unmet("limits"));
    }
    let passed = criteria.iter().all(|criterion| criterion.passed);
    let diagnosis = if passed { None } else { diagnose(metrics) };
    Judgement { passed, criteria, diagnosis }
}

/// Something that there must be at least one of, and is not.
fn unmet(name: &'static str) -> Criterion {
    let (limit, basis) = (1.0, Basis::Mapping);
    Criterion { name, measured: Some(0.0), limit, basis, waiver: None, passed: false, used: None }
}

fn at_most(name: &'static str, measured: Option<f64>, limit: f64, basis: Basis) -> Criterion {
    let passed = measured.is_some_and(|measured| measured <= limit);
    let used = measured.and_then(|measured| match (measured, limit) {
        (0.0, _) => Some(0.0),
        (_, 0.0) => None,
        (measured, limit) => Some(measured / limit),
    });
    Criterion { name, measured, limit, basis, waiver: None, passed, used }
}

fn at_least_cosine(measured: Option<f64>, limit: f64) -> Criterion {
    let passed = measured.is_some_and(|cosine| cosine >= limit);
    // The distance from 1 is what a limit leaves to be used up.
    let used = measured.filter(|_| limit < 1.0).map(|cosine| (1.0 - cosine).max(0.0) / (1.0 - limit));
    Criterion { name: "cosine", measured, limit, basis: Basis::Mapping, waiver: None, passed, used }
}

fn element_rule(limits: &Limits, a: &Values, b: &Values) -> Option<Criterion> {
    if limits.atol.is_none() && limits.rtol.is_none() {
        return None;
    }
    let outliers = count_outliers(a, b, limits.atol.unwrap_or(0.0), limits.rtol.unwrap_or(0.0));
    let budget = limits.outliers.unwrap_or(0) as f64;
    Some(at_most("outliers", Some(outliers as f64), budget, Basis::Mapping))
}

/// Only what the figures prove.
fn diagnose(metrics: &Metrics) -> Option<String> {
    if metrics.n == 0 {
        return Some("there is no element to compare".into());
    }
    if metrics.non_finite_mismatches > 0 {
        return Some(format!("{} elements differ in NaN or Inf", metrics.non_finite_mismatches));
    }
    if metrics.zero_candidate && !metrics.zero_reference {
        return Some("every element of the candidate is 0".into());
    }
    if metrics.zero_reference {
        return Some("every element of the reference is 0".into());
    }
    let (cosine, scale) = (metrics.cosine?, metrics.scale?);
    let off = (scale - 1.0).abs();
    // What a factor leaves of ‖d‖/‖b‖ once it is taken out is sqrt(1 - cosine²).
    let left = (1.0 - cosine * cosine).max(0.0).sqrt();
    let factor = |scale: f64| match scale.abs() {
        1e-3..1e6 => format!("{scale:.6}"),
        _ => format!("{scale:.6e}"),
    };
    (off > 1e-6 && left < 0.05 * off)
        .then(|| format!("the candidate is the reference times {}", factor(scale)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Dtype;

    fn verdict(a: &[f32], b: &[f32], limits: Limits) -> Judgement {
        let (a, b) = (Values::F32(a.to_vec()), Values::F32(b.to_vec()));
        let metrics = Metrics::of(&a, &b, (Dtype::F32, Dtype::F32));
        judge(&metrics, &a, &b, &Tolerance { rule: limits, ..Tolerance::default() }, None)
    }

    fn rel_l2(limit: f64) -> Limits {
        Limits { rel_l2: Some(limit), ..Limits::default() }
    }

    #[test]
    fn a_limit_holds_up_to_and_with_itself() {
        assert!(verdict(&[1.5], &[1.0], rel_l2(0.5)).passed);
        let broken = verdict(&[1.5], &[1.0], rel_l2(0.25));
        assert!(!broken.passed);
        assert_eq!(broken.used(), 2.0);
    }

    #[test]
    fn trap_01_nothing_asked_or_nothing_to_compare_is_no_pass() {
        assert!(!verdict(&[1.0], &[1.0], Limits::default()).passed);
        assert!(!verdict(&[], &[], rel_l2(1.0)).passed);
    }

    #[test]
    fn trap_04_undefined_figures_fail() {
        assert!(!verdict(&[f32::NAN], &[1.0], rel_l2(1e9)).passed);
        assert!(!verdict(&[1e-9], &[0.0], rel_l2(1e9)).passed);
        assert!(verdict(&[0.0], &[0.0], rel_l2(1e-9)).passed);
        let limits = Limits { max_abs: Some(1e-6), ..rel_l2(1e-9) };
        assert!(verdict(&[1e-9], &[0.0], limits).passed);
    }

    #[test]
    fn trap_05_and_06_infinities() {
        let inf = f32::INFINITY;
        let allowed = Limits { allow_non_finite: Some(true), ..rel_l2(1e-6) };
        assert!(!verdict(&[inf, 1.0], &[inf, 1.0], rel_l2(1e-6)).passed);
        assert!(verdict(&[inf, 1.0], &[inf, 1.0], allowed).passed);
        assert!(!verdict(&[inf, 2.0], &[inf, 1.0], allowed).passed);
        assert!(!verdict(&[-inf, 1.0], &[inf, 1.0], allowed).passed);
    }

    #[test]
    fn the_element_rule_has_a_budget() {
        let limits = |outliers| Limits {
            atol: Some(0.1),
            rtol: Some(0.1),
            outliers: Some(outliers),
            ..Limits::default()
        };
        assert!(verdict(&[1.19, 1.0], &[1.0, 1.0], limits(0)).passed);
        assert!(!verdict(&[1.3, 1.0], &[1.0, 1.0], limits(0)).passed);
        assert!(verdict(&[1.3, 1.0], &[1.0, 1.0], limits(1)).passed);
    }

    #[test]
    fn a_low_cosine_fails() {
        let limits = Limits { cosine: Some(0.999), ..Limits::default() };
        assert!(verdict(&[1.0, 2.0], &[1.0, 2.0], limits).passed);
        assert!(!verdict(&[1.0, -2.0], &[1.0, 2.0], limits).passed);
    }

    #[test]
    fn causes_that_the_figures_prove() {
        let cause = |a: &[f32], b: &[f32]| verdict(a, b, rel_l2(1e-9)).diagnosis;
        assert_eq!(cause(&[2.0, 4.0], &[1.0, 2.0]).unwrap(), "the candidate is the reference times 2.000000");
        assert_eq!(cause(&[0.0, 0.0], &[1.0, 2.0]).unwrap(), "every element of the candidate is 0");
        assert_eq!(cause(&[1.0, 2.5], &[1.0, 2.0]), None);
    }
}
