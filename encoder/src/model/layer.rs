//! Convolutions with their packed weights.

use super::Context;
use super::activation::Activation;
use crate::checkpoint::Checkpoint;
use crate::config::DepthwiseSpec;
use crate::error::Error;
use crate::kernels::convolution::{Axis, Padding, Patches};
use crate::kernels::depthwise::depthwise;
use crate::kernels::gemm::gemm;
use crate::kernels::packing::{Matrix, PackedRhs};
use crate::kernels::rows::RowOps;
use crate::precision::Operands;
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
        let weights = self.checkpoint.load(name, &[output, input, kernel, kernel])?;
        Ok(self.pack(&weights, [output, input, kernel], stride))
    }

    /// A linear layer `[output, input]`.
    pub(super) fn linear(&self, name: &str, output: usize, input: usize) -> Result<Dense, Error> {
        let weights = self.checkpoint.load(name, &[output, input])?;
        Ok(self.pack(&weights, [output, input, 1], 1))
    }

    fn pack(&self, weights: &[f32], [output, input, kernel]: [usize; 3], stride: usize) -> Dense {
        let taps = kernel * kernel;
        // The depth runs over [kernel y, kernel x, input], the file over [output, input, kernel y, kernel x].
        let shape = (taps * input, output);
        let weights = PackedRhs::new(self.isa, self.operands, shape, |column, start, out| {
            let of_column = &weights[column * input * taps..][..input * taps];
            if taps == 1 {
                out.copy_from_slice(&of_column[start..][..out.len()]);
                return;
            }
            for (depth, out) in (start..).zip(out) {
                *out = of_column[depth % input * taps + depth / input];
            }
        });
        Dense { weights, kernel, stride }
    }

    /// A depthwise convolution `[channels, 1, kernel, kernel]`.
    pub(super) fn depthwise(
        &self,
        name: &str,
        channels: usize,
        spec: DepthwiseSpec,
    ) -> Result<Depthwise, Error> {
        let taps = spec.kernel * spec.kernel;
        let weights = self.checkpoint.load(name, &[channels, 1, spec.kernel, spec.kernel])?;
        let weights = (0..taps * channels).map(|i| weights[(i % channels) * taps + i / channels]).collect();
        Ok(Depthwise { weights, spec })
    }
}

/// A dense k x k convolution or a linear layer.
pub(super) struct Dense {
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
        ops: &RowOps<'_>,
    ) -> Result<Activation, Error> {
        let ops = &context.seam.ops(*ops);
        let channels = self.weights.columns();
        if self.kernel == 1 && self.stride == 1 {
            let mut out = Activation::zeros(x.batch, x.height, x.width, channels);
            gemm(&Matrix::new(&x.data, x.channels), &self.weights, ops, &mut out.data);
            return Ok(out);
        }
        let (y, x_axis) = axes(context.padding, x, self.kernel, self.stride)?;
        let mut out = Activation::zeros(x.batch, y.output, x_axis.output, channels);
        gemm(&Patches::new(&x.data, x.channels, y, x_axis), &self.weights, ops, &mut out.data);
        Ok(out)
    }
}

/// A depthwise convolution, weights as `[kernel y, kernel x, channels]`.
pub(super) struct Depthwise {
    weights: Vec<f32>,
    spec: DepthwiseSpec,
}

impl Depthwise {
    /// `ops(convolution(x))`.
    pub(super) fn forward(
        &self,
        context: &Context<'_>,
        x: &Activation,
        ops: &RowOps<'_>,
    ) -> Result<Activation, Error> {
        let ops = &context.seam.ops(*ops);
        let axes = axes(context.padding, x, self.spec.kernel, self.spec.stride)?;
        let mut out = Activation::zeros(x.batch, axes.0.output, axes.1.output, x.channels);
        depthwise(context.isa, &x.data, x.channels, axes, &self.weights, ops, &mut out.data);
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
