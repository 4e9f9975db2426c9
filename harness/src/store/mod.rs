//! Where tensors are kept: named tensors that are read one at a time, whatever the files behind them.
//!
//! [`open`] tells by content what is at a path: a folder of `.npy` files, of raw elements with their shapes beside them, of
//! containers, or of another tool's own dumper; or one container, such as `.npz`, safetensors, what `torch.save` writes, an
//! ONNX tensor or a text log of printed values. A [`TensorStore`] lists its tensors by key, which is what the store itself
//! calls them, and by name, which is what the mapping calls them ([`Naming`]). A [`StoredTensor`] is one of them with its
//! shape known and its elements still on disk: it is read whole, or piece by piece so that tensors larger than memory can be
//! compared.

mod computed;
mod container;
mod dump_folder;
mod error;
mod file_kind;
mod fingerprint;
mod folder;
mod item;
mod lazy;
mod naming;
mod npy;
mod npz;
mod onnx;
mod open_error;
mod printed;
mod printed_tensor;
mod raw;
mod regular;
mod safetensors;
mod stored;
mod tensor_store;
mod torch;

pub use computed::ComputedStore;
pub use error::{Place, StoreError, TensorProblem};
pub use fingerprint::{Algorithm, Fingerprint};
pub use naming::{CallChoice, Naming};
pub use npy::{open as open_npy, read as read_npy, write as write_npy};
pub use open_error::OpenError;
pub use printed_tensor::{PrintedNumber, PrintedTensor};
pub(crate) use stored::PIECE;
pub use stored::{Pieces, StoredTensor};
pub use tensor_store::{ReadAs, StoreEntry, TensorStore, open};
