//! PyTorch files, as `torch.save` writes dictionaries of tensors: parsed for their tensors, nothing in them is run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pytorch_reader::{DType, PytorchError, PytorchReader, Tensor as TorchTensor};

use super::error::{Place, StoreError, TensorProblem};
use super::item::{Item, TensorSource};
use super::lazy::LazyBytes;
use super::regular;
use super::stored::{ElementBytes, Encoding, StoredTensor};
use crate::tensor::Dtype;

const EXPECTED: &str = "a PyTorch file of a dictionary of tensors";

/// One tensor of a file.
#[derive(Debug)]
struct TorchSource {
    path: PathBuf,
    tensor: TorchTensor,
    two_byte_integers: Option<Dtype>,
}

/// The tensors of a file; those of nested dictionaries by their path, with dots.
///
/// # Errors
/// A file that cannot be read, or holds something else than a dictionary.
pub(super) fn items(path: &Path, two_byte_integers: Option<Dtype>) -> Result<Vec<Item>, StoreError> {
    let place = Place::file(path);
    regular::open(path).map_err(|problem| place.error(problem))?;
    let reader = PytorchReader::new(path).map_err(|error| place.error(problem(error)))?;
    let source = |(name, tensor): (String, TorchTensor)| {
        Item::named(&name, TorchSource { path: path.to_path_buf(), tensor, two_byte_integers })
    };
    Ok(reader.into_tensors().into_iter().map(source).collect())
}

fn problem(error: PytorchError) -> TensorProblem {
    match error {
        PytorchError::Io(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => error.into(),
        other => TensorProblem::Kind { expected: EXPECTED, found: other.to_string() },
    }
}

impl TensorSource for TorchSource {
    fn open(&self) -> Result<StoredTensor, StoreError> {
        let place = Place::inside(&self.path, &self.tensor.name);
        let dtype = match (self.tensor.dtype(), self.two_byte_integers) {
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
        let tensor = self.tensor.clone();
        // The reader gives bytes in the machine's own order.
        let encoding = Encoding { dtype, big_endian: cfg!(target_endian = "big"), column_major: false };
        let elements = ElementBytes::at(0, Arc::new(LazyBytes::new(move || tensor.read())));
        StoredTensor::new(place, self.tensor.shape().to_vec(), encoding, elements)
    }
}
