//! Files of several tensors, whatever their format.

use std::path::Path;

use super::error::{Place, StoreError, TensorProblem};
use super::file_kind::FileKind;
use super::item::Item;
use super::{npz, onnx, printed, safetensors, torch};
use crate::tensor::Dtype;

/// The tensors of a file, told by its content.
///
/// # Errors
/// A file of another kind, or one that cannot be read.
pub(super) fn items(path: &Path, two_byte_integers: Option<Dtype>) -> Result<Vec<Item>, StoreError> {
    let items = match FileKind::of(path) {
        FileKind::Npz => npz::items(path, two_byte_integers),
        FileKind::Safetensors => safetensors::items(path, two_byte_integers),
        FileKind::Torch => torch::items(path, two_byte_integers),
        FileKind::PrintedLog => printed::items(path),
        FileKind::Onnx => onnx::items(path, two_byte_integers),
        FileKind::Npy | FileKind::Other(_) | FileKind::Unknown => {
            let expected = "a folder of .npy files, an .npz archive, a safetensors or PyTorch file, an ONNX tensor or a text log of printed tensors";
            let found = FileKind::describe(path);
            Err(Place::file(path).error(TensorProblem::Kind { expected, found }))
        }
    };
    items.map(|mut items| {
        items.sort_by(|a, b| a.key.cmp(&b.key));
        items
    })
}
