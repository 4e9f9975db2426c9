//! Resizing by convolution, to the bit as Pillow and torchvision do it for 8-bit pictures.
//!
//! Both stretch the filter where a picture shrinks, sum in fixed point, and round to 8 bits between the two axes. They differ
//! in the fraction bits of the weights: Pillow has 22, torchvision as many as fit the largest weight of an axis into 16 bits;
//! and in which axis comes first.

use rayon::prelude::*;

use super::picture::Picture;

/// How values between pixels are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// A triangle of two pixels.
    Bilinear,
    /// Keys' cubic of four pixels, a = -0.5.
    Bicubic,
}

impl Interpolation {
    /// Its name in Pillow and in PyTorch.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Interpolation::Bilinear => "bilinear",
            Interpolation::Bicubic => "bicubic",
        }
    }

    /// How far the filter reaches.
    fn support(self) -> f64 {
        match self {
            Interpolation::Bilinear => 1.0,
            Interpolation::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        let x = x.abs();
        match self {
            Interpolation::Bilinear if x < 1.0 => 1.0 - x,
            Interpolation::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Interpolation::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5,
            _ => 0.0,
        }
    }
}

/// Fraction bits of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fraction {
    /// 22 bits: Pillow.
    Pillow,
    /// As many as fit the largest weight into 16 bits: torchvision.
    TorchVision,
}

/// What is summed along.
enum ResizedAxis {
    Height,
    Width,
}

impl Fraction {
    /// Whether the height is resized before the width, where both are: Pillow does so from version 13 on where the height
    /// loses more than twice as many pixels as the width (its pull request 9549). Between the two a picture is rounded.
    fn is_height_first(self, from: (usize, usize), to: (usize, usize)) -> bool {
        let lost = from.0.saturating_sub(to.0);
        self == Fraction::Pillow && lost > 0 && lost + 2 * to.1 > 2 * from.1
    }

    fn bits(self, windows: &[Window]) -> u32 {
        /// 32 bits less those of a pixel, less two against overflow.
        const MOST: u32 = 32 - 8 - 2;
        match self {
            Fraction::Pillow => MOST,
            Fraction::TorchVision => {
                let weights = windows.iter().flat_map(|window| &window.weights);
                let largest = weights.copied().fold(0.0, f64::max);
                let fits = |bits: u32| 0.5 + largest * f64::from(1u32 << (bits + 1)) < f64::from(1u32 << 15);
                (0..MOST).find(|bits| !fits(*bits)).unwrap_or(MOST)
            }
        }
    }
}

/// What one output pixel is made of along one axis.
struct Window {
    first: usize,
    weights: Vec<f64>,
}

/// The same in fixed point.
struct FixedWeights {
    bits: u32,
    /// For each output pixel the first pixel and the weights of it and those after it.
    windows: Vec<(usize, Vec<i32>)>,
}

impl FixedWeights {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positions are within the picture"
    )]
    fn new(input: usize, output: usize, interpolation: Interpolation, fraction: Fraction) -> FixedWeights {
        let scale = input as f64 / output as f64;
        let stretch = scale.max(1.0);
        let support = interpolation.support() * stretch;
        let window = |position: usize| {
            let center = scale * (position as f64 + 0.5);
            let first = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(input);
            let weight = |at: usize| interpolation.weight((at as f64 - center + 0.5) * (1.0 / stretch));
            let mut weights: Vec<f64> = (first..end).map(weight).collect();
            let sum: f64 = weights.iter().sum();
            weights.iter_mut().for_each(|weight| *weight /= sum);
            Window { first, weights }
        };
        let windows: Vec<Window> = (0..output).map(window).collect();
        let bits = fraction.bits(&windows);
        let fixed = |weight: &f64| (weight * f64::from(1u32 << bits) + 0.5f64.copysign(*weight)) as i32;
        let windows = windows
            .into_iter()
            .map(|window| (window.first, window.weights.iter().map(fixed).collect()))
            .collect();
        FixedWeights { bits, windows }
    }

    /// One channel of a sum of pixels, rounded and cut to 8 bits.
    fn round(&self, sum: i32) -> u8 {
        u8::try_from((sum >> self.bits).clamp(0, 255)).unwrap_or(u8::MAX)
    }

    /// Half of the last bit that is kept.
    fn half(&self) -> i32 {
        1 << (self.bits - 1)
    }
}

/// Resizes a picture.
pub(super) fn resample(
    picture: Picture,
    (height, width): (usize, usize),
    interpolation: Interpolation,
    fraction: Fraction,
) -> Picture {
    let mut resized = picture;
    let axes = match fraction.is_height_first((resized.height, resized.width), (height, width)) {
        true => [ResizedAxis::Height, ResizedAxis::Width],
        false => [ResizedAxis::Width, ResizedAxis::Height],
    };
    for axis in axes {
        match axis {
            ResizedAxis::Width if width != resized.width => {
                let weights = FixedWeights::new(resized.width, width, interpolation, fraction);
                resized.pixels = along_rows(&resized.pixels, resized.width, &weights);
                resized.width = width;
            }
            ResizedAxis::Height if height != resized.height => {
                let weights = FixedWeights::new(resized.height, height, interpolation, fraction);
                resized.pixels = along_columns(&resized.pixels, resized.width, &weights);
                resized.height = height;
            }
            ResizedAxis::Width | ResizedAxis::Height => {}
        }
    }
    resized
}

fn along_rows(pixels: &[u8], width: usize, weights: &FixedWeights) -> Vec<u8> {
    let output = 3 * weights.windows.len();
    let mut resized = vec![0; pixels.len() / (3 * width) * output];
    resized.par_chunks_exact_mut(output).zip(pixels.par_chunks_exact(3 * width)).for_each(|(to, from)| {
        let (to, _) = to.as_chunks_mut::<3>();
        let (from, _) = from.as_chunks::<3>();
        for (to, (first, window)) in to.iter_mut().zip(&weights.windows) {
            let mut sums = [weights.half(); 3];
            for (pixel, weight) in from[*first..].iter().zip(window) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(*value) * weight;
                }
            }
            *to = sums.map(|sum| weights.round(sum));
        }
    });
    resized
}

fn along_columns(pixels: &[u8], width: usize, weights: &FixedWeights) -> Vec<u8> {
    let row = 3 * width;
    let mut resized = vec![0; weights.windows.len() * row];
    resized.par_chunks_exact_mut(row).zip(&weights.windows).for_each(|(to, (first, window))| {
        let mut sums = vec![weights.half(); row];
        for (from, weight) in pixels.chunks_exact(row).skip(*first).zip(window) {
            for (sum, value) in sums.iter_mut().zip(from) {
                *sum += i32::from(*value) * weight;
            }
        }
        for (to, sum) in to.iter_mut().zip(sums) {
            *to = weights.round(sum);
        }
    });
    resized
}
