//! What changes do to the operations of a part.

use std::cell::RefCell;

use super::activation_function::ActivationFunction;
use super::change::{
    ImageForm, NamedConvolution, NamedNorm, NormAxes, Operations, PoolingKind, PortChange, UpsamplingKind,
};
use super::convolution::Padded;
use super::gelu;
use super::image::{Image, antialiased, average, corners_aligned, interpolate, strongest};
use super::storage_type::StorageType;
use crate::architecture::{AttentionSpec, DepthwiseSpec};
use crate::geometry::Padding;

/// Changes, and the operations that the current part has had, by which changes are told.
#[derive(Default)]
pub(super) struct Changed {
    changes: Vec<PortChange>,
    operations: RefCell<Operations>,
    /// The weights of the norms that the part has had.
    norm_weights: RefCell<Vec<Vec<f64>>>,
}

/// Whether a change that is told for one operation, or for all, is for this one.
fn is_for(told: Option<usize>, number: usize) -> bool {
    told.is_none_or(|told| told == number)
}

impl Changed {
    /// Operations of a part that has had none, by changes.
    pub(super) fn by(changes: Vec<PortChange>) -> Changed {
        Changed { changes, ..Changed::default() }
    }

    /// Operations are counted from 0 again.
    pub(super) fn start_part(&mut self) {
        self.operations.take();
        self.norm_weights.take();
    }

    /// The operations that the part has had.
    pub(super) fn operations(&self) -> Operations {
        self.operations.borrow().clone()
    }

    /// Whether this is one of the changes.
    pub(super) fn has(&self, change: PortChange) -> bool {
        self.changes.contains(&change)
    }

    /// What the first change that has something to say says.
    fn first<T>(&self, of: impl Fn(PortChange) -> Option<T>) -> Option<T> {
        self.changes.iter().find_map(|change| of(*change))
    }

    /// The number of the next convolution.
    pub(super) fn next_convolution(&self, convolution: NamedConvolution) -> usize {
        let convolutions = &mut self.operations.borrow_mut().convolutions;
        convolutions.push(convolution);
        convolutions.len() - 1
    }

    /// Where a convolution's zeros are.
    pub(super) fn padded(&self, number: usize, padding: Padding) -> Padded {
        let usual = Padded { padding, later: 0, odd_first: false };
        let told = self.first(|change| match change {
            PortChange::SymmetricPadding { convolution } if is_for(convolution, number) => {
                Some(Padded { padding: Padding::Symmetric, ..usual })
            }
            PortChange::PaddingShifted { convolution } if is_for(convolution, number) => {
                Some(Padded { odd_first: true, ..usual })
            }
            PortChange::StridePhase { convolution } if is_for(convolution, number) => {
                Some(Padded { later: 1, ..usual })
            }
            _ => None,
        });
        told.unwrap_or(usual)
    }

    /// Whether each convolution has the weights of its name, as they are.
    pub(super) fn leaves_weights(&self) -> bool {
        !self.changes.iter().any(|change| {
            matches!(
                change,
                PortChange::KernelFlipped { .. }
                    | PortChange::KernelTransposed { .. }
                    | PortChange::WeightTransposed { .. }
                    | PortChange::WeightsRounded { .. }
            )
        })
    }

    /// Weights `[out, inputs, kernel, kernel]` of a convolution, where they are not [left](Changed::leaves_weights) as they
    /// are.
    pub(super) fn weights(
        &self,
        number: usize,
        mut weights: Vec<f64>,
        [out, inputs, kernel]: [usize; 3],
    ) -> Vec<f64> {
        let moved = |weights: &[f64], from: &dyn Fn([usize; 4]) -> [usize; 4]| -> Vec<f64> {
            let at = |[o, i, y, x]: [usize; 4]| ((o * inputs + i) * kernel + y) * kernel + x;
            let index = |flat: usize| {
                let (y, x) = (flat / kernel % kernel, flat % kernel);
                [flat / (inputs * kernel * kernel), flat / (kernel * kernel) % inputs, y, x]
            };
            (0..weights.len()).map(|flat| weights[at(from(index(flat)))]).collect()
        };
        for change in &self.changes {
            weights = match *change {
                PortChange::KernelFlipped { convolution } if is_for(convolution, number) => {
                    moved(&weights, &|[o, i, y, x]| [o, i, kernel - 1 - y, kernel - 1 - x])
                }
                PortChange::KernelTransposed { convolution } if is_for(convolution, number) => {
                    moved(&weights, &|[o, i, y, x]| [o, i, x, y])
                }
                PortChange::WeightTransposed { convolution }
                    if is_for(convolution, number) && out == inputs =>
                {
                    moved(&weights, &|[o, i, y, x]| [i, o, y, x])
                }
                PortChange::WeightsRounded { convolution, to } if is_for(convolution, number) => {
                    to.read_back(weights, inputs * kernel * kernel)
                }
                _ => weights,
            };
        }
        weights
    }

