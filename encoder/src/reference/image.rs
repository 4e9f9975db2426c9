//! Images in f64, and what is done to them, written as it is defined.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::spare;

/// Values of a piece: they stay in the second-level cache.
pub(super) const PIECE: usize = 1 << 14;
/// Pixels whose channels are summed at once.
const PIXELS: usize = 1 << 9;

/// `[batch, channels, height, width]`.
pub(super) struct Image {
    pub(super) shape: [usize; 4],
    pub(super) data: Vec<f64>,
    /// Whether these are a port's own values, to the last bit: what a port rounds of them is then known too.
    pub(super) is_known: bool,
}

/// What is done to a piece of values, the first of which is number `from`. Of a type of its own, and not a closure, where it is
/// more than a few operations: `#[inline(always)]` is what has it compiled for the CPU's vectors.
pub(super) trait PieceChange: Sync {
    fn change(&self, from: usize, piece: &mut [f64]);
}

impl<F: Fn(usize, &mut [f64]) + Sync> PieceChange for F {
    #[inline(always)]
    fn change(&self, from: usize, piece: &mut [f64]) {
        self(from, piece);
    }
}

/// A change of a piece, which may be copied from another place first.
struct Piece<'a, C> {
    from: usize,
    source: Option<&'a [f64]>,
    values: &'a mut [f64],
    change: &'a C,
}

impl<C: PieceChange> WithSimd for Piece<'_, C> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        if let Some(source) = self.source {
            self.values.copy_from_slice(source);
        }
        self.change.change(self.from, self.values);
    }
}

impl Clone for Image {
    fn clone(&self) -> Image {
        self.copied_with(&|_: usize, _: &mut [f64]| {}).known(self.is_known)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        spare::keep(std::mem::take(&mut self.data));
    }
}

/// A copy, made on all threads: most of the work is the system's, for new memory.
pub(super) fn copied(values: &[f64]) -> Vec<f64> {
    let mut copy = vec![0.0; values.len()];
    copy.par_chunks_mut(PIECE).zip(values.par_chunks(PIECE)).for_each(|(to, from)| to.copy_from_slice(from));
    copy
}

impl Image {
    /// An image of any values, which are all to be written.
    pub(super) fn unset(shape: [usize; 4]) -> Image {
        Image { shape, data: spare::take(shape.iter().product()), is_known: false }
    }

    /// An image of these values.
    pub(super) fn of(shape: [usize; 4], values: &[f64]) -> Image {
        let mut image = Image::unset(shape);
        image.data.copy_from_slice(values);
        image
    }

    /// The same values, of which it is said whether they are a port's own.
    pub(super) fn known(mut self, is_known: bool) -> Image {
        self.is_known = is_known;
        self
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
        let mut out = Image::unset(shape);
        let [_, channels, height, width] = shape;
        out.data.par_chunks_mut((height * width).max(1)).enumerate().for_each(|(plane, out)| {
            for (i, out) in out.iter_mut().enumerate() {
                *out = f([plane / channels, plane % channels, i / width, i % width]);
            }
        });
        out
    }

    /// The plane of one channel.
    pub(super) fn plane(&self, b: usize, c: usize) -> &[f64] {
        let [_, channels, height, width] = self.shape;
        let start = (b * channels + c) * height * width;
        &self.data[start..start + height * width]
    }

    /// Changes pieces of the values in place, on all threads.
    pub(super) fn for_each_piece(&mut self, change: &impl PieceChange) {
        self.is_known = false;
        let arch = Arch::new();
        self.data.par_chunks_mut(PIECE).enumerate().for_each(|(number, values)| {
            arch.dispatch(Piece { from: number * PIECE, source: None, values, change });
        });
    }

    /// A copy that is changed piece by piece on the way.
    pub(super) fn copied_with(&self, change: &impl PieceChange) -> Image {
        let arch = Arch::new();
        let mut copy = Image::unset(self.shape);
        let pieces = copy.data.par_chunks_mut(PIECE).zip(self.data.par_chunks(PIECE));
        pieces.enumerate().for_each(|(number, (values, source))| {
            arch.dispatch(Piece { from: number * PIECE, source: Some(source), values, change });
        });
        copy
    }

    /// Changes planes in place, on all threads; `change` is told the number of the image and of the channel.
    pub(super) fn for_each_plane(&mut self, change: impl Fn([usize; 2], &mut [f64]) + Sync) {
        self.is_known = false;
        let [_, channels, height, width] = self.shape;
        let arch = Arch::new();
        self.data.par_chunks_mut((height * width).max(1)).enumerate().for_each(|(number, plane)| {
            arch.dispatch(|| change([number / channels, number % channels], plane));
        });
    }

