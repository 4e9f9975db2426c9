//! JPEG with the pixels that Pillow gives: those of libjpeg-turbo.
//!
//! The standard leaves the inverse transform and the upsampling of colour to the decoder. On a 4:2:0 photograph zune-jpeg,
//! which the `image` crate has, gives other values than libjpeg-turbo in a tenth of the pixels, up to four levels apart.

use libjpeg_turbo_rs::{DecodeLimits, Decoder, JpegError, PixelFormat};

use super::picture::Picture;
use crate::bounds;

/// What a JPEG's header says.
pub(super) struct JpegHeader<'a> {
    decoder: Decoder<'a>,
}

impl<'a> JpegHeader<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<JpegHeader<'a>, JpegError> {
        Ok(JpegHeader { decoder: Decoder::new(bytes)? })
    }

    /// Width and height.
    pub(super) fn extents(&self) -> (usize, usize) {
        let header = self.decoder.header();
        (usize::from(header.width), usize::from(header.height))
    }

    /// The orientation of its EXIF data, 1 to 8.
    pub(super) fn orientation(&self) -> Option<u8> {
        self.decoder.exif_orientation()
    }

    /// Decodes all of it; a picture that ends early is refused.
    pub(super) fn decode(mut self, max_pixels: u64) -> Result<Picture, JpegError> {
        let limits = DecodeLimits { max_pixels, max_scans: bounds::JPEG_SCANS, ..DecodeLimits::default() };
        self.decoder.set_limits(limits);
        self.decoder.set_output_format(PixelFormat::Rgb);
        let image = self.decoder.decode_image()?;
        Ok(Picture { height: image.height, width: image.width, pixels: image.data })
    }
}
