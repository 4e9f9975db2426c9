//! Images in f64, and what is done to them, written as it is defined.

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

    pub(super) fn at_mut(&mut self, index: [usize; 4]) -> &mut f64 {
        let index = self.index(index);
        &mut self.data[index]
    }

    /// An image whose every element is computed from its index.
    pub(super) fn from_fn(shape: [usize; 4], mut f: impl FnMut([usize; 4]) -> f64) -> Image {
        let mut out = Image::zeros(shape);
        let mut i = 0;
        for b in 0..shape[0] {
            for c in 0..shape[1] {
                for y in 0..shape[2] {
                    for x in 0..shape[3] {
                        out.data[i] = f([b, c, y, x]);
                        i += 1;
                    }
                }
            }
        }
        out
    }

    pub(super) fn map(mut self, f: impl Fn(f64) -> f64) -> Image {
        self.data.iter_mut().for_each(|x| *x = f(*x));
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
        let roots = Image::from_fn([batch, 1, height, width], |[b, _, y, x]| {
            let squares: f64 = (0..channels).map(|c| self.at([b, c, y, x]).powi(2)).sum();
            (squares / channels as f64 + epsilon).sqrt()
        });
        Image::from_fn(self.shape, |[b, c, y, x]| {
            let normed = self.at([b, c, y, x]) / roots.at([b, 0, y, x]);
            normed * weights.get(c).copied().unwrap_or(1.0)
        })
    }
}

/// (zeros before, output size)
fn padded(padding: Padding, input: usize, kernel: usize, stride: usize) -> (isize, usize) {
    match padding {
        Padding::Same => {
            let output = input.div_ceil(stride);
            let total = ((output - 1) * stride + kernel) as isize - input as isize;
            (total.max(0) / 2, output)
        }
        Padding::Symmetric => {
            let before = (stride - 1 + kernel - 1) / 2;
            (before as isize, (input + 2 * before - kernel) / stride + 1)
        }
    }
}

/// Weights `[out, in / groups, kernel, kernel]`; depthwise when `depthwise`.
pub(super) fn convolve(
    x: &Image,
    weights: &[f64],
    out: usize,
    kernel: usize,
    stride: usize,
    padding: Padding,
    depthwise: bool,
) -> Image {
    let [batch, channels, height, width] = x.shape;
    let ((top, oh), (left, ow)) =
        (padded(padding, height, kernel, stride), padded(padding, width, kernel, stride));
    let inputs = if depthwise { 1 } else { channels };
    Image::from_fn([batch, out, oh, ow], |[b, o, oy, ox]| {
        let mut sum = 0.0;
        for i in 0..inputs {
            for ky in 0..kernel {
                for kx in 0..kernel {
                    let y = (oy * stride + ky) as isize - top;
                    let x_ = (ox * stride + kx) as isize - left;
                    if (0..height as isize).contains(&y) && (0..width as isize).contains(&x_) {
                        let c = if depthwise { o } else { i };
                        let weight = weights[((o * inputs + i) * kernel + ky) * kernel + kx];
                        sum += weight * x.at([b, c, y as usize, x_ as usize]);
                    }
                }
            }
        }
        sum
    })
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

/// PyTorch's `interpolate(mode='bilinear', align_corners=False)`.
pub(super) fn interpolate(x: &Image, oh: usize, ow: usize) -> Image {
    let [batch, channels, height, width] = x.shape;
    let source = |o: usize, input: usize, output: usize| {
        let position = ((o as f64 + 0.5) * input as f64 / output as f64 - 0.5).max(0.0);
        let first = position.floor() as usize;
        (first, (first + 1).min(input - 1), position - position.floor())
    };
    Image::from_fn([batch, channels, oh, ow], |[b, c, oy, ox]| {
        let ((y0, y1, v), (x0, x1, u)) = (source(oy, height, oh), source(ox, width, ow));
        (1.0 - v) * ((1.0 - u) * x.at([b, c, y0, x0]) + u * x.at([b, c, y0, x1]))
            + v * ((1.0 - u) * x.at([b, c, y1, x0]) + u * x.at([b, c, y1, x1]))
    })
}
