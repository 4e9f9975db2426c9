//! timm's `EdgeResidual`.

use super::Context;
use super::activation::Activation;
use super::layer::{Dense, Loader};
use crate::architecture::EdgeResidualSpec;
use crate::error::Error;
use crate::kernels::rows::{Norm, RowOps};
use crate::tap::BlockTap;

/// k x k expansion, norm, GELU; 1 x 1 projection, norm; plus the input where the shape stays.
pub(super) struct EdgeResidual {
    expansion: Dense,
    expansion_norm: Vec<f32>,
    projection: Dense,
    projection_norm: Vec<f32>,
    skip: bool,
}

impl EdgeResidual {
    pub(super) fn load(loader: &Loader<'_>, prefix: &str, spec: &EdgeResidualSpec) -> Result<Self, Error> {
        let name = |suffix: &str| format!("{prefix}{suffix}");
        Ok(EdgeResidual {
            expansion: loader.dense(
                &name("conv_exp.weight"),
                [spec.expanded, spec.input, spec.kernel],
                spec.stride,
            )?,
            expansion_norm: loader.parameter(&name("bn1.weight"), spec.expanded)?,
            projection: loader.dense(&name("conv_pwl.weight"), [spec.output, spec.expanded, 1], 1)?,
            projection_norm: loader.parameter(&name("bn2.weight"), spec.output)?,
            skip: spec.stride == 1 && spec.input == spec.output,
        })
    }

    pub(super) fn forward(
        &self,
        context: &mut Context<'_>,
        number: usize,
        x: Activation,
    ) -> Result<Activation, Error> {
        let ops = RowOps { norm: Norm::Weighted(&self.expansion_norm), gelu: true, ..RowOps::default() };
        let last = RowOps {
            norm: Norm::Weighted(&self.projection_norm),
            skip: self.skip.then_some(&x.data),
            ..RowOps::default()
        };
        let out = self.expansion.forward_into(context, &x, &ops, (&self.projection, &last))?;
        context.tap(&BlockTap::EdgeResidual.name(number), &out)?;
        Ok(out)
    }
}
