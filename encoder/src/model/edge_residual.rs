//! timm's `EdgeResidual`.

use super::activation::Activation;
use super::block_end::BlockEnd;
use super::context::Context;
use super::layer::{Dense, Loader, Winograd};
use crate::architecture::EdgeResidualSpec;
use crate::architecture::names::{Module, edge_residual as names};
use crate::error::Error;
use crate::kernels::epilogue::{Epilogue, Norm};
use crate::kernels::winograd::supports;
use crate::tap::BlockTap;

/// k x k expansion, norm, GELU; 1 x 1 projection, norm; plus the input if the shape does not change.
pub(super) struct EdgeResidual {
    expansion: Expansion,
    expansion_norm: Vec<f32>,
    projection: Dense,
    projection_norm: Vec<f32>,
    end: BlockEnd,
}

/// The expansion, computed directly or with fewer products by Winograd's method.
enum Expansion {
    Direct(Dense),
    Winograd(Winograd),
}

impl Expansion {
    fn load(loader: &Loader<'_>, name: &str, spec: &EdgeResidualSpec) -> Result<Self, Error> {
        if supports(loader.operands, spec.input, spec.kernel, spec.stride) {
            return loader.winograd(name, [spec.expanded, spec.input]).map(Expansion::Winograd);
        }
        loader.dense(name, [spec.expanded, spec.input, spec.kernel], spec.stride).map(Expansion::Direct)
    }

    fn forward(
        &self,
        context: &Context<'_>,
        x: &Activation,
        ops: &Epilogue<'_>,
    ) -> Result<Activation, Error> {
        match self {
            Expansion::Direct(dense) => dense.forward(context, x, ops),
            Expansion::Winograd(winograd) => winograd.forward(context, x, ops),
        }
    }

    fn forward_into(
        &self,
        context: &Context<'_>,
        x: &Activation,
        ops: &Epilogue<'_>,
        next: (&Dense, &Epilogue<'_>),
    ) -> Result<Activation, Error> {
        match self {
            Expansion::Direct(dense) => dense.forward_into(context, x, ops, next),
            Expansion::Winograd(winograd) => winograd.forward_into(context, x, ops, next),
        }
    }
}

impl EdgeResidual {
    pub(super) fn load(loader: &Loader<'_>, module: &Module, spec: &EdgeResidualSpec) -> Result<Self, Error> {
        let name = |weight: &str| module.name_of(weight);
        let skip = spec.stride == 1 && spec.input == spec.output;
        Ok(EdgeResidual {
            expansion: Expansion::load(loader, &name(names::EXPANSION), spec)?,
            expansion_norm: loader.parameter(&name(names::EXPANSION_NORM), spec.expanded)?,
            projection: loader.dense(&name(names::PROJECTION), [spec.output, spec.expanded, 1], 1)?,
            projection_norm: loader.parameter(&name(names::PROJECTION_NORM), spec.output)?,
            end: BlockEnd::load(loader, module, spec.output, (false, skip))?,
        })
    }

    pub(super) fn forward(
        &self,
        context: &mut Context<'_>,
        number: usize,
        x: &Activation,
    ) -> Result<Activation, Error> {
        let taps = (BlockTap::ConvPwl, BlockTap::EdgeResidual);
        self.end.forward(context, number, x, taps, |context, ops| {
            let first =
                Epilogue { norm: Norm::Weighted(&self.expansion_norm), gelu: true, ..Epilogue::default() };
            let last = Epilogue { norm: Norm::Weighted(&self.projection_norm), ..*ops };
            if !context.wants_inner(BlockTap::ConvExp, number) {
                return self.expansion.forward_into(context, x, &first, (&self.projection, &last));
            }
            let expanded = self.expansion.forward(context, x, &first)?;
            context.tap_inner(BlockTap::ConvExp, number, &expanded)?;
            self.projection.forward(context, &expanded, &last)
        })
    }
}
