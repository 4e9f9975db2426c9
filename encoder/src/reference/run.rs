//! One run of the graph: its parts one after another, with the weights read as they are needed and every tap kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::change::PortChange;
use super::changed::Changed;
use super::image::{Image, average, copied};
use super::nudge::Nudge;
use super::weights::PartWeights;
use super::{ReferenceModel, Tensor64};
use crate::architecture::names::{self, Module};
use crate::architecture::{
    AttentionSpec, BlockSpec, DepthwiseSpec, EdgeResidualSpec, HeadSpec, InvertedResidualSpec, StemSpec,
};
use crate::error::Error;
use crate::faults::Seam;
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
    /// Weights of the current part.
    pub(super) part_weights: Arc<PartWeights>,
    pub(super) seam: Seam,
    /// Whether inner taps are kept too.
    pub(super) inner: bool,
    pub(super) taps: Vec<(String, Tensor64)>,
    /// What is done otherwise.
    pub(super) changed: Changed,
    /// Values are moved by as much as f32 arithmetic may move them.
    pub(super) nudge: Option<Nudge>,
    /// Tensors that the run goes on with in the place of its own of the same names and shapes.
    pub(super) along: Option<&'a BTreeMap<String, Tensor64>>,
    /// Whether these and the inputs are a port's own values, to the last bit.
    pub(super) known: bool,
    /// Whether what it gives is of f32, and what it goes on with.
    pub(super) gives_f32: bool,
}

impl<'a> ReferenceRun<'a> {
    pub(super) fn of(model: &'a ReferenceModel<'a>) -> ReferenceRun<'a> {
        ReferenceRun {
            model,
            part_weights: Arc::default(),
            seam: Seam::default(),
            inner: false,
            taps: Vec::new(),
            changed: Changed::default(),
            nudge: None,
            along: None,
            known: false,
            gives_f32: false,
        }
    }
}

