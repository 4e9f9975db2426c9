//! What a dump is judged by, held against what the dump itself says that it was computed from.

use std::path::Path;

use encoder::{Checkpoint, Settings, TapTensor};
use harness::provenance::sha256::{hash_file, hash_files};
use harness::provenance::{self, DumpRecord, Identity, InputTensor};

use crate::encode::{settings, weight_tensors};
use crate::shell::failure::Failure;

/// Weights, input and settings as they were named.
pub(super) struct NamedSources<'a> {
    pub(super) checkpoint: &'a Checkpoint,
    pub(super) input: &'a Path,
    pub(super) image: &'a TapTensor,
    pub(super) settings: &'a Settings,
}

impl NamedSources<'_> {
    /// Refuses to judge a dump by other weights, another input or other settings than its record names.
    pub(super) fn check(&self, record: &DumpRecord) -> Result<(), Failure> {
        let named = Identity {
            weights: Some(hash_files(self.checkpoint.files()).map_err(Failure::unreadable)?),
            weight_tensors: Some(weight_tensors::of(self.checkpoint, self.settings)?),
            input: Some(hash_file(self.input).map_err(Failure::unreadable)?),
            input_tensor: Some(InputTensor::of(&self.image.shape, &self.image.data)),
            settings: settings::by_name(self.settings),
        };
        let recorded = record.identity(&settings::OF_VERSION_1);
        provenance::check(&recorded, &named, &[]).map_err(|error| {
            Failure::found(error).help("name what the dump was computed from (--weights, --input), or dump the port again with these")
        })
    }
}

/// Refuses values that no picture has.
pub(super) fn expect_unit_range(path: &Path, image: &TapTensor) -> Result<(), Failure> {
    let found = image.data.iter().find(|x| !(0.0..=1.0).contains(*x));
    match found {
        None => Ok(()),
        Some(found) => Err(Failure::usage(
            format!("{}: expected values from 0 to 1, found {found}", path.display()),
            "give the picture itself, or what the model takes before any mean is subtracted, divided by 255",
        )),
    }
}
