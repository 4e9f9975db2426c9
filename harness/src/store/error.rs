//! Tensors that cannot be read, and why.

use std::path::{Path, PathBuf};

use crate::tensor::Dtype;
use crate::text::facts::{Facts, Factual};
use crate::text::shown;

/// Where a tensor is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// What it is called in there; `None` where the file holds one tensor.
    pub tensor: Option<String>,
}

impl Place {
    /// A file of one tensor, or a file as a whole.
    pub(super) fn file(path: &Path) -> Place {
        Place { path: path.to_path_buf(), tensor: None }
    }

    /// A tensor in a file of several.
    pub(super) fn inside(path: &Path, tensor: &str) -> Place {
        Place { path: path.to_path_buf(), tensor: Some(tensor.to_string()) }
    }

    /// What is wrong there.
    pub(super) fn error(&self, problem: TensorProblem) -> StoreError {
        StoreError { place: self.clone(), problem }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.tensor {
            Some(tensor) => write!(f, "{}: `{}`", shown::path(&self.path), shown::escaped(tensor)),
            None => f.write_str(&shown::path(&self.path)),
        }
    }
}

/// A tensor, or a file of tensors, that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct StoreError {
    /// Where it is.
    pub place: Place,
    /// What is wrong with it.
    #[source]
    pub problem: TensorProblem,
}

/// Why a tensor cannot be read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what its fields are")]
pub enum TensorProblem {
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    #[error("expected a file, found a folder; name one of the files in it")]
    Folder,
    #[error("expected {expected}, found {found}")]
    Kind { expected: &'static str, found: String },
    #[error("expected .npy format version 1, 2 or 3, found {major}.{minor}")]
    NpyVersion { major: u8, minor: u8 },
    #[error(
        "expected a header that fits in the file ({length} bytes) and in {most} bytes, found one of {header} bytes"
    )]
    HeaderLength { header: u64, length: u64, most: u64 },
    #[error("malformed header: {0}")]
    Header(String),
    #[error("expected floating-point numbers (f16, bf16, f32 or f64), found {found}{}", remedy(*two_byte_integers))]
    Dtype { found: String, two_byte_integers: bool },
    #[error(
        "expected one tensor, found Python objects (dtype object): a tuple or list was saved; save its tensors one by one"
    )]
    Objects,
    #[error("expected a shape that can exist, found {found}")]
    Shape { found: String },
    #[error("expected the shape of its elements beside it ({expected}), found {found}")]
    NoShape { expected: String, found: String },
    #[error(
        "truncated: shape {shape:?} of {dtype} takes {expected} bytes, found {found}; \
         was the dump cut short, or the disk full?"
    )]
    Truncated { shape: Vec<usize>, dtype: Dtype, expected: u64, found: u64 },
    #[error("oversized: shape {shape:?} of {dtype} takes {expected} bytes, found {found}")]
    Oversized { shape: Vec<usize>, dtype: Dtype, expected: u64, found: u64 },
    #[error("expected {expected}, found a damaged one: {found}; write it again")]
    Damaged { expected: &'static str, found: String },
}

impl Factual for StoreError {
    fn facts(&self) -> Facts {
        let facts = self.problem.facts().with("file", self.place.path.display().to_string());
        match &self.place.tensor {
            Some(tensor) => facts.with("tensor", tensor),
            None => facts,
        }
    }
}

impl Factual for TensorProblem {
    fn facts(&self) -> Facts {
        let bytes = |what, shape: &[usize], dtype: &Dtype, expected: u64, found: u64| {
            let values = [
                ("expected", expected.to_string()),
                ("found", found.to_string()),
                ("dtype", dtype.to_string()),
            ];
            Facts::of(what, values).with("shape", format!("{shape:?}"))
        };
        match self {
            TensorProblem::Io(error) => Facts::of("unreadable", [("reason", error.to_string())]),
            TensorProblem::Folder => Facts::of("folder", []),
            TensorProblem::Kind { expected, found } => {
                Facts::of("other_kind", [("expected", expected.to_string()), ("found", found.clone())])
            }
            TensorProblem::NpyVersion { major, minor } => {
                Facts::of("npy_version", [("found", format!("{major}.{minor}"))])
            }
            TensorProblem::HeaderLength { header, length, most } => Facts::of(
                "header_length",
                [("found", header.to_string()), ("length", length.to_string()), ("most", most.to_string())],
            ),
            TensorProblem::Header(reason) => Facts::of("malformed_header", [("reason", reason.clone())]),
            TensorProblem::Dtype { found, .. } => Facts::of("dtype", [("found", found.clone())]),
            TensorProblem::Objects => Facts::of("objects", []),
            TensorProblem::Shape { found } => Facts::of("impossible_shape", [("found", found.clone())]),
            TensorProblem::NoShape { expected, found } => {
                Facts::of("no_shape", [("expected", expected.clone()), ("found", found.clone())])
            }
            TensorProblem::Truncated { shape, dtype, expected, found } => {
                bytes("truncated", shape, dtype, *expected, *found)
            }
            TensorProblem::Oversized { shape, dtype, expected, found } => {
                bytes("oversized", shape, dtype, *expected, *found)
            }
            TensorProblem::Damaged { expected, found } => {
                Facts::of("damaged", [("expected", expected.to_string()), ("found", found.clone())])
            }
        }
    }
}

fn remedy(two_byte_integers: bool) -> &'static str {
    match two_byte_integers {
        true => {
            "; if they are the bits of bf16 or f16, `two_byte_integers` under the side in the mapping says which"
        }
        false => "; save it as float32",
    }
}
