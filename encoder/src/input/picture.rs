//! A decoded picture.

use crate::tap::TapTensor;

/// A picture of 8-bit RGB, upright.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// `[height, width, 3]`, row-major.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// The picture as a model takes it: `[1, 3, height, width]`, each value divided by 255.
    #[must_use]
    pub fn to_tensor(&self) -> TapTensor {
        let mut data = vec![0.0; self.pixels.len()];
        for (channel, plane) in data.chunks_exact_mut((self.width * self.height).max(1)).enumerate() {
            for (out, pixel) in plane.iter_mut().zip(self.pixels.chunks_exact(3)) {
                *out = f32::from(pixel[channel]) / 255.0;
            }
        }
        TapTensor { shape: vec![1, 3, self.height, self.width], data }
    }
}

/// What becomes of transparency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transparency {
    /// The picture is laid over white, as transformers' image processors do with a picture that they are given.
    #[default]
    OverWhite,
    /// It is ignored: the colour below it shows, as where llama.cpp or transformers' `load_image` read the file.
    Dropped,
}

/// As which library a file is read, where they differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PictureReader {
    /// Pillow, as transformers uses it: upright by the EXIF orientation; 16-bit grey without alpha clipped at 255.
    #[default]
    Pillow,
    /// stb_image, which llama.cpp has: as the pixels lie in the file; the high byte of 16 bits. Its JPEG decoder is not
    /// reproduced.
    StbImage,
}
