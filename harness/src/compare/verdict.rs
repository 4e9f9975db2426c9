//! Whether a layer keeps its tolerance, and what can be said with certainty about one that does not.

use super::element_rule::ElementRule;
use super::metrics::Metrics;
use crate::limits::metric::{Metric, PerMetric};
use crate::limits::tolerance::{Basis, Limits, MOST_OUTLIERS, MOST_RELATIVE, Resolved};
use crate::limits::waiver::{Waiver, Waivers};
use crate::side::{PerSide, Side};
use crate::tensor::Dtype;

/// What is held against a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CriterionKind {
    /// There must be an element.
    Elements,
    /// There must be a limit.
    Limits,
    /// Elements that differ in NaN or Inf.
    NonFiniteMismatches,
    /// Elements that are not finite on either side.
    NonFinite,
    /// One of the metrics.
    Metric(Metric),
    /// max |d|.
    MaxAbs,
    /// mean |d|.
    MeanAbs,
    /// The cosine, which must be at least its limit.
    Cosine,
    /// Elements that break the element rule.
    Outliers,
    /// How far the sum that a log prints is from the reference's.
    PrintedSum,
}

impl CriterionKind {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            CriterionKind::Elements => "elements",
            CriterionKind::Limits => "limits",
            CriterionKind::NonFiniteMismatches => "non_finite_mismatches",
            CriterionKind::NonFinite => "non_finite",
            CriterionKind::Metric(metric) => metric.name(),
            CriterionKind::MaxAbs => "max_abs",
            CriterionKind::MeanAbs => "mean_abs",
            CriterionKind::Cosine => "cosine",
            CriterionKind::Outliers => "outliers",
            CriterionKind::PrintedSum => "printed_sum",
        }
    }
}

/// One figure held against its limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Criterion {
    /// What is held against it.
    pub kind: CriterionKind,
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

/// A cause that the figures of a layer prove.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Diagnosis {
    /// There is no element to compare.
    NoElements,
    /// That many elements differ in NaN or Inf.
    NonFinite(usize),
    /// Every element of the candidate is 0.
    ZeroCandidate,
    /// Every element of the reference is 0.
    ZeroReference,
    /// The candidate is the reference times this.
    Factor(f64),
}

/// The verdict on one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Whether every criterion holds.
    pub passed: bool,
    /// All that were asked for.
    pub criteria: Vec<Criterion>,
    /// The sides whose values were rounded when they were stored, as the types of their files prove; limits include it.
    pub rounded: Vec<(Side, Dtype)>,
    /// A cause that the figures prove.
    pub diagnosis: Option<Diagnosis>,
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

impl Resolved {
    /// The rule that elements must keep, where there is one.
    pub(super) fn element_rule(&self) -> Option<ElementRule> {
        let Limits { atol, rtol, .. } = self.limits;
        atol.or(rtol)?;
        Some(ElementRule { atol: atol.unwrap_or(0.0), rtol: rtol.unwrap_or(0.0) })
    }
}