    /// The next norm of the part; `epsilon` is what it is without a change.
    pub(super) fn normed(&self, x: Image, name: &str, epsilon: f64, weights: &[f64]) -> Image {
        let number = {
            let norms = &mut self.operations.borrow_mut().norms;
            norms.push(NamedNorm { name: name.to_string(), channels: x.shape[1] });
            norms.len() - 1
        };
        let of_this = |change: &&PortChange| match **change {
            PortChange::Epsilon { norm, .. }
            | PortChange::EpsilonOutside { norm, .. }
            | PortChange::NormWeightRounded { norm, .. }
            | PortChange::NoNormWeight { norm }
            | PortChange::NormWeightPlusOne { norm }
            | PortChange::NoNorm { norm }
            | PortChange::NormOver { norm, .. }
            | PortChange::NormBySum { norm }
            | PortChange::NormUnbiased { norm } => is_for(norm, number),
            PortChange::NormChannel { norm, .. }
            | PortChange::NormWeightOf { norm, .. }
            | PortChange::ActivationAfterNorm { norm } => norm == number,
            PortChange::MeanSubtracted => true,
            _ => false,
        };
        let (mut x, mut epsilon, mut weights) = (x, epsilon, weights.to_vec());
        let mut earlier = self.norm_weights.borrow_mut();
        earlier.push(weights.to_vec());
        let (mut is_left_out, mut axes, mut activated, mut outside) = (false, None, false, None);
        // What the sum of squares is divided by.
        let channels = x.shape[1] as f64;
        let mut divisor = channels;
        for change in self.changes.iter().filter(of_this) {
            match *change {
                PortChange::Epsilon { value, .. } => epsilon = value,
                PortChange::EpsilonOutside { value, .. } => outside = Some(value),
                PortChange::NormWeightRounded { to, .. } => weights = to.read_back(weights, 1),
                PortChange::NormWeightOf { of, .. } => {
                    let other = earlier.get(of).filter(|other| other.len() == weights.len());
                    weights = other.cloned().unwrap_or(weights);
                }
                PortChange::NoNormWeight { .. } => weights.clear(),
                PortChange::NormWeightPlusOne { .. } => weights.iter_mut().for_each(|w| *w += 1.0),
                PortChange::NormChannel { channel, weight, .. } => {
                    weights.iter_mut().skip(channel).take(1).for_each(|w| *w = weight);
                }
                PortChange::NoNorm { .. } => is_left_out = true,
                PortChange::NormOver { axes: over, .. } => axes = Some(over),
                PortChange::NormBySum { .. } => divisor = 1.0,
                PortChange::NormUnbiased { .. } => divisor = channels - 1.0,
                PortChange::MeanSubtracted => x = x.centred(),
                PortChange::ActivationAfterNorm { .. } => activated = true,
                _ => {}
            }
        }
        let normed = match (is_left_out, axes) {
            (true, _) => x,
            (false, None) if outside.is_some() => {
                x.normed_by_root_plus(outside.unwrap_or_default(), &weights)
            }
            (false, Some(axes)) => x.normed_over(axes, epsilon, &weights),
            (false, None) if divisor == channels => x.normed(epsilon, &weights),
            // ‖x‖² / n + ε = C / n (‖x‖² / C + ε n / C)
            (false, None) => {
                let share = divisor / channels;
                x.normed(epsilon * share, &weights).map(|x| x * share.sqrt())
            }
        };
        if activated { normed.map(gelu) } else { normed }
    }

    /// What is in the place of GELU in the next activation of the part, if anything is.
    pub(super) fn next_activation(&self) -> Option<ActivationFunction> {
        let number = {
            let operations = &mut *self.operations.borrow_mut();
            let after = operations.norms.last().map_or(String::new(), |norm| norm.name.clone());
            operations.activations.push(after);
            operations.activations.len() - 1
        };
        self.first(|change| match change {
            PortChange::Activation { at, function } if is_for(at, number) => Some(function),
            _ => None,
        })
    }

