//! One run of the graph: its parts one after another, with the weights read as they are needed and every tap kept. An
//! operand of a dense product is rounded here, just before the product.

use std::cell::Cell;

use rayon::prelude::*;

use super::change::{Operations, PortChange};
use super::image::{Image, Padded, average, convolve, interpolate};
use super::nudge::Nudge;
use super::rounding::Rounding;
use super::{ReferenceModel, Tensor64, gelu};
use crate::architecture::names::{self, Module};
use crate::architecture::{
    AttentionSpec, BlockSpec, DepthwiseSpec, EdgeResidualSpec, HeadSpec, InvertedResidualSpec, StemSpec,
};
use crate::error::Error;
use crate::faults::Seam;
use crate::geometry::Padding;
use crate::part::Site;
use crate::tap::{self, BlockTap};

/// The feature maps between two parts.
pub(super) struct ReferenceFlow {
    /// What the next part takes.
    pub(super) x: Image,
    /// What the last stage took, for the fusion.
    pub(super) into_last_stage: Option<Image>,
}

pub(super) struct ReferenceRun<'a> {
    pub(super) model: &'a ReferenceModel<'a>,
    pub(super) seam: Seam,
    /// Whether inner taps are kept too.
    pub(super) inner: bool,
    pub(super) taps: Vec<(String, Tensor64)>,
    /// What is done otherwise.
    pub(super) change: Option<PortChange>,
    /// Values are moved by as much as f32 arithmetic may move them.
    pub(super) nudge: Option<Nudge>,
    pub(super) counts: OperationCounts,
}

/// How many operations of a kind the current part has had.
#[derive(Default)]
pub(super) struct OperationCounts {
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

impl<'a> ReferenceRun<'a> {
    pub(super) fn of(model: &'a ReferenceModel<'a>) -> ReferenceRun<'a> {
        ReferenceRun {
            model,
            seam: Seam::default(),
            inner: false,
            taps: Vec::new(),
            change: None,
            nudge: None,
            counts: OperationCounts::default(),
        }
    }
}

