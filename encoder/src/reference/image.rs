//! Images in f64, and what is done to them, written as it is defined.

use rayon::prelude::*;

use crate::geometry::Padding;

/// `[batch, channels, height, width]`.
#[derive(Clone)]
pub(super) struct Image {
    pub(super) shape: [usize; 4],
    pub(super) data: Vec<f64>,
}

impl Image {
    pub(super) fn zeros(shape: [usize; 4]) -> Image {
        Image { shape, data: vec![0.0; shape.iter().product()] }
    }

    fn index(&self, [b, c, y, x]: [usize; 4]) -> usize {
        let [_, channels, height, width] = self.shape;
        ((b * channels + c) * height + y) * width + x
    }

    pub(super) fn at(&self, index: [usize; 4]) -> f64 {
        self.data[self.index(index)]
    }

    /// An image whose every element is computed from its index.
    pub(super) fn from_fn(shape: [usize; 4], f: impl Fn([usize; 4]) -> f64 + Sync) -> Image {
        let mut out = Image::zeros(shape);
        let [_, channels, height, width] = shape;
        out.data.par_chunks_mut((height * width).max(1)).enumerate().for_each(|(plane, out)| {
            for (i, out) in out.iter_mut().enumerate() {
                *out = f([plane / channels, plane % channels, i / width, i % width]);
            }
        });
        out
    }

    /// The plane of one channel.
    fn plane(&self, b: usize, c: usize) -> &[f64] {
        let [_, channels, height, width] = self.shape;
        let start = (b * channels + c) * height * width;
        &self.data[start..start + height * width]
    }

    pub(super) fn map(mut self, f: impl Fn(f64) -> f64 + Sync) -> Image {
        self.data.par_iter_mut().for_each(|x| *x = f(*x));
        self
    }

    pub(super) fn plus(mut self, other: &Image) -> Image {
        self.data.iter_mut().zip(&other.data).for_each(|(a, b)| *a += b);
        self
    }

    /// Channel c times `weights[c]`.
    pub(super) fn scaled(&self, weights: &[f64]) -> Image {
        Image::from_fn(self.shape, |i| self.at(i) * weights[i[1]])
    }

    /// RMS norm over the channels; `weights` empty for none.
    pub(super) fn normed(&self, epsilon: f64, weights: &[f64]) -> Image {
        let [batch, channels, height, width] = self.shape;
        let mut roots = Image::zeros([batch, 1, height, width]);
        for (b, roots) in roots.data.chunks_mut((height * width).max(1)).enumerate() {
            for c in 0..channels {
                roots.iter_mut().zip(self.plane(b, c)).for_each(|(sum, x)| *sum += x.powi(2));
            }
            roots.iter_mut().for_each(|sum| *sum = (*sum / channels as f64 + epsilon).sqrt());
        }
        Image::from_fn(self.shape, |[b, c, y, x]| {
            let normed = self.at([b, c, y, x]) / roots.at([b, 0, y, x]);
            normed * weights.get(c).copied().unwrap_or(1.0)
        })
    }

    /// Each pixel without the mean of its channels.
    pub(super) fn centred(&self) -> Image {
        let [batch, channels, height, width] = self.shape;
        let means = Image::from_fn([batch, 1, height, width], |[b, _, y, x]| {
            (0..channels).map(|c| self.at([b, c, y, x])).sum::<f64>() / channels as f64
        });
        Image::from_fn(self.shape, |[b, c, y, x]| self.at([b, c, y, x]) - means.at([b, 0, y, x]))
    }
}

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

