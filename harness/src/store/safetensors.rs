//! Safetensors files: a JSON header that says where each tensor lies, then their elements.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use safetensors::tensor::{Dtype as StoredType, Metadata, TensorInfo};

use super::error::{Place, StoreError, TensorProblem};
use super::item::{Item, TensorSource};
use super::regular;
use super::stored::{ElementBytes, Encoding, StoredTensor};
use crate::tensor::Dtype;

/// The longest header that the format allows.
const MAX_HEADER: u64 = 100_000_000;
const EXPECTED: &str = "a safetensors file";

/// One tensor of a file, which is opened once the tensor is wanted: a folder may have thousands of files.
#[derive(Debug)]
struct SafetensorsTensor {
    path: PathBuf,
    name: String,
    info: TensorInfo,
    /// Where the elements of the file begin.
    data: u64,
    two_byte_integers: Option<Dtype>,
}

/// The tensors of a file.
///
/// # Errors
/// A file that cannot be read, or is not as its header says.
pub(super) fn items(path: &Path, two_byte_integers: Option<Dtype>) -> Result<Vec<Item>, StoreError> {
    let place = Place::file(path);
    let damaged = |found: String| place.error(TensorProblem::Damaged { expected: EXPECTED, found });
    let (mut file, length) = regular::open(path).map_err(|problem| place.error(problem))?;
    let mut size = [0; 8];
    file.read_exact(&mut size).map_err(|error| place.error(error.into()))?;
    let header = u64::from_le_bytes(size);
    let most = MAX_HEADER.min(length.saturating_sub(8));
    if header > most {
        return Err(place.error(TensorProblem::HeaderLength { header, length, most }));
    }
    let mut text = Vec::new();
    file.by_ref().take(header).read_to_end(&mut text).map_err(|error| place.error(error.into()))?;
    let metadata: Metadata =
        serde_json::from_slice(&text).map_err(|error| damaged(format!("its header: {error}")))?;
    let (expected, found) = (metadata.data_len() as u64, length - 8 - header);
    if expected != found {
        let what = if found < expected { "cut short" } else { "too long" };
        return Err(damaged(format!("{what}: its tensors take {expected} bytes, there are {found}")));
    }
    let source = |(name, info): (String, &TensorInfo)| {
        let source = SafetensorsTensor {
            path: path.to_path_buf(),
            name: name.clone(),
            info: info.clone(),
            data: 8 + header,
            two_byte_integers,
        };
        Item::named(&name, source)
    };
    Ok(metadata.tensors().into_iter().map(source).collect())
}

impl TensorSource for SafetensorsTensor {
    fn open(&self) -> Result<StoredTensor, StoreError> {
        let place = Place::inside(&self.path, &self.name);
        let dtype = match (self.info.dtype, self.two_byte_integers) {
            (StoredType::F16, _) => Dtype::F16,
            (StoredType::BF16, _) => Dtype::Bf16,
            (StoredType::F32, _) => Dtype::F32,
            (StoredType::F64, _) => Dtype::F64,
            (StoredType::U16 | StoredType::I16, Some(dtype)) => dtype,
            (other, _) => {
                let two_byte_integers = matches!(other, StoredType::U16 | StoredType::I16);
                let found = format!("{other:?}");
                return Err(place.error(TensorProblem::Dtype { found, two_byte_integers }));
            }
        };
        let encoding = Encoding { dtype, big_endian: false, column_major: false };
        let offset = self.data + self.info.data_offsets.0 as u64;
        let (file, _) = regular::open(&self.path).map_err(|problem| place.error(problem))?;
        StoredTensor::new(place, self.info.shape.clone(), encoding, ElementBytes::at(offset, Arc::new(file)))
    }
}
