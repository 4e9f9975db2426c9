//! timm's `UniversalInvertedResidual`.

use super::activation::Activation;
use super::context::Context;
use super::layer::{self, Dense, Loader};
use crate::architecture::names::{Depthwise, LAYER_SCALE, Module, inverted_residual as names};
use crate::architecture::{DepthwiseSpec, InvertedResidualSpec};
use crate::error::Error;
use crate::kernels::epilogue::{Epilogue, Norm};
use crate::tap::BlockTap;

/// 1 x 1 expansion and projection, each with its norm, and the optional depthwise convolutions around them.
pub(super) struct InvertedResidual {
    module: Module,
    dw_start: Option<NormedDepthwise>,
    expansion: Dense,
    expansion_norm: Vec<f32>,
    dw_mid: Option<NormedDepthwise>,
    projection: Dense,
    projection_norm: Vec<f32>,
    dw_end: Option<NormedDepthwise>,
    layer_scale: Option<Vec<f32>>,
    skip: bool,
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
        let layer_scale = match spec.layer_scale {
            true => Some(loader.parameter(&name(LAYER_SCALE), spec.output)?),
            false => None,
        };
        Ok(InvertedResidual {
            module: module.clone(),
            dw_start: NormedDepthwise::load(loader, module, names::START, spec.input, spec.dw_start)?,
            expansion: loader.dense(&name(names::EXPANSION), [spec.expanded, spec.input, 1], 1)?,
            expansion_norm: loader.parameter(&name(names::EXPANSION_NORM), spec.expanded)?,
            dw_mid: NormedDepthwise::load(loader, module, names::MIDDLE, spec.expanded, spec.dw_mid)?,
            projection: loader.dense(&name(names::PROJECTION), [spec.output, spec.expanded, 1], 1)?,
            projection_norm: loader.parameter(&name(names::PROJECTION_NORM), spec.output)?,
            dw_end: NormedDepthwise::load(loader, module, names::END, spec.output, spec.dw_end)?,
            layer_scale,
            skip: spec.skip,
        })
    }

    pub(super) fn forward(
        &self,
        context: &mut Context<'_>,
        number: usize,
        x: &Activation,
    ) -> Result<Activation, Error> {
        let started = self.start(context, x)?;
        let started = started.as_ref().unwrap_or(x);

        // The tap is taken between the layer scale and the skip.
        let name = BlockTap::LayerScale.name(number);
        let tapped = self.layer_scale.is_some() && self.skip && context.taps.wants(&name);
        let scale = Epilogue { layer_scale: self.layer_scale.as_deref(), ..Epilogue::default() };
        let skip = Epilogue { skip: self.skip.then_some(&x.data), ..Epilogue::default() };
        let last = Epilogue { skip: if tapped { None } else { skip.skip }, ..scale };
        let mut out = match &self.dw_end {
            None => self.expand_and_project(context, started, &last)?,
            Some(depthwise) => {
                let projected = self.expand_and_project(context, started, &Epilogue::default())?;
                let ops = Epilogue { norm: Norm::Weighted(&depthwise.norm), ..last };
                depthwise.convolution.forward(context, &projected, &ops)?
            }
        };
        if tapped {
            context.tap(&name, &out)?;
            context.apply(&self.module.name_of("skip"), &skip, &mut out);
        }
        context.tap(&BlockTap::InvertedResidual.name(number), &out)?;
        Ok(out)
    }

    fn start(&self, context: &Context<'_>, x: &Activation) -> Result<Option<Activation>, Error> {
        let Some(depthwise) = &self.dw_start else { return Ok(None) };
        let ops = Epilogue { norm: Norm::Weighted(&depthwise.norm), ..Epilogue::default() };
        Ok(Some(depthwise.convolution.forward(context, x, &ops)?))
    }

    /// Expansion, depthwise convolution, projection and norm, then what `ops` does after the norm.
    fn expand_and_project(
        &self,
        context: &Context<'_>,
        x: &Activation,
        ops: &Epilogue<'_>,
    ) -> Result<Activation, Error> {
        let last = self.after_projection(ops);
        let Some(depthwise) = &self.dw_mid else {
            return self.expansion.forward_into(
                context,
                x,
                &self.after_expansion(),
                (&self.projection, &last),
            );
        };
        let expanded = self.expansion.forward(context, x, &self.after_expansion())?;
        let ops = Epilogue { norm: Norm::Weighted(&depthwise.norm), gelu: true, ..Epilogue::default() };
        let expanded = depthwise.convolution.forward(context, &expanded, &ops)?;
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