    /// A branch times its layer scale.
    pub(super) fn layer_scaled(&self, mut y: Image, weights: &[f64]) -> Image {
        let rounded = self.first(|change| match change {
            PortChange::LayerScaleRounded(to) => Some(to.read_back(weights.to_vec(), 1)),
            _ => None,
        });
        let weights = rounded.as_deref().unwrap_or(weights);
        if !self.has(PortChange::NoLayerScale) {
            y = y.scaled(weights);
        }
        if self.has(PortChange::LayerScaleTwice) {
            y = y.scaled(weights);
        }
        let factor = self.first(|change| match change {
            PortChange::LayerScaleTimes(factor) => Some(factor),
            _ => None,
        });
        match factor {
            Some(factor) => y.map(|x| x * factor),
            None => y,
        }
    }

    /// A branch with its skip.
    pub(super) fn with_skip(&self, y: Image, x: &Image) -> Image {
        if self.has(PortChange::NoSkip) {
            return y;
        }
        let once = y.plus(x);
        if self.has(PortChange::SkipTwice) { once.plus(x) } else { once }
    }

    /// What attention's scores are multiplied by, besides 1/sqrt(d).
    pub(super) fn scores_times(&self, key_dim: usize) -> f64 {
        let not_scaled = if self.has(PortChange::ScoresNotScaled) { (key_dim as f64).sqrt() } else { 1.0 };
        let factor = self.first(|change| match change {
            PortChange::ScoresTimes(factor) => Some(factor),
            _ => None,
        });
        not_scaled * factor.unwrap_or(1.0)
    }

    /// How many keys of zeros the softmax goes over besides the others.
    pub(super) fn padded_keys(&self) -> f64 {
        let padded = self.first(|change| match change {
            PortChange::KeysPadded(keys) => Some(keys),
            _ => None,
        });
        padded.unwrap_or(0.0)
    }

    /// The type that what softmax gives is rounded to, if it is.
    pub(super) fn probabilities(&self) -> Option<StorageType> {
        self.first(|change| match change {
            PortChange::ProbabilitiesRounded(to) => Some(to),
            _ => None,
        })
    }

    /// Queries as attention takes them.
    pub(super) fn queries(&self, q: Image, spec: &AttentionSpec) -> Image {
        match self.has(PortChange::QueriesInterleaved) {
            true => q.channels_from(|c| c % spec.key_dim * spec.heads + c / spec.key_dim),
            false => q,
        }
    }

    /// Results of the heads as the projection takes them.
    pub(super) fn results(&self, heads: Image, spec: &AttentionSpec) -> Image {
        match self.has(PortChange::ResultsInterleaved) {
            true => heads.channels_from(|c| c % spec.heads * spec.value_dim + c / spec.heads),
            false => heads,
        }
    }

    /// Keys and values, of as many channels, as attention takes them.
    pub(super) fn keys_and_values(&self, sides: &mut [Image]) {
        let rounded = self.first(|change| match change {
            PortChange::KeysAndValuesRounded(to) => Some(to),
            _ => None,
        });
        if let Some(to) = rounded {
            for side in sides.iter_mut() {
                side.data = to.read_back(std::mem::take(&mut side.data), 1);
            }
        }
        let [keys, values] = sides else { return };
        if keys.shape != values.shape {
            return;
        }
        if self.has(PortChange::KeysAndValuesExchanged) {
            std::mem::swap(keys, values);
        }
        if self.has(PortChange::KeysAsValues) {
            *values = keys.clone();
        }
    }

    /// The downsampling of keys and values.
    pub(super) fn downsample(&self, spec: DepthwiseSpec) -> DepthwiseSpec {
        match self.has(PortChange::KeysNotStrided) {
            true => DepthwiseSpec { stride: 1, ..spec },
            false => spec,
        }
    }

    /// Index of the block whose weights are taken in the place of those of one, of a stage of so many blocks.
    pub(super) fn block_of_weights(&self, index: usize, blocks: usize) -> usize {
        let later = self.first(|change| match change {
            PortChange::WeightsOfBlock(later) => Some(later),
            _ => None,
        });
        let other = later.and_then(|later| index.checked_add_signed(later)).filter(|other| *other < blocks);
        other.unwrap_or(index)
    }

    /// The mean of each rectangle where extents are multiples, else bilinear interpolation; or what is in their place.
    pub(super) fn resized(&self, x: &Image, height: usize, width: usize) -> Image {
        let kind = self.first(|change| match change {
            PortChange::Pooling(kind) => Some(kind),
            _ => None,
        });
        let is_multiple = x.shape[2].is_multiple_of(height) && x.shape[3].is_multiple_of(width);
        match (kind, is_multiple) {
            (Some(PoolingKind::Antialiased), _) => antialiased(x, height, width),
            (Some(PoolingKind::CornersAligned), _) => corners_aligned(x, height, width),
            (Some(PoolingKind::Bilinear), _) | (_, false) => interpolate(x, height, width),
            (None, true) => average(x, height, width),
            (Some(PoolingKind::Max), true) => strongest(x, height, width),
            (Some(PoolingKind::First), true) => {
                let (down, across) = (x.shape[2] / height, x.shape[3] / width);
                Image::from_fn([x.shape[0], x.shape[1], height, width], |[b, c, i, j]| {
                    x.at([b, c, i * down, j * across])
                })
            }
        }
    }