impl ReferenceRun<'_> {
    /// How many operations the part that ran last had.
    pub(super) fn operations(&self) -> Operations {
        let OperationCounts { norms, convolutions, activations } = &self.counts;
        Operations { norms: norms.get(), convolutions: convolutions.get(), activations: activations.get() }
    }

    fn rounding(&self) -> Rounding {
        self.model.rounding
    }

    fn nudged(&self, x: &Image) -> Image {
        self.nudge.as_ref().map_or_else(|| x.clone(), |nudge| nudge.of(x))
    }

    /// What is kept of the result of an operation.
    fn kept(&self, x: Image) -> Image {
        let rounding = self.rounding();
        match rounding.rounds_results() {
            true => x.map(|x| rounding.result(x)),
            false => x,
        }
    }

    fn weights(&self, name: &str, shape: &[usize]) -> Result<Vec<f64>, Error> {
        Ok(self.model.checkpoint.load(name, shape)?.into_iter().map(f64::from).collect())
    }

    fn tap(&mut self, name: &str, x: &Image) {
        self.taps.push((name.to_string(), Tensor64 { shape: x.shape.to_vec(), data: x.data.clone() }));
    }

    fn tap_inner(&mut self, tap: BlockTap, number: usize, x: &Image) {
        if self.inner {
            self.tap(&tap.name(number), x);
        }
    }

    /// `x` is `[1, T, C]` per image in `[B, 1, T, C]`.
    fn tap_tokens(&mut self, name: &str, x: &Image) {
        let shape = vec![x.shape[0], x.shape[2], x.shape[3]];
        self.taps.push((name.to_string(), Tensor64 { shape, data: x.data.clone() }));
    }

    fn dense(&self, x: &Image, name: &str, out: usize, kernel: usize, stride: usize) -> Result<Image, Error> {
        let weights = self.weights(name, &[out, x.shape[1], kernel, kernel])?;
        // ggml has the stem's weights in f32, and then takes its input as it is.
        let as_it_is = name == names::stem::CONVOLUTION
            && matches!(self.rounding(), Rounding::GgmlF16 | Rounding::GgmlF16ExactGelu);
        let rounding = if as_it_is { Rounding::Exact } else { self.rounding() };
        Ok(self.multiply(x, weights, out, kernel, stride, rounding))
    }

    /// A dense convolution of what is held of both operands.
    fn multiply(
        &self,
        x: &Image,
        weights: Vec<f64>,
        out: usize,
        kernel: usize,
        stride: usize,
        rounding: Rounding,
    ) -> Image {
        let number = next(&self.counts.convolutions);
        let weights = self.changed_weights(number, weights, [out, x.shape[1], kernel]);
        let x = self.nudged(x);
        let product = |part: fn((f64, f64)) -> f64| {
            let weights: Vec<f64> = weights.iter().map(|w| part(rounding.held(*w))).collect();
            let x = x.clone().map(|x| part(rounding.held(x)));
            convolve(&x, &weights, out, kernel, stride, self.padded(number), false)
        };
        let sum = product(|held| held.0);
        let sum = match rounding.has_two_terms() {
            true => sum.plus(&product(|held| held.1).map(|x| -x)),
            false => sum,
        };
        self.kept(sum)
    }

    fn depthwise(&self, x: &Image, name: &str, spec: DepthwiseSpec) -> Result<Image, Error> {
        let weights = self.weights(name, &[x.shape[1], 1, spec.kernel, spec.kernel])?;
        let number = next(&self.counts.convolutions);
        let weights = self.changed_weights(number, weights, [x.shape[1], 1, spec.kernel]);
        let rounding = self.rounding();
        let weights: Vec<f64> = weights.into_iter().map(|w| rounding.held_by_depthwise(w)).collect();
        let x = self.nudged(x).map(|x| rounding.held_by_depthwise(x));
        let padded = self.padded(number);
        Ok(self.kept(convolve(&x, &weights, x.shape[1], spec.kernel, spec.stride, padded, true)))
    }

    fn padded(&self, number: usize) -> Padded {
        let padding = match self.change {
            Some(PortChange::SymmetricPadding { convolution }) if is_for(convolution, number) => {
                Padding::Symmetric
            }
            _ => self.model.settings.padding,
        };
        let odd_first = matches!(self.change, Some(PortChange::PaddingShifted { convolution }) if is_for(convolution, number));
        Padded { padding, odd_first }
    }

    /// Weights `[out, inputs, kernel, kernel]` as the change has them.
    fn changed_weights(
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

    /// With a bias for each channel.
    fn biased(&self, x: Image, name: &str) -> Result<Image, Error> {
        if self.change == Some(PortChange::NoBias) {
            return Ok(x);
        }
        let bias = self.weights(name, &[x.shape[1]])?;
        Ok(Image::from_fn(x.shape, |i| x.at(i) + bias[i[1]]))
    }

    fn norm(&self, x: &Image, name: &str) -> Result<Image, Error> {
        let weights = self.weights(name, &[x.shape[1]])?;
        Ok(self.norm_by(x, &weights))
    }

    fn norm_by(&self, x: &Image, weights: &[f64]) -> Image {
        let number = next(&self.counts.norms);
        let epsilon = match self.change {
            Some(PortChange::Epsilon { norm, value }) if is_for(norm, number) => value,
            _ => 1e-6 * self.seam.epsilon_times(),
        };
        let weights = match self.change {
            Some(PortChange::NoNormWeight { norm }) if is_for(norm, number) => &[],
            _ => weights,
        };
        let x = self.nudged(x);
        let normed = match self.change {
            Some(PortChange::NoNorm { norm }) if is_for(norm, number) => x,
            Some(PortChange::MeanSubtracted) => x.centred().normed(epsilon, weights),
            _ => x.normed(epsilon, weights),
        };
        self.kept(normed)
    }

    /// GELU, or what the change has in its place.
    fn activated(&self, x: Image) -> Image {
        let number = next(&self.counts.activations);
        let rounding = self.rounding();
        let x = self.nudged(&x);
        let activated = match self.change {
            Some(PortChange::Activation { at, function }) if is_for(at, number) => {
                x.map(|x| rounding.activation(|x| function.of(x), x))
            }
            _ => x.map(|x| rounding.activation(gelu, x)),
        };
        self.kept(activated)
    }

    /// Runs the part at `site`. A part alone and the whole model both run through here, hence with the same bits.
    pub(super) fn forward(&mut self, site: Site, flow: ReferenceFlow) -> Result<ReferenceFlow, Error> {
        self.seam.enter(site);
        self.counts = OperationCounts::default();
        let architecture = &self.model.architecture;
        let ReferenceFlow { x, into_last_stage } = flow;
        match site {
            Site::Stem => Ok(ReferenceFlow { x: self.stem(architecture.stem, &x)?, into_last_stage: None }),
            Site::Block(number) => {
                let (stage, index, block) =
                    architecture.blocks().nth(number).expect("a block, since it has a site");
                let out = self.block(&Module::block(stage, index), block, number, &x)?;
                let is_kept = index == 0 && stage + 1 == architecture.stages.len();
                Ok(ReferenceFlow { x: out, into_last_stage: if is_kept { Some(x) } else { into_last_stage } })
            }
            Site::Fusion => {
                let spec = architecture.fusion.as_ref().expect("a fusion, since it has a site");
                let high = into_last_stage.expect("a last stage before the fusion");
                Ok(ReferenceFlow { x: self.fusion(spec, &high, &x)?, into_last_stage: None })
            }
            Site::Embedder => {
                let spec = architecture.embedder.expect("an embedder, since it has a site");
                Ok(ReferenceFlow { x: self.embedder(spec.channels, spec.hidden, &x)?, into_last_stage: None })
            }
            Site::Head => {
                let spec = architecture.head.expect("a head, since it has a site");
                Ok(ReferenceFlow { x: self.head(spec, &x)?, into_last_stage: None })
            }
        }
    }

    fn stem(&mut self, spec: StemSpec, x: &Image) -> Result<Image, Error> {
        let mut x = self.dense(x, names::stem::CONVOLUTION, spec.channels, spec.kernel, 2)?;
        if spec.bias {
            x = self.biased(x, names::stem::BIAS)?;
        }
        x = self.activated(self.norm(&x, names::stem::NORM)?);
        self.tap(tap::STEM, &x);
        Ok(x)
    }

    fn block(
        &mut self,
        module: &Module,
        block: &BlockSpec,
        number: usize,
        x: &Image,
    ) -> Result<Image, Error> {
        let (y, tap) = match block {
            BlockSpec::EdgeResidual(spec) => {
                (self.edge_residual(module, spec, number, x)?, BlockTap::EdgeResidual)
            }
            BlockSpec::InvertedResidual(spec) => {
                let y = self.inverted_residual(module, spec, Some(number), x)?;
                let y = self.scale_and_skip(module, spec.layer_scale, spec.skip, number, y, x)?;
                (y, BlockTap::InvertedResidual)
            }
            BlockSpec::Attention(spec) => {
                let y = self.attention(module, spec, number, x)?;
                let y = self.scale_and_skip(module, spec.layer_scale, spec.skip, number, y, x)?;
                (y, BlockTap::AttnOutput)
            }
        };
        self.tap(&tap.name(number), &y);
        Ok(y)
    }

    fn edge_residual(
        &mut self,
        module: &Module,
        spec: &EdgeResidualSpec,
        number: usize,
        x: &Image,
    ) -> Result<Image, Error> {
        use names::edge_residual::*;
        let y = self.dense(x, &module.name_of(EXPANSION), spec.expanded, spec.kernel, spec.stride)?;
        let y = self.activated(self.norm(&y, &module.name_of(EXPANSION_NORM))?);
        self.tap_inner(BlockTap::ConvExp, number, &y);
        let y = self.dense(&y, &module.name_of(PROJECTION), spec.output, 1, 1)?;
        let y = self.norm(&y, &module.name_of(PROJECTION_NORM))?;
        self.tap_inner(BlockTap::ConvPwl, number, &y);
        Ok(if spec.stride == 1 && spec.input == spec.output { self.with_skip(y, x) } else { y })
    }

    fn scale_and_skip(
        &mut self,
        module: &Module,
        layer_scale: bool,
        skip: bool,
        number: usize,
        mut y: Image,
        x: &Image,
    ) -> Result<Image, Error> {
        let scale = |y: Image| -> Result<Image, Error> {
            let weights = self.weights(&module.name_of(names::LAYER_SCALE), &[y.shape[1]])?;
            let scaled = y.scaled(&weights);
            Ok(self.kept(match self.change {
                Some(PortChange::NoLayerScale) => y,
                Some(PortChange::LayerScaleTwice) => scaled.scaled(&weights),
                Some(PortChange::LayerScaleTimes(factor)) => scaled.map(|x| x * factor),
                _ => scaled,
            }))
        };
        if layer_scale && skip && self.change == Some(PortChange::LayerScaleAfterSkip) {
            return scale(self.with_skip(y, x));
        }
        if layer_scale {
            y = scale(y)?;
            if skip {
                self.tap(&BlockTap::LayerScale.name(number), &y);
            }
        }
        Ok(if skip { self.with_skip(y, x) } else { y })
    }

    /// A branch with its skip, as the change has it.
    fn with_skip(&self, y: Image, x: &Image) -> Image {
        self.kept(match self.change {
            Some(PortChange::NoSkip) => y,
            Some(PortChange::SkipTwice) => y.plus(x).plus(x),
            _ => y.plus(x),
        })
    }

    /// An inverted residual block before its layer scale, or the feed-forward of the fusion, which is no block.
    fn inverted_residual(
        &mut self,
        module: &Module,
        spec: &InvertedResidualSpec,
        block: Option<usize>,
        x: &Image,
    ) -> Result<Image, Error> {
        use names::inverted_residual::*;
        let tap = |run: &mut Self, tap, y: &Image| {
            if let Some(number) = block {
                run.tap_inner(tap, number, y);
            }
        };
        let mut y = x.clone();
        if let Some(spec) = spec.dw_start {
            y = self.normed_depthwise(module, START, spec, &y)?;
            tap(self, BlockTap::DwStart, &y);
        }
        y = self.dense(&y, &module.name_of(EXPANSION), spec.expanded, 1, 1)?;
        y = self.activated(self.norm(&y, &module.name_of(EXPANSION_NORM))?);
        if block.is_none() {
            self.tap(tap::MSFA_FFN_EXPAND, &y);
        }
        tap(self, BlockTap::PwExp, &y);
        if let Some(spec) = spec.dw_mid {
            y = self.activated(self.normed_depthwise(module, MIDDLE, spec, &y)?);
            tap(self, BlockTap::DwMid, &y);
        }
        y = self.dense(&y, &module.name_of(PROJECTION), spec.output, 1, 1)?;
        y = self.norm(&y, &module.name_of(PROJECTION_NORM))?;
        tap(self, BlockTap::PwProj, &y);
        if let Some(spec) = spec.dw_end {
            y = self.normed_depthwise(module, END, spec, &y)?;
            tap(self, BlockTap::DwEnd, &y);
        }
        Ok(y)
    }

    fn normed_depthwise(
        &self,
        module: &Module,
        names: names::Depthwise,
        spec: DepthwiseSpec,
        x: &Image,
    ) -> Result<Image, Error> {
        let y = self.depthwise(x, &module.name_of(names.convolution), spec)?;
        self.norm(&y, &module.name_of(names.norm))
    }

    fn attention(
        &mut self,
        module: &Module,
        spec: &AttentionSpec,
        number: usize,
        x: &Image,
    ) -> Result<Image, Error> {
        use names::attention::*;
        let x = self.norm(x, &module.name_of(NORM))?;
        self.tap(&BlockTap::AttnNorm.name(number), &x);
        let q = self.dense(&x, &module.name_of(QUERY), spec.heads * spec.key_dim, 1, 1)?;
        self.tap_inner(BlockTap::AttnQuery, number, &q);
        let mut sides = Vec::new();
        for (side, dim, of_norm, of_projection) in [
            (KEY, spec.key_dim, BlockTap::AttnKeyNorm, BlockTap::AttnKey),
            (VALUE, spec.value_dim, BlockTap::AttnValueNorm, BlockTap::AttnValue),
        ] {
            let mut y = x.clone();
            if let Some(spec) = spec.downsample {
                y = self.normed_depthwise(module, side.downsample, spec, &y)?;
                self.tap(&of_norm.name(number), &y);
            }
            let projected = self.dense(&y, &module.name_of(side.projection), dim, 1, 1)?;
            self.tap_inner(of_projection, number, &projected);
            sides.push(projected);
        }
        if self.change == Some(PortChange::KeysAndValuesExchanged) && spec.key_dim == spec.value_dim {
            sides.reverse();
        }
        let heads = self.kept(self.attend(spec, &q, &sides[0], &sides[1]));
        self.tap_inner(BlockTap::AttnHeads, number, &heads);
        let y = self.dense(&heads, &module.name_of(OUTPUT), spec.output, 1, 1)?;
        self.tap_inner(BlockTap::AttnProj, number, &y);
        Ok(y)
    }

    /// `softmax(q k^T / sqrt(d_k)) v` for every head, with the one set of keys and values.
    fn attend(&self, spec: &AttentionSpec, q: &Image, k: &Image, v: &Image) -> Image {
        let rounding = self.rounding();
        let times = |a: (f64, f64), b: (f64, f64)| a.0 * b.0 - a.1 * b.1;
        let held = |x: &Image| -> Vec<(f64, f64)> {
            self.nudged(x).data.iter().map(|x| rounding.held_by_attention(*x)).collect()
        };
        let (held_q, held_k, held_v) = (held(q), held(k), held(v));
        let [batch, _, height, width] = q.shape;
        let (pixels, positions) = (height * width, k.shape[2] * k.shape[3]);
        let factor = match self.change {
            Some(PortChange::ScoresNotScaled) => (spec.key_dim as f64).sqrt(),
            Some(PortChange::ScoresTimes(factor)) => factor,
            _ => 1.0,
        };
        let over_queries = self.change == Some(PortChange::SoftmaxOverQueries);
        let mut heads = Image::zeros([batch, spec.heads * spec.value_dim, height, width]);
        let of_head = (spec.value_dim * pixels).max(1);
        heads.data.par_chunks_mut(of_head).enumerate().for_each(|(number, out)| {
            let (b, head) = (number / spec.heads, number % spec.heads);
            let q = |d: usize, pixel: usize| {
                held_q[(b * spec.heads * spec.key_dim + head * spec.key_dim + d) * pixels + pixel]
            };
            let scores_of = |pixel: usize| -> Vec<f64> {
                let score = |position: usize| {
                    let key = |d: usize| held_k[(b * spec.key_dim + d) * positions + position];
                    let sum: f64 = (0..spec.key_dim).map(|d| times(q(d, pixel), key(d))).sum();
                    sum / (spec.key_dim as f64).sqrt() * factor
                };
                (0..positions).map(score).collect()
            };
            // Of a softmax over the queries the sums go the other way.
            let columns: Vec<(f64, f64)> = match over_queries {
                true => totals_of_columns(&(0..pixels).map(scores_of).collect::<Vec<_>>(), positions),
                false => Vec::new(),
            };
            for pixel in 0..pixels {
                let scores = scores_of(pixel);
                let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let (weights, total): (Vec<f64>, f64) = if over_queries {
                    let weight = |(s, (largest, total)): (&f64, &(f64, f64))| (s - largest).exp() / total;
                    (scores.iter().zip(&columns).map(weight).collect(), 1.0)
                } else {
                    let weights: Vec<f64> = scores.iter().map(|s| (s - largest).exp()).collect();
                    let total = weights.iter().sum();
                    (weights, total)
                };
                let weights: Vec<(f64, f64)> =
                    weights.into_iter().map(|w| rounding.held_by_attention(w)).collect();
                for d in 0..spec.value_dim {
                    let values = &held_v[(b * spec.value_dim + d) * positions..][..positions];
                    let sum: f64 = weights.iter().zip(values).map(|(w, v)| times(*w, *v)).sum();
                    out[d * pixels + pixel] = sum / total;
                }
            }
        });
        heads
    }

    fn fusion(&mut self, spec: &InvertedResidualSpec, high: &Image, low: &Image) -> Result<Image, Error> {
        let [batch, channels, height, width] = high.shape;
        let upsample = low.shape[2] < height || low.shape[3] < width;
        let bilinear = self.change == Some(PortChange::BilinearUpsampling) && upsample;
        let smooth = bilinear.then(|| interpolate(low, height, width));
        let of_low = |[b, c, y, x]: [usize; 4]| match &smooth {
            Some(smooth) => smooth.at([b, c, y, x]),
            None if upsample => low.at([b, c, y * low.shape[2] / height, x * low.shape[3] / width]),
            None => low.at([b, c, y, x]),
        };
        let low_first = self.change == Some(PortChange::ConcatOrder);
        let before = if low_first { low.shape[1] } else { channels };
        let joined = Image::from_fn([batch, channels + low.shape[1], height, width], |[b, c, y, x]| {
            let (second, c) = (c >= before, if c >= before { c - before } else { c });
            if second != low_first { of_low([b, c, y, x]) } else { high.at([b, c, y, x]) }
        });
        self.tap(tap::MSFA_CONCAT, &joined);
        let mut y = self.inverted_residual(&Module::feed_forward(), spec, None, &joined)?;
        self.tap(tap::MSFA_FFN_PROJECT, &y);
        let (oh, ow) = self.model.settings.output_resolution;
        let norm_first = self.change == Some(PortChange::PoolAfterNorm);
        if norm_first {
            y = self.norm(&y, names::fusion::NORM)?;
        }
        if (height, width) != (oh, ow) {
            let pooled = height.is_multiple_of(oh) && width.is_multiple_of(ow);
            y = self.kept(if pooled { average(&y, oh, ow) } else { interpolate(&y, oh, ow) });
            self.tap(tap::MSFA_DOWNSAMPLE, &y);
        }
        let y = if norm_first { y } else { self.norm(&y, names::fusion::NORM)? };
        self.tap(tap::MSFA_CONCAT_NORM, &y);
        Ok(y)
    }

    fn embedder(&mut self, channels: usize, hidden: usize, x: &Image) -> Result<Image, Error> {
        let [batch, _, height, width] = x.shape;
        let tokens = |x: &Image| {
            Image::from_fn([batch, 1, height * width, x.shape[1]], |[b, _, t, c]| {
                x.at([b, c, t / width, t % width])
            })
        };
        let lacks_factor = self.seam.lacks_factor() || self.change == Some(PortChange::NoFactor);
        let factor = if lacks_factor { 1.0 } else { (channels as f64).sqrt() };
        let scaled = self.kept(x.clone().map(|x| x * factor));
        let soft = self.norm(&scaled, names::embedder::SOFT_NORM)?;
        self.tap_tokens(tap::MM_SOFT_EMB_NORM, &tokens(&soft));
        let weights = self.weights(names::embedder::PROJECTION, &[hidden, channels])?;
        let projected = self.multiply(&soft, weights, hidden, 1, 1, self.rounding());
        self.tap_tokens(tap::MM_INPUT_PROJ, &tokens(&projected));
        let normed = self.norm_by(&projected, &[]);
        self.tap_tokens(tap::MM_POST_PROJ_NORM, &tokens(&normed));
        Ok(normed)
    }

    fn head(&mut self, spec: HeadSpec, x: &Image) -> Result<Image, Error> {
        let mut y = self.kept(average(x, 1, 1));
        self.tap(tap::HEAD_POOL, &y);
        if let Some(hidden) = spec.hidden {
            let product = self.dense(&y, names::head::CONVOLUTION, hidden, 1, 1)?;
            y = self.activated(self.norm(&product, names::head::NORM)?);
            self.tap(tap::HEAD_HIDDEN, &y);
        }
        if let Some(classes) = spec.classes {
            let weights = self.weights(names::head::CLASSIFIER, &[classes, y.shape[1]])?;
            let product = self.multiply(&y, weights, classes, 1, 1, self.rounding());
            y = self.biased(product, names::head::CLASSIFIER_BIAS)?;
            let shape = vec![y.shape[0], classes];
            self.taps.push((tap::HEAD_LOGITS.to_string(), Tensor64 { shape, data: y.data.clone() }));
        }
        Ok(y)
    }
}

/// The largest score of each column, and the sum of what remains of it under the exponential.
fn totals_of_columns(scores: &[Vec<f64>], columns: usize) -> Vec<(f64, f64)> {
    let of_column = |column: usize| {
        let values = || scores.iter().map(|row| row[column]);
        let largest = values().fold(f64::NEG_INFINITY, f64::max);
        (largest, values().map(|s| (s - largest).exp()).sum())
    };
    (0..columns).map(of_column).collect()
}
