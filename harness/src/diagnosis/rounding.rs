//! Values that are the reference's rounded to fewer numbers than their type has.

use super::aligned::AlignedPair;
use crate::compare::value_change::ValueChange;
use crate::tensor::{Dtype, NamedAxis};

/// Values that have to be there before anything is said.
const MIN_VALUES: usize = 64;
/// How far from a multiple of a step a value may be, in steps.
const ON_STEP: f64 = 1e-3;
/// Different values that an index must have for steps to mean something.
const MIN_STEPS: usize = 8;

/// The rounding that explains a pair, with what is left of values that are rounded so. Values near the middle of a step fall
/// to either side of it in a right port too: every value has to be a number of the type, and no farther from the reference
/// than rounding makes it and the limits leave.
pub(super) fn explain(pair: &AlignedPair<'_>) -> Option<(ValueChange, f64)> {
    let (a, _) = pair.flat()?;
    if a.len() < MIN_VALUES {
        return None;
    }
    let slack = pair.slack();
    for dtype in [Dtype::F16, Dtype::Bf16] {
        if pair.candidate.dtype() > dtype && is_rounded_to(pair, dtype, slack) {
            let rounded: Vec<f64> =
                pair.reference.iter().map(|b| f64::from(dtype.nearest(b as f32))).collect();
            return Some((ValueChange::RoundedTo { dtype }, distance(pair, &rounded)?));
        }
    }
    let whole = NamedAxis { name: String::new(), extent: 1, stride: a.len() };
    let axes = pair.axes.iter().filter(|axis| axis.extent > 1);
    for axis in std::iter::once(&whole).chain(axes) {
        if let Some(rounded) = in_steps(pair, axis, slack) {
            let axis = (axis.extent > 1).then(|| axis.name.clone());
            return Some((ValueChange::RoundedToSteps { axis }, distance(pair, &rounded)?));
        }
    }
    None
}

/// Whether every value is a number of a type, and the reference's own rounded to it.
fn is_rounded_to(pair: &AlignedPair<'_>, dtype: Dtype, slack: f64) -> bool {
    pair.candidate.iter().zip(pair.reference.iter()).all(|(a, b)| {
        // The step is that of the larger of both.
        let half_step = dtype.half_ulp() * a.abs().max(b.abs()) + dtype.least() / 2.0;
        f64::from(dtype.nearest(a as f32)) == a && (a - b).abs() <= half_step + slack
    })
}

/// The reference rounded to the steps that the candidate has at each index of an axis, where every value of the candidate is
/// on one and the reference's own rounded to it.
fn in_steps(pair: &AlignedPair<'_>, axis: &NamedAxis, slack: f64) -> Option<Vec<f64>> {
    let (a, b) = pair.flat()?;
    let mut bounds = vec![(f64::INFINITY, f64::NEG_INFINITY); axis.extent];
    for flat in 0..a.len() {
        let (least, greatest) = &mut bounds[axis.index(flat)];
        (*least, *greatest) = (least.min(a.at(flat)), greatest.max(a.at(flat)));
    }
    for over_range in [false, true] {
        // By the largest of both signs, or over the whole range.
        let step = |(least, greatest): &(f64, f64)| match over_range {
            false => greatest.max(-least) / 127.0,
            true => (greatest - least) / 255.0,
        };
        let steps: Vec<f64> = bounds.iter().map(step).collect();
        let on_step = |flat: usize| {
            let step = steps[axis.index(flat)];
            let (a, b) = (a.at(flat), b.at(flat));
            let count = a / step;
            step == 0.0 || ((count - count.round()).abs() <= ON_STEP && (a - b).abs() <= step / 2.0 + slack)
        };
        let fine = steps.iter().zip(&bounds).filter(|(step, (least, greatest))| {
            **step > 0.0 && greatest - least >= MIN_STEPS as f64 * **step
        });
        if 2 * fine.count() > axis.extent && (0..a.len()).all(on_step) {
            let rounded = |flat: usize| {
                let step = steps[axis.index(flat)];
                if step > 0.0 { (b.at(flat) / step).round() * step } else { 0.0 }
            };
            return Some((0..a.len()).map(rounded).collect());
        }
    }
    None
}

/// ‖a - b'‖ / ‖b'‖, where that is less than ‖d‖ / ‖b‖.
fn distance(pair: &AlignedPair<'_>, rounded: &[f64]) -> Option<f64> {
    let (mut found, mut size) = (0.0, 0.0);
    for (a, b) in pair.candidate.iter().zip(rounded) {
        found += (a - b).powi(2);
        size += b * b;
    }
    let after = (found / size).sqrt();
    (after < pair.before).then_some(after)
}
