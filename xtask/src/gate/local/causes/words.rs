//! Changes in a few words.

use encoder::Part;
use encoder::reference::{
    ActivationFunction, ImageForm, NormAxes, Operations, PoolingKind, PortChange, UpsamplingKind,
};

use super::trials::PartTrial;

/// What is said of a change of a part.
pub(in crate::gate::local) struct ChangeWords<'a> {
    pub(in crate::gate::local) part: &'a Part,
    pub(in crate::gate::local) operations: &'a Operations,
}

impl ChangeWords<'_> {
    /// Several changes at once; of one that has a number, how sure it is.
    pub(in crate::gate::local) fn all(&self, trial: &PartTrial) -> String {
        let changes = trial.changes.iter().zip(&trial.uncertainties);
        let said: Vec<String> =
            changes.map(|(change, uncertainty)| self.one(*change, *uncertainty)).collect();
        said.join(", and ")
    }

    /// The name of an operation within the part.
    fn within<'n>(&self, name: &'n str) -> &'n str {
        name.strip_prefix(&self.part.name).map_or(name, |rest| rest.trim_start_matches('.'))
    }

    fn norm(&self, place: Option<usize>) -> String {
        let name = place.and_then(|number| self.operations.norms.get(number));
        name.map_or("every norm".to_string(), |norm| self.within(&norm.name).to_string())
    }

    fn convolution(&self, place: Option<usize>) -> String {
        let name = place.and_then(|number| self.operations.convolutions.get(number));
        let every = || "every convolution".to_string();
        name.map_or_else(every, |convolution| self.within(&convolution.name).to_string())
    }

    fn activation(&self, place: Option<usize>) -> String {
        match place.and_then(|number| self.operations.activations.get(number)) {
            Some(norm) => format!("after {}", self.within(norm)),
            None => "everywhere in it".to_string(),
        }
    }

    fn one(&self, change: PortChange, uncertainty: Option<f64>) -> String {
        let sure = |digits: &str| match uncertainty {
            Some(uncertainty) if uncertainty.is_finite() => format!("{digits} ± {uncertainty:.0e}"),
            _ => digits.to_string(),
        };
        match change {
            PortChange::Epsilon { norm, value } => {
                format!("epsilon {}, expected 1e-6, in {}", sure(&format!("{value:.2e}")), self.norm(norm))
            }
            PortChange::EpsilonOutside { norm, value } => {
                let value = sure(&format!("{value:.2e}"));
                format!("{value} added to the root instead of 1e-6 under it, in {}", self.norm(norm))
            }
            PortChange::NormWeightOf { norm, of } => {
                format!("the weight of {} in {}", self.norm(Some(of)), self.norm(Some(norm)))
            }
            PortChange::NormWeightRounded { norm, to } => {
                format!("the weight rounded to {} in {}", to.name(), self.norm(norm))
            }
            PortChange::NoNormWeight { norm } => format!("{} without its weight", self.norm(norm)),
            PortChange::NormWeightPlusOne { norm } => {
                format!("{} times one plus its weight", self.norm(norm))
            }
            PortChange::NormChannel { norm, channel, weight } => {
                format!("the weight of {} is {weight} in channel {channel}", self.norm(Some(norm)))
            }
            PortChange::NoNorm { norm } => format!("{} left out", self.norm(norm)),
            PortChange::NormOver { norm, axes } => {
                let axes = match axes {
                    NormAxes::Height => "the height",
                    NormAxes::Width => "the width",
                    NormAxes::Map => "the map of each channel",
                    NormAxes::Everything => "everything",
                };
                format!("{} over {axes} instead of the channels", self.norm(norm))
            }
            PortChange::NormBySum { norm } => {
                format!("{} by the sum of squares instead of their mean", self.norm(norm))
            }
            PortChange::NormUnbiased { norm } => {
                format!("{} by a mean over one less than its channels", self.norm(norm))
            }
            PortChange::MeanSubtracted => "norms that subtract the mean, as layer norm does".to_string(),
            PortChange::Activation { at, function } => {
                format!("{} {}", function_name(function), self.activation(at))
            }
            PortChange::ActivationAfterNorm { norm } => {
                format!("GELU after {}, where there is none", self.norm(Some(norm)))
            }
            PortChange::LayerScaleTimes(factor) => {
                format!("the layer scale times {}", sure(&format!("{factor:.4}")))
            }
            PortChange::LayerScaleRounded(to) => format!("the layer scale rounded to {}", to.name()),
            PortChange::KeysAndValuesRounded(to) => format!("keys and values rounded to {}", to.name()),
            PortChange::ProbabilitiesRounded(to) => {
                format!("what softmax gives rounded to {}", to.name())
            }
            PortChange::ScoresTimes(factor) => {
                format!("attention scores times {}", sure(&format!("{factor:.4}")))
            }
            PortChange::KeysPadded(keys) => {
                let keys = sure(&format!("{keys:.2}"));
                format!("softmax over {keys} extra keys of zeros, as by padding that is not masked")
            }
            PortChange::SymmetricPadding { convolution: at } => {
                format!("symmetric padding in {}", self.convolution(at))
            }
            PortChange::PaddingShifted { convolution: at } => {
                format!("the odd zero of the padding before the first pixel in {}", self.convolution(at))
            }
            PortChange::StridePhase { convolution: at } => {
                format!("the stride begins one pixel later in {}", self.convolution(at))
            }
            PortChange::KernelFlipped { convolution: at } => {
                format!("the kernel mirrored in {}", self.convolution(at))
            }
            PortChange::KernelTransposed { convolution: at } => {
                format!("the kernel's height and width exchanged in {}", self.convolution(at))
            }
            PortChange::WeightTransposed { convolution: at } => {
                format!("the weight's inputs and outputs exchanged in {}", self.convolution(at))
            }
            PortChange::WeightsRounded { convolution: at, to } => {
                format!("weights rounded to {} in {}", to.name(), self.convolution(at))
            }
            PortChange::WeightsOfBlock(later) => {
                let side = if later > 0 { "after" } else { "before" };
                format!("the weights of the block {} {side} it", later.unsigned_abs())
            }
            PortChange::Image(form) => format!("the picture {}", form_name(form)),
            other => plain(other).map_or_else(|| format!("{other:?}"), str::to_string),
        }
    }
}

