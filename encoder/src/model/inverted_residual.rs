//! timm's `UniversalInvertedResidual`.

use super::activation::Activation;
use super::block_end::BlockEnd;
use super::context::Context;
use super::layer::{self, Dense, Loader};
use crate::architecture::names::{Depthwise, Module, inverted_residual as names};
use crate::architecture::{DepthwiseSpec, InvertedResidualSpec};
use crate::error::Error;
use crate::kernels::epilogue::{Epilogue, Norm};
use crate::tap::BlockTap;

/// 1 x 1 expansion and projection, each with its norm, and the optional depthwise convolutions around them.
pub(super) struct InvertedResidual {
    dw_start: Option<NormedDepthwise>,
    expansion: Dense,
    expansion_norm: Vec<f32>,
    dw_mid: Option<NormedDepthwise>,
    projection: Dense,
    projection_norm: Vec<f32>,
    dw_end: Option<NormedDepthwise>,
    end: BlockEnd,
}

struct NormedDepthwise {
    convolution: layer::DepthwiseLayer,
    norm: Vec<f32>,
}

impl NormedDepthwise {
    fn load(
        loader: &Loader<'_>,
        module: &Module,
        names: Depthwise,
        channels: usize,
        spec: Option<DepthwiseSpec>,
    ) -> Result<Option<Self>, Error> {
        let Some(spec) = spec else { return Ok(None) };
        Ok(Some(NormedDepthwise {
            convolution: loader.depthwise(&module.name_of(names.convolution), channels, spec)?,
            norm: loader.parameter(&module.name_of(names.norm), channels)?,
        }))
    }
}

impl InvertedResidual {
    pub(super) fn load(
        loader: &Loader<'_>,
        module: &Module,
        spec: &InvertedResidualSpec,
    ) -> Result<Self, Error> {
        let name = |weight: &str| module.name_of(weight);
        Ok(InvertedResidual {
            dw_start: NormedDepthwise::load(loader, module, names::START, spec.input, spec.dw_start)?,
            expansion: loader.dense(&name(names::EXPANSION), [spec.expanded, spec.input, 1], 1)?,
            expansion_norm: loader.parameter(&name(names::EXPANSION_NORM), spec.expanded)?,
            dw_mid: NormedDepthwise::load(loader, module, names::MIDDLE, spec.expanded, spec.dw_mid)?,
            projection: loader.dense(&name(names::PROJECTION), [spec.output, spec.expanded, 1], 1)?,
            projection_norm: loader.parameter(&name(names::PROJECTION_NORM), spec.output)?,
            dw_end: NormedDepthwise::load(loader, module, names::END, spec.output, spec.dw_end)?,
            end: BlockEnd::load(loader, module, spec.output, (spec.layer_scale, spec.skip))?,
        })
    }

    pub(super) fn forward(
        &self,
        context: &mut Context<'_>,
        number: usize,
        x: &Activation,
    ) -> Result<Activation, Error> {
        let of_product = match self.dw_end {
            Some(_) => BlockTap::DwEnd,
            None => BlockTap::PwProj,
        };
        let taps = (of_product, BlockTap::InvertedResidual);
        self.end.forward(context, number, x, taps, |context, ops| {
            let started = self.start(context, number, x)?;
            let started = started.as_ref().unwrap_or(x);
            let Some(depthwise) = &self.dw_end else {
                return self.expand_and_project(context, number, started, ops);
            };
            let projected = self.expand_and_project(context, number, started, &Epilogue::default())?;
            context.tap_inner(BlockTap::PwProj, number, &projected)?;
            let ops = Epilogue { norm: Norm::Weighted(&depthwise.norm), ..*ops };
            depthwise.convolution.forward(context, &projected, &ops)
        })
    }

    fn start(
        &self,
        context: &mut Context<'_>,
        number: usize,
        x: &Activation,
    ) -> Result<Option<Activation>, Error> {
        let Some(depthwise) = &self.dw_start else { return Ok(None) };
        let ops = Epilogue { norm: Norm::Weighted(&depthwise.norm), ..Epilogue::default() };
        let started = depthwise.convolution.forward(context, x, &ops)?;
        context.tap_inner(BlockTap::DwStart, number, &started)?;
        Ok(Some(started))
    }

    /// Expansion, depthwise convolution, projection and norm, then what `ops` does after the norm.
    fn expand_and_project(
        &self,
        context: &mut Context<'_>,
        number: usize,
        x: &Activation,
        ops: &Epilogue<'_>,
    ) -> Result<Activation, Error> {
        let (first, last) = (self.after_expansion(), self.after_projection(ops));
        if self.dw_mid.is_none() && !context.wants_inner(BlockTap::PwExp, number) {
            return self.expansion.forward_into(context, x, &first, (&self.projection, &last));
        }
        let expanded = self.expansion.forward(context, x, &first)?;
        context.tap_inner(BlockTap::PwExp, number, &expanded)?;
        let Some(depthwise) = &self.dw_mid else {
            return self.projection.forward(context, &expanded, &last);
        };
        let ops = Epilogue { norm: Norm::Weighted(&depthwise.norm), gelu: true, ..Epilogue::default() };
        let expanded = depthwise.convolution.forward(context, &expanded, &ops)?;
        context.tap_inner(BlockTap::DwMid, number, &expanded)?;
        self.projection.forward(context, &expanded, &last)
    }

    fn after_expansion(&self) -> Epilogue<'_> {
        Epilogue { norm: Norm::Weighted(&self.expansion_norm), gelu: true, ..Epilogue::default() }
    }

    /// The norm of the projection, then what `ops` does after the norm.
    fn after_projection<'a>(&'a self, ops: &Epilogue<'a>) -> Epilogue<'a> {
        Epilogue { norm: Norm::Weighted(&self.projection_norm), ..*ops }
    }
}
