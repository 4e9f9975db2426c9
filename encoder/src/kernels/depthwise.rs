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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::convolution::Padding;
    use crate::simd::MAX_LANES;
    use crate::testing::{available_isas, values};

    #[test]
    fn agrees_with_the_naive_one_around_every_edge() {
        for isa in available_isas() {
            for channels in [1, MAX_LANES / 2 - 1, MAX_LANES / 2 + 1, MAX_LANES - 1, MAX_LANES, MAX_LANES + 1]
            {
                for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (5, 2)] {
                    for (height, width) in [(1, 1), (2, 5), (7, 4)] {
                        let axis = |size| Axis::new(Padding::Same, size, kernel, stride).unwrap();
                        let (y, x) = (axis(height), axis(width));
                        let image = values(2 * height * width * channels, 1);
                        let weights = values(kernel * kernel * channels, 2);
                        let mut out = vec![f32::NAN; 2 * y.output * x.output * channels];
                        depthwise(isa, &image, channels, (y, x), &weights, &RowOps::default(), &mut out);
                        for (i, out) in out.iter().enumerate() {
                            let (c, pixel) = (i % channels, i / channels);
                            let (ox, line) = (pixel % x.output, pixel / x.output);
                            let (oy, batch) = (line % y.output, line / y.output);
                            let mut exact = 0.0;
                            for (ky, kx) in (0..kernel).flat_map(|ky| (0..kernel).map(move |kx| (ky, kx))) {
                                if let (Some(iy), Some(ix)) = (y.source(oy, ky), x.source(ox, kx)) {
                                    let a = image[((batch * height + iy) * width + ix) * channels + c];
                                    let b = weights[(ky * kernel + kx) * channels + c];
                                    exact += f64::from(a) * f64::from(b);
                                }
                            }
                            let error = (f64::from(*out) - exact).abs();
                            assert!(
                                error <= 2e-6,
                                "{isa}, {channels} channels, {kernel}x{kernel} / {stride}, {height}x{width}, element {i}"
                            );
                        }
                    }
                }
            }
        }
    }
}
