//! Where tensors are kept: named tensors that are read one at a time, whatever the files behind them.
//!
//! A [`TensorStore`] lists its tensors by key, which is what the store itself calls them, and by name, which is what the
//! mapping calls them. A [`StoredTensor`] is one of them with its shape known and its elements still on disk: it is read
//! whole, or piece by piece so that tensors larger than memory can be compared.

mod error;
mod fingerprint;
mod folder;
mod npy;
mod stored;
mod tensor_store;

pub use error::{StoreError, TensorProblem};
pub use fingerprint::{Algorithm, Fingerprint};
pub use folder::{FolderError, NpyFolder, open};
pub use npy::{open as open_npy, read as read_npy, write as write_npy};
pub(crate) use stored::PIECE;
pub use stored::{Pieces, StoredTensor};
pub use tensor_store::{StoreEntry, TensorStore};