    pub(super) fn map(mut self, f: impl Fn(f64) -> f64 + Sync) -> Image {
        self.for_each_piece(&|_: usize, piece: &mut [f64]| piece.iter_mut().for_each(|x| *x = f(*x)));
        self
    }

    pub(super) fn plus(mut self, other: &Image) -> Image {
        self.for_each_piece(&|from: usize, piece: &mut [f64]| {
            piece.iter_mut().zip(&other.data[from..]).for_each(|(a, b)| *a += b);
        });
        self
    }

    pub(super) fn minus(mut self, other: &Image) -> Image {
        self.for_each_piece(&|from: usize, piece: &mut [f64]| {
            piece.iter_mut().zip(&other.data[from..]).for_each(|(a, b)| *a -= b);
        });
        self
    }

    /// Channel c times `weights[c]`.
    pub(super) fn scaled(mut self, weights: &[f64]) -> Image {
        self.for_each_plane(|[_, c], plane| plane.iter_mut().for_each(|x| *x *= weights[c]));
        self
    }

    /// Of each pixel the sum of what `f` makes of its channels, `[batch, 1, height, width]`.
    fn summed(&self, f: impl Fn(f64) -> f64 + Sync) -> Image {
        let [batch, channels, height, width] = self.shape;
        let mut sums = Image::unset([batch, 1, height, width]);
        let arch = Arch::new();
        for (b, sums) in sums.data.chunks_mut((height * width).max(1)).enumerate() {
            sums.par_chunks_mut(PIXELS).enumerate().for_each(|(number, sums)| {
                arch.dispatch(|| {
                    sums.fill(0.0);
                    for c in 0..channels {
                        let values = &self.plane(b, c)[number * PIXELS..];
                        sums.iter_mut().zip(values).for_each(|(sum, x)| *sum += f(*x));
                    }
                });
            });
        }
        sums
    }

    /// Of each pixel and each block of so many channels the largest magnitude, `[batch, blocks, height, width]`.
    pub(super) fn strongest_by_channels(&self, length: usize) -> Image {
        let [batch, channels, height, width] = self.shape;
        let mut strongest = Image::unset([batch, channels.div_ceil(length), height, width]);
        strongest.for_each_plane(|[b, block], most| {
            most.fill(0.0);
            for c in block * length..channels.min((block + 1) * length) {
                most.iter_mut().zip(self.plane(b, c)).for_each(|(most, x)| *most = most.max(x.abs()));
            }
        });
        strongest
    }

    /// RMS norm over the channels; `weights` empty for none.
    pub(super) fn normed(mut self, epsilon: f64, weights: &[f64]) -> Image {
        let channels = self.shape[1] as f64;
        let roots = self.summed(|x| x * x).map(|sum| (sum / channels + epsilon).sqrt());
        self.for_each_plane(|[b, c], plane| {
            let weight = weights.get(c).copied().unwrap_or(1.0);
            plane.iter_mut().zip(roots.plane(b, 0)).for_each(|(x, root)| *x = *x / root * weight);
        });
        self
    }

    /// Each pixel without the mean of its channels.
    pub(super) fn centred(mut self) -> Image {
        let channels = self.shape[1] as f64;
        let means = self.summed(|x| x).map(|sum| sum / channels);
        self.for_each_plane(|[b, _], plane| {
            plane.iter_mut().zip(means.plane(b, 0)).for_each(|(x, mean)| *x -= mean);
        });
        self
    }
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

/// PyTorch's `interpolate(mode='bilinear', antialias=True)`: a triangle as wide as a pixel of the output.
pub(super) fn antialiased(x: &Image, oh: usize, ow: usize) -> Image {
    let [batch, channels, height, width] = x.shape;
    let weights = |input: usize, output: usize| -> Vec<Vec<f64>> {
        let scale = (input as f64 / output as f64).max(1.0);
        let of = |o: usize| {
            let centre = (o as f64 + 0.5) * input as f64 / output as f64 - 0.5;
            let raw: Vec<f64> =
                (0..input).map(|i| (1.0 - (i as f64 - centre).abs() / scale).max(0.0)).collect();
            let sum: f64 = raw.iter().sum();
            raw.into_iter().map(|weight| weight / sum).collect()
        };
        (0..output).map(of).collect()
    };
    let (down, across) = (weights(height, oh), weights(width, ow));
    Image::from_fn([batch, channels, oh, ow], |[b, c, oy, ox]| {
        let row = |y: usize| {
            let weights = across[ox].iter().enumerate().filter(|(_, w)| **w > 0.0);
            weights.map(|(i, w)| w * x.at([b, c, y, i])).sum::<f64>()
        };
        down[oy].iter().enumerate().filter(|(_, w)| **w > 0.0).map(|(y, w)| w * row(y)).sum()
    })
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
