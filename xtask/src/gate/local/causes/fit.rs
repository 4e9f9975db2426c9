//! Numbers of changes, fitted to the values.

use encoder::reference::PortChange;

/// A number that was fitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct FittedNumber {
    pub(super) value: f64,
    /// What is left with it.
    pub(super) left: f64,
    /// How far the number may be moved before it adds as much as is left.
    pub(super) uncertainty: f64,
}

/// Steps of the search; each makes the interval smaller by the golden ratio.
const STEPS: usize = 32;

/// The number that a change has.
pub(super) fn number(change: PortChange) -> Option<f64> {
    match change {
        PortChange::Epsilon { value, .. }
        | PortChange::EpsilonOutside { value, .. }
        | PortChange::LayerScaleTimes(value)
        | PortChange::ScoresTimes(value)
        | PortChange::KeysPadded(value) => Some(value),
        _ => None,
    }
}

/// The number that the model has there: with it the change is none.
pub(super) fn right_number(change: PortChange) -> f64 {
    match change {
        PortChange::Epsilon { .. } => 1e-6,
        PortChange::EpsilonOutside { .. } | PortChange::KeysPadded(_) => 0.0,
        _ => 1.0,
    }
}

/// The change with another number.
pub(super) fn with_number(change: PortChange, value: f64) -> PortChange {
    match change {
        PortChange::Epsilon { norm, .. } => PortChange::Epsilon { norm, value },
        PortChange::EpsilonOutside { norm, .. } => PortChange::EpsilonOutside { norm, value },
        PortChange::LayerScaleTimes(_) => PortChange::LayerScaleTimes(value),
        PortChange::ScoresTimes(_) => PortChange::ScoresTimes(value),
        PortChange::KeysPadded(_) => PortChange::KeysPadded(value),
        other => other,
    }
}

/// The number from a tenth of `start` to ten times it that leaves least: golden-section search over its logarithm.
pub(super) fn fit(start: f64, left: &impl Fn(f64) -> Option<f64>) -> FittedNumber {
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let error = |logarithm: f64| left(logarithm.exp()).unwrap_or(f64::INFINITY);
    let (mut low, mut high) = (start.ln() - 10f64.ln(), start.ln() + 10f64.ln());
    let (mut a, mut b) = (high - ratio * (high - low), low + ratio * (high - low));
    let (mut at_a, mut at_b) = (error(a), error(b));
    for _ in 0..STEPS {
        if at_a <= at_b {
            (high, b, at_b) = (b, a, at_a);
            a = high - ratio * (high - low);
            at_a = error(a);
        } else {
            (low, a, at_a) = (a, b, at_b);
            b = low + ratio * (high - low);
            at_b = error(b);
        }
    }
    let (logarithm, least) = if at_a <= at_b { (a, at_a) } else { (b, at_b) };
    let found = (logarithm.exp(), least);
    // Where a runtime rounds, all but the very number leave what other roundings come to: a minimum too narrow to be searched.
    let tried = short_numbers(found.0).map(|value| (value, left(value).unwrap_or(f64::INFINITY)));
    let best = tried.fold(found, |best, other| if other.1 < best.1 { other } else { best });
    FittedNumber { value: best.0, left: best.1, uncertainty: uncertainty(best.0, best.1, left) }
}

/// Numbers of few digits near another, as people write them.
fn short_numbers(value: f64) -> impl Iterator<Item = f64> {
    let rounded = move |digits: i32, steps: f64| {
        let unit = 10f64.powi(value.abs().log10().floor() as i32 + 1 - digits);
        ((value / unit).round() + steps) * unit
    };
    let nearest = (1..=4).map(move |digits| rounded(digits, 0.0));
    let beside = [-2.0, -1.0, 1.0, 2.0].into_iter().map(move |steps| rounded(2, steps));
    nearest.chain(beside)
}

/// What is left grows as sqrt(least² + (slope · d)²) with the distance d from the best number: the d that adds as much as
/// `least`.
fn uncertainty(value: f64, least: f64, left: &impl Fn(f64) -> Option<f64>) -> f64 {
    let step = 0.1 * value;
    let added = |at: f64| left(at).map_or(0.0, |left| (left * left - least * least).max(0.0).sqrt());
    let slope = (added(value + step) + added(value - step)) / (2.0 * step);
    least / slope
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_few_digits_is_found_where_only_it_fits() {
        let left = |value: f64| {
            let off = (value / 0.23 - 1.0).abs();
            Some(if off < 1e-9 { 1e-7 } else { 4e-4 + 1e-4 * (off - 0.02).abs() })
        };
        let found = fit(0.1, &left);
        assert!((found.value - 0.23).abs() < 1e-9 && found.left < 1e-6, "{found:?}");
        let near: Vec<String> = short_numbers(2.1268e-5).map(|value| format!("{value:.3e}")).collect();
        assert!(near.contains(&"2.300e-5".to_string()) && near.contains(&"2.127e-5".to_string()), "{near:?}");
    }

    #[test]
    fn a_number_is_found_and_its_uncertainty_is_that_of_the_noise() {
        let left = |value: f64| Some((1e-4f64.powi(2) + (3.0 * (value - 1e-5) / 1e-2).powi(2)).sqrt());
        let found = fit(2e-5, &left);
        assert!((found.value - 1e-5).abs() < 1e-8, "{found:?}");
        let expected = 1e-4 * 1e-2 / 3.0;
        assert!((found.uncertainty / expected - 1.0).abs() < 0.1, "{found:?}");
    }
}
