//! Convolutions with their packed weights.

use super::activation::Activation;
use super::context::Context;
use crate::architecture::DepthwiseSpec;
use crate::architecture::names::module_of;
use crate::checkpoint::{Checkpoint, View};
use crate::error::Error;
use crate::geometry::{Axis, Padding};
use crate::kernels::depthwise::depthwise;
use crate::kernels::epilogue::Epilogue;
use crate::kernels::gemm::rhs::PackedRhs;
use crate::kernels::gemm::source::Matrix;
use crate::kernels::gemm::{fused_gemm, gemm};
use crate::kernels::im2col::Im2col;
use crate::kernels::winograd::{Filter, convolve, convolve_into};
use crate::precision::Operands;
use crate::profile::Cost;
use crate::simd::Isa;

/// Where weights come from and what they are packed for.
pub(super) struct Loader<'a> {
    pub(super) checkpoint: &'a Checkpoint,
    pub(super) isa: Isa,
    pub(super) operands: Operands,
}

impl Loader<'_> {
    /// A vector of `length`.
    pub(super) fn parameter(&self, name: &str, length: usize) -> Result<Vec<f32>, Error> {
        self.checkpoint.load(name, &[length])
    }

    /// A dense convolution `[output, input, kernel, kernel]`.
    pub(super) fn dense(
        &self,
        name: &str,
        [output, input, kernel]: [usize; 3],
        stride: usize,
    ) -> Result<Dense, Error> {
        let weights = self.checkpoint.view(name, &[output, input, kernel, kernel])?;
        Ok(self.pack(name, &weights, [output, input, kernel], stride))
    }

    /// A dense 3 x 3 convolution `[output, input, 3, 3]` of stride 1.
    pub(super) fn winograd(&self, name: &str, [output, input]: [usize; 2]) -> Result<Winograd, Error> {
        let weights = self.checkpoint.view(name, &[output, input, 3, 3])?;
        let filter = Filter::new(self.isa, (input, output), |column, out| {
            weights.read(column * input * 9, out);
        });
        Ok(Winograd { name: module_of(name).to_string(), filter })
    }

    /// A linear layer `[output, input]`.
    pub(super) fn linear(&self, name: &str, output: usize, input: usize) -> Result<Dense, Error> {
        let weights = self.checkpoint.view(name, &[output, input])?;
        Ok(self.pack(name, &weights, [output, input, 1], 1))
    }

    fn pack(
        &self,
        name: &str,
        weights: &View<'_>,
        [output, input, kernel]: [usize; 3],
        stride: usize,
    ) -> Dense {
        let taps = kernel * kernel;
        // The depth runs over [kernel y, kernel x, input], the file over [output, input, kernel y, kernel x].
        let shape = (taps * input, output);
        let weights = PackedRhs::new(self.isa, self.operands, shape, |column, start, out| {
            if taps == 1 {
                return weights.read(column * input + start, out);
            }
            let mut of_column = vec![0.0; input * taps];
            weights.read(column * input * taps, &mut of_column);
            for (depth, out) in (start..).zip(out) {
                *out = of_column[depth % input * taps + depth / input];
            }
        });
        Dense { name: module_of(name).to_string(), weights, kernel, stride }
    }

    /// A depthwise convolution `[channels, 1, kernel, kernel]`.
    pub(super) fn depthwise(
        &self,
        name: &str,
        channels: usize,
        spec: DepthwiseSpec,
    ) -> Result<DepthwiseLayer, Error> {
        let taps = spec.kernel * spec.kernel;
        let weights = self.checkpoint.load(name, &[channels, 1, spec.kernel, spec.kernel])?;
        let weights = (0..taps * channels).map(|i| weights[(i % channels) * taps + i / channels]).collect();
        Ok(DepthwiseLayer { name: module_of(name).to_string(), weights, spec })
    }
}

/// A dense k x k convolution or a linear layer.
pub(super) struct Dense {
    name: String,
    weights: PackedRhs,
    kernel: usize,
    stride: usize,
}

impl Dense {
    pub(super) fn kernel(&self) -> usize {
        self.kernel
    }

    /// `ops(convolution(x))`.
    pub(super) fn forward(
        &self,
        context: &Context<'_>,
        x: &Activation,
        ops: &Epilogue<'_>,
    ) -> Result<Activation, Error> {
        let ops = &context.seam.ops(*ops);
        let axes = self.axes(context, x)?;
        let mut out = self.output(context, x, axes);
        let pixels = out.pixels();
        let cost = || self.cost_from(x, pixels);
        context.profiler.time(&self.name, cost, || match axes {
            None => gemm(&Matrix::new(&x.data, x.channels), &self.weights, ops, &mut out.data),
            Some((y, x_axis)) => {
                gemm(&Im2col::new(&x.data, x.channels, y, x_axis), &self.weights, ops, &mut out.data);
            }
        });
        Ok(out)
    }

