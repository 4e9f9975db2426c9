//! What a block does with the result of its last product: layer scale, skip.

use super::activation::Activation;
use super::context::Context;
use super::layer::Loader;
use crate::architecture::names::{LAYER_SCALE, Module};
use crate::error::Error;
use crate::kernels::epilogue::Epilogue;
use crate::tap::BlockTap;

/// Optional layer scale, optional skip.
pub(super) struct BlockEnd {
    module: Module,
    layer_scale: Option<Vec<f32>>,
    skip: bool,
}

impl BlockEnd {
    pub(super) fn load(
        loader: &Loader<'_>,
        module: &Module,
        channels: usize,
        (layer_scale, skip): (bool, bool),
    ) -> Result<Self, Error> {
        let layer_scale = match layer_scale {
            true => Some(loader.parameter(&module.name_of(LAYER_SCALE), channels)?),
            false => None,
        };
        Ok(BlockEnd { module: module.clone(), layer_scale, skip })
    }

    /// The block.
    pub(super) fn module(&self) -> &Module {
        &self.module
    }

    /// The output of block `number` on `x`. `product` computes the block up to its last product, which `of_product` taps, and
    /// applies the operations that it is given to the result.
    ///
    /// Operations after a tap are not fused with the product, and have the same bits.
    pub(super) fn forward(
        &self,
        context: &mut Context<'_>,
        number: usize,
        x: &Activation,
        (of_product, of_output): (BlockTap, BlockTap),
        product: impl FnOnce(&mut Context<'_>, &Epilogue<'_>) -> Result<Activation, Error>,
    ) -> Result<Activation, Error> {
        let scaled = BlockTap::LayerScale.name(number);
        let taps_product = context.wants_inner(of_product, number);
        let taps_scaled = self.layer_scale.is_some() && self.skip && context.taps.wants(&scaled);
        let scale = Epilogue { layer_scale: self.layer_scale.as_deref(), ..Epilogue::default() };
        let skip = Epilogue { skip: self.skip.then_some(&x.data), ..Epilogue::default() };
        let fused = match (taps_product, taps_scaled) {
            (true, _) => Epilogue::default(),
            (false, true) => scale,
            (false, false) => Epilogue { skip: skip.skip, ..scale },
        };
        let mut out = product(context, &fused)?;
        if taps_product {
            context.tap_inner(of_product, number, &out)?;
            if self.layer_scale.is_some() {
                context.apply(&self.module.name_of("layer_scale"), &scale, &mut out);
            }
        }
        if taps_scaled {
            context.tap(&scaled, &out)?;
        }
        if self.skip && (taps_product || taps_scaled) {
            context.apply(&self.module.name_of("skip"), &skip, &mut out);
        }
        context.tap(&of_output.name(number), &out)?;
        Ok(out)
    }
}