/// Changes without a place or a number.
fn plain(change: PortChange) -> Option<&'static str> {
    Some(match change {
        PortChange::NoLayerScale => "no layer scale",
        PortChange::LayerScaleTwice => "the layer scale twice",
        PortChange::LayerScaleAfterSkip => "the layer scale after the skip",
        PortChange::NoSkip => "no skip",
        PortChange::SkipTwice => "the skip twice",
        PortChange::SkipOfNormed => "the skip from behind the norm",
        PortChange::ScoresNotScaled => "attention scores without 1/sqrt(d)",
        PortChange::SoftmaxOverQueries => "softmax over the queries instead of the keys",
        PortChange::KeysAndValuesExchanged => "keys and values exchanged",
        PortChange::KeysAsValues => "keys in the place of values",
        PortChange::QueriesInterleaved => "heads of the queries in another order: [d, head] for [head, d]",
        PortChange::ResultsInterleaved => "heads of the result in another order: [d, head] for [head, d]",
        PortChange::KeysNotStrided => "keys and values without their stride",
        PortChange::Pooling(PoolingKind::Antialiased) => {
            "the output resized by interpolation with antialiasing"
        }
        PortChange::Pooling(PoolingKind::CornersAligned) => {
            "the output resized by interpolation with aligned corners"
        }
        PortChange::PoolAfterNorm => "pooling after the norm",
        PortChange::Pooling(PoolingKind::Max) => "the largest of each square instead of its mean",
        PortChange::Pooling(PoolingKind::First) => "the first pixel of each square instead of its mean",
        PortChange::Pooling(PoolingKind::Bilinear) => {
            "bilinear interpolation instead of the mean of each square"
        }
        PortChange::Upsampling(UpsamplingKind::NearestCentre) => {
            "the nearest pixel by centres (`nearest-exact`) instead of by corners (`nearest`)"
        }
        PortChange::Upsampling(UpsamplingKind::Bilinear) => "bilinear instead of nearest upsampling",
        PortChange::Upsampling(UpsamplingKind::CornersAligned) => {
            "bilinear upsampling with aligned corners instead of nearest"
        }
        PortChange::ConcatOrder => "the feature map of the lower resolution first",
        PortChange::NoFactor => "no multiplication by sqrt(C)",
        PortChange::NoBias => "no bias",
        _ => return None,
    })
}

fn function_name(function: ActivationFunction) -> &'static str {
    match function {
        ActivationFunction::Erf => "GELU by erf instead of its tanh approximation",
        ActivationFunction::Quick => "quick GELU, x sigmoid(1.702 x), instead of GELU",
        ActivationFunction::Silu => "SiLU instead of GELU",
        ActivationFunction::Relu => "ReLU instead of GELU",
        ActivationFunction::Identity => "no GELU",
        ActivationFunction::Twice => "GELU twice",
        ActivationFunction::ShortConstant => "GELU with 0.7978 for sqrt(2/pi)",
    }
}

fn form_name(form: ImageForm) -> &'static str {
    match form {
        ImageForm::ChannelsReversed => "with its channels reversed (BGR for RGB)",
        ImageForm::Exchanged => "with height and width exchanged",
        ImageForm::To255 => "from 0 to 255 instead of 0 to 1",
        ImageForm::Over256 => "divided by 256 instead of 255",
        ImageForm::MinusOneToOne => "from -1 to 1 instead of 0 to 1",
        ImageForm::ImageNet => "by ImageNet's mean and standard deviation",
        ImageForm::Clip => "by CLIP's mean and standard deviation",
    }
}
