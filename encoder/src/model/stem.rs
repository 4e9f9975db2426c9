//! The convolution at the front.

use super::activation::Activation;
use super::context::Context;
use super::layer::{Dense, Loader};
use crate::architecture::Architecture;
use crate::architecture::names::stem as names;
use crate::error::Error;
use crate::kernels::epilogue::{Epilogue, Norm};

/// 3x3 convolution of stride 2 with bias, RMS norm, GELU.
pub(super) struct Stem {
    convolution: Dense,
    bias: Option<Vec<f32>>,
    norm: Vec<f32>,
}

impl Stem {
    pub(super) fn load(loader: &Loader<'_>, architecture: &Architecture) -> Result<Stem, Error> {
        let spec = architecture.stem;
        let bias = match spec.bias {
            true => Some(loader.parameter(names::BIAS, spec.channels)?),
            false => None,
        };
        let shape = [spec.channels, architecture.input_channels, spec.kernel];
        Ok(Stem {
            convolution: loader.dense(names::CONVOLUTION, shape, 2)?,
            bias,
            norm: loader.parameter(names::NORM, spec.channels)?,
        })
    }

    pub(super) fn kernel(&self) -> usize {
        self.convolution.kernel()
    }

    pub(super) fn forward(&self, context: &mut Context<'_>, x: &Activation) -> Result<Activation, Error> {
        let ops = Epilogue {
            bias: self.bias.as_deref(),
            norm: Norm::Weighted(&self.norm),
            gelu: true,
            ..Epilogue::default()
        };
        self.convolution.forward(context, x, &ops)
    }
}
