//! Gemma 3n's embedder of vision tokens (transformers' `Gemma3nMultimodalEmbedder`).

use super::activation::Activation;
use super::context::Context;
use super::layer::{Dense, Loader};
use crate::architecture::EmbedderSpec;
use crate::architecture::names::{embedder as names, module_of};
use crate::error::Error;
use crate::kernels::epilogue::{Epilogue, Norm};
use crate::tap;

/// Scale by sqrt(channels), RMS norm, projection, RMS norm without a weight.
pub(super) struct Embedder {
    soft_norm: Vec<f32>,
    projection: Dense,
}

impl Embedder {
    pub(super) fn load(loader: &Loader<'_>, spec: &EmbedderSpec) -> Result<Self, Error> {
        Ok(Embedder {
            soft_norm: loader.parameter(names::SOFT_NORM, spec.channels)?,
            projection: loader.linear(names::PROJECTION, spec.hidden, spec.channels)?,
        })
    }

    pub(super) fn forward(&self, context: &mut Context<'_>, mut x: Activation) -> Result<Activation, Error> {
        let ops = Epilogue {
            factor: Some((x.channels as f64).sqrt() as f32),
            norm: Norm::Weighted(&self.soft_norm),
            ..Epilogue::default()
        };
        context.apply(module_of(names::SOFT_NORM), &ops, &mut x);
        context.tap_tokens(tap::MM_SOFT_EMB_NORM, &x)?;
        let mut out = self.projection.forward(context, &x, &Epilogue::default())?;
        context.tap_tokens(tap::MM_INPUT_PROJ, &out)?;
        let ops = Epilogue { norm: Norm::Plain, ..Epilogue::default() };
        context.apply(names::LAST_NORM, &ops, &mut out);
        context.tap_tokens(tap::MM_POST_PROJ_NORM, &out)?;
        Ok(out)
    }
}
