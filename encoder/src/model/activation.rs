//! Feature maps, channels last.

use super::buffers::{Buffer, Buffers};
use crate::kernels::transpose::transpose;

/// `[batch, height, width, channels]`, row-major.
pub(super) struct Activation {
    pub(super) batch: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
    pub(super) data: Buffer,
}

impl Activation {
    /// Of unspecified content; the caller must write all of it.
    pub(super) fn new(buffers: &Buffers, [batch, height, width, channels]: [usize; 4]) -> Self {
        Activation { batch, height, width, channels, data: buffers.take(batch * height * width * channels) }
    }

    /// Pixels of all images.
    pub(super) fn pixels(&self) -> usize {
        self.batch * self.height * self.width
    }

    /// `input` is `[batch, channels, height, width]`.
    pub(super) fn from_nchw(
        buffers: &Buffers,
        [batch, channels, height, width]: [usize; 4],
        input: &[f32],
    ) -> Self {
        let mut x = Activation::new(buffers, [batch, height, width, channels]);
        transpose(input, channels, height * width, &mut x.data);
        x
    }

    /// `[batch, channels, height, width]`.
    pub(super) fn to_nchw(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.data.len()];
        transpose(&self.data, self.height * self.width, self.channels, &mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nchw_goes_there_and_back() {
        // Fewer and more pixels and channels than are transposed together.
        for [batch, channels, height, width] in [[2, 3, 2, 5], [3, 17, 7, 5], [1, 40, 4, 4]] {
            let input: Vec<f32> = (0..batch * channels * height * width).map(|i| i as f32).collect();
            let x = Activation::from_nchw(&Buffers::default(), [batch, channels, height, width], &input);
            for (i, found) in x.data.iter().enumerate() {
                let (pixel, channel) = (i / channels, i % channels);
                let (image, pixel) = (pixel / (height * width), pixel % (height * width));
                let expected = input[(image * channels + channel) * height * width + pixel];
                assert_eq!(*found, expected, "image {image}, pixel {pixel}, channel {channel}");
            }
            assert_eq!(x.to_nchw(), input);
        }
    }
}