    /// A feature map made larger in another way than by the nearest neighbour.
    pub(super) fn upsampled(&self, low: &Image, height: usize, width: usize) -> Option<Image> {
        self.first(|change| match change {
            PortChange::Upsampling(kind) => Some(kind),
            _ => None,
        })
        .map(|kind| match kind {
            UpsamplingKind::NearestCentre => {
                let source = |output: usize, from: usize, to: usize| (2 * output + 1) * from / (2 * to);
                Image::from_fn([low.shape[0], low.shape[1], height, width], |[b, c, i, j]| {
                    low.at([b, c, source(i, low.shape[2], height), source(j, low.shape[3], width)])
                })
            }
            UpsamplingKind::Bilinear => interpolate(low, height, width),
            UpsamplingKind::CornersAligned => corners_aligned(low, height, width),
        })
    }

    /// The image as the stem takes it.
    pub(super) fn image(&self, x: &Image) -> Image {
        let mut image = x.clone();
        for change in &self.changes {
            let PortChange::Image(form) = *change else { continue };
            let channels = image.shape[1];
            image = match (form, form.scaling()) {
                (_, Some(scaling)) if channels == scaling.len() => {
                    Image::from_fn(image.shape, |i| (image.at(i) - scaling[i[1]].0) / scaling[i[1]].1)
                }
                (ImageForm::ChannelsReversed, _) => image.channels_from(|c| channels - 1 - c),
                (ImageForm::Exchanged, _) if image.shape[2] == image.shape[3] => {
                    Image::from_fn(image.shape, |[b, c, i, j]| image.at([b, c, j, i]))
                }
                _ => image,
            };
        }
        image
    }
}

impl Image {
    /// `x / (sqrt(mean of x²) + number)` over channels, times weights where there are any.
    fn normed_by_root_plus(&self, number: f64, weights: &[f64]) -> Image {
        let [_, channels, height, width] = self.shape;
        let plane = height * width;
        let mut squares = vec![0.0; self.shape[0] * plane];
        for (at, values) in self.data.chunks(plane.max(1)).enumerate() {
            let squares = &mut squares[at / channels.max(1) * plane..][..plane];
            squares.iter_mut().zip(values).for_each(|(sum, x)| *sum += x * x);
        }
        Image::from_fn(self.shape, |i| {
            let [b, c, y, x] = i;
            let root = (squares[b * plane + y * width + x] / channels as f64).sqrt() + number;
            self.at(i) / root * weights.get(c).copied().unwrap_or(1.0)
        })
    }

    /// Channel c is that of `from(c)`.
    fn channels_from(&self, from: impl Fn(usize) -> usize + Sync) -> Image {
        Image::from_fn(self.shape, |[b, c, y, x]| self.at([b, from(c), y, x]))
    }

    /// RMS norm over other axes than the channels.
    fn normed_over(&self, axes: NormAxes, epsilon: f64, weights: &[f64]) -> Image {
        let [batch, channels, height, width] = self.shape;
        let group = |[b, c, y, x]: [usize; 4]| match axes {
            NormAxes::Height => (b * channels + c) * width + x,
            NormAxes::Width => (b * channels + c) * height + y,
            NormAxes::Map => b * channels + c,
            NormAxes::Everything => b,
        };
        let groups = match axes {
            NormAxes::Height => batch * channels * width,
            NormAxes::Width => batch * channels * height,
            NormAxes::Map => batch * channels,
            NormAxes::Everything => batch,
        };
        let mut sums = vec![0.0; groups];
        for (flat, x) in self.data.iter().enumerate() {
            let plane = flat / (height * width).max(1);
            let index = [plane / channels, plane % channels, flat / width % height, flat % width];
            sums[group(index)] += x * x;
        }
        let of_each = (self.data.len() / groups.max(1)) as f64;
        Image::from_fn(self.shape, |i| {
            let root = (sums[group(i)] / of_each + epsilon).sqrt();
            self.at(i) / root * weights.get(i[1]).copied().unwrap_or(1.0)
        })
    }
}