/// Judges a compared pair. Every test is written so that NaN and undefined figures fail. A side that is stored in f16 or
/// bf16 was rounded to it: limits have room for that, half a unit in the last place.
pub fn judge(metrics: &Metrics, resolved: &Resolved, dtypes: PerSide<Dtype>) -> Judgement {
    let Resolved { limits, basis, waivers } = resolved;
    let is_rounded = |(_, dtype): &(Side, Dtype)| *dtype < Dtype::F32;
    let rounded: Vec<(Side, Dtype)> = dtypes.each().into_iter().filter(is_rounded).collect();
    let limits = &rounded.iter().fold(*limits, |limits, (_, dtype)| with_rounding(limits, metrics, *dtype));
    let mut criteria = Vec::new();
    let count = |kind, measured: usize| at_most(kind, Some(measured as f64), 0.0, Basis::Mapping);
    if metrics.n == 0 {
        criteria.push(unmet(CriterionKind::Elements));
    }
    if metrics.non_finite_mismatches > 0 {
        criteria.push(count(CriterionKind::NonFiniteMismatches, metrics.non_finite_mismatches));
    } else if limits.allow_non_finite != Some(true) && metrics.non_finite() > 0 {
        criteria.push(count(CriterionKind::NonFinite, metrics.non_finite()));
    }
    if metrics.zero_reference {
        // Relative figures are undefined: the absolute error decides.
        let limit = limits.max_abs.unwrap_or(0.0);
        criteria.push(at_most(CriterionKind::MaxAbs, metrics.max_abs, limit, Basis::Mapping));
    } else {
        criteria.extend(figures(metrics, limits, basis, waivers));
        criteria.extend(limits.cosine.map(|limit| at_least_cosine(metrics.cosine, limit)));
    }
    if let Some(outliers) = metrics.outliers {
        let (budget, cap) = (limits.outliers.unwrap_or(0) as f64, (metrics.n as f64 * MOST_OUTLIERS).ceil());
        let basis = if budget > cap { Basis::Cap } else { Basis::Mapping };
        criteria.push(at_most(CriterionKind::Outliers, Some(outliers as f64), budget.min(cap), basis));
    }
    match criteria.is_empty() {
        true => criteria.push(unmet(CriterionKind::Limits)),
        false => criteria.extend(cap(metrics, limits)),
    }
    let passed = criteria.iter().all(|criterion| criterion.passed);
    let diagnosis = if passed { None } else { diagnose(metrics) };
    Judgement { passed, criteria, rounded, diagnosis }
}

/// Limits with room for values that were rounded to a type when they were stored.
fn with_rounding(limits: Limits, metrics: &Metrics, dtype: Dtype) -> Limits {
    let half_ulp = dtype.half_ulp();
    // Values too small for the type's own range lose up to this, whatever they are.
    let least = dtype.least() / 2.0;
    let share = |size: Option<f64>, relative: Option<f64>| match (size, relative) {
        (Some(size), Some(relative)) if relative > 0.0 => least / (size / relative),
        _ => 0.0,
    };
    let room = |limit: Option<f64>, share: f64| limit.map(|limit| limit + half_ulp + share);
    Limits {
        rel_l2: room(limits.rel_l2, share(metrics.rms, metrics.rel_l2)),
        rel_linf: room(limits.rel_linf, share(metrics.max_abs, metrics.rel_linf)),
        cosine: limits.cosine.map(|cosine| cosine - half_ulp * half_ulp),
        rtol: room(limits.rtol, 0.0),
        atol: limits.atol.map(|atol| atol + least),
        ..limits
    }
}

/// Figures that may be at most their limit, for each limit that there is.
fn figures(
    metrics: &Metrics,
    limits: &Limits,
    basis: &PerMetric<Basis>,
    waivers: &Waivers,
) -> impl Iterator<Item = Criterion> {
    let of_metric = |metric: Metric, measured| {
        let limit = limits.of(metric)?;
        let criterion = at_most(CriterionKind::Metric(metric), measured, limit, basis.of(metric));
        Some(Criterion { waiver: waivers.of(metric).cloned(), ..criterion })
    };
    let of = |kind, measured, limit: Option<f64>| Some(at_most(kind, measured, limit?, Basis::Mapping));
    [
        of_metric(Metric::RelL2, metrics.rel_l2),
        of_metric(Metric::RelLinf, metrics.rel_linf),
        of(CriterionKind::MaxAbs, metrics.max_abs, limits.max_abs),
        of(CriterionKind::MeanAbs, metrics.mean_abs, limits.mean_abs),
    ]
    .into_iter()
    .flatten()
}

/// What no limits allow, where those that there are do not bound it: absolute ones may let zeros pass.
fn cap(metrics: &Metrics, limits: &Limits) -> Option<Criterion> {
    let unbounded = limits.rel_l2.is_none_or(|limit| limit > MOST_RELATIVE);
    // Of the least values a type has, zeros are within its rounding.
    let capped = metrics.rel_l2.filter(|measured| unbounded && *measured > MOST_RELATIVE)?;
    Some(at_most(CriterionKind::Metric(Metric::RelL2), Some(capped), MOST_RELATIVE, Basis::Cap))
}

/// Something that there must be at least one of, and is not.
fn unmet(kind: CriterionKind) -> Criterion {
    let (limit, basis) = (1.0, Basis::Mapping);
    Criterion { kind, measured: Some(0.0), limit, basis, waiver: None, passed: false, used: None }
}

