//! timm's `MobileAttention` with multi-query attention.

use super::activation::Activation;
use super::block_end::BlockEnd;
use super::context::Context;
use super::layer::{Dense, DepthwiseLayer, Loader};
use crate::architecture::AttentionSpec;
use crate::architecture::names::{KeyOrValueNames, Module, attention as names};
use crate::error::Error;
use crate::kernels::attention::attention;
use crate::kernels::epilogue::{Epilogue, Norm};
use crate::profile::Cost;
use crate::tap::BlockTap;

/// Norm, multi-query attention, layer scale, skip.
pub(super) struct Attention {
    spec: AttentionSpec,
    norm: Vec<f32>,
    query: Dense,
    key: KeyOrValue,
    value: KeyOrValue,
    output: Dense,
    end: BlockEnd,
}

/// Optional downsampling and norm, then the projection.
struct KeyOrValue {
    downsample: Option<(DepthwiseLayer, Vec<f32>)>,
    projection: Dense,
}

impl KeyOrValue {
    fn load(
        loader: &Loader<'_>,
        module: &Module,
        side: KeyOrValueNames,
        spec: &AttentionSpec,
        dim: usize,
    ) -> Result<Self, Error> {
        let downsample = match spec.downsample {
            None => None,
            Some(depthwise) => Some((
                loader.depthwise(&module.name_of(side.downsample.convolution), spec.input, depthwise)?,
                loader.parameter(&module.name_of(side.downsample.norm), spec.input)?,
            )),
        };
        Ok(KeyOrValue {
            downsample,
            projection: Loader { operands: loader.operands.of_keys_and_values(), ..*loader }.dense(
                &module.name_of(side.projection),
                [dim, spec.input, 1],
                1,
            )?,
        })
    }

    fn forward(
        &self,
        context: &mut Context<'_>,
        number: usize,
        x: &Activation,
        (of_norm, of_projection): (BlockTap, BlockTap),
    ) -> Result<Activation, Error> {
        let downsampled = match &self.downsample {
            None => None,
            Some((convolution, norm)) => {
                let ops = Epilogue { norm: Norm::Weighted(norm), ..Epilogue::default() };
                let x = convolution.forward(context, x, &ops)?;
                context.tap(&of_norm.name(number), &x)?;
                Some(x)
            }
        };
        let x = downsampled.as_ref().unwrap_or(x);
        let projected = self.projection.forward(context, x, &Epilogue::default())?;
        context.tap_inner(of_projection, number, &projected)?;
        Ok(projected)
    }
}

impl Attention {
    pub(super) fn load(loader: &Loader<'_>, module: &Module, spec: &AttentionSpec) -> Result<Self, Error> {
        let name = |weight: &str| module.name_of(weight);
        let queries = spec.heads * spec.key_dim;
        Ok(Attention {
            spec: *spec,
            norm: loader.parameter(&name(names::NORM), spec.input)?,
            query: loader.dense(&name(names::QUERY), [queries, spec.input, 1], 1)?,
            key: KeyOrValue::load(loader, module, names::KEY, spec, spec.key_dim)?,
            value: KeyOrValue::load(loader, module, names::VALUE, spec, spec.value_dim)?,
            output: loader.dense(&name(names::OUTPUT), [spec.output, spec.heads * spec.value_dim, 1], 1)?,
            end: BlockEnd::load(loader, module, spec.output, (spec.layer_scale, spec.skip))?,
        })
    }

    pub(super) fn forward(
        &self,
        context: &mut Context<'_>,
        number: usize,
        x: &Activation,
    ) -> Result<Activation, Error> {
        let spec = &self.spec;
        let ops = Epilogue { norm: Norm::Weighted(&self.norm), ..Epilogue::default() };
        let normed = context.applied(&self.end.module().name_of("norm"), &ops, x);
        context.tap(&BlockTap::AttnNorm.name(number), &normed)?;

        let mut query = self.query.forward(context, &normed, &Epilogue::default())?;
        context.tap_inner(BlockTap::AttnQuery, number, &query)?;
        let taps = (BlockTap::AttnKeyNorm, BlockTap::AttnKey);
        let key = self.key.forward(context, number, &normed, taps)?;
        let taps = (BlockTap::AttnValueNorm, BlockTap::AttnValue);
        let value = self.value.forward(context, number, &normed, taps)?;
        if context.seam.lacks_softmax_scale() {
            // What the kernel divides the scores by.
            let root = (spec.key_dim as f64).sqrt() as f32;
            query.data.iter_mut().for_each(|x| *x *= root);
        }

        let mut heads = context.activation(x.batch, x.height, x.width, spec.heads * spec.value_dim);
        let elements = query.data.len() + key.data.len() + value.data.len() + heads.data.len();
        let (positions, results) = (key.height * key.width, heads.data.len());
        let cost = || Cost {
            flop: 2.0 * (positions * (query.data.len() + results)) as f64,
            ..Cost::of_elements(elements)
        };
        context.profiler.time(&self.end.module().name_of("attn"), cost, || {
            let images = heads.data.chunks_exact_mut(x.height * x.width * heads.channels);
            for (image, out) in images.enumerate() {
                let of_image = |a: &Activation| {
                    let length = a.data.len() / a.batch;
                    image * length..(image + 1) * length
                };
                attention(
                    (context.isa, context.operands),
                    &query.data[of_image(&query)],
                    &key.data[of_image(&key)],
                    &value.data[of_image(&value)],
                    (spec.key_dim, spec.value_dim),
                    out,
                );
            }
        });

        context.tap_inner(BlockTap::AttnHeads, number, &heads)?;
        let taps = (BlockTap::AttnProj, BlockTap::AttnOutput);
        self.end.forward(context, number, x, taps, |context, ops| self.output.forward(context, &heads, ops))
    }
}
