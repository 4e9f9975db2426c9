//! Photographs as model inputs: `[batch, channels, height, width]` in [0, 1].

use std::path::Path;

use crate::error::Error;
use crate::tap::TapTensor;

const EXPECTED: &str = "a PNG or JPEG image";

/// Reads a photograph (PNG or JPEG): 8-bit RGB / 255 at its own size, batch 1.
///
/// # Errors
/// A file that cannot be read or is not an image.
pub fn read_image(path: &Path) -> Result<TapTensor, Error> {
    // Opening a pipe would block until something writes to it.
    let metadata =
        std::fs::metadata(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })?;
    if !metadata.is_file() {
        let found = if metadata.is_dir() { "a folder" } else { "no regular file" };
        return Err(Error::Format { path: path.to_path_buf(), expected: EXPECTED, found: found.to_string() });
    }
    let format = |error: image::ImageError| Error::Format {
        path: path.to_path_buf(),
        expected: EXPECTED,
        found: error.to_string(),
    };
    let reader = image::ImageReader::open(path)
        .and_then(image::ImageReader::with_guessed_format)
        .map_err(|source| Error::Read { path: path.to_path_buf(), source })?;
    let image = reader.decode().map_err(format)?.into_rgb8();
    let (width, height) = (image.width() as usize, image.height() as usize);
    let pixels = image.as_raw();
    let mut data = vec![0.0; pixels.len()];
    for (channel, plane) in data.chunks_exact_mut((width * height).max(1)).enumerate() {
        for (out, pixel) in plane.iter_mut().zip(pixels.chunks_exact(3)) {
            *out = f32::from(pixel[channel]) / 255.0;
        }
    }
    Ok(TapTensor { shape: vec![1, 3, height, width], data })
}
