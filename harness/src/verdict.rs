//! Whether a layer keeps its tolerance, and what can be said with certainty about one that does not.

use crate::metrics::{Metrics, count_outliers};
use crate::tensor::Values;
use crate::tolerance::{Basis, Limits, NoiseFloor, Tolerance};

/// One figure held against its limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Criterion {
    /// The metric's name.
    pub name: &'static str,
    /// The figure; `None` where it is undefined, which fails.
    pub measured: Option<f64>,
    /// Its limit.
    pub limit: f64,
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
    /// Where the limits came from.
    pub basis: Basis,
    /// A cause that the figures prove.
    pub diagnosis: Option<String>,
}

impl Judgement {
    /// The largest share of a limit that is used up.
    pub fn used(&self) -> Option<f64> {
        self.criteria.iter().filter_map(|criterion| criterion.used).max_by(f64::total_cmp)
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
    let (limits, basis) = tolerance.resolve(floor);
    let mut criteria = Vec::new();
    let count = |name, measured: usize| at_most(name, Some(measured as f64), 0.0);
    if metrics.n == 0 {
        criteria.push(Criterion {
            name: "elements",
            measured: Some(0.0),
            limit: 1.0,
            passed: false,
            used: None,
        });
    }
    if metrics.non_finite_mismatches > 0 {
        criteria.push(count("non_finite_mismatches", metrics.non_finite_mismatches));
    } else if !limits.allow_non_finite && metrics.non_finite() > 0 {
        criteria.push(count("non_finite", metrics.non_finite()));
    }
    if metrics.zero_reference {
        // Relative figures are undefined: the absolute error decides.
        criteria.push(at_most("max_abs", metrics.max_abs, limits.max_abs.unwrap_or(0.0)));
    } else {
        let figures = [
            ("rel_l2", metrics.rel_l2, limits.rel_l2),
            ("rel_linf", metrics.rel_linf, limits.rel_linf),
            ("max_abs", metrics.max_abs, limits.max_abs),
            ("mean_abs", metrics.mean_abs, limits.mean_abs),
        ];
        for (name, measured, limit) in figures {
            criteria.extend(limit.map(|limit| at_most(name, measured, limit)));
        }
        if let Some(limit) = limits.cosine {
            let passed = metrics.cosine.is_some_and(|cosine| cosine >= limit);
            criteria.push(Criterion { name: "cosine", measured: metrics.cosine, limit, passed, used: None });
        }
    }
    criteria.extend(element_rule(&limits, a, b));
    let nothing_asked = criteria.is_empty();
    let passed = !nothing_asked && criteria.iter().all(|criterion| criterion.passed);
    if nothing_asked {
        criteria.push(Criterion {
            name: "limits",
            measured: Some(0.0),
            limit: 1.0,
            passed: false,
            used: None,
        });
    }
    let diagnosis = if passed { None } else { diagnose(metrics) };
    Judgement { passed, criteria, basis, diagnosis }
}

fn at_most(name: &'static str, measured: Option<f64>, limit: f64) -> Criterion {
    let passed = measured.is_some_and(|measured| measured <= limit);
    let used = measured.and_then(|measured| match (measured, limit) {
        (0.0, _) => Some(0.0),
        (_, 0.0) => None,
        (measured, limit) => Some(measured / limit),
    });
    Criterion { name, measured, limit, passed, used }
}

fn element_rule(limits: &Limits, a: &Values, b: &Values) -> Option<Criterion> {
    if limits.atol.is_none() && limits.rtol.is_none() {
        return None;
    }
    let outliers = count_outliers(a, b, limits.atol.unwrap_or(0.0), limits.rtol.unwrap_or(0.0));
    Some(at_most("outliers", Some(outliers as f64), limits.outliers as f64))
}

/// Only what the figures prove.
fn diagnose(metrics: &Metrics) -> Option<String> {
    if metrics.n == 0 {
        return Some("there is no element to compare".into());
    }
    if metrics.non_finite_mismatches > 0 {
        return Some(format!("{} elements are NaN or Inf on one side only", metrics.non_finite_mismatches));
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
    (off > 1e-6 && left < 0.05 * off).then(|| format!("the candidate is the reference times {scale:.6}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Dtype;

    fn verdict(a: &[f32], b: &[f32], limits: Limits) -> Judgement {
        let (a, b) = (Values::F32(a.to_vec()), Values::F32(b.to_vec()));
        let metrics = Metrics::of(&a, &b, (Dtype::F32, Dtype::F32));
        judge(&metrics, &a, &b, &Tolerance { limits, times_floor: None }, None)
    }

    fn rel_l2(limit: f64) -> Limits {
        Limits { rel_l2: Some(limit), ..Limits::default() }
    }

    #[test]
    fn a_limit_holds_up_to_and_with_itself() {
        assert!(verdict(&[1.5], &[1.0], rel_l2(0.5)).passed);
        let broken = verdict(&[1.5], &[1.0], rel_l2(0.25));
        assert!(!broken.passed);
        assert_eq!(broken.used(), Some(2.0));
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
        let allowed = Limits { allow_non_finite: true, ..rel_l2(1e-6) };
        assert!(!verdict(&[inf, 1.0], &[inf, 1.0], rel_l2(1e-6)).passed);
        assert!(verdict(&[inf, 1.0], &[inf, 1.0], allowed).passed);
        assert!(!verdict(&[inf, 2.0], &[inf, 1.0], allowed).passed);
        assert!(!verdict(&[-inf, 1.0], &[inf, 1.0], allowed).passed);
    }

    #[test]
    fn the_element_rule_has_a_budget() {
        let limits = |outliers| Limits { atol: Some(0.1), rtol: Some(0.1), outliers, ..Limits::default() };
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
