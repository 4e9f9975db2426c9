//! What a change does to the operations of a part.

use std::cell::Cell;

use super::change::{Operations, PortChange};
use super::convolution::Padded;
use super::gelu;
use super::image::Image;
use crate::geometry::Padding;

/// A change, and how many operations of each kind the current part has had, by which changes are told.
#[derive(Default)]
pub(super) struct Changed {
    change: Option<PortChange>,
    norms: Cell<usize>,
    convolutions: Cell<usize>,
    activations: Cell<usize>,
}

/// The number of the next operation of a kind.
fn next(count: &Cell<usize>) -> usize {
    count.replace(count.get() + 1)
}

/// Whether a change that is told for one operation, or for all, is for this one.
fn is_for(told: Option<usize>, number: usize) -> bool {
    told.is_none_or(|told| told == number)
}

impl Changed {
    /// Operations of a part that has had none, by a change.
    pub(super) fn by(change: Option<PortChange>) -> Changed {
        Changed { change, ..Changed::default() }
    }

    /// Operations are counted from 0 again.
    pub(super) fn start_part(&mut self) {
        *self = Changed::by(self.change);
    }

    /// How many operations the part has had.
    pub(super) fn operations(&self) -> Operations {
        Operations {
            norms: self.norms.get(),
            convolutions: self.convolutions.get(),
            activations: self.activations.get(),
        }
    }

    /// Whether this is the change.
    pub(super) fn is(&self, change: PortChange) -> bool {
        self.change == Some(change)
    }

    /// The number of the next convolution.
    pub(super) fn next_convolution(&self) -> usize {
        next(&self.convolutions)
    }

    /// Where a convolution's zeros are.
    pub(super) fn padded(&self, number: usize, padding: Padding) -> Padded {
        match self.change {
            Some(PortChange::SymmetricPadding { convolution }) if is_for(convolution, number) => {
                Padded { padding: Padding::Symmetric, odd_first: false }
            }
            Some(PortChange::PaddingShifted { convolution }) if is_for(convolution, number) => {
                Padded { padding, odd_first: true }
            }
            _ => Padded { padding, odd_first: false },
        }
    }

    /// Whether all convolutions have the weights that they should have.
    pub(super) fn leaves_weights(&self) -> bool {
        !matches!(
            self.change,
            Some(
                PortChange::KernelFlipped { .. }
                    | PortChange::KernelTransposed { .. }
                    | PortChange::WeightTransposed { .. }
                    | PortChange::WeightsBf16 { .. }
                    | PortChange::WeightsF16 { .. }
            )
        )
    }

    /// Weights `[out, inputs, kernel, kernel]` of a convolution, where they are not all [left](Changed::leaves_weights).
    pub(super) fn weights(
        &self,
        number: usize,
        weights: Vec<f64>,
        [out, inputs, kernel]: [usize; 3],
    ) -> Vec<f64> {
        let moved = |from: &dyn Fn([usize; 4]) -> [usize; 4]| -> Vec<f64> {
            let at = |[o, i, y, x]: [usize; 4]| ((o * inputs + i) * kernel + y) * kernel + x;
            let mut moved = weights.clone();
            for o in 0..out {
                for i in 0..inputs {
                    for (y, x) in (0..kernel).flat_map(|y| (0..kernel).map(move |x| (y, x))) {
                        moved[at([o, i, y, x])] = weights[at(from([o, i, y, x]))];
                    }
                }
            }
            moved
        };
        match self.change {
            Some(PortChange::KernelFlipped { convolution }) if is_for(convolution, number) => {
                moved(&|[o, i, y, x]| [o, i, kernel - 1 - y, kernel - 1 - x])
            }
            Some(PortChange::KernelTransposed { convolution }) if is_for(convolution, number) => {
                moved(&|[o, i, y, x]| [o, i, x, y])
            }
            Some(PortChange::WeightTransposed { convolution })
                if is_for(convolution, number) && out == inputs =>
            {
                moved(&|[o, i, y, x]| [i, o, y, x])
            }
            Some(PortChange::WeightsBf16 { convolution }) if is_for(convolution, number) => {
                weights.into_iter().map(|w| half::bf16::from_f32(w as f32).to_f64()).collect()
            }
            Some(PortChange::WeightsF16 { convolution }) if is_for(convolution, number) => {
                weights.into_iter().map(|w| half::f16::from_f32(w as f32).to_f64()).collect()
            }
            _ => weights,
        }
    }

    /// The next norm of the part; `epsilon` is what it is without a change.
    pub(super) fn normed(&self, x: Image, epsilon: f64, weights: &[f64]) -> Image {
        let number = next(&self.norms);
        match self.change {
            Some(PortChange::Epsilon { norm, value }) if is_for(norm, number) => x.normed(value, weights),
            Some(PortChange::NoNormWeight { norm }) if is_for(norm, number) => x.normed(epsilon, &[]),
            Some(PortChange::NoNorm { norm }) if is_for(norm, number) => x,
            Some(PortChange::MeanSubtracted) => x.centred().normed(epsilon, weights),
            _ => x.normed(epsilon, weights),
        }
    }

    /// GELU, or what is in its place in the next activation of the part.
    pub(super) fn next_activation(&self) -> impl Fn(f64) -> f64 + Sync + use<> {
        let number = next(&self.activations);
        let function = match self.change {
            Some(PortChange::Activation { at, function }) if is_for(at, number) => Some(function),
            _ => None,
        };
        move |x| function.map_or_else(|| gelu(x), |function| function.of(x))
    }

    /// A branch times its layer scale.
    pub(super) fn layer_scaled(&self, y: Image, weights: &[f64]) -> Image {
        match self.change {
            Some(PortChange::NoLayerScale) => y,
            Some(PortChange::LayerScaleTwice) => y.scaled(weights).scaled(weights),
            Some(PortChange::LayerScaleTimes(factor)) => y.scaled(weights).map(|x| x * factor),
            _ => y.scaled(weights),
        }
    }

    /// A branch with its skip.
    pub(super) fn with_skip(&self, y: Image, x: &Image) -> Image {
        match self.change {
            Some(PortChange::NoSkip) => y,
            Some(PortChange::SkipTwice) => y.plus(x).plus(x),
            _ => y.plus(x),
        }
    }

    /// What attention's scores are multiplied by, besides 1/sqrt(d).
    pub(super) fn scores_times(&self, key_dim: usize) -> f64 {
        match self.change {
            Some(PortChange::ScoresNotScaled) => (key_dim as f64).sqrt(),
            Some(PortChange::ScoresTimes(factor)) => factor,
            _ => 1.0,
        }
    }
}
