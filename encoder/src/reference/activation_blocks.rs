//! What ggml multiplies quantised weights with: activations that it quantises too, by blocks along the depth of the product.

use super::image::Image;
use crate::checkpoint::{Checkpoint, WeightType};

/// Blocks of activations, each of which is held as multiples, of -127 to 127, of a scale of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivationBlocks {
    /// Values of a block.
    pub length: usize,
    /// The scale is stored in f16, as in ggml's Q8_0, and in f32 otherwise, as in its Q8_K.
    pub half_scale: bool,
}

impl ActivationBlocks {
    /// Those that ggml's CPU backend makes for a weight, by its timm name: by its type (`vec_dot_type` in ggml-cpu.c). None
    /// for weights that are not quantised, for kernels of more than a pixel, which ggml never quantises, and for Q4_1 and Q5_1,
    /// whose minima are multiplied with rounded sums that are not written out here.
    pub fn of(checkpoint: &Checkpoint, weight: &str) -> Option<ActivationBlocks> {
        let is_matrix = checkpoint.shape(weight)?.get(2..)?.iter().all(|extent| *extent == 1);
        ActivationBlocks::of_type(checkpoint.stored_type(weight)?).filter(|_| is_matrix)
    }

    fn of_type(kind: &WeightType) -> Option<ActivationBlocks> {
        match kind {
            WeightType::Q4_0 | WeightType::Q5_0 | WeightType::Q8_0 => {
                Some(ActivationBlocks { length: 32, half_scale: true })
            }
            WeightType::Q2K | WeightType::Q3K | WeightType::Q4K | WeightType::Q5K | WeightType::Q6K => {
                Some(ActivationBlocks { length: 256, half_scale: false })
            }
            WeightType::F32
            | WeightType::F16
            | WeightType::Bf16
            | WeightType::Q4_1
            | WeightType::Q5_1
            | WeightType::Other(_) => None,
        }
    }

    /// What is left of the channels of each pixel.
    pub(super) fn held(self, x: &Image) -> Image {
        let mut scales = x.strongest_by_channels(self.length);
        scales.for_each_piece(&|_: usize, piece: &mut [f64]| piece.iter_mut().for_each(|x| *x /= 127.0));
        let mut held = x.clone();
        held.for_each_plane(|[b, c], plane| {
            for (x, scale) in plane.iter_mut().zip(scales.plane(b, c / self.length)) {
                if *scale > 0.0 {
                    // The multiple is that of the scale before it is stored.
                    *x = (*x / scale).round_ties_even() * self.stored(*scale);
                }
            }
        });
        held
    }

    fn stored(self, scale: f64) -> f64 {
        match self.half_scale {
            true => half::f16::from_f32(scale as f32).to_f64(),
            false => f64::from(scale as f32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_go_by_the_type_of_the_weights() {
        let length = |kind: &WeightType| ActivationBlocks::of_type(kind).map(|blocks| blocks.length);
        let all: Vec<Option<usize>> = WeightType::SUPPORTED.iter().map(length).collect();
        let (none, of_32, of_256) = (None, Some(32), Some(256));
        let expected = [none, none, none, of_32, none, of_32, none, of_32];
        assert_eq!(all[..8], expected);
        assert!(all[8..].iter().all(|length| *length == of_256), "{all:?}");
        let x = Image::from_fn([1, 256, 1, 1], |[_, c, _, _]| c as f64 - 100.0);
        let held = ActivationBlocks { length: 256, half_scale: false }.held(&x);
        let step = f64::from((155.0f64 / 127.0) as f32);
        assert_eq!((held.at([0, 255, 0, 0]), held.at([0, 100, 0, 0])), (127.0 * step, 0.0));
        assert_eq!(held.at([0, 0, 0, 0]), (-100.0f64 / (155.0 / 127.0)).round() * step);
    }

    #[test]
    fn each_pixel_has_a_scale_for_each_block_of_channels() {
        let x = Image::from_fn([1, 64, 1, 2], |[_, c, _, x]| match (c, x) {
            (0, 0) => 127.0,
            (1, 0) => 0.4,
            (2, 0) => -1.6,
            (32, 0) => 1.27,
            (33, 0) => 0.4,
            (_, 0) => 0.0,
            (c, _) => c as f64 / 64.0,
        });
        let held = ActivationBlocks { length: 32, half_scale: true }.held(&x);
        let at = |c, x| held.at([0, c, 0, x]);
        assert_eq!((at(0, 0), at(1, 0), at(2, 0), at(3, 0)), (127.0, 0.0, -2.0, 0.0));
        let hundredth = half::f16::from_f32(0.01).to_f64();
        assert_eq!((at(32, 0), at(33, 0)), (127.0 * hundredth, 40.0 * hundredth));
        let off = |c: usize| (at(c, 1) - c as f64 / 64.0).abs();
        assert!((0..32).all(|c| off(c) <= 31.0 / 64.0 / 127.0) && (32..64).any(|c| off(c) > 1e-4));
    }
}