impl ReferenceRun<'_> {
    /// Keeps a tensor under its name; what the run goes on with.
    fn tap(&mut self, name: &str, x: Image) -> Image {
        let x = self.given(x);
        self.taps.push((name.to_string(), Tensor64 { shape: x.shape.to_vec(), data: copied(&x.data) }));
        match self.along.and_then(|along| along.get(name)) {
            Some(own) if own.shape == x.shape => Image::of(x.shape, &own.data).known(self.known),
            _ => x,
        }
    }

    /// Rounded to f32 where a port is simulated.
    fn given(&self, x: Image) -> Image {
        if self.gives_f32 { x.map(|x| f64::from(x as f32)).known(true) } else { x }
    }

    fn tap_inner(&mut self, tap: BlockTap, number: usize, x: Image) -> Image {
        if self.inner { self.tap(&tap.name(number), x) } else { x }
    }

    /// The same of `[B, C, H, W]` that is kept as tokens, `[B, H * W, C]`.
    fn tap_tokens(&mut self, name: &str, x: Image) -> Image {
        let x = self.given(x);
        let [batch, channels, height, width] = x.shape;
        let tokens = Image::from_fn([batch, 1, height * width, channels], |[b, _, t, c]| {
            x.at([b, c, t / width, t % width])
        });
        let shape = vec![batch, height * width, channels];
        let own = self.along.and_then(|along| along.get(name)).filter(|own| own.shape == shape);
        self.taps.push((name.to_string(), Tensor64 { shape, data: copied(&tokens.data) }));
        match own {
            Some(own) => Image::from_fn(x.shape, |[b, c, y, x]| {
                own.data[(b * height * width + y * width + x) * channels + c]
            })
            .known(self.known),
            None => x,
        }
    }

    /// Runs the part at `site`. A part alone and the whole model both run through here, hence with the same bits.
    pub(super) fn forward(&mut self, site: Site, flow: ReferenceFlow) -> Result<ReferenceFlow, Error> {
        self.seam.enter(site);
        self.changed.start_part();
        let architecture = &self.model.architecture;
        let ReferenceFlow { x, into_last_stage } = flow;
        match site {
            Site::Stem => Ok(ReferenceFlow { x: self.stem(architecture.stem, &x)?, into_last_stage: None }),
            Site::Block(number) => {
                let (stage, index, block) =
                    architecture.blocks().nth(number).expect("a block, since it has a site");
                let weights = self.changed.block_of_weights(index, architecture.stages[stage].len());
                let out = self.block(&Module::block(stage, weights), block, number, &x)?;
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

    /// With a bias for each channel.
    fn biased(&self, x: Image, name: &str) -> Result<Image, Error> {
        if self.changed.has(PortChange::NoBias) {
            return Ok(x);
        }
        let bias = self.weights(name, &[x.shape[1]])?;
        Ok(Image::from_fn(x.shape, |i| x.at(i) + bias[i[1]]))
    }

    fn stem(&mut self, spec: StemSpec, x: &Image) -> Result<Image, Error> {
        let image = self.changed.image(x);
        let mut x = self.dense(&image, names::stem::CONVOLUTION, spec.channels, spec.kernel, 2)?;
        if spec.bias {
            x = self.biased(x, names::stem::BIAS)?;
        }
        x = self.activated(self.norm(x, names::stem::NORM)?);
        Ok(self.tap(tap::STEM, x))
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
                let (y, normed) = self.attention(module, spec, number, x)?;
                let x = if self.changed.has(PortChange::SkipOfNormed) { &normed } else { x };
                let y = self.scale_and_skip(module, spec.layer_scale, spec.skip, number, y, x)?;
                (y, BlockTap::AttnOutput)
            }
        };
        Ok(self.tap(&tap.name(number), y))
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
        let y = self.activated(self.norm(y, &module.name_of(EXPANSION_NORM))?);
        let y = self.tap_inner(BlockTap::ConvExp, number, y);
        let y = self.dense(&y, &module.name_of(PROJECTION), spec.output, 1, 1)?;
        let y = self.norm(y, &module.name_of(PROJECTION_NORM))?;
        let y = self.tap_inner(BlockTap::ConvPwl, number, y);
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
            Ok(self.kept(self.changed.layer_scaled(y, &weights)))
        };
        if layer_scale && skip && self.changed.has(PortChange::LayerScaleAfterSkip) {
            let y = scale(self.with_skip(y, x))?;
            return Ok(self.tap(&BlockTap::LayerScale.name(number), y));
        }
        if layer_scale {
            y = scale(y)?;
            if skip {
                y = self.tap(&BlockTap::LayerScale.name(number), y);
            }
        }
        Ok(if skip { self.with_skip(y, x) } else { y })
    }

    fn with_skip(&self, y: Image, x: &Image) -> Image {
        self.kept(self.changed.with_skip(y, x))
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
        let tap = |run: &mut Self, tap, y: Image| match block {
            Some(number) => run.tap_inner(tap, number, y),
            None => y,
        };
        let mut y = x.clone();
        if let Some(spec) = spec.dw_start {
            y = self.normed_depthwise(module, START, spec, &y)?;
            y = tap(self, BlockTap::DwStart, y);
        }
        y = self.dense(&y, &module.name_of(EXPANSION), spec.expanded, 1, 1)?;
        y = self.activated(self.norm(y, &module.name_of(EXPANSION_NORM))?);
        if block.is_none() {
            y = self.tap(tap::MSFA_FFN_EXPAND, y);
        }
        y = tap(self, BlockTap::PwExp, y);
        if let Some(spec) = spec.dw_mid {
            y = self.activated(self.normed_depthwise(module, MIDDLE, spec, &y)?);
            y = tap(self, BlockTap::DwMid, y);
        }
        y = self.dense(&y, &module.name_of(PROJECTION), spec.output, 1, 1)?;
        y = self.norm(y, &module.name_of(PROJECTION_NORM))?;
        y = tap(self, BlockTap::PwProj, y);
        if let Some(spec) = spec.dw_end {
            y = self.normed_depthwise(module, END, spec, &y)?;
            y = tap(self, BlockTap::DwEnd, y);
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
        self.norm(y, &module.name_of(names.norm))
    }

    /// An attention block before its layer scale, and what its norm gives.
    fn attention(
        &mut self,
        module: &Module,
        spec: &AttentionSpec,
        number: usize,
        x: &Image,
    ) -> Result<(Image, Image), Error> {
        use names::attention::*;
        let x = self.norm(x.clone(), &module.name_of(NORM))?;
        let x = self.tap(&BlockTap::AttnNorm.name(number), x);
        let q = self.dense(&x, &module.name_of(QUERY), spec.heads * spec.key_dim, 1, 1)?;
        let q = self.tap_inner(BlockTap::AttnQuery, number, q);
        let mut sides = Vec::new();
        for (side, dim, of_norm, of_projection) in [
            (KEY, spec.key_dim, BlockTap::AttnKeyNorm, BlockTap::AttnKey),
            (VALUE, spec.value_dim, BlockTap::AttnValueNorm, BlockTap::AttnValue),
        ] {
            let mut y = x.clone();
            if let Some(spec) = spec.downsample {
                y = self.normed_depthwise(module, side.downsample, self.changed.downsample(spec), &y)?;
                y = self.tap(&of_norm.name(number), y);
            }
            let projected = self.key_or_value(&y, &module.name_of(side.projection), dim)?;
            sides.push(self.tap_inner(of_projection, number, projected));
        }
        self.changed.keys_and_values(&mut sides);
        let q = self.changed.queries(q, spec);
        let heads = self.changed.results(self.attend(spec, &q, &sides[0], &sides[1]), spec);
        let heads = self.tap_inner(BlockTap::AttnHeads, number, heads);
        let y = self.dense(&heads, &module.name_of(OUTPUT), spec.output, 1, 1)?;
        Ok((self.tap_inner(BlockTap::AttnProj, number, y), x))
    }

    fn fusion(&mut self, spec: &InvertedResidualSpec, high: &Image, low: &Image) -> Result<Image, Error> {
        let [batch, channels, height, width] = high.shape;
        let upsample = low.shape[2] < height || low.shape[3] < width;
        let smooth = self.changed.upsampled(low, height, width).filter(|_| upsample);
        let of_low = |[b, c, y, x]: [usize; 4]| match &smooth {
            Some(smooth) => smooth.at([b, c, y, x]),
            None if upsample => low.at([b, c, y * low.shape[2] / height, x * low.shape[3] / width]),
            None => low.at([b, c, y, x]),
        };
        let low_first = self.changed.has(PortChange::ConcatOrder);
        let before = if low_first { low.shape[1] } else { channels };
        let joined = Image::from_fn([batch, channels + low.shape[1], height, width], |[b, c, y, x]| {
            let (second, c) = (c >= before, if c >= before { c - before } else { c });
            if second != low_first { of_low([b, c, y, x]) } else { high.at([b, c, y, x]) }
        });
        let joined = self.tap(tap::MSFA_CONCAT, joined);
        let mut y = self.inverted_residual(&Module::feed_forward(), spec, None, &joined)?;
        y = self.tap(tap::MSFA_FFN_PROJECT, y);
        let (oh, ow) = self.model.settings.output_resolution;
        let norm_first = self.changed.has(PortChange::PoolAfterNorm);
        if norm_first {
            y = self.norm(y, names::fusion::NORM)?;
        }
        if (height, width) != (oh, ow) {
            y = self.kept(self.nudged(self.changed.resized(&y, oh, ow)));
            y = self.tap(tap::MSFA_DOWNSAMPLE, y);
        }
        let y = if norm_first { y } else { self.norm(y, names::fusion::NORM)? };
        Ok(self.tap(tap::MSFA_CONCAT_NORM, y))
    }

    fn embedder(&mut self, channels: usize, hidden: usize, x: &Image) -> Result<Image, Error> {
        let lacks_factor = self.seam.lacks_factor() || self.changed.has(PortChange::NoFactor);
        let factor = if lacks_factor { 1.0 } else { (channels as f64).sqrt() };
        let scaled = self.kept(x.clone().map(|x| x * factor));
        let soft = self.norm(scaled, names::embedder::SOFT_NORM)?;
        let soft = self.tap_tokens(tap::MM_SOFT_EMB_NORM, soft);
        let projected = self.product(&soft, names::embedder::PROJECTION, &[hidden, channels], 1)?;
        let projected = self.tap_tokens(tap::MM_INPUT_PROJ, projected);
        let normed = self.norm_by(names::embedder::LAST_NORM, projected, &[]);
        Ok(self.tap_tokens(tap::MM_POST_PROJ_NORM, normed))
    }

    fn head(&mut self, spec: HeadSpec, x: &Image) -> Result<Image, Error> {
        let mut y = self.kept(self.nudged(average(x, 1, 1)));
        y = self.tap(tap::HEAD_POOL, y);
        if let Some(hidden) = spec.hidden {
            let product = self.dense(&y, names::head::CONVOLUTION, hidden, 1, 1)?;
            y = self.activated(self.norm(product, names::head::NORM)?);
            y = self.tap(tap::HEAD_HIDDEN, y);
        }
        if let Some(classes) = spec.classes {
            let product = self.product(&y, names::head::CLASSIFIER, &[classes, y.shape[1]], 1)?;
            y = self.biased(product, names::head::CLASSIFIER_BIAS)?;
            let shape = vec![y.shape[0], classes];
            self.taps.push((tap::HEAD_LOGITS.to_string(), Tensor64 { shape, data: copied(&y.data) }));
        }
        Ok(y)
    }
}
