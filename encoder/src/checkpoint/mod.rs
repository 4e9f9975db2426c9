//! Named weights, memory-mapped.
//!
//! Names are normalised to timm's here: the rest of the crate knows no Hugging Face prefixes.

mod kind;
mod names;
mod safetensors;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use ::safetensors::Dtype;
use memmap2::Mmap;
#[cfg(test)]
pub(crate) use names::EMBEDDER;
pub(crate) use names::FIRST_WEIGHT;
use rayon::prelude::*;

use crate::error::Error;

/// Where a tensor's elements are.
enum Location {
    File { shard: usize, dtype: Dtype, range: Range<usize> },
    Memory(Vec<f32>),
}

struct Entry {
    shape: Vec<usize>,
    location: Location,
}

/// The encoder's weights by timm's names, the embedder's with the prefix `embed_vision.`.
pub struct Checkpoint {
    origin: String,
    files: Vec<PathBuf>,
    shards: Vec<Mmap>,
    entries: BTreeMap<String, Entry>,
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
            entries.insert(name, Entry { shape, location: Location::Memory(data) });
        }
        Ok(Checkpoint { origin, files: Vec::new(), shards: Vec::new(), entries })
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

    /// The elements of a tensor, widened to f32, in row-major order.
    ///
    /// # Errors
    /// A missing tensor, another shape, a type other than F32, F16, BF16, an element that is not finite.
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
        let entry = self.entries.get(name).ok_or_else(|| Error::MissingTensor {
            origin: self.origin.clone(),
            name: name.to_string(),
            needed_by: format!("expected a tensor of shape {shape:?}"),
        })?;
        if entry.shape != shape {
            return Err(Error::Shape {
                origin: self.origin.clone(),
                name: name.to_string(),
                expected: format!("{shape:?}"),
                found: entry.shape.clone(),
            });
        }
        let view = match &entry.location {
            Location::Memory(values) => View { elements: StoredElements::Memory(values), mapped: None },
            Location::File { shard, dtype, range } => {
                let bytes = &self.shards[*shard][range.clone()];
                let elements = match dtype {
                    Dtype::F32 => StoredElements::F32(bytes.as_chunks().0),
                    Dtype::F16 => StoredElements::F16(bytes.as_chunks().0),
                    Dtype::BF16 => StoredElements::Bf16(bytes.as_chunks().0),
                    other => {
                        return Err(Error::Dtype {
                            origin: self.origin.clone(),
                            name: name.to_string(),
                            found: format!("{other:?}"),
                        });
                    }
                };
                View { elements, mapped: Some((&self.shards[*shard], range.clone())) }
            }
        };
        match view.first_not_finite(shape.iter().product()) {
            None => Ok(view),
            Some((index, value)) => {
                Err(Error::NonFinite { origin: self.origin.clone(), name: name.to_string(), index, value })
            }
        }
    }
}

/// A tensor in place; the memory of its mapping is released when it is dropped.
pub(crate) struct View<'a> {
    elements: StoredElements<'a>,
    /// The file, and where in it.
    mapped: Option<(&'a Mmap, Range<usize>)>,
}

enum StoredElements<'a> {
    Memory(&'a [f32]),
    F32(&'a [[u8; 4]]),
    F16(&'a [[u8; 2]]),
    Bf16(&'a [[u8; 2]]),
}

impl View<'_> {
    /// Widens the elements from `start` on, in row-major order, as many as `out` takes.
    pub(crate) fn read(&self, start: usize, out: &mut [f32]) {
        let end = start + out.len();
        match self.elements {
            StoredElements::Memory(values) => out.copy_from_slice(&values[start..end]),
            StoredElements::F32(bytes) => widen(&bytes[start..end], out, f32::from_le_bytes),
            StoredElements::F16(bytes) => {
                widen(&bytes[start..end], out, |b| half::f16::from_le_bytes(b).to_f32());
            }
            StoredElements::Bf16(bytes) => {
                widen(&bytes[start..end], out, |b| half::bf16::from_le_bytes(b).to_f32());
            }
        }
    }

    fn first_not_finite(&self, elements: usize) -> Option<(usize, f32)> {
        const CHUNK: usize = 1 << 14;
        (0..elements.div_ceil(CHUNK)).into_par_iter().find_map_first(|chunk| {
            let start = chunk * CHUNK;
            let values = &mut [0.0; CHUNK][..CHUNK.min(elements - start)];
            self.read(start, values);
            // A sum over all of them is faster than asking each, and not finite if one is not.
            if values.iter().map(|x| x * 0.0).sum::<f32>() == 0.0 {
                return None;
            }
            let index = values.iter().position(|x| !x.is_finite())?;
            Some((start + index, values[index]))
        })
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some((map, range)) = &self.mapped {
            let advice = memmap2::UncheckedAdvice::DontNeed;
            // SAFETY: the map is read-only and of a file: pages that are given back are read from the file again.
            // A refusal costs memory and nothing else.
            let _ = unsafe { map.unchecked_advise_range(advice, range.start, range.len()) };
        }
    }
}

/// Elements of `N` bytes each as f32.
fn widen<const N: usize>(bytes: &[[u8; N]], out: &mut [f32], convert: impl Fn([u8; N]) -> f32) {
    for (out, bytes) in out.iter_mut().zip(bytes) {
        *out = convert(*bytes);
    }
}
