//! Model inputs: images and `.npy` files as `[batch, channels, height, width]` in [0, 1].

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use crate::error::Error;
use crate::tap::TapTensor;

/// Reads a photograph (PNG or JPEG: 8-bit RGB / 255, at its own size, batch 1) or an `.npy` file of f32 in C order.
///
/// # Errors
/// Files that cannot be read, are neither, or hold something else than they say.
pub fn read(path: &Path) -> Result<TapTensor, Error> {
    let open = |source| Error::Read { path: path.to_path_buf(), source };
    let mut magic = [0; 6];
    let mut file = File::open(path).map_err(open)?;
    let length = file.metadata().map_err(open)?;
    if length.is_dir() {
        return Err(open(std::io::ErrorKind::IsADirectory.into()));
    }
    let npy = file.read_exact(&mut magic).is_ok() && &magic == b"\x93NUMPY";
    if npy { read_npy(path, length.len()) } else { read_image(path) }
}

fn read_image(path: &Path) -> Result<TapTensor, Error> {
    let format = |error: image::ImageError| Error::Format {
        path: path.to_path_buf(),
        expected: "a PNG or JPEG image, or an .npy file",
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

fn read_npy(path: &Path, length: u64) -> Result<TapTensor, Error> {
    let format = |found: String| Error::Format {
        path: path.to_path_buf(),
        expected: "an .npy file of little-endian f32 (`<f4`) in C order, shape [batch, channels, height, width]",
        found,
    };
    let open = |source| Error::Read { path: path.to_path_buf(), source };
    // The header's length is a number in the file: nothing is allocated on its word.
    let mut front = [0; 12];
    let mut file = File::open(path).map_err(open)?;
    file.read_exact(&mut front).map_err(|_| format(format!("a file of {length} bytes")))?;
    let header_length = match front[6] {
        1 => u64::from(u16::from_le_bytes([front[8], front[9]])),
        _ => u64::from(u32::from_le_bytes([front[8], front[9], front[10], front[11]])),
    };
    if header_length > length.min(1 << 16) {
        return Err(format(format!("a header of {header_length} bytes in a file of {length}")));
    }
    let mut reader = BufReader::new(File::open(path).map_err(open)?);
    let header = npyz::NpyHeader::from_reader(&mut reader).map_err(|error| format(error.to_string()))?;
    if header.dtype().descr() != "'<f4'" || header.order() != npyz::Order::C {
        return Err(format(format!("{} in {:?} order", header.dtype().descr(), header.order())));
    }
    let shape: Option<Vec<usize>> = header.shape().iter().map(|n| usize::try_from(*n).ok()).collect();
    let bytes = header.shape().iter().try_fold(4u64, |n, extent| n.checked_mul(*extent));
    let (Some(shape), Some(bytes)) = (shape, bytes) else {
        return Err(format(format!("shape {:?}", header.shape())));
    };
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body).map_err(open)?;
    if body.len() as u64 != bytes {
        return Err(format(format!(
            "shape {shape:?}, which takes {bytes} bytes, before {} bytes",
            body.len()
        )));
    }
    let data = body.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    Ok(TapTensor { shape, data })
}
