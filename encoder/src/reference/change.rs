//! What a port may do otherwise in a part, to be tried on its values.

use super::activation_function::ActivationFunction;
use super::storage_type::StorageType;

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
    /// Norms that add a number to the root instead of a smaller one under it.
    EpsilonOutside {
        /// Which norm.
        norm: Option<usize>,
        /// The number.
        value: f64,
    },
    /// The weights of an earlier norm of the part in the place of a norm's own.
    NormWeightOf {
        /// Which norm.
        norm: usize,
        /// Whose weights, of as many channels.
        of: usize,
    },
    /// Weights of norms rounded to a type.
    NormWeightRounded {
        /// Which norm.
        norm: Option<usize>,
        /// To which.
        to: StorageType,
    },
    /// Norms without their weights.
    NoNormWeight {
        /// Which norm.
        norm: Option<usize>,
    },
    /// Norms times one plus their weights.
    NormWeightPlusOne {
        /// Which norm.
        norm: Option<usize>,
    },
    /// A norm whose weight is another in one channel.
    NormChannel {
        /// Which norm.
        norm: usize,
        /// Which channel, from 0.
        channel: usize,
        /// The weight there.
        weight: f64,
    },
    /// Norms that are left out.
    NoNorm {
        /// Which norm.
        norm: Option<usize>,
    },
    /// Norms over other axes than the channels.
    NormOver {
        /// Which norm.
        norm: Option<usize>,
        /// Over what.
        axes: NormAxes,
    },
    /// Norms by the sum of squares instead of their mean.
    NormBySum {
        /// Which norm.
        norm: Option<usize>,
    },
    /// Norms by the sum of squares over one less than the channels, as an unbiased variance is.
    NormUnbiased {
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
    /// GELU after a norm that has none.
    ActivationAfterNorm {
        /// Which norm.
        norm: usize,
    },
    /// The result of the layer scale times this.
    LayerScaleTimes(f64),
    /// The layer scale rounded to a type.
    LayerScaleRounded(StorageType),
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
    /// The skip of an attention block from behind its norm.
    SkipOfNormed,
    /// Scores times this before the softmax.
    ScoresTimes(f64),
    /// Scores that are not scaled before the softmax.
    ScoresNotScaled,
    /// Softmax over so many keys more, whose scores and values are 0.
    KeysPadded(f64),
    /// Softmax over the queries instead of the keys.
    SoftmaxOverQueries,
    /// Keys and values exchanged.
    KeysAndValuesExchanged,
    /// Keys in the place of values.
    KeysAsValues,
    /// Queries read as if the heads were the faster axis.
    QueriesInterleaved,
    /// Results of the heads written as if the heads were the faster axis.
    ResultsInterleaved,
    /// Keys and values rounded to a type, as a cache of it holds them.
    KeysAndValuesRounded(StorageType),
    /// What softmax gives rounded to a type.
    ProbabilitiesRounded(StorageType),
    /// Keys and values that are not strided.
    KeysNotStrided,
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
    /// Strides that begin one pixel later.
    StridePhase {
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
    /// Weights rounded to a type.
    WeightsRounded {
        /// Which convolution.
        convolution: Option<usize>,
        /// To which.
        to: StorageType,
    },
    /// The weights of the block that comes so many later in the stage.
    WeightsOfBlock(isize),
    /// The norm after pooling is before it.
    PoolAfterNorm,
    /// Another pooling than the mean.
    Pooling(PoolingKind),
    /// Another upsampling than the nearest neighbour.
    Upsampling(UpsamplingKind),
    /// The feature map of the lower resolution first.
    ConcatOrder,
    /// No multiplication by sqrt(C) before the embedder's norm.
    NoFactor,
    /// No bias, in the stem or in the classifier.
    NoBias,
    /// The image is read otherwise.
    Image(ImageForm),
}

impl PortChange {
    /// Which operation of its kind it is told for, where it is told for one or all of them.
    fn place(&mut self) -> Option<&mut Option<usize>> {
        match self {
            PortChange::Epsilon { norm: place, .. }
            | PortChange::EpsilonOutside { norm: place, .. }
            | PortChange::NormWeightRounded { norm: place, .. }
            | PortChange::NoNormWeight { norm: place }
            | PortChange::NormWeightPlusOne { norm: place }
            | PortChange::NoNorm { norm: place }
            | PortChange::NormOver { norm: place, .. }
            | PortChange::NormBySum { norm: place }
            | PortChange::NormUnbiased { norm: place }
            | PortChange::Activation { at: place, .. }
            | PortChange::SymmetricPadding { convolution: place }
            | PortChange::PaddingShifted { convolution: place }
            | PortChange::StridePhase { convolution: place }
            | PortChange::KernelFlipped { convolution: place }
            | PortChange::KernelTransposed { convolution: place }
            | PortChange::WeightTransposed { convolution: place }
            | PortChange::WeightsRounded { convolution: place, .. } => Some(place),
            _ => None,
        }
    }

    /// Whether it is told for every operation of a kind.
    pub fn is_everywhere(mut self) -> bool {
        self.place().is_some_and(|place| place.is_none())
    }

    /// The same change in every operation of its kind.
    pub fn everywhere(mut self) -> PortChange {
        if let Some(place) = self.place() {
            *place = None;
        }
        self
    }
}

/// Axes that a norm goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormAxes {
    /// Each column of each channel.
    Height,
    /// Each row of each channel.
    Width,
    /// Each channel.
    Map,
    /// Everything.
    Everything,
}

