//! Weights in a safetensors file.

use std::collections::BTreeMap;

use safetensors::tensor::Metadata;
use safetensors::{SafeTensorError, SafeTensors};

use super::byte_order::ByteOrder;
use super::mapped::MappedFile;
use super::weight_type::WeightType;
use super::{Entry, Location, kind};
use crate::error::Error;

const EXPECTED: &str = "a safetensors file";

/// What is wrong with a file, and what to do.
fn damage(error: &SafeTensorError, bytes: &[u8]) -> String {
    let length = u64::from_le_bytes(bytes.first_chunk().copied().unwrap_or_default());
    let there = bytes.len() as u64 - 8;
    match error {
        SafeTensorError::HeaderTooLarge | SafeTensorError::InvalidHeaderLength if length > there => format!(
            "a header of {length} bytes where {there} are left: something else, or cut short; fetch it again"
        ),
        SafeTensorError::MetadataIncompleteBuffer => {
            let header = bytes[8..].get(..usize::try_from(length).unwrap_or(usize::MAX));
            let metadata = header.and_then(|header| serde_json::from_slice::<Metadata>(header).ok());
            let tensors = metadata.map_or(0, |metadata| metadata.data_len() as u64);
            let found = there.saturating_sub(length);
            let what = if found < tensors { "cut short" } else { "too long" };
            format!("{what}: its tensors take {tensors} bytes, there are {found}; fetch it again")
        }
        other => format!("a damaged one: {other}; fetch it again"),
    }
}

/// Adds the tensors of a file, the `shard`-th of a checkpoint.
///
/// # Errors
/// A file that is malformed or something else; a tensor that is there already.
pub(super) fn read(file: &MappedFile, shard: usize, raw: &mut BTreeMap<String, Entry>) -> Result<(), Error> {
    if let Some(found) = kind::without_weights(&file.bytes) {
        return Err(file.not(EXPECTED, found));
    }
    if file.bytes.starts_with(b"GGUF") {
        return Err(file.not(EXPECTED, "a GGUF file"));
    }
    if file.bytes.len() < 8 {
        return Err(file.not(EXPECTED, format!("a file of {} bytes", file.bytes.len())));
    }
    let (header, metadata) = SafeTensors::read_metadata(&file.bytes)
        .map_err(|error| file.not(EXPECTED, damage(&error, &file.bytes)))?;
    let data = header + 8;
    for (name, info) in metadata.tensors() {
        let range = data + info.data_offsets.0..data + info.data_offsets.1;
        let kind = WeightType::of_safetensors(info.dtype);
        let location = Location::File { shard, kind, order: ByteOrder::Little, range, channels_last: None };
        let entry = Entry { name: name.clone(), shape: info.shape.clone(), location };
        if raw.insert(name.clone(), entry).is_some() {
            return Err(file.not(EXPECTED, format!("tensor `{name}`, which another shard holds too")));
        }
    }
    Ok(())
}
