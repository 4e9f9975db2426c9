//! timm's `UniversalInvertedResidual`.

use super::Context;
use super::activation::Activation;
use super::layer::{Dense, Depthwise, Loader};
use crate::config::{DepthwiseSpec, InvertedResidualSpec};
use crate::error::Error;
use crate::kernels::rows::{Norm, RowOps};
use crate::tap::{self, BlockTap};

/// 1 x 1 expansion and projection, each with its norm, and the optional depthwise convolutions around them.
pub(super) struct InvertedResidual {
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
    convolution: Depthwise,
    norm: Vec<f32>,
}

impl NormedDepthwise {
    fn load(
        loader: &Loader<'_>,
        prefix: &str,
        channels: usize,
        spec: Option<DepthwiseSpec>,
    ) -> Result<Option<Self>, Error> {
        let Some(spec) = spec else { return Ok(None) };
        Ok(Some(NormedDepthwise {
            convolution: loader.depthwise(&format!("{prefix}.conv.weight"), channels, spec)?,
            norm: loader.parameter(&format!("{prefix}.bn.weight"), channels)?,
        }))
    }
}

impl InvertedResidual {
    pub(super) fn load(
        loader: &Loader<'_>,
        prefix: &str,
        spec: &InvertedResidualSpec,
    ) -> Result<Self, Error> {
        let name = |suffix: &str| format!("{prefix}{suffix}");
        let layer_scale = match spec.layer_scale {
            true => Some(loader.parameter(&name("layer_scale.gamma"), spec.output)?),
            false => None,
        };
        Ok(InvertedResidual {
            dw_start: NormedDepthwise::load(loader, &name("dw_start"), spec.input, spec.dw_start)?,
            expansion: loader.dense(&name("pw_exp.conv.weight"), [spec.expanded, spec.input, 1], 1)?,
            expansion_norm: loader.parameter(&name("pw_exp.bn.weight"), spec.expanded)?,
            dw_mid: NormedDepthwise::load(loader, &name("dw_mid"), spec.expanded, spec.dw_mid)?,
            projection: loader.dense(&name("pw_proj.conv.weight"), [spec.output, spec.expanded, 1], 1)?,
            projection_norm: loader.parameter(&name("pw_proj.bn.weight"), spec.output)?,
            dw_end: NormedDepthwise::load(loader, &name("dw_end"), spec.output, spec.dw_end)?,
            layer_scale,
            skip: spec.skip,
        })
    }

    pub(super) fn forward(
        &self,
        context: &mut Context<'_>,
        number: usize,
        x: Activation,
    ) -> Result<Activation, Error> {
        let started = self.start(context, &x)?;
        let mut expanded = self.expand(context, started.as_ref().unwrap_or(&x))?;
        if let Some(depthwise) = &self.dw_mid {
            let ops = RowOps { norm: Norm::Weighted(&depthwise.norm), gelu: true, ..RowOps::default() };
            expanded = depthwise.convolution.forward(context, &expanded, &ops)?;
        }

        // The tap stands between the layer scale and the skip.
        let name = BlockTap::LayerScale.name(number);
        let tapped = self.layer_scale.is_some() && self.skip && context.taps.wants(&name);
        let scale = RowOps { layer_scale: self.layer_scale.as_deref(), ..RowOps::default() };
        let skip = RowOps { skip: self.skip.then_some(&x.data), ..RowOps::default() };
        let last = RowOps { skip: if tapped { None } else { skip.skip }, ..scale };
        let mut out = match &self.dw_end {
            None => self.project(context, &expanded, &last)?,
            Some(depthwise) => {
                let projected = self.project(context, &expanded, &RowOps::default())?;
                let ops = RowOps { norm: Norm::Weighted(&depthwise.norm), ..last };
                depthwise.convolution.forward(context, &projected, &ops)?
            }
        };
        if tapped {
            context.tap(&name, &out)?;
            context.apply(&skip, &mut out);
        }
        context.tap(&BlockTap::InvertedResidual.name(number), &out)?;
        Ok(out)
    }

    /// The block as the feed-forward part of the fusion: no depthwise convolutions, no skip, taps of its own.
    pub(super) fn forward_fusion(
        &self,
        context: &mut Context<'_>,
        x: &Activation,
    ) -> Result<Activation, Error> {
        let expanded = self.expand(context, x)?;
        context.tap(tap::MSFA_FFN_EXPAND, &expanded)?;
        let ops = RowOps { layer_scale: self.layer_scale.as_deref(), ..RowOps::default() };
        let out = self.project(context, &expanded, &ops)?;
        context.tap(tap::MSFA_FFN_PROJECT, &out)?;
        Ok(out)
    }

    fn start(&self, context: &Context<'_>, x: &Activation) -> Result<Option<Activation>, Error> {
        let Some(depthwise) = &self.dw_start else { return Ok(None) };
        let ops = RowOps { norm: Norm::Weighted(&depthwise.norm), ..RowOps::default() };
        Ok(Some(depthwise.convolution.forward(context, x, &ops)?))
    }

    fn expand(&self, context: &Context<'_>, x: &Activation) -> Result<Activation, Error> {
        let ops = RowOps { norm: Norm::Weighted(&self.expansion_norm), gelu: true, ..RowOps::default() };
        self.expansion.forward(context, x, &ops)
    }

    /// Projection and norm, then what `ops` says behind the norm.
    fn project(&self, context: &Context<'_>, x: &Activation, ops: &RowOps<'_>) -> Result<Activation, Error> {
        let ops = RowOps { norm: Norm::Weighted(&self.projection_norm), ..*ops };
        self.projection.forward(context, x, &ops)
    }
}
