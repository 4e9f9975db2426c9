//! The multi-scale fusion adapter over the outputs of the last two stages.

use rayon::prelude::*;

use super::activation::Activation;
use super::context::Context;
use super::layer::{Dense, Loader};
use crate::architecture::InvertedResidualSpec;
use crate::architecture::names::{self, Module, module_of};
use crate::error::Error;
use crate::kernels::epilogue::{Epilogue, Norm};
use crate::kernels::resize::{average_pool, bilinear, nearest};
use crate::profile::Cost;
use crate::tap;

/// Upsampling, concatenation, feed-forward, pooling to the output resolution, norm.
pub(super) struct Fusion {
    feed_forward: FeedForward,
    norm: Vec<f32>,
    resolution: (usize, usize),
}

impl Fusion {
    pub(super) fn load(
        loader: &Loader<'_>,
        spec: &InvertedResidualSpec,
        resolution: (usize, usize),
    ) -> Result<Self, Error> {
        Ok(Fusion {
            feed_forward: FeedForward::load(loader, spec)?,
            norm: loader.parameter(names::fusion::NORM, spec.output)?,
            resolution,
        })
    }

    /// `high` is the feature map of the higher resolution.
    pub(super) fn forward(
        &self,
        context: &mut Context<'_>,
        high: &Activation,
        low: &Activation,
    ) -> Result<Activation, Error> {
        let joined_elements = high.pixels() * (high.channels + low.channels);
        let cost = || Cost::of_elements(2 * joined_elements);
        let joined = context.profiler.time("msfa.concat", cost, || concatenate(context, high, low));
        context.tap(tap::MSFA_CONCAT, &joined)?;
        let mut x = self.feed_forward.forward(context, &joined)?;
        let norm = Epilogue { norm: Norm::Weighted(&self.norm), ..Epilogue::default() };
        if context.seam.pools_after_norm() {
            context.apply(module_of(names::fusion::NORM), &norm, &mut x);
        }
        let (size, to) = ((x.height, x.width), self.resolution);
        if size != to {
            let mut out = context.activation(x.batch, to.0, to.1, x.channels);
            let elements = x.data.len() + out.data.len();
            context.profiler.time(
                "msfa.pool",
                || Cost::of_elements(elements),
                || {
                    if size.0.is_multiple_of(to.0) && size.1.is_multiple_of(to.1) {
                        average_pool(&x.data, size, x.channels, to, &mut out.data);
                    } else {
                        bilinear(&x.data, size, x.channels, to, &mut out.data);
                    }
                },
            );
            x = out;
            context.tap(tap::MSFA_DOWNSAMPLE, &x)?;
        }
        if !context.seam.pools_after_norm() {
            context.apply(module_of(names::fusion::NORM), &norm, &mut x);
        }
        context.tap(tap::MSFA_CONCAT_NORM, &x)?;
        Ok(x)
    }
}

/// Two 1 x 1 convolutions, each with its norm: an inverted residual block without anything else.
struct FeedForward {
    expansion: Dense,
    expansion_norm: Vec<f32>,
    projection: Dense,
    projection_norm: Vec<f32>,
}

impl FeedForward {
    fn load(loader: &Loader<'_>, spec: &InvertedResidualSpec) -> Result<Self, Error> {
        use names::inverted_residual::*;
        let module = Module::feed_forward();
        let name = |weight: &str| module.name_of(weight);
        Ok(FeedForward {
            expansion: loader.dense(&name(EXPANSION), [spec.expanded, spec.input, 1], 1)?,
            expansion_norm: loader.parameter(&name(EXPANSION_NORM), spec.expanded)?,
            projection: loader.dense(&name(PROJECTION), [spec.output, spec.expanded, 1], 1)?,
            projection_norm: loader.parameter(&name(PROJECTION_NORM), spec.output)?,
        })
    }

    fn forward(&self, context: &mut Context<'_>, x: &Activation) -> Result<Activation, Error> {
        let first =
            Epilogue { norm: Norm::Weighted(&self.expansion_norm), gelu: true, ..Epilogue::default() };
        let last = Epilogue { norm: Norm::Weighted(&self.projection_norm), ..Epilogue::default() };
        let out = if context.taps.wants(tap::MSFA_FFN_EXPAND) {
            let expanded = self.expansion.forward(context, x, &first)?;
            context.tap(tap::MSFA_FFN_EXPAND, &expanded)?;
            self.projection.forward(context, &expanded, &last)?
        } else {
            self.expansion.forward_into(context, x, &first, (&self.projection, &last))?
        };
        context.tap(tap::MSFA_FFN_PROJECT, &out)?;
        Ok(out)
    }
}

fn concatenate(context: &Context<'_>, high: &Activation, low: &Activation) -> Activation {
    let seam = context.seam;
    let resized;
    let low = if seam.upsamples_bilinearly() && (low.height, low.width) != (high.height, high.width) {
        let mut out = context.activation(low.batch, high.height, high.width, low.channels);
        bilinear(&low.data, (low.height, low.width), low.channels, (high.height, high.width), &mut out.data);
        resized = out;
        &resized
    } else {
        low
    };
    let mut out = context.activation(high.batch, high.height, high.width, high.channels + low.channels);
    let upsample = low.height < high.height || low.width < high.width;
    let source = |i: usize, from: usize, to: usize| if upsample { nearest(i, from, to) } else { i };
    out.data.par_chunks_exact_mut(high.channels + low.channels).enumerate().for_each(|(pixel, out)| {
        let (line, x) = (pixel / high.width, pixel % high.width);
        let (batch, y) = (line / high.height, line % high.height);
        let (y, x) = (source(y, low.height, high.height), source(x, low.width, high.width));
        let low_pixel = (batch * low.height + y) * low.width + x;
        let high = &high.data[pixel * high.channels..][..high.channels];
        let low = &low.data[low_pixel * low.channels..][..low.channels];
        let (first, second) = if seam.swaps_concat() { (low, high) } else { (high, low) };
        let (front, behind) = out.split_at_mut(first.len());
        front.copy_from_slice(first);
        behind.copy_from_slice(second);
    });
    out
}
