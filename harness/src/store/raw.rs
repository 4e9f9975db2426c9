//! Files of elements alone, `NAME.f32` or `NAME.bin`, whose shape is in a file beside them: `NAME.json` or `NAME.shape`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::error::{Place, StoreError, TensorProblem};
use super::item::{Item, TensorSource, as_text};
use super::regular;
use super::stored::{ElementBytes, Encoding, StoredTensor};
use crate::tensor::{Dtype, element_count};

/// More than any description of a tensor takes.
const MAX_SIDECAR: u64 = 1 << 16;
const EXPECTED: &str = "NAME.json with `shape`, slowest first, or NAME.shape such as `1,3,224,224`";

/// A file of elements.
#[derive(Debug)]
struct RawTensor {
    path: PathBuf,
    sidecar: Option<PathBuf>,
}

/// What a `.json` file says of a tensor. Other keys, such as statistics, are left alone.
#[derive(Deserialize)]
struct RawSidecar {
    #[serde(alias = "dims")]
    shape: Vec<usize>,
    dtype: Option<String>,
    #[serde(alias = "order")]
    layout: Option<String>,
}

/// The tensor of a file of elements, by its extension; `None` for other files, and for `.bin` files of unknown shape, which
/// may be anything.
pub(super) fn item(path: &Path) -> Option<Item> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    if extension != "bin" && dtype_named(&extension).is_none() {
        return None;
    }
    let sidecar = sidecar(path);
    if extension == "bin" && sidecar.is_none() {
        return None;
    }
    let (key, stem) = (as_text(path.file_name()?), as_text(path.file_stem()?));
    Some(Item { key, stem, call: None, source: Arc::new(RawTensor { path: path.to_path_buf(), sidecar }) })
}

/// The file that says what shape a file of elements has.
fn sidecar(path: &Path) -> Option<PathBuf> {
    let longer = |extension: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(extension);
        PathBuf::from(name)
    };
    let candidates =
        [path.with_extension("json"), path.with_extension("shape"), longer(".json"), longer(".shape")];
    candidates.into_iter().find(|candidate| candidate.is_file())
}

fn dtype_named(name: &str) -> Option<Dtype> {
    match name.to_ascii_lowercase().trim_start_matches("torch.").trim_start_matches(['<', '>', '=']) {
        "f16" | "float16" | "fp16" | "half" | "f2" => Some(Dtype::F16),
        "bf16" | "bfloat16" => Some(Dtype::Bf16),
        "f32" | "float32" | "fp32" | "float" | "f4" => Some(Dtype::F32),
        "f64" | "float64" | "fp64" | "double" | "f8" => Some(Dtype::F64),
        _ => None,
    }
}

impl RawTensor {
    fn described(&self) -> Result<RawSidecar, TensorProblem> {
        let missing = |found: String| TensorProblem::NoShape { expected: EXPECTED.to_string(), found };
        let Some(sidecar) = &self.sidecar else { return Err(missing("neither".to_string())) };
        let (file, length) = regular::open(sidecar)?;
        let shown = sidecar.display();
        if length > MAX_SIDECAR {
            return Err(missing(format!("{shown} of {length} bytes")));
        }
        let mut text = String::new();
        file.take(MAX_SIDECAR).read_to_string(&mut text)?;
        if sidecar.extension().is_some_and(|extension| extension == "json") {
            return serde_json::from_str(&text).map_err(|error| missing(format!("{shown}: {error}")));
        }
        // A sign or a point belongs to a number, which then is no extent.
        let numbers = text.split(|c: char| !(c.is_ascii_digit() || c == '-' || c == '.'));
        let extents = numbers.filter(|part| part.contains(|c: char| c.is_ascii_digit()));
        let shape: Result<Vec<usize>, _> = extents.map(str::parse).collect();
        match shape {
            Ok(shape) if !shape.is_empty() => Ok(RawSidecar { shape, dtype: None, layout: None }),
            _ => Err(missing(format!("{shown} with `{}`", text.trim().chars().take(40).collect::<String>()))),
        }
    }

    fn encoding(&self, described: &RawSidecar) -> Result<Encoding, TensorProblem> {
        let extension = self.path.extension().unwrap_or_default().to_string_lossy();
        let dtype = match (&described.dtype, dtype_named(&extension)) {
            (Some(name), _) => dtype_named(name).ok_or_else(|| TensorProblem::Dtype {
                found: format!("`{name}`"),
                two_byte_integers: false,
            })?,
            (None, named) => named.unwrap_or(Dtype::F32),
        };
        let column_major = match described.layout.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("row-major" | "row_major" | "c") => false,
            Some("column-major" | "column_major" | "f" | "fortran") => true,
            Some(other) => {
                return Err(TensorProblem::Header(format!(
                    "expected `layout` row-major or column-major, found `{other}`"
                )));
            }
        };
        let big_endian = described.dtype.as_deref().is_some_and(|name| name.starts_with('>'));
        Ok(Encoding { dtype, big_endian, column_major })
    }
}

impl TensorSource for RawTensor {
    fn open(&self) -> Result<StoredTensor, StoreError> {
        let place = Place::file(&self.path);
        let at = |problem| place.error(problem);
        let described = self.described().map_err(at)?;
        let encoding = self.encoding(&described).map_err(at)?;
        let (file, found) = regular::open(&self.path).map_err(at)?;
        let (shape, dtype) = (described.shape, encoding.dtype);
        let bytes = element_count(&shape).and_then(|count| count.checked_mul(dtype.size()));
        let Some(expected) = bytes.map(|bytes| bytes as u64) else {
            return Err(at(TensorProblem::Shape { found: format!("{shape:?}") }));
        };
        match found.cmp(&expected) {
            std::cmp::Ordering::Less => Err(at(TensorProblem::Truncated { shape, dtype, expected, found })),
            std::cmp::Ordering::Greater => {
                Err(at(TensorProblem::Oversized { shape, dtype, expected, found }))
            }
            std::cmp::Ordering::Equal => {
                StoredTensor::new(place, shape, encoding, ElementBytes::at(0, Arc::new(file)))
            }
        }
    }
}