    /// `next_ops(next(ops(convolution(x))))`, where `next` is 1 x 1; the intermediate result stays in the cache.
    pub(super) fn forward_into(
        &self,
        context: &Context<'_>,
        x: &Activation,
        ops: &Epilogue<'_>,
        (next, next_ops): (&Dense, &Epilogue<'_>),
    ) -> Result<Activation, Error> {
        let first = (&self.weights, &context.seam.ops(*ops));
        let second = (&next.weights, &context.seam.ops(*next_ops));
        let axes = self.axes(context, x)?;
        let mut out = next.output(context, x, axes);
        let pixels = out.pixels();
        let cost = || self.cost(pixels) + next.cost_from(x, pixels);
        context.profiler.time(&self.name, cost, || match axes {
            None => fused_gemm(&Matrix::new(&x.data, x.channels), first, second, &mut out.data),
            Some((y, x_axis)) => {
                fused_gemm(&Im2col::new(&x.data, x.channels, y, x_axis), first, second, &mut out.data);
            }
        });
        Ok(out)
    }

    /// The axes of the convolution, unless it is a plain product.
    fn axes(&self, context: &Context<'_>, x: &Activation) -> Result<Option<(Axis, Axis)>, Error> {
        if self.kernel == 1 && self.stride == 1 {
            return Ok(None);
        }
        axes(context.padding, x, self.kernel, self.stride).map(Some)
    }

    /// Memory for the convolution of `x` along `axes`.
    fn output(&self, context: &Context<'_>, x: &Activation, axes: Option<(Axis, Axis)>) -> Activation {
        let (height, width) = axes.map_or((x.height, x.width), |(y, x)| (y.output, x.output));
        context.activation(x.batch, height, width, self.weights.columns())
    }

    /// The cost of the products for that many pixels, of reading the weights and `x`, and of writing the result.
    fn cost_from(&self, x: &Activation, pixels: usize) -> Cost {
        self.cost(pixels) + Cost::of_elements(x.data.len() + pixels * self.weights.columns())
    }

    /// The cost of the products for that many pixels and of reading the weights.
    fn cost(&self, pixels: usize) -> Cost {
        let (depth, columns) = (self.weights.depth(), self.weights.columns());
        Cost { flop: 2.0 * pixels as f64 * depth as f64 * columns as f64, bytes: self.weights.bytes() as f64 }
    }
}

/// A dense 3 x 3 convolution of stride 1 on f32, computed with fewer products by Winograd's method.
pub(super) struct Winograd {
    name: String,
    filter: Filter,
}

impl Winograd {
    /// `ops(convolution(x))`.
    pub(super) fn forward(
        &self,
        context: &Context<'_>,
        x: &Activation,
        ops: &Epilogue<'_>,
    ) -> Result<Activation, Error> {
        let ops = &context.seam.ops(*ops);
        let (y, x_axis) = axes(context.padding, x, 3, 1)?;
        let mut out = context.activation(x.batch, y.output, x_axis.output, self.filter.columns());
        let (pixels, elements) = (out.pixels(), x.data.len() + out.data.len());
        let cost = || self.cost(pixels) + Cost::of_elements(elements);
        context.profiler.time(&self.name, cost, || {
            convolve(&Im2col::new(&x.data, x.channels, y, x_axis), (&self.filter, ops), &mut out.data);
        });
        Ok(out)
    }

    /// `next_ops(next(ops(convolution(x))))`, where `next` is 1 x 1; the intermediate result stays in the cache.
    pub(super) fn forward_into(
        &self,
        context: &Context<'_>,
        x: &Activation,
        ops: &Epilogue<'_>,
        (next, next_ops): (&Dense, &Epilogue<'_>),
    ) -> Result<Activation, Error> {
        let first = (&self.filter, &context.seam.ops(*ops));
        let second = (&next.weights, &context.seam.ops(*next_ops));
        let (y, x_axis) = axes(context.padding, x, 3, 1)?;
        let mut out = next.output(context, x, Some((y, x_axis)));
        let pixels = out.pixels();
        let cost = || self.cost(pixels) + next.cost_from(x, pixels);
        context.profiler.time(&self.name, cost, || {
            convolve_into(&Im2col::new(&x.data, x.channels, y, x_axis), first, second, &mut out.data);
        });
        Ok(out)
    }

    /// The cost for that many pixels of the products of the direct convolution, as everywhere, and of reading the weights.
    fn cost(&self, pixels: usize) -> Cost {
        let flop = 2.0 * (9 * self.filter.depth() * self.filter.columns()) as f64 * pixels as f64;
        Cost { flop, bytes: self.filter.bytes() as f64 }
    }
}

/// A depthwise convolution, weights as `[kernel y, kernel x, channels]`.
pub(super) struct DepthwiseLayer {
    name: String,
    weights: Vec<f32>,
    spec: DepthwiseSpec,
}

impl DepthwiseLayer {
    /// `ops(convolution(x))`.
    pub(super) fn forward(
        &self,
        context: &Context<'_>,
        x: &Activation,
        ops: &Epilogue<'_>,
    ) -> Result<Activation, Error> {
        let ops = &context.seam.ops(*ops);
        let padding = context.seam.padding(&self.name, context.padding);
        let axes = axes(padding, x, self.spec.kernel, self.spec.stride)?;
        let mut out = context.activation(x.batch, axes.0.output, axes.1.output, x.channels);
        let elements = out.data.len();
        let cost = || Cost {
            flop: 2.0 * (elements * self.spec.kernel * self.spec.kernel) as f64,
            ..Cost::of_elements(x.data.len() + self.weights.len() + elements)
        };
        context.profiler.time(&self.name, cost, || {
            depthwise(context.isa, &x.data, x.channels, axes, &self.weights, ops, &mut out.data);
        });
        Ok(out)
    }
}

fn axes(padding: Padding, x: &Activation, kernel: usize, stride: usize) -> Result<(Axis, Axis), Error> {
    let axis = |size: usize| {
        Axis::new(padding, size, kernel, stride).ok_or_else(|| Error::Input {
            expected: format!("an image large enough for a {kernel} x {kernel} convolution at every stage"),
            found: format!("a feature map of {} x {}", x.height, x.width),
        })
    };
    Ok((axis(x.height)?, axis(x.width)?))
}
