//! Depthwise k x k convolutions, vectorised over the channels.

use rayon::prelude::*;

use super::convolution::Axis;
use super::rows::RowOps;
use crate::simd::{Isa, Kernel, Simd};

/// `out = epilogue(depthwise(image, weights))`, parallel over output rows.
///
/// `image` is `[batch, y.input, x.input, channels]`, `weights` `[y.kernel, x.kernel, channels]`, `out`
/// `[batch, y.output, x.output, channels]`.
pub(crate) fn depthwise(
    isa: Isa,
    image: &[f32],
    channels: usize,
    (y, x): (Axis, Axis),
    weights: &[f32],
    epilogue: &RowOps<'_>,
    out: &mut [f32],
) {
    assert_eq!(weights.len(), y.kernel * x.kernel * channels, "depthwise weights");
    assert_eq!(
        image.len() / (y.input * x.input) / channels,
        out.len() / (y.output * x.output) / channels,
        "images"
    );
    out.par_chunks_mut(x.output * channels)
        .enumerate()
        .for_each(|(line, out)| isa.run(Line { image, channels, y, x, weights, epilogue, line, out }));
}

struct Line<'a, 'b> {
    image: &'a [f32],
    channels: usize,
    y: Axis,
    x: Axis,
    weights: &'a [f32],
    epilogue: &'a RowOps<'b>,
    /// Output line, counted over all images.
    line: usize,
    out: &'a mut [f32],
}

impl Kernel for Line<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Line { image, channels, y, x, weights, epilogue, line, out } = self;
        let (batch, oy) = (line / y.output, line % y.output);
        // (offset of the input pixel, offset of the weights) of the taps that are inside the image
        let mut taps: Vec<(usize, usize)> = Vec::with_capacity(y.kernel * x.kernel);
        for (ox, out) in out.chunks_exact_mut(channels).enumerate() {
            taps.clear();
            for ky in 0..y.kernel {
                for kx in 0..x.kernel {
                    if let (Some(iy), Some(ix)) = (y.source(oy, ky), x.source(ox, kx)) {
                        let pixel = (batch * y.input + iy) * x.input + ix;
                        taps.push((pixel * channels, (ky * x.kernel + kx) * channels));
                    }
                }
            }
            let mut start = 0;
            while start + S::LANES <= channels {
                let mut sum = simd.splat(0.0);
                for (pixel, weight) in &taps {
                    sum = simd.mul_add(
                        simd.load(&image[pixel + start..]),
                        simd.load(&weights[weight + start..]),
                        sum,
                    );
                }
                simd.store(sum, &mut out[start..]);
                start += S::LANES;
            }
            if start < channels {
                let rest = channels - start;
                let mut sum = simd.splat(0.0);
                for (pixel, weight) in &taps {
                    let a = simd.load_partial(&image[pixel + start..][..rest]);
                    let b = simd.load_partial(&weights[weight + start..][..rest]);
                    sum = simd.mul_add(a, b, sum);
                }
                simd.store_partial(sum, &mut out[start..]);
            }
        }
        epilogue.apply(simd, line * x.output, channels, out);
    }
}