/// Weights `[out, in / groups, kernel, kernel]`; depthwise when `depthwise`. Each sum goes through input channels, rows and
/// columns of the kernel, in this order.
pub(super) fn convolve(
    x: &Image,
    weights: &[f64],
    out: usize,
    kernel: usize,
    stride: usize,
    padded: Padded,
    depthwise: bool,
) -> Image {
    let [batch, channels, height, width] = x.shape;
    let ((top, oh), (left, ow)) = (padded.axis(height, kernel, stride), padded.axis(width, kernel, stride));
    let inputs = if depthwise { 1 } else { channels };
    let mut result = Image::zeros([batch, out, oh, ow]);
    result.data.par_chunks_mut((oh * ow).max(1)).enumerate().for_each(|(plane, sums)| {
        let (b, o) = (plane / out, plane % out);
        for i in 0..inputs {
            let source = x.plane(b, if depthwise { o } else { i });
            for (ky, kx) in (0..kernel).flat_map(|ky| (0..kernel).map(move |kx| (ky, kx))) {
                let weight = weights[((o * inputs + i) * kernel + ky) * kernel + kx];
                // The outputs whose source column lies in the image.
                let offset = kx as isize - left;
                let first = (-offset).max(0) as usize;
                let (from, end) = (first.div_ceil(stride), width as isize - offset);
                let to = if end <= 0 { 0 } else { (end as usize).div_ceil(stride).min(ow) };
                for (oy, sums) in sums.chunks_mut(ow).enumerate() {
                    let y = (oy * stride + ky) as isize - top;
                    if !(0..height as isize).contains(&y) || from >= to {
                        continue;
                    }
                    let row = &source[y as usize * width..][..width];
                    let start = (from * stride) as isize + offset;
                    let values = row[start as usize..].iter().step_by(stride);
                    sums[from..to].iter_mut().zip(values).for_each(|(sum, x)| *sum += weight * x);
                }
            }
        }
    });
    result
}

/// The mean of each of `oh` x `ow` equal rectangles.
pub(super) fn average(x: &Image, oh: usize, ow: usize) -> Image {
    let [batch, channels, height, width] = x.shape;
    let (ky, kx) = (height / oh, width / ow);
    Image::from_fn([batch, channels, oh, ow], |[b, c, y, x_]| {
        let mut sum = 0.0;
        for i in 0..ky {
            for j in 0..kx {
                sum += x.at([b, c, y * ky + i, x_ * kx + j]);
            }
        }
        sum / (ky * kx) as f64
    })
}

/// The largest of each of `oh` x `ow` equal rectangles.
pub(super) fn strongest(x: &Image, oh: usize, ow: usize) -> Image {
    let [batch, channels, height, width] = x.shape;
    let (ky, kx) = (height / oh, width / ow);
    Image::from_fn([batch, channels, oh, ow], |[b, c, y, x_]| {
        let within = (0..ky).flat_map(|i| (0..kx).map(move |j| (i, j)));
        within.fold(f64::NEG_INFINITY, |most, (i, j)| most.max(x.at([b, c, y * ky + i, x_ * kx + j])))
    })
}

/// PyTorch's `interpolate(mode='bilinear', align_corners=False)`.
pub(super) fn interpolate(x: &Image, oh: usize, ow: usize) -> Image {
    interpolate_at(x, oh, ow, |o, input, output| {
        ((o as f64 + 0.5) * input as f64 / output as f64 - 0.5).max(0.0)
    })
}

/// PyTorch's `interpolate(mode='bilinear', align_corners=True)`.
pub(super) fn corners_aligned(x: &Image, oh: usize, ow: usize) -> Image {
    interpolate_at(x, oh, ow, |o, input, output| o as f64 * (input - 1) as f64 / (output.max(2) - 1) as f64)
}

/// Bilinear interpolation; `at` gives the position in the input of a row or column of the output.
fn interpolate_at(x: &Image, oh: usize, ow: usize, at: impl Fn(usize, usize, usize) -> f64 + Sync) -> Image {
    let [batch, channels, height, width] = x.shape;
    let source = |o: usize, input: usize, output: usize| {
        let position = at(o, input, output);
        let first = position.floor() as usize;
        (first, (first + 1).min(input - 1), position - position.floor())
    };
    Image::from_fn([batch, channels, oh, ow], |[b, c, oy, ox]| {
        let ((y0, y1, v), (x0, x1, u)) = (source(oy, height, oh), source(ox, width, ow));
        (1.0 - v) * ((1.0 - u) * x.at([b, c, y0, x0]) + u * x.at([b, c, y0, x1]))
            + v * ((1.0 - u) * x.at([b, c, y1, x0]) + u * x.at([b, c, y1, x1]))
    })
}
