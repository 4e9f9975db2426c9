//! What a port may do otherwise in a part, to be tried on its values.

/// What a port does otherwise. Norms, convolutions and activations of a part are counted from 0 in the order of execution;
/// `None` means all of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PortChange {
    /// Another epsilon in RMS norms.
    Epsilon {
        /// Which norm.
        norm: Option<usize>,
        /// What it is instead of 1e-6.
        value: f64,
    },
    /// Norms without their weights.
    NoNormWeight {
        /// Which norm.
        norm: Option<usize>,
    },
    /// Norms that are left out.
    NoNorm {
        /// Which norm.
        norm: Option<usize>,
    },
    /// Norms that take the mean off first, as layer norm does.
    MeanSubtracted,
    /// Another function in the place of GELU.
    Activation {
        /// Which activation.
        at: Option<usize>,
        /// What it is.
        function: ActivationFunction,
    },
    /// The result of the layer scale times this.
    LayerScaleTimes(f64),
    /// No layer scale.
    NoLayerScale,
    /// The layer scale twice.
    LayerScaleTwice,
    /// The layer scale after the skip.
    LayerScaleAfterSkip,
    /// No skip.
    NoSkip,
    /// The skip twice.
    SkipTwice,
    /// Scores times this before the softmax.
    ScoresTimes(f64),
    /// Scores that are not scaled before the softmax.
    ScoresNotScaled,
    /// Softmax over the queries instead of the keys.
    SoftmaxOverQueries,
    /// Keys and values exchanged.
    KeysAndValuesExchanged,
    /// Convolutions padded alike on both sides.
    SymmetricPadding {
        /// Which convolution.
        convolution: Option<usize>,
    },
    /// The odd zero of the padding before the first pixel instead of after the last.
    PaddingShifted {
        /// Which convolution.
        convolution: Option<usize>,
    },
    /// Kernels mirrored in both directions.
    KernelFlipped {
        /// Which convolution.
        convolution: Option<usize>,
    },
    /// Kernels with height and width exchanged.
    KernelTransposed {
        /// Which convolution.
        convolution: Option<usize>,
    },
    /// Weights of dense convolutions with inputs and outputs exchanged, where both are as many.
    WeightTransposed {
        /// Which convolution.
        convolution: Option<usize>,
    },
    /// Weights rounded to bf16.
    WeightsBf16 {
        /// Which convolution.
        convolution: Option<usize>,
    },
    /// Weights rounded to f16.
    WeightsF16 {
        /// Which convolution.
        convolution: Option<usize>,
    },
    /// The norm after pooling is before it.
    PoolAfterNorm,
    /// Bilinear instead of nearest-neighbour upsampling.
    BilinearUpsampling,
    /// The feature map of the lower resolution first.
    ConcatOrder,
    /// No multiplication by sqrt(C) before the embedder's norm.
    NoFactor,
    /// No bias, in the stem or in the classifier.
    NoBias,
}

/// How many operations of each kind a part has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations {
    /// RMS norms.
    pub norms: usize,
    /// Convolutions and products with weights.
    pub convolutions: usize,
    /// Activations.
    pub activations: usize,
}

/// A function in the place of GELU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivationFunction {
    /// By the error function.
    Erf,
    /// `x · sigmoid(1.702 x)`.
    Quick,
    /// `x · sigmoid(x)`.
    Silu,
    /// `max(x, 0)`.
    Relu,
    /// None.
    Identity,
    /// GELU twice.
    Twice,
}

impl ActivationFunction {
    /// All of them.
    pub const ALL: [ActivationFunction; 6] = [
        ActivationFunction::Erf,
        ActivationFunction::Quick,
        ActivationFunction::Silu,
        ActivationFunction::Relu,
        ActivationFunction::Identity,
        ActivationFunction::Twice,
    ];

    /// Its value.
    pub(super) fn of(self, x: f64) -> f64 {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        match self {
            ActivationFunction::Erf => 0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2)),
            ActivationFunction::Quick => x * sigmoid(1.702 * x),
            ActivationFunction::Silu => x * sigmoid(x),
            ActivationFunction::Relu => x.max(0.0),
            ActivationFunction::Identity => x,
            ActivationFunction::Twice => super::gelu(super::gelu(x)),
        }
    }
}

/// The error function to about 1e-15: its Maclaurin series for small arguments, the continued fraction of erfc (DLMF 7.9.1)
/// for others.
fn erf(x: f64) -> f64 {
    let size = x.abs();
    if size < 2.5 {
        let (mut term, mut sum) = (x, x);
        for n in 1..80 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return sum * 2.0 / std::f64::consts::PI.sqrt();
    }
    let mut fraction = 0.0;
    for n in (1..60).rev() {
        fraction = f64::from(n) / 2.0 / (size + fraction);
    }
    let erfc = (-size * size).exp() / (std::f64::consts::PI.sqrt() * (size + fraction));
    (1.0 - erfc).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_function() {
        // Abramowitz and Stegun, table 7.1, and 1 - erfc of its asymptotic part.
        for (x, expected) in [
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
            (2.0, 0.995_322_265_018_952_7),
            (3.0, 0.999_977_909_503_001_4),
        ] {
            assert!((erf(x) - expected).abs() < 1e-14, "{x}: {}", erf(x));
            assert_eq!(erf(-x), -erf(x));
        }
    }
}
