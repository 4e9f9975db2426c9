//! The mean and the deviation that some image processors normalise by.

use crate::tap::TapTensor;

/// A mean and a standard deviation of each channel, of values in [0, 1], which become (value - mean) / deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalisation {
    /// Of red, green and blue.
    pub mean: [f32; 3],
    /// Of red, green and blue; not 0.
    pub std: [f32; 3],
}

impl Normalisation {
    /// By these, which are called `image_mean` and `image_std` wherever they are given; nothing where they change nothing.
    ///
    /// # Errors
    /// What was found, where nothing can be divided by it.
    pub(super) fn of(mean: [f32; 3], std: [f32; 3]) -> Result<Option<Normalisation>, String> {
        if (mean, std) == ([0.0; 3], [1.0; 3]) {
            return Ok(None);
        }
        if !std.iter().all(|std| std.is_normal() && *std > 0.0) || !mean.iter().all(|mean| mean.is_finite()) {
            return Err(format!(
                "image_mean {mean:?} and image_std {std:?}, by which nothing can be divided"
            ));
        }
        Ok(Some(Normalisation { mean, std }))
    }

    /// The smallest and the largest value that it makes of those in [0, 1], with room for rounding.
    pub(crate) fn range(self) -> [f32; 2] {
        const ROOM: f32 = 1e-5;
        let ends = |end: f32| (0..3).map(move |channel| (end - self.mean[channel]) / self.std[channel]);
        let (low, high) = (ends(0.0).fold(f32::MAX, f32::min), ends(1.0).fold(f32::MIN, f32::max));
        [low - ROOM * low.abs(), high + ROOM * high.abs()]
    }

    /// Normalises `[1, 3, height, width]`; `with_division` at once with the division by 255, as torchvision does, which rounds
    /// once less.
    pub(super) fn apply(&self, tensor: &mut TapTensor, with_division: bool) {
        let plane = (tensor.data.len() / 3).max(1);
        for (channel, values) in tensor.data.chunks_exact_mut(plane).enumerate() {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            for value in values {
                *value = match with_division {
                    true => ((*value * 255.0).round() - mean * 255.0) / (std * 255.0),
                    false => (*value - mean) / std,
                };
            }
        }
    }
}
