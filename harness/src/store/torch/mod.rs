//! PyTorch files, as `torch.save` writes dictionaries, lists or single tensors: parsed for their tensors, nothing in them is
//! run.

mod bare;
mod wrapped;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pytorch_reader::{DType, PytorchError, PytorchReader, Tensor as TorchTensor};

use super::error::{Place, StoreError, TensorProblem};
use super::item::{Item, TensorSource};
use super::lazy::LazyBytes;
use super::regular;
use super::stored::{ElementBytes, Encoding, StoredTensor};
use crate::tensor::Dtype;

const EXPECTED: &str = "a PyTorch file of tensors";

/// One tensor of a file.
#[derive(Debug)]
struct TorchSource {
    path: PathBuf,
    tensor: TorchTensor,
    two_byte_integers: Option<Dtype>,
}

/// The tensors of a file; those of nested dictionaries by their path, with dots. Where the file holds a single tensor, it is
/// called as the file is.
///
/// # Errors
/// A file that cannot be read, or holds neither tensors nor what can hold them.
pub(super) fn items(path: &Path, two_byte_integers: Option<Dtype>) -> Result<Vec<Item>, StoreError> {
    let place = Place::file(path);
    regular::open(path).map_err(|problem| place.error(problem))?;
    let reader = match PytorchReader::new(path) {
        Ok(reader) => reader,
        Err(error) => {
            let bare = matches!(error, PytorchError::InvalidFormat(_));
            let items = bare.then(|| bare::items(path, two_byte_integers)).flatten();
            return items.ok_or_else(|| place.error(problem(error)));
        }
    };
    let source = |(name, tensor): (String, TorchTensor)| {
        Item::named(&name, TorchSource { path: path.to_path_buf(), tensor, two_byte_integers })
    };
    Ok(reader.into_tensors().into_iter().map(source).collect())
}

fn problem(error: PytorchError) -> TensorProblem {
    let damaged = |found: String| TensorProblem::Damaged { expected: "a PyTorch file", found };
    match error {
        PytorchError::Io(error) if error.raw_os_error().is_some() => error.into(),
        PytorchError::Io(error) => damaged(error.to_string()),
        PytorchError::Zip(error) => damaged(error.to_string()),
        other => TensorProblem::Kind { expected: EXPECTED, found: other.to_string() },
    }
}

impl TensorSource for TorchSource {
    fn open(&self) -> Result<StoredTensor, StoreError> {
        let tensor = self.tensor.clone();
        stored(&Place::inside(&self.path, &tensor.name), &self.tensor, self.two_byte_integers, move || {
            tensor.read()
        })
    }
}

/// A tensor whose elements are read once they are wanted.
fn stored(
    place: &Place,
    tensor: &TorchTensor,
    two_byte_integers: Option<Dtype>,
    read: impl Fn() -> std::io::Result<Vec<u8>> + Send + Sync + 'static,
) -> Result<StoredTensor, StoreError> {
    let dtype = match (tensor.dtype(), two_byte_integers) {
        (DType::F16, _) => Dtype::F16,
        (DType::BF16, _) => Dtype::Bf16,
        (DType::F32, _) => Dtype::F32,
        (DType::F64, _) => Dtype::F64,
        (DType::I16 | DType::U16, Some(dtype)) => dtype,
        (other, _) => {
            let two_byte_integers = matches!(other, DType::I16 | DType::U16);
            let found = format!("{other:?}");
            return Err(place.error(TensorProblem::Dtype { found, two_byte_integers }));
        }
    };
    // The reader gives bytes in the machine's own order.
    let encoding = Encoding { dtype, big_endian: cfg!(target_endian = "big"), column_major: false };
    let elements = ElementBytes::at(0, Arc::new(LazyBytes::new(read)));
    StoredTensor::new(place.clone(), tensor.shape().to_vec(), encoding, elements)
}
