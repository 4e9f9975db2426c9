//! timm's `MobileAttention` with multi-query attention.

use super::activation::Activation;
use super::context::Context;
use super::layer::{Dense, DepthwiseLayer, Loader};
use crate::architecture::AttentionSpec;
use crate::architecture::names::{KeyOrValueNames, LAYER_SCALE, Module, attention as names};
use crate::error::Error;
use crate::kernels::attention::attention;
use crate::kernels::epilogue::{Epilogue, Norm};
use crate::profile::Cost;
use crate::tap::BlockTap;

/// Norm, multi-query attention, layer scale, skip.
pub(super) struct Attention {
    module: Module,
    spec: AttentionSpec,
    norm: Vec<f32>,
    query: Dense,
    key: KeyOrValue,
    value: KeyOrValue,
    output: Dense,
    layer_scale: Option<Vec<f32>>,
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

    fn forward(&self, context: &mut Context<'_>, x: &Activation, tap: &str) -> Result<Activation, Error> {
        let Some((convolution, norm)) = &self.downsample else {
            return self.projection.forward(context, x, &Epilogue::default());
        };
        let ops = Epilogue { norm: Norm::Weighted(norm), ..Epilogue::default() };
        let x = convolution.forward(context, x, &ops)?;
        context.tap(tap, &x)?;
        self.projection.forward(context, &x, &Epilogue::default())
    }
}

impl Attention {
    pub(super) fn load(loader: &Loader<'_>, module: &Module, spec: &AttentionSpec) -> Result<Self, Error> {
        let name = |weight: &str| module.name_of(weight);
        let layer_scale = match spec.layer_scale {
            true => Some(loader.parameter(&name(LAYER_SCALE), spec.output)?),
            false => None,
        };
        let queries = spec.heads * spec.key_dim;
        Ok(Attention {
            module: module.clone(),
            spec: *spec,
            norm: loader.parameter(&name(names::NORM), spec.input)?,
            query: loader.dense(&name(names::QUERY), [queries, spec.input, 1], 1)?,
            key: KeyOrValue::load(loader, module, names::KEY, spec, spec.key_dim)?,
            value: KeyOrValue::load(loader, module, names::VALUE, spec, spec.value_dim)?,
            output: loader.dense(&name(names::OUTPUT), [spec.output, spec.heads * spec.value_dim, 1], 1)?,
            layer_scale,
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
        let normed = context.applied(&self.module.name_of("norm"), &ops, x);
        context.tap(&BlockTap::AttnNorm.name(number), &normed)?;

        let query = self.query.forward(context, &normed, &Epilogue::default())?;
        let key = self.key.forward(context, &normed, &BlockTap::AttnKeyNorm.name(number))?;
        let value = self.value.forward(context, &normed, &BlockTap::AttnValueNorm.name(number))?;

        let mut heads = context.activation(x.batch, x.height, x.width, spec.heads * spec.value_dim);
        let elements = query.data.len() + key.data.len() + value.data.len() + heads.data.len();
        let (positions, results) = (key.height * key.width, heads.data.len());
        let cost = || Cost {
            flop: 2.0 * (positions * (query.data.len() + results)) as f64,
            ..Cost::of_elements(elements)
        };
        context.profiler.time(&self.module.name_of("attn"), cost, || {
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

        // The tap is taken between the layer scale and the skip.
        let name = BlockTap::LayerScale.name(number);
        let tapped = self.layer_scale.is_some() && spec.skip && context.taps.wants(&name);
        let skip = Epilogue { skip: spec.skip.then_some(&x.data), ..Epilogue::default() };
        let ops = Epilogue {
            layer_scale: self.layer_scale.as_deref(),
            skip: if tapped { None } else { skip.skip },
            ..Epilogue::default()
        };
        let mut out = self.output.forward(context, &heads, &ops)?;
        if tapped {
            context.tap(&name, &out)?;
            context.apply(&self.module.name_of("skip"), &skip, &mut out);
        }
        context.tap(&BlockTap::AttnOutput.name(number), &out)?;
        Ok(out)
    }
}
