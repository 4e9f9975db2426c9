//! Tensors that cannot be read, and why.

use std::path::PathBuf;

use crate::tensor::Dtype;

/// A tensor that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct StoreError {
    /// The file.
    pub path: PathBuf,
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
    #[error("expected an .npy file, found a folder; name one of the files in it")]
    Folder,
    #[error("expected an .npy file (it starts with \\x93NUMPY), found {found}")]
    NotNpy { found: String },
    #[error("expected .npy format version 1, 2 or 3, found {major}.{minor}")]
    Version { major: u8, minor: u8 },
    #[error(
        "expected a header that fits in the file ({length} bytes) and in 8 KiB, found one of {header} bytes"
    )]
    HeaderLength { header: u64, length: u64 },
    #[error("malformed header: {0}")]
    Header(String),
    #[error(
        "expected a floating-point dtype (<f2, <f4, <f8, or bf16 as V2), found {found}; save it as float32, \
         or say in the mapping what `two_byte_integers` are"
    )]
    Dtype { found: String },
    #[error("expected a shape that can exist, found {found}")]
    Shape { found: String },
    #[error(
        "truncated: shape {shape:?} of {dtype} takes {expected} bytes, found {found}; \
         was the dump cut short, or the disk full?"
    )]
    Truncated { shape: Vec<usize>, dtype: Dtype, expected: u64, found: u64 },
    #[error("oversized: shape {shape:?} of {dtype} takes {expected} bytes, found {found}")]
    Oversized { shape: Vec<usize>, dtype: Dtype, expected: u64, found: u64 },
}
