//! Convolutions: dense ones are products of matrices, depthwise ones go by rows.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::image::Image;
use super::product::Panels;
use crate::geometry::Padding;

/// Where a convolution's zeros are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Padded {
    pub(super) padding: Padding,
    /// The odd zero is before the first pixel, not after the last.
    pub(super) odd_first: bool,
    /// By how many pixels the first sum is later than it should be.
    pub(super) later: isize,
}

impl Padded {
    /// (zeros before, output size)
    fn axis(self, input: usize, kernel: usize, stride: usize) -> (isize, usize) {
        let (before, output) = self.unmoved(input, kernel, stride);
        (before - self.later, output)
    }

    fn unmoved(self, input: usize, kernel: usize, stride: usize) -> (isize, usize) {
        match self.padding {
            Padding::Same => {
                let output = input.div_ceil(stride);
                let total = (((output - 1) * stride + kernel) as isize - input as isize).max(0);
                (if self.odd_first { total - total / 2 } else { total / 2 }, output)
            }
            Padding::Symmetric => {
                let before = (stride - 1 + kernel - 1) / 2;
                (before as isize, (input + 2 * before - kernel) / stride + 1)
            }
        }
    }
}

/// A square kernel and how it goes over an image.
#[derive(Clone, Copy)]
pub(super) struct KernelWindow {
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padded: Padded,
}

impl KernelWindow {
    /// Zeros above and to the left.
    fn before(self, x: &Image) -> [isize; 2] {
        [2, 3].map(|axis| self.padded.axis(x.shape[axis], self.kernel, self.stride).0)
    }

    /// Height and width of the result.
    fn output(self, x: &Image) -> [usize; 2] {
        [2, 3].map(|axis| self.padded.axis(x.shape[axis], self.kernel, self.stride).1)
    }

    /// Outputs of a row whose source column lies in the image, and the source column of the first of them; `offset` is the
    /// source column of output 0.
    fn inside(self, offset: isize, width: usize, outputs: usize) -> (std::ops::Range<usize>, usize) {
        let from = ((-offset).max(0) as usize).div_ceil(self.stride);
        let to = ((width as isize - offset).max(0) as usize).div_ceil(self.stride).min(outputs);
        let first = (from * self.stride) as isize + offset;
        (from.min(to)..to, first.max(0) as usize)
    }
}

/// A dense convolution by weights `[out, in, kernel, kernel]`.
pub(super) fn dense(x: &Image, weights: &Panels, window: KernelWindow) -> Image {
    let [batch, channels, height, width] = x.shape;
    let KernelWindow { kernel, stride, .. } = window;
    let ([top, left], [oh, ow]) = (window.before(x), window.output(x));
    let mut result = Image::unset([batch, weights.rows(), oh, ow]);
    let of_image = (weights.rows() * oh * ow).max(1);
    for (b, out) in result.data.chunks_mut(of_image).enumerate() {
        let image = &x.data[b * channels * height * width..][..channels * height * width];
        // Row k of the matrix is the image under one element of the kernel.
        let read = |k: usize, first: usize, columns: &mut [f64]| {
            let (channel, ky, kx) = (k / (kernel * kernel), k / kernel % kernel, k % kernel);
            let plane = &image[channel * height * width..][..height * width];
            if kernel == 1 && stride == 1 {
                return columns.copy_from_slice(&plane[first..][..columns.len()]);
            }
            let (inside, start) = window.inside(kx as isize - left, width, ow);
            let end = first + columns.len();
            columns.fill(0.0);
            for oy in first / ow..end.div_ceil(ow) {
                let y = (oy * stride + ky) as isize - top;
                if !(0..height as isize).contains(&y) {
                    continue;
                }
                let row = &plane[y as usize * width..][..width];
                let from = (oy * ow + inside.start).max(first);
                let to = (oy * ow + inside.end).min(end);
                if from < to {
                    let source = &row[start + (from - oy * ow - inside.start) * stride..];
                    let columns = &mut columns[from - first..to - first];
                    if stride == 1 {
                        columns.copy_from_slice(&source[..columns.len()]);
                    } else {
                        columns.iter_mut().zip(source.iter().step_by(stride)).for_each(|(to, x)| *to = *x);
                    }
                }
            }
        };
        weights.times(oh * ow, read, out);
    }
    result
}

/// A depthwise convolution by weights `[channels, 1, kernel, kernel]`: each sum goes through rows and columns of the kernel, in
/// this order.
pub(super) fn depthwise(x: &Image, weights: &[f64], window: KernelWindow) -> Image {
    let [batch, channels, height, width] = x.shape;
    let ([top, left], [oh, ow]) = (window.before(x), window.output(x));
    let mut result = Image::unset([batch, channels, oh, ow]);
    let arch = Arch::new();
    let planes = result.data.par_chunks_mut((oh * ow).max(1)).zip(x.data.par_chunks((height * width).max(1)));
    planes.enumerate().for_each(|(number, (out, plane))| {
        let of_channel = window.kernel * window.kernel;
        let weights = &weights[number % channels * of_channel..][..of_channel];
        arch.dispatch(DepthwisePlane {
            window,
            before: [top, left],
            weights,
            plane,
            width,
            out,
            columns: ow,
        });
    });
    result
}

/// One channel of a depthwise convolution.
struct DepthwisePlane<'a> {
    window: KernelWindow,
    before: [isize; 2],
    weights: &'a [f64],
    plane: &'a [f64],
    width: usize,
    out: &'a mut [f64],
    columns: usize,
}

impl WithSimd for DepthwisePlane<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let DepthwisePlane { window, before: [top, left], weights, plane, width, out, columns } = self;
        let KernelWindow { kernel, stride, .. } = window;
        out.fill(0.0);
        for (oy, sums) in out.chunks_mut(columns).enumerate() {
            for ky in 0..kernel {
                let y = (oy * stride + ky) as isize - top;
                if !(0..(plane.len() / width) as isize).contains(&y) {
                    continue;
                }
                let row = &plane[y as usize * width..][..width];
                for kx in 0..kernel {
                    let (inside, start) = window.inside(kx as isize - left, width, columns);
                    let weight = weights[ky * kernel + kx];
                    let sums = &mut sums[inside];
                    let source = row.get(start..).unwrap_or_default();
                    if stride == 1 {
                        sums.iter_mut().zip(source).for_each(|(sum, x)| *sum += weight * x);
                    } else {
                        sums.iter_mut()
                            .zip(source.iter().step_by(stride))
                            .for_each(|(sum, x)| *sum += weight * x);
                    }
                }
            }
        }
    }
}
