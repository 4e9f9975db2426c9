//! Named weights, memory-mapped.
//!
//! Names, shapes and the order of axes are made timm's here: the rest of the crate knows no Hugging Face prefixes, no GGUF
//! and no MLX. Elements are widened when they are read, piece by piece; quantised ones block by block.

mod byte_order;
mod foreign;
mod gguf;
mod kind;
mod mapped;
mod names;
mod open;
mod quantised;
mod safetensors;
mod snapshot;
mod view;
mod weight_type;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use byte_order::ByteOrder;
use memmap2::Mmap;
#[cfg(test)]
pub(crate) use names::EMBEDDER;
pub(crate) use names::FIRST_WEIGHT;
pub(crate) use view::View;
use view::{ChannelsLast, StoredElements};
pub use weight_type::WeightType;

use crate::error::Error;

/// Where a tensor's elements are.
enum Location {
    File {
        shard: usize,
        kind: WeightType,
        order: ByteOrder,
        range: Range<usize>,
        channels_last: Option<ChannelsLast>,
    },
    Memory(Vec<f32>),
}

struct Entry {
    /// Its name in the file.
    name: String,
    shape: Vec<usize>,
    location: Location,
}

/// What weights are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// Nothing but memory.
    Memory,
    /// One safetensors file.
    Safetensors,
    /// Shards with an index.
    Sharded {
        /// Those that hold tensors of the encoder, and were opened.
        opened: usize,
        /// All that the index names.
        shards: usize,
    },
    /// One GGUF file.
    Gguf {
        /// Of the format.
        version: u32,
        /// Whether its numbers have their highest byte first.
        big_endian: bool,
    },
}

impl std::fmt::Display for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Container::Memory => f.write_str("memory"),
            Container::Safetensors => f.write_str("safetensors"),
            Container::Sharded { opened, shards } => {
                write!(f, "sharded safetensors, {opened} of {shards} shards opened")
            }
            Container::Gguf { version, big_endian: false } => write!(f, "GGUF {version}"),
            Container::Gguf { version, big_endian: true } => write!(f, "GGUF {version}, big-endian"),
        }
    }
}

/// The encoder's weights by timm's names, the embedder's with the prefix `embed_vision.`.
pub struct Checkpoint {
    origin: String,
    files: Vec<PathBuf>,
    shards: Vec<Mmap>,
    entries: BTreeMap<String, Entry>,
    container: Container,
    facts: BTreeMap<String, String>,
    left_alone: Vec<String>,
    channels_last: bool,
}

/// What is known to be wrong with weights that can be used all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointWarning {
    /// There is no bias of the stem.
    NoStemBias,
}

impl std::fmt::Display for CheckpointWarning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CheckpointWarning::NoStemBias => f.write_str(
                "no bias of the stem (`conv_stem.conv.bias`): the first public release of Gemma 3n's weights lacked it, and \
                 had its kernels transposed; what is computed with it is wrong. Use a later release",
            ),
        }
    }
}

impl Checkpoint {
    /// What is known to be wrong with the weights.
    pub fn warnings(&self) -> Vec<CheckpointWarning> {
        let stem = self.entries.contains_key("conv_stem.conv.weight");
        let bias = self.entries.contains_key("conv_stem.conv.bias");
        (stem && !bias).then_some(CheckpointWarning::NoStemBias).into_iter().collect()
    }

    /// Weights in memory, by timm's names (the embedder's with the prefix `embed_vision.`): name, shape, row-major elements.
    ///
    /// # Errors
    /// A shape that does not hold the number of elements given.
    pub fn from_tensors(
        tensors: impl IntoIterator<Item = (String, Vec<usize>, Vec<f32>)>,
    ) -> Result<Checkpoint, Error> {
        let origin = "weights in memory".to_string();
        let mut entries = BTreeMap::new();
        for (name, shape, data) in tensors {
            if shape.iter().product::<usize>() != data.len() {
                return Err(Error::Shape {
                    origin,
                    name,
                    expected: format!("{} elements", data.len()),
                    found: shape,
                });
            }
            entries.insert(name.clone(), Entry { name, shape, location: Location::Memory(data) });
        }
        Ok(Checkpoint {
            origin,
            files: Vec::new(),
            shards: Vec::new(),
            entries,
            container: Container::Memory,
            facts: BTreeMap::new(),
            left_alone: Vec::new(),
            channels_last: false,
        })
    }