/// A resizing in the place of the mean, or of bilinear interpolation where extents are no multiples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolingKind {
    /// The largest.
    Max,
    /// The first pixel of each rectangle.
    First,
    /// Bilinear interpolation.
    Bilinear,
    /// Bilinear interpolation over as many pixels as one of the output covers, as with `antialias=True`.
    Antialiased,
    /// Bilinear interpolation with the corners on each other.
    CornersAligned,
}

/// An upsampling in the place of the nearest neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpsamplingKind {
    /// The nearest pixel by the distance of centres: `floor((output + 1/2) · input_size / output_size)`.
    NearestCentre,
    /// Bilinear, between centres of pixels.
    Bilinear,
    /// Bilinear, with the corners on each other.
    CornersAligned,
}

/// Another reading of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageForm {
    /// Blue comes first.
    ChannelsReversed,
    /// Height and width exchanged, of square images.
    Exchanged,
    /// 0 to 255.
    To255,
    /// Divided by 256 instead of 255.
    Over256,
    /// -1 to 1.
    MinusOneToOne,
    /// By ImageNet's mean and standard deviation.
    ImageNet,
    /// By CLIP's mean and standard deviation.
    Clip,
}

impl ImageForm {
    /// All of them.
    pub const ALL: [ImageForm; 7] = [
        ImageForm::ChannelsReversed,
        ImageForm::Exchanged,
        ImageForm::To255,
        ImageForm::Over256,
        ImageForm::MinusOneToOne,
        ImageForm::ImageNet,
        ImageForm::Clip,
    ];

    /// (mean, standard deviation) of each channel that are taken off and divided by.
    pub(super) fn scaling(self) -> Option<[(f64, f64); 3]> {
        match self {
            ImageForm::ChannelsReversed | ImageForm::Exchanged => None,
            ImageForm::To255 => Some([(0.0, 1.0 / 255.0); 3]),
            ImageForm::Over256 => Some([(0.0, 256.0 / 255.0); 3]),
            ImageForm::MinusOneToOne => Some([(0.5, 0.5); 3]),
            ImageForm::ImageNet => Some([(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)]),
            ImageForm::Clip => Some([
                (0.481_454_66, 0.268_629_54),
                (0.457_827_5, 0.261_302_58),
                (0.408_210_73, 0.275_777_11),
            ]),
        }
    }
}

/// The operations of a part, which changes are told by: each by the module whose weights it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operations {
    /// RMS norms.
    pub norms: Vec<NamedNorm>,
    /// Convolutions and products with weights.
    pub convolutions: Vec<NamedConvolution>,
    /// Activations, each by what it follows.
    pub activations: Vec<String>,
}

/// A convolution or product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedConvolution {
    /// Its module.
    pub name: String,
    /// Height and width of its kernel.
    pub kernel: usize,
    /// Its stride, both ways.
    pub stride: usize,
    /// Whether its weights are a square matrix.
    pub is_square: bool,
}

/// A norm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedNorm {
    /// Its module.
    pub name: String,
    /// Its channels.
    pub channels: usize,
}
