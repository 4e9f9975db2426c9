//! Files of pictures become 8-bit RGB, as Pillow converts them.

use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};
use libjpeg_turbo_rs::JpegError;

use super::jpeg::JpegHeader;
use super::picture::{Picture, PictureReader, Transparency};
use crate::bounds;
use crate::error::Error;
use crate::regular;

/// How many pixels a picture may have: where Pillow refuses one as a decompression bomb.
pub const MAX_PIXELS: u64 = bounds::PIXELS;

const EXPECTED: &str = "a PNG, JPEG, WebP, GIF, BMP or TIFF picture";
const EXPECTED_JPEG: &str = "a whole JPEG picture";
const CUT_SHORT: &str = "one that is cut short";
const EXPECTED_SIZE: &str = "a picture of at most 178956970 pixels";
const EXPECTED_DEPTH: &str = "a picture of 8 or 16 bits a channel";

/// A picture and what was done to make it upright and 8-bit RGB.
pub struct DecodedPicture {
    /// The picture.
    pub picture: Picture,
    /// The EXIF orientation, 2 to 8, which [`PictureReader::Pillow`] has applied.
    pub orientation: Option<u8>,
    /// Whether any of it was transparent.
    pub transparent: bool,
    /// How many pixels of a 16-bit grey picture were more than 255 and became 255.
    pub clipped: usize,
}

/// Reads a picture (PNG, JPEG, WebP, GIF, BMP, TIFF), of an animation the first frame, with the values that Pillow has for it
/// or stb_image.
///
/// # Errors
/// A file that cannot be read, is not such a picture, is damaged or cut short, or would be too large.
pub fn read_picture(
    path: &Path,
    reader: PictureReader,
    transparency: Transparency,
) -> Result<DecodedPicture, Error> {
    let wrong = |(expected, found)| Error::Format { path: path.to_path_buf(), expected, found };
    let bytes = regular::read(path, EXPECTED, bounds::PICTURE_BYTES)?;
    let decoded = match image::guess_format(&bytes) {
        Ok(ImageFormat::Jpeg) => decode_jpeg(&bytes, reader),
        Ok(format) => match whole(format) {
            Some(expected) => decode(&bytes, (format, expected), reader, transparency),
            None => Err((EXPECTED, format!("{format:?}"))),
        },
        Err(_) if bytes.is_empty() => Err((EXPECTED, "an empty file".to_string())),
        Err(_) => Err((EXPECTED, "a file of another kind".to_string())),
    };
    decoded.map_err(wrong)
}

/// What is expected of a file of this format, if it is one that the `image` crate reads here.
fn whole(format: ImageFormat) -> Option<&'static str> {
    match format {
        ImageFormat::Png => Some("a whole PNG picture"),
        ImageFormat::WebP => Some("a whole WebP picture"),
        ImageFormat::Gif => Some("a whole GIF picture"),
        ImageFormat::Bmp => Some("a whole BMP picture"),
        ImageFormat::Tiff => Some("a whole TIFF picture"),
        _ => None,
    }
}

