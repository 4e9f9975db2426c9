//! How a candidate's input differs from the reference's: channels reversed, turned, scaled.

use crate::compare::comparison::{Comparison, Outcome};
use crate::compare::explanation::{Explanation, ExplanationKind, InputChange, Scaling};
use crate::compare::input::HALF_A_LEVEL;
use crate::compare::terms::Terms;
use crate::provenance::Dump;
use crate::tensor::{Tensor, moved};

/// Pictures are tried whole up to this many elements.
const MAX_ELEMENTS: usize = 1 << 24;
/// Correlation from which two inputs are of one picture.
const ALIKE: f64 = 0.9;
/// How near the factor and the shift of a known scaling a fitted one must be, relative to 1.
const NEAR: f64 = 0.02;

/// Means and standard deviations that processors scale by, for each channel.
const KNOWN: [(Scaling, [f64; 3], [f64; 3]); 3] = [
    (Scaling::MinusOneToOne, [0.5; 3], [0.5; 3]),
    (Scaling::ImageNet, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    (Scaling::Clip, [0.481_454_66, 0.457_827_5, 0.408_210_73], [0.268_629_54, 0.261_302_58, 0.275_777_11]),
];

/// What explains an input that differs.
pub(super) fn explain(terms: &Terms<'_>, dump: &Dump, comparison: &Comparison) -> Option<Explanation> {
    let failed = |outcome: &Outcome| match outcome {
        Outcome::Compared(compared) => !compared.judgement.passed,
        Outcome::ShapeMismatch(_) => true,
        Outcome::Unreadable { .. } => false,
    };
    let layer = comparison.layers.iter().find(|layer| layer.is_input && failed(&layer.outcome))?;
    let reference = terms.reference_input(Some(&layer.reference))?.tensor;
    let candidate = dump.open_tensor(&layer.name).ok()?;
    if candidate.len() != reference.len() || candidate.len() > MAX_ELEMENTS {
        return None;
    }
    let changes = changes(&candidate.read().ok()?, &reference)?;
    let inherited = comparison.computed().next().is_some_and(|layer| failed(&layer.outcome));
    let fails_later = comparison.computed().any(|layer| failed(&layer.outcome));
    if fails_later && !inherited {
        return None;
    }
    let kind = ExplanationKind::Input { changes, inherited };
    Some(Explanation { kind, explains: vec![layer.name.clone()], tried: 1, ties: Vec::new() })
}

/// The changes that make the reference's input the candidate's, within a picture's rounding; the fewest that do.
fn changes(candidate: &Tensor, reference: &Tensor) -> Option<Vec<InputChange>> {
    let &[batch, channels, height, width] = reference.shape() else { return None };
    let shape = [batch, channels, height, width];
    let mut alike: f64 = 0.0;
    let mut best: Option<Vec<InputChange>> = None;
    for turn in turns(height == width) {
        for reversed in [false, true] {
            for last in [false, true] {
                let mut made: Vec<InputChange> = turn.clone().into_iter().collect();
                made.extend(reversed.then_some(InputChange::ChannelsReversed));
                made.extend(last.then_some(InputChange::ChannelsLast));
                let read =
                    moved(candidate, &shape, |index| position(index, &shape, turn.as_ref(), reversed, last));
                let fitted = Fitted::of(&read, reference);
                alike = alike.max(fitted.correlation);
                if !fitted.holds {
                    continue;
                }
                made.extend(fitted.scaling().map(InputChange::Scaled));
                if best.as_ref().is_none_or(|best| made.len() < best.len()) && !made.is_empty() {
                    best = Some(made);
                }
            }
        }
    }
    best.or_else(|| (alike > ALIKE).then(|| vec![InputChange::Alike { correlation: alike }]))
}

/// How a picture may be turned; not at all, first.
fn turns(square: bool) -> Vec<Option<InputChange>> {
    let mut turns =
        vec![None, Some(InputChange::Flipped { axis: 'h' }), Some(InputChange::Flipped { axis: 'w' })];
    if square {
        turns.push(Some(InputChange::Exchanged));
    }
    turns
}

/// Where the candidate has the element that an unchanged input has at an index.
fn position(
    index: &[usize],
    &[_, channels, height, width]: &[usize; 4],
    turn: Option<&InputChange>,
    reversed: bool,
    last: bool,
) -> usize {
    let &[b, c, h, w] = index else { return 0 };
    let c = if reversed { channels - 1 - c } else { c };
    let (h, w) = match turn {
        Some(InputChange::Flipped { axis: 'h' }) => (height - 1 - h, w),
        Some(InputChange::Flipped { .. }) => (h, width - 1 - w),
        Some(InputChange::Exchanged) => (w, h),
        _ => (h, w),
    };
    match last {
        true => ((b * height + h) * width + w) * channels + c,
        false => ((b * channels + c) * height + h) * width + w,
    }
}

/// A candidate as a factor times the reference plus a shift, channel by channel.
struct Fitted {
    /// Factor and shift of each channel.
    lines: Vec<(f64, f64)>,
    /// Whether that leaves no more than a picture's rounding.
    holds: bool,
    /// The correlation over all channels.
    correlation: f64,
}

impl Fitted {
    fn of(candidate: &Tensor, reference: &Tensor) -> Fitted {
        let (channels, inner) = (reference.shape()[1], reference.shape()[2] * reference.shape()[3]);
        let (mut lines, mut holds) = (Vec::new(), true);
        let (mut covariance, mut variances) = (0.0, (0.0, 0.0));
        for channel in 0..channels {
            let of_channel = || (0..reference.len()).filter(|flat| flat / inner % channels == channel);
            let n = of_channel().count().max(1) as f64;
            let mean = |tensor: &Tensor| of_channel().map(|flat| tensor.flat(flat)).sum::<f64>() / n;
            let (a, b) = (mean(candidate), mean(reference));
            let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
            for flat in of_channel() {
                let (x, y) = (candidate.flat(flat) - a, reference.flat(flat) - b);
                (ab, aa, bb) = (ab + x * y, aa + x * x, bb + y * y);
            }
            (covariance, variances) = (covariance + ab, (variances.0 + aa, variances.1 + bb));
            let factor = ab / bb;
            let shift = a - factor * b;
            let left = of_channel()
                .map(|flat| (candidate.flat(flat) - factor * reference.flat(flat) - shift).abs())
                .fold(0.0, f64::max);
            holds &= left <= HALF_A_LEVEL * factor.abs();
            lines.push((factor, shift));
        }
        let correlation = covariance / (variances.0 * variances.1).sqrt();
        Fitted { lines, holds, correlation: if correlation.is_finite() { correlation } else { 0.0 } }
    }

    /// The scaling of a fit that holds: a known one, or another; `None` where values are as they were.
    fn scaling(&self) -> Option<Scaling> {
        let near = |line: &(f64, f64), factor: f64, shift: f64| {
            (line.0 - factor).abs() <= NEAR * factor.abs()
                && (line.1 - shift).abs() <= NEAR * factor.abs().max(1.0)
        };
        if self
            .lines
            .iter()
            .all(|(factor, shift)| (factor - 1.0).abs() <= HALF_A_LEVEL && shift.abs() <= HALF_A_LEVEL)
        {
            return None;
        }
        if self.lines.iter().all(|line| near(line, 255.0, 0.0)) {
            return Some(Scaling::To255);
        }
        for (scaling, means, deviations) in KNOWN {
            let known =
                means.iter().zip(deviations).map(|(mean, deviation)| (1.0 / deviation, -mean / deviation));
            let forwards =
                known.clone().zip(&self.lines).all(|((factor, shift), line)| near(line, factor, shift));
            let backwards =
                known.zip(self.lines.iter().rev()).all(|((factor, shift), line)| near(line, factor, shift));
            if self.lines.len() == 3 && (forwards || backwards) {
                return Some(scaling);
            }
        }
        let (factor, shift) = self.lines.first().copied()?;
        let same = self.lines.iter().all(|line| near(line, factor, shift));
        Some(match same {
            true => Scaling::Other { factor, shift },
            false => Scaling::ByChannel,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Tensor {
        let values = (0..3 * 8 * 8).map(|i| ((i * 37 + i * i * 11) % 251) as f32 / 255.0).collect();
        Tensor::from_f32(vec![1, 3, 8, 8], values).unwrap()
    }

    fn found(
        change: impl Fn(usize, usize, usize) -> (usize, usize, usize),
        scale: impl Fn(usize, f32) -> f32,
    ) -> Vec<InputChange> {
        let reference = picture();
        let values = (0..192).map(|flat| {
            let (c, h, w) = (flat / 64, flat / 8 % 8, flat % 8);
            let (from_c, from_h, from_w) = change(c, h, w);
            scale(c, reference.flat((from_c * 8 + from_h) * 8 + from_w) as f32)
        });
        let candidate = Tensor::from_f32(vec![1, 3, 8, 8], values.collect()).unwrap();
        changes(&candidate, &reference).unwrap_or_default()
    }

    #[test]
    fn each_change_is_found() {
        let same = |_, x| x;
        assert_eq!(found(|c, h, w| (2 - c, h, w), same), [InputChange::ChannelsReversed]);
        assert_eq!(found(|c, h, w| (c, w, h), same), [InputChange::Exchanged]);
        assert_eq!(found(|c, h, w| (c, 7 - h, w), same), [InputChange::Flipped { axis: 'h' }]);
        let scaled = |scaling| [InputChange::Scaled(scaling)];
        assert_eq!(found(|c, h, w| (c, h, w), |_, x| x * 255.0), scaled(Scaling::To255));
        assert_eq!(found(|c, h, w| (c, h, w), |_, x| 2.0 * x - 1.0), scaled(Scaling::MinusOneToOne));
        let [_, (_, means, deviations), _] = KNOWN;
        let imagenet = |c: usize, x: f32| (x - means[c] as f32) / deviations[c] as f32;
        assert_eq!(found(|c, h, w| (c, h, w), imagenet), scaled(Scaling::ImageNet));
        let both = [InputChange::ChannelsReversed, InputChange::Scaled(Scaling::To255)];
        assert_eq!(found(|c, h, w| (2 - c, h, w), |_, x| x * 255.0), both);
    }

    #[test]
    fn an_unrelated_picture_is_not_explained() {
        assert_eq!(found(|c, h, w| (c, h * 5 % 8, w * 3 % 8), |_, x| (x * 1e4).sin()), []);
    }
}
