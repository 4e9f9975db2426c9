//! Where tensors come from: weights, input and settings, so that outputs of different models are not compared; and
//! whether they are still the tensors that were recorded.

mod dump;
mod fingerprints;
mod identity;
mod record;
mod recorded;
pub mod settings;
pub mod sha256;
mod weight_tensors;

pub use dump::{Dump, DumpOpenError, Several};
pub use identity::{Identity, InputTensor, ProvenanceError, check};
pub use record::{DumpRecord, DumpRecordError, FILE_NAME, SCHEMA_VERSION};
pub use recorded::{RecordDifference, RecordDifferenceKind, RecordedTensor, Recording, difference_kinds};
pub use settings::SettingFacts;
pub use weight_tensors::{RoundedWeights, WeightDifference, WeightDifferenceKind, WeightTensors};