    /// The files that hold the weights, in the order of the index; none for weights in memory.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The file, for messages.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// All names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The shape of a tensor, if it exists.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    /// What the weights are kept in.
    pub fn container(&self) -> Container {
        self.container
    }

    /// What the file says of itself, by name.
    pub fn facts(&self) -> &BTreeMap<String, String> {
        &self.facts
    }

    /// Tensors that are none of the encoder's, such as those of audio and language, by their names in the file.
    pub fn left_alone(&self) -> &[String] {
        &self.left_alone
    }

    /// Whether kernels are stored as `[out, k, k, in]`, as MLX has them; they are given as `[out, in, k, k]`.
    pub fn channels_last(&self) -> bool {
        self.channels_last
    }

    /// A tensor's name in the file, if it exists.
    pub fn stored_name(&self, name: &str) -> Option<&str> {
        self.entries.get(name).map(|entry| entry.name.as_str())
    }

    /// What a tensor is stored as, if it exists.
    pub fn stored_type(&self, name: &str) -> Option<&WeightType> {
        match &self.entries.get(name)?.location {
            Location::Memory(_) => Some(&WeightType::F32),
            Location::File { kind, .. } => Some(kind),
        }
    }

    /// The elements of a tensor, which need not be finite, and the most that each may be from the value that was stored:
    /// half a step of its type.
    ///
    /// # Errors
    /// A missing tensor, a type that is not supported.
    pub fn values_and_rounding(&self, name: &str) -> Result<(Vec<f32>, Vec<f32>), Error> {
        let entry = self.entry(name, "to be compared")?;
        let view = self.view_of(entry)?;
        let elements = entry.shape.iter().product();
        let (mut values, mut rounding) = (vec![0.0; elements], vec![0.0; elements]);
        view.read(0, &mut values);
        view.rounding(0, &mut rounding);
        Ok((values, rounding))
    }

    /// The elements of a tensor, widened to f32, in row-major order.
    ///
    /// # Errors
    /// A missing tensor, another shape, a type that is not supported, an element that is not finite.
    pub fn load(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        let view = self.view(name, shape)?;
        let mut values = vec![0.0; shape.iter().product()];
        view.read(0, &mut values);
        Ok(values)
    }

    /// A tensor in place.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub(crate) fn view(&self, name: &str, shape: &[usize]) -> Result<View<'_>, Error> {
        let entry = self.entry(name, &format!("expected a tensor of shape {shape:?}"))?;
        if entry.shape != shape {
            return Err(Error::Shape {
                origin: self.origin.clone(),
                name: name.to_string(),
                expected: format!("{shape:?}"),
                found: entry.shape.clone(),
            });
        }
        let view = self.view_of(entry)?;
        match view.first_not_finite(shape.iter().product()) {
            None => Ok(view),
            Some((index, value)) => {
                Err(Error::NonFinite { origin: self.origin.clone(), name: name.to_string(), index, value })
            }
        }
    }

    fn entry(&self, name: &str, needed_by: &str) -> Result<&Entry, Error> {
        self.entries.get(name).ok_or_else(|| Error::MissingTensor {
            origin: self.origin.clone(),
            name: name.to_string(),
            needed_by: needed_by.to_string(),
        })
    }

    fn view_of<'a>(&'a self, entry: &'a Entry) -> Result<View<'a>, Error> {
        match &entry.location {
            Location::Memory(values) => {
                Ok(View { elements: StoredElements::Memory(values), channels_last: None, mapped: None })
            }
            Location::File { shard, kind, order, range, channels_last } => {
                let map = &self.shards[*shard];
                let elements =
                    StoredElements::of(kind, *order, &map[range.clone()]).ok_or_else(|| Error::Dtype {
                        origin: self.origin.clone(),
                        name: entry.name.clone(),
                        found: kind.to_string(),
                    })?;
                Ok(View { elements, channels_last: *channels_last, mapped: Some((map, range.clone())) })
            }
        }
    }
}
