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

/// Neighbouring output pixels that are computed together: each weight is loaded once for all of them, and their sums do
/// not wait for each other.
const TOGETHER: usize = 4;

impl Kernel for Line<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let (batch, oy) = (self.line / self.y.output, self.line % self.y.output);
        let taps = (0..self.y.kernel).filter_map(|ky| {
            let iy = self.y.source(oy, ky)?;
            let weights =
                &self.weights[ky * self.x.kernel * self.channels..][..self.x.kernel * self.channels];
            let line = &self.image[(batch * self.y.input + iy) * self.x.input * self.channels..];
            Some((&line[..self.x.input * self.channels], weights))
        });
        let taps: Vec<Taps<'_>> = taps.collect();
        let out = std::mem::take(&mut self.out);
        match (self.x.kernel, self.x.stride) {
            (3, 1) => self.pixels::<S, 3, 1, 6>(simd, &taps, out),
            (3, 2) => self.pixels::<S, 3, 2, 9>(simd, &taps, out),
            (5, 1) => self.pixels::<S, 5, 1, 8>(simd, &taps, out),
            (5, 2) => self.pixels::<S, 5, 2, 11>(simd, &taps, out),
            _ => self.each_pixel(simd, &taps, 0..self.x.output, 0, out),
        }
        self.epilogue.apply(simd, self.line * self.x.output, self.channels, out);
    }
}

/// An input line, `[x.input, channels]`, and the weights of the kernel's line on it, `[x.kernel, channels]`.
type Taps<'a> = (&'a [f32], &'a [f32]);

impl Line<'_, '_> {
    /// All pixels: those inside together, with whole vectors of channels, the rest one by one. `INPUTS` is what the
    /// pixels together see, `(TOGETHER - 1) * STRIDE + K`.
    #[inline(always)]
    fn pixels<S: Simd, const K: usize, const STRIDE: usize, const INPUTS: usize>(
        &self,
        simd: S,
        taps: &[Taps<'_>],
        out: &mut [f32],
    ) {
        const { assert!(INPUTS == (TOGETHER - 1) * STRIDE + K) };
        let (channels, inside) = (self.channels, self.x.inside());
        let whole = channels / S::LANES * S::LANES;
        let mut ox = inside.start;
        while ox + TOGETHER <= inside.end {
            let first = (ox * STRIDE - self.x.before) * channels;
            for start in (0..whole).step_by(S::LANES) {
                let mut sums = [simd.splat(0.0); TOGETHER];
                for (line, weights) in taps {
                    let mut inputs = [simd.splat(0.0); INPUTS];
                    for (i, input) in inputs.iter_mut().enumerate() {
                        *input = simd.load(&line[first + i * channels + start..]);
                    }
                    for kx in 0..K {
                        let weight = simd.load(&weights[kx * channels + start..]);
                        for (pixel, sum) in sums.iter_mut().enumerate() {
                            *sum = simd.mul_add(inputs[pixel * STRIDE + kx], weight, *sum);
                        }
                    }
                }
                for (pixel, sum) in sums.iter().enumerate() {
                    simd.store(*sum, &mut out[(ox + pixel) * channels + start..]);
                }
            }
            ox += TOGETHER;
        }
        self.each_pixel(simd, taps, inside.start..ox, whole, out);
        self.each_pixel(simd, taps, 0..inside.start, 0, out);
        self.each_pixel(simd, taps, ox..self.x.output, 0, out);
    }

    /// Channels `from..` of some pixels, one pixel after the other.
    #[inline(always)]
    fn each_pixel<S: Simd>(
        &self,
        simd: S,
        taps: &[Taps<'_>],
        pixels: std::ops::Range<usize>,
        from: usize,
        out: &mut [f32],
    ) {
        let (channels, x) = (self.channels, self.x);
        for ox in pixels {
            for start in (from..channels).step_by(S::LANES) {
                let end = channels.min(start + S::LANES);
                let mut sum = simd.splat(0.0);
                for (line, weights) in taps {
                    for (kx, weights) in weights.chunks_exact(channels).enumerate() {
                        if let Some(ix) = x.source(ox, kx) {
                            let pixel = &line[ix * channels..][..channels];
                            sum = simd.mul_add(
                                simd.load_partial(&pixel[start..end]),
                                simd.load_partial(&weights[start..end]),
                                sum,
                            );
                        }
                    }
                }
                simd.store_partial(sum, &mut out[ox * channels + start..ox * channels + end]);
            }
        }
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
                let kernels = [(3, 1), (3, 2), (5, 1), (5, 2), (1, 1), (2, 1), (3, 3), (7, 1), (7, 2)];
                let paddings = [Padding::Same, Padding::Symmetric];
                for ((kernel, stride), padding) in kernels.into_iter().flat_map(|k| paddings.map(|p| (k, p)))
                {
                    for (height, width) in [(1, 1), (2, 5), (7, 4), (3, 19)] {
                        let axis = |size| Axis::new(padding, size, kernel, stride);
                        // An even kernel does not fit what symmetric padding makes of one pixel.
                        let (Some(y), Some(x)) = (axis(height), axis(width)) else { continue };
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
                                "{isa}, {channels} channels, {kernel}x{kernel} / {stride} {padding:?}, {height}x{width}, element {i}"
                            );
                        }
                    }
                }
            }
        }
    }
}
