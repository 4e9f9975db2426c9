//! What the encoder is run on.

use std::io::Read;
use std::path::Path;

use encoder::TapTensor;
use harness::store::read_npy;

use crate::shell::failure::Failure;
use crate::shell::paths;

/// Reads an input: an image, or an `.npy` of `[batch, channels, height, width]`.
pub(crate) fn read_input(path: &Path) -> Result<TapTensor, Failure> {
    let mut magic = [0; 6];
    let regular = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    let npy = regular
        && std::fs::File::open(path).is_ok_and(|mut file| file.read_exact(&mut magic).is_ok())
        && &magic == b"\x93NUMPY";
    if !npy && path.extension().is_none_or(|extension| extension != "npy") {
        return encoder::input::read_image(path)
            .map_err(|error| Failure::unreadable(error).or_help(|| paths::unreadable_help(path)));
    }
    let tensor = read_npy(path, None)
        .map_err(|error| Failure::unreadable(error).or_help(|| paths::unreadable_help(path)))?;
    let data = tensor.to_f32().iter().copied().collect();
    Ok(TapTensor { shape: tensor.shape().to_vec(), data })
}