/// What was expected, and what was found.
type Mismatch = (&'static str, String);

fn decode_jpeg(bytes: &[u8], reader: PictureReader) -> Result<DecodedPicture, Mismatch> {
    let damaged = |error| match error {
        JpegError::UnexpectedEof => (EXPECTED_JPEG, CUT_SHORT.to_string()),
        error => (EXPECTED_JPEG, format!("a damaged one: {error}")),
    };
    let header = JpegHeader::read(bytes).map_err(damaged)?;
    let (width, height) = header.extents();
    check_extents(width as u64, height as u64)?;
    // A block of 8 x 8 pixels takes at least a bit: what is shorter is not whole, and nothing is allocated for it.
    if width * height / 64 / 8 > bytes.len() {
        return Err((EXPECTED_JPEG, CUT_SHORT.to_string()));
    }
    let orientation = header.orientation();
    let picture = header.decode(MAX_PIXELS).map_err(damaged)?;
    reader.turn(picture, orientation.and_then(Orientation::from_exif))
}

fn decode(
    bytes: &[u8],
    (format, expected): (ImageFormat, &'static str),
    reader: PictureReader,
    transparency: Transparency,
) -> Result<DecodedPicture, Mismatch> {
    let damaged = |error| match error {
        ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            (expected, CUT_SHORT.to_string())
        }
        ImageError::Unsupported(error) => (expected, format!("one of a kind that is not read: {error}")),
        error => (expected, format!("a damaged one: {error}")),
    };
    let mut limits = Limits::default();
    limits.max_alloc = Some(bounds::PICTURE_BYTES);
    let mut file = ImageReader::with_format(Cursor::new(bytes), format);
    file.limits(limits);
    let mut decoder = file.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    check_extents(u64::from(width), u64::from(height))?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    let (picture, transparent, clipped) = to_rgb(image, reader, transparency)?;
    Ok(DecodedPicture { transparent, clipped, ..reader.turn(picture, Some(orientation))? })
}

/// What is wrong with a picture's extents, before anything is allocated for it.
fn check_extents(width: u64, height: u64) -> Result<(), Mismatch> {
    match width.checked_mul(height) {
        Some(0) => Err((EXPECTED_SIZE, format!("{width} x {height} pixels"))),
        Some(pixels) if pixels <= MAX_PIXELS => Ok(()),
        pixels => Err((EXPECTED_SIZE, format!("{width} x {height} = {} pixels", pixels.unwrap_or(u64::MAX)))),
    }
}

impl PictureReader {
    /// The picture as a viewer shows it, if that is what this library gives.
    fn turn(self, picture: Picture, orientation: Option<Orientation>) -> Result<DecodedPicture, Mismatch> {
        let turned = orientation.filter(|orientation| *orientation != Orientation::NoTransforms);
        let decoded = |picture| DecodedPicture {
            picture,
            orientation: turned.map(Orientation::to_exif),
            transparent: false,
            clipped: 0,
        };
        let Some(orientation) = turned.filter(|_| self == PictureReader::Pillow) else {
            return Ok(decoded(picture));
        };
        let extent = |n: usize| u32::try_from(n).map_err(|_| (EXPECTED_SIZE, format!("an extent of {n}")));
        let (width, height) = (extent(picture.width)?, extent(picture.height)?);
        let image = RgbImage::from_raw(width, height, picture.pixels)
            .ok_or((EXPECTED, "fewer pixels than its extents say".to_string()))?;
        let mut image = DynamicImage::ImageRgb8(image);
        image.apply_orientation(orientation);
        Ok(decoded(to_picture(image.into_rgb8())))
    }
}

fn to_picture(image: RgbImage) -> Picture {
    Picture { height: image.height() as usize, width: image.width() as usize, pixels: image.into_raw() }
}

/// The picture in 8-bit RGB, whether any of it is transparent, and how many values were clipped.
fn to_rgb(
    image: DynamicImage,
    reader: PictureReader,
    transparency: Transparency,
) -> Result<(Picture, bool, usize), Mismatch> {
    let (height, width) = (image.height() as usize, image.width() as usize);
    // Of 16 bits the high byte is kept, except by Pillow in grey without alpha.
    let high = |value: u16| value.to_be_bytes()[0];
    let (pixels, alpha, clipped) = match image {
        DynamicImage::ImageRgb8(image) => (image.into_raw(), None, 0),
        DynamicImage::ImageLuma8(image) => (grey(image.iter().copied()), None, 0),
        DynamicImage::ImageLumaA8(image) => {
            let (values, alpha) = split::<2>(&image);
            (grey(values.into_iter()), Some(alpha), 0)
        }
        DynamicImage::ImageRgba8(image) => {
            let (pixels, alpha) = split::<4>(&image);
            (pixels, Some(alpha), 0)
        }
        DynamicImage::ImageLuma16(image) if reader == PictureReader::StbImage => {
            (grey(image.iter().copied().map(high)), None, 0)
        }
        DynamicImage::ImageLuma16(image) => {
            let clipped = image.iter().filter(|value| **value > 255).count();
            (grey(image.iter().map(|value| u8::try_from(*value).unwrap_or(u8::MAX))), None, clipped)
        }
        DynamicImage::ImageLumaA16(image) => {
            let (values, alpha) = split::<2>(&image.iter().copied().map(high).collect::<Vec<u8>>());
            (grey(values.into_iter()), Some(alpha), 0)
        }
        DynamicImage::ImageRgb16(image) => (image.iter().copied().map(high).collect(), None, 0),
        DynamicImage::ImageRgba16(image) => {
            let (pixels, alpha) = split::<4>(&image.iter().copied().map(high).collect::<Vec<u8>>());
            (pixels, Some(alpha), 0)
        }
        other => return Err((EXPECTED_DEPTH, format!("{:?}", other.color()))),
    };
    let transparent = alpha.as_ref().is_some_and(|alpha| alpha.iter().any(|alpha| *alpha < u8::MAX));
    let mut picture = Picture { height, width, pixels };
    if let (Some(alpha), Transparency::OverWhite) = (alpha, transparency) {
        lay_over_white(&mut picture.pixels, &alpha);
    }
    Ok((picture, transparent, clipped))
}

/// Each value three times.
fn grey(values: impl Iterator<Item = u8>) -> Vec<u8> {
    values.flat_map(|value| [value; 3]).collect()
}

/// Colour and alpha of pixels of `N` channels.
fn split<const N: usize>(pixels: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (pixels, _) = pixels.as_chunks::<N>();
    let color = pixels.iter().flat_map(|pixel| &pixel[..N - 1]).copied().collect();
    (color, pixels.iter().map(|pixel| pixel[N - 1]).collect())
}

/// Pillow's `alpha_composite` over opaque white: each product rounded to nearest.
fn lay_over_white(pixels: &mut [u8], alpha: &[u8]) {
    let (pixels, _) = pixels.as_chunks_mut::<3>();
    for (pixel, alpha) in pixels.iter_mut().zip(alpha) {
        for value in pixel {
            let (color, alpha) = (u32::from(*value), u32::from(*alpha));
            let sum = color * alpha + 255 * (255 - alpha) + 127;
            *value = u8::try_from(sum / 255).unwrap_or(u8::MAX);
        }
    }
}
