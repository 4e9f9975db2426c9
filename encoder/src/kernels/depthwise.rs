//! Depthwise k x k convolutions, vectorised over the channels.

use std::ops::Range;

use rayon::prelude::*;

use super::epilogue::Epilogue;
use crate::geometry::Axis;
use crate::simd::aligned_buffer::AlignedBuffer;
use crate::simd::{Isa, Kernel, MAX_LANES, Simd};

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
    epilogue: &Epilogue<'_>,
    out: &mut [f32],
) {
    assert_eq!(weights.len(), y.kernel * x.kernel * channels, "depthwise weights");
    let (read, written) = (y.input * x.input * channels, y.output * x.output * channels);
    assert!(
        image.len().is_multiple_of(read) && out.len() == image.len() / read * written,
        "images of {read} elements to images of {written}, found {} and {}",
        image.len(),
        out.len()
    );
    let lines = LINES.min(y.output.div_ceil(TASKS_PER_THREAD * rayon::current_num_threads()));
    let images = image.par_chunks_exact(read).zip(out.par_chunks_exact_mut(written));
    images.enumerate().for_each(|(batch, (image, out))| {
        out.par_chunks_mut(lines * x.output * channels).enumerate().for_each_init(
            DepthwiseScratch::default,
            |scratch, (task, out)| {
                let first = task * lines;
                let row = (batch * y.output + first) * x.output;
                isa.run(Lines { image, channels, y, x, weights, epilogue, first, row, scratch, out });
            },
        );
    });
}

/// Most output lines of a task: they share the input lines that are under more than one of them.
const LINES: usize = 8;
/// The least number of tasks for each thread, if there are enough lines.
const TASKS_PER_THREAD: usize = 4;
/// Channels that are convolved at a time. Their input lines are copied first: where they lie, a pixel's distance from the next
/// is often a large power of two, and all that a kernel sees falls into a few sets of the first-level cache. A larger kernel
/// sees more lines, and each is to stay there.
const fn width(kernel: usize) -> usize {
    if kernel <= 3 { 8 * MAX_LANES } else { 4 * MAX_LANES }
}
/// Neighbouring output pixels that are computed together: each weight is loaded once for all of them, and their sums do
/// not wait for each other.
const TOGETHER: usize = 4;

/// Some channels of what a task reads.
#[derive(Default)]
struct DepthwiseScratch {
    /// `[lines, pixels, width]`, with the zeros of the padding before and after a line.
    inputs: AlignedBuffer,
    /// `[y.kernel, x.kernel, width]`.
    weights: AlignedBuffer,
}

/// Neighbouring output lines of an image.
struct Lines<'a, 'b> {
    image: &'a [f32],
    channels: usize,
    y: Axis,
    x: Axis,
    weights: &'a [f32],
    epilogue: &'a Epilogue<'b>,
    /// First output line.
    first: usize,
    /// The output row of its first pixel, for the epilogue.
    row: usize,
    scratch: &'a mut DepthwiseScratch,
    out: &'a mut [f32],
}

impl Kernel for Lines<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let width = width(self.x.kernel);
        for start in (0..self.channels).step_by(width) {
            let channels = start..self.channels.min(start + width);
            self.copy(channels.clone());
            // Constants, to be unrolled.
            match (self.x.kernel, self.x.stride) {
                (3, 1) => self.convolve(simd, channels, 3, 1),
                (3, 2) => self.convolve(simd, channels, 3, 2),
                (5, 1) => self.convolve(simd, channels, 5, 1),
                (5, 2) => self.convolve(simd, channels, 5, 2),
                (kernel, stride) => self.convolve(simd, channels, kernel, stride),
            }
        }
        self.epilogue.apply(simd, self.row, self.channels, self.out);
    }
}

impl Lines<'_, '_> {
    /// The lines of the output.
    #[inline(always)]
    fn outputs(&self) -> Range<usize> {
        self.first..self.first + self.out.len() / (self.x.output * self.channels)
    }

    /// Elements of a copied line: all that whole groups of output pixels see.
    #[inline(always)]
    fn copied_line(&self) -> usize {
        let pixels = (self.x.output.next_multiple_of(TOGETHER) - 1) * self.x.stride + self.x.kernel;
        pixels * width(self.x.kernel)
    }

    /// Copies some channels of the input lines and of the weights. The padding of the lines is not written: it has been zeros
    /// since the scratch was made, for all tasks of a convolution have the same.
    #[inline(always)]
    fn copy(&mut self, channels: Range<usize>) {
        let (lines, length) = (self.y.sources(self.outputs()), self.copied_line());
        let DepthwiseScratch { inputs, weights } = &mut *self.scratch;
        let width = width(self.x.kernel);
        inputs.resize(lines.len() * length);
        let image = self.image.chunks_exact(self.x.input * self.channels);
        for (line, copy) in image.skip(lines.start).zip(inputs.chunks_exact_mut(length)) {
            copy_columns(line, self.channels, channels.clone(), &mut copy[self.x.before * width..], width);
        }
        weights.resize(self.weights.len() / self.channels * width);
        copy_columns(self.weights, self.channels, channels, weights, width);
    }