fn at_most(kind: CriterionKind, measured: Option<f64>, limit: f64, basis: Basis) -> Criterion {
    let passed = measured.is_some_and(|measured| measured <= limit);
    let used = measured.and_then(|measured| match (measured, limit) {
        (0.0, _) => Some(0.0),
        (_, 0.0) => None,
        (measured, limit) => Some(measured / limit),
    });
    Criterion { kind, measured, limit, basis, waiver: None, passed, used }
}

fn at_least_cosine(measured: Option<f64>, limit: f64) -> Criterion {
    let passed = measured.is_some_and(|cosine| cosine >= limit);
    // The distance from 1 is what a limit leaves to be used up.
    let used = measured.filter(|_| limit < 1.0).map(|cosine| (1.0 - cosine).max(0.0) / (1.0 - limit));
    let (kind, basis) = (CriterionKind::Cosine, Basis::Mapping);
    Criterion { kind, measured, limit, basis, waiver: None, passed, used }
}

/// Only what the figures prove.
fn diagnose(metrics: &Metrics) -> Option<Diagnosis> {
    if metrics.n == 0 {
        return Some(Diagnosis::NoElements);
    }
    if metrics.non_finite_mismatches > 0 {
        return Some(Diagnosis::NonFinite(metrics.non_finite_mismatches));
    }
    if metrics.zero_candidate && !metrics.zero_reference {
        return Some(Diagnosis::ZeroCandidate);
    }
    if metrics.zero_reference {
        return Some(Diagnosis::ZeroReference);
    }
    let (cosine, scale) = (metrics.cosine?, metrics.scale?);
    let off = (scale - 1.0).abs();
    // What a factor leaves of ‖d‖/‖b‖ once it is taken out is sqrt(1 - cosine²).
    let left = (1.0 - cosine * cosine).max(0.0).sqrt();
    (off > 1e-6 && left < 0.05 * off).then_some(Diagnosis::Factor(scale))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::tolerance::Tolerance;
    use crate::tensor::Tensor;

    fn verdict(a: &[f32], b: &[f32], limits: Limits) -> Judgement {
        let tensor = |values: &[f32]| Tensor::from_f32(vec![values.len()], values.to_vec()).unwrap();
        let resolved = Tolerance { rule: limits, ..Tolerance::default() }.resolve(None);
        let dtypes = PerSide { candidate: Dtype::F32, reference: Dtype::F32 };
        judge(&Metrics::with_rule(&tensor(a), &tensor(b), resolved.element_rule()), &resolved, dtypes)
    }

    #[test]
    fn a_limit_has_room_for_values_that_were_rounded_when_they_were_stored() {
        let tensor = |values: &[f32]| Tensor::from_f32(vec![values.len()], values.to_vec()).unwrap();
        let judged = |rounded: &dyn Fn(f32) -> f32, dtype| {
            for scale in [1.0, 1e-6, 1e3] {
                let b: Vec<f32> = (1..=100).map(|i| scale * (i as f32).sqrt()).collect();
                let a: Vec<f32> = b.iter().map(|x| rounded(*x)).collect();
                let resolved = Tolerance { rule: rel_l2(1e-6), ..Tolerance::default() }.resolve(None);
                let metrics = Metrics::of(&tensor(&a), &tensor(&b));
                let of = |candidate| judge(&metrics, &resolved, PerSide { candidate, reference: Dtype::F32 });
                assert!(of(dtype).passed && !of(Dtype::F32).passed, "{dtype} {scale}");
                assert_eq!(of(dtype).rounded, [(Side::Candidate, dtype)]);
            }
        };
        judged(&|x| Dtype::F16.nearest(x), Dtype::F16);
        judged(&|x| Dtype::Bf16.nearest(x), Dtype::Bf16);
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
        assert_eq!(cause(&[2.0, 4.0], &[1.0, 2.0]), Some(Diagnosis::Factor(2.0)));
        assert_eq!(cause(&[0.0, 0.0], &[1.0, 2.0]), Some(Diagnosis::ZeroCandidate));
        assert_eq!(cause(&[1.0, 2.5], &[1.0, 2.0]), None);
    }
}