    /// The convolution of the channels that were copied.
    #[inline(always)]
    fn convolve<S: Simd>(&mut self, simd: S, channels: Range<usize>, kernel: usize, stride: usize) {
        let (outputs, length) = (self.outputs(), self.copied_line());
        let width = width(kernel);
        let first_source = self.y.sources(outputs.clone()).start;
        let DepthwiseScratch { inputs, weights } = &*self.scratch;
        for (oy, out) in outputs.zip(self.out.chunks_exact_mut(self.x.output * self.channels)) {
            let (taps, sources) = (self.y.taps(oy), self.y.sources(oy..oy + 1));
            let inputs = &inputs[(sources.start - first_source) * length..][..taps.len() * length];
            let weights = &weights[taps.start * kernel * width..taps.end * kernel * width];
            let taps = inputs.chunks_exact(length).zip(weights.chunks_exact(kernel * width));
            for (group, out) in out.chunks_mut(TOGETHER * self.channels).enumerate() {
                let seen = group * TOGETHER * stride * width;
                for lane in (0..channels.len()).step_by(S::LANES) {
                    let mut sums = [simd.splat(0.0); TOGETHER];
                    for (line, weights) in taps.clone() {
                        let last = (TOGETHER - 1) * stride + kernel - 1;
                        let inputs = &line[seen + lane..][..last * width + S::LANES];
                        let weights = &weights[lane..][..(kernel - 1) * width + S::LANES];
                        for kx in 0..kernel {
                            let weight = simd.load(&weights[kx * width..]);
                            for (pixel, sum) in sums.iter_mut().enumerate() {
                                let input = simd.load(&inputs[(pixel * stride + kx) * width..]);
                                *sum = simd.mul_add(input, weight, *sum);
                            }
                        }
                    }
                    let lanes = channels.start + lane..channels.end.min(channels.start + lane + S::LANES);
                    for (sum, pixel) in sums.iter().zip(out.chunks_exact_mut(self.channels)) {
                        simd.store_partial(*sum, &mut pixel[lanes.clone()]);
                    }
                }
            }
        }
    }
}

/// Copies `columns` of rows of `length` to rows of `width`.
#[inline(always)]
fn copy_columns(rows: &[f32], length: usize, columns: Range<usize>, out: &mut [f32], width: usize) {
    for (row, out) in rows.chunks_exact(length).zip(out.chunks_exact_mut(width)) {
        out[..columns.len()].copy_from_slice(&row[columns.clone()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Padding;
    use crate::testing::{Failures, around, on_each_isa, values};

    on_each_isa!(agrees_with_the_naive_kernel_around_every_edge);

    fn agrees_with_the_naive_kernel_around_every_edge(isa: Isa, failures: &mut Failures) {
        let edges = [MAX_LANES / 2, MAX_LANES, width(5), width(3)];
        let edges = edges.into_iter().flat_map(around);
        for channels in edges.chain([1, 2 * width(3) + 1]) {
            let kernels = [(3, 1), (3, 2), (5, 1), (5, 2), (1, 1), (2, 1), (3, 3), (7, 1), (7, 2)];
            let paddings = [Padding::Same, Padding::Symmetric];
            for ((kernel, stride), padding) in kernels.into_iter().flat_map(|k| paddings.map(|p| (k, p))) {
                for (height, width) in [(1, 1), (2, 5), (7, 4), (3, 19)] {
                    let axis = |size| Axis::new(padding, size, kernel, stride);
                    // An even kernel does not fit one pixel with symmetric padding.
                    let (Some(y), Some(x)) = (axis(height), axis(width)) else { continue };
                    let image = values(2 * height * width * channels, 1);
                    let weights = values(kernel * kernel * channels, 2);
                    let mut out = vec![f32::NAN; 2 * y.output * x.output * channels];
                    depthwise(isa, &image, channels, (y, x), &weights, &Epilogue::default(), &mut out);
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
                        failures.check(error <= 2e-6, || {
                            let shape = format!("{channels} channels, {height}x{width}, element {i}");
                            format!("{shape}, {kernel}x{kernel} / {stride} {padding:?}: {out} for {exact}")
                        });
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "images of 12 elements to images of 12, found 24 and 23")]
    fn a_part_of_an_image_is_refused() {
        let axis = Axis::new(Padding::Same, 2, 3, 1).unwrap();
        let (image, weights) = (values(24, 1), values(27, 2));
        depthwise(Isa::Portable, &image, 3, (axis, axis), &weights, &Epilogue::default(), &mut [0.0; 23]);
    }
}
