//! Named weights over safetensors files (one file, a sharded index, or a folder with either), memory-mapped.
//!
//! Names are normalised to timm's here: nothing behind this module knows about Hugging Face prefixes.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use rayon::prelude::*;
use safetensors::{Dtype, SafeTensors};

use crate::error::Error;

/// Prefixes of the vision tower in Hugging Face checkpoints, newest first; the empty one is timm's own state dict.
const TOWER_PREFIXES: [&str; 4] =
    ["model.vision_tower.timm_model.", "vision_tower.timm_model.", "timm_model.", ""];
/// Prefixes of the embedder.
const EMBEDDER_PREFIXES: [&str; 2] = ["model.embed_vision.", "embed_vision."];
/// The prefix by which this module gives the embedder's tensors.
pub(crate) const EMBEDDER: &str = "embed_vision.";
/// The weight that every MobileNetV5 begins with, by which the prefix of the tower is found.
pub(crate) const FIRST_WEIGHT: &str = "conv_stem.conv.weight";

/// Where a tensor's elements are.
enum Location {
    File { shard: usize, dtype: Dtype, range: Range<usize> },
    Memory(Vec<f32>),
}

struct Entry {
    shape: Vec<usize>,
    location: Location,
}

/// The encoder's weights by timm's names, the embedder's behind `embed_vision.`.
pub struct Checkpoint {
    origin: String,
    files: Vec<PathBuf>,
    shards: Vec<Mmap>,
    entries: BTreeMap<String, Entry>,
}

impl Checkpoint {
    /// Opens a `.safetensors` file, a `.safetensors.index.json`, or a folder that holds one of them as Hugging Face names
    /// them (`model.safetensors`, `model.safetensors.index.json`).
    ///
    /// # Errors
    /// Unreadable or malformed files, and checkpoints without a MobileNetV5 in them.
    pub fn open(path: &Path) -> Result<Checkpoint, Error> {
        let path = if path.is_dir() { find_in_folder(path)? } else { path.to_path_buf() };
        let shards = if path.extension().is_some_and(|extension| extension == "json") {
            read_index(&path)?
        } else {
            vec![path.clone()]
        };
        let mut checkpoint = Checkpoint {
            origin: path.display().to_string(),
            files: shards.clone(),
            shards: Vec::new(),
            entries: BTreeMap::new(),
        };
        let mut raw = BTreeMap::new();
        for shard in &shards {
            checkpoint.map_shard(shard, &mut raw)?;
        }
        checkpoint.normalise(raw)?;
        Ok(checkpoint)
    }

    /// Weights made in memory, by timm's names (the embedder's behind `embed_vision.`): name, shape, row-major elements.
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

    /// A tensor where it lies.
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
            Location::Memory(values) => View { elements: Elements::Memory(values), mapped: None },
            Location::File { shard, dtype, range } => {
                let bytes = &self.shards[*shard][range.clone()];
                let elements = match dtype {
                    Dtype::F32 => Elements::F32(bytes.as_chunks().0),
                    Dtype::F16 => Elements::F16(bytes.as_chunks().0),
                    Dtype::BF16 => Elements::Bf16(bytes.as_chunks().0),
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

    fn map_shard(&mut self, path: &Path, raw: &mut BTreeMap<String, Entry>) -> Result<(), Error> {
        let read = |source| Error::Read { path: path.to_path_buf(), source };
        let file = File::open(path).map_err(read)?;
        if file.metadata().map_err(read)?.is_dir() {
            return Err(read(std::io::ErrorKind::IsADirectory.into()));
        }
        // SAFETY: the map is read-only and private to this value. Another process that cuts the file short while it is
        // mapped would end this one with SIGBUS; that is the accepted price of not copying gigabytes.
        let map = unsafe { Mmap::map(&file) }.map_err(read)?;
        let format =
            |found: String| Error::Format { path: path.to_path_buf(), expected: "a safetensors file", found };
        if map.len() < 8 {
            return Err(format(format!("a file of {} bytes", map.len())));
        }
        let (header, metadata) =
            SafeTensors::read_metadata(&map).map_err(|error| format(error.to_string()))?;
        let data = header + 8;
        for (name, info) in metadata.tensors() {
            let range = data + info.data_offsets.0..data + info.data_offsets.1;
            let location = Location::File { shard: self.shards.len(), dtype: info.dtype, range };
            if raw.insert(name.clone(), Entry { shape: info.shape.clone(), location }).is_some() {
                return Err(format(format!("tensor `{name}`, which another shard holds too")));
            }
        }
        self.shards.push(map);
        Ok(())
    }

    fn normalise(&mut self, raw: BTreeMap<String, Entry>) -> Result<(), Error> {
        let prefix =
            TOWER_PREFIXES.iter().find(|prefix| raw.contains_key(&format!("{prefix}{FIRST_WEIGHT}")));
        let Some(prefix) = prefix else {
            return Err(Error::MissingTensor {
                origin: self.origin.clone(),
                name: FIRST_WEIGHT.to_string(),
                needed_by: format!(
                    "looked for it bare and behind {}; a MobileNetV5 begins with it",
                    TOWER_PREFIXES[..3].join(", ")
                ),
            });
        };
        for (name, entry) in raw {
            let embedder = EMBEDDER_PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
            if let Some(rest) = embedder {
                self.entries.insert(format!("{EMBEDDER}{rest}"), entry);
            } else if let Some(rest) = name.strip_prefix(prefix) {
                self.entries.insert(rest.to_string(), entry);
            }
        }
        Ok(())
    }
}

/// A tensor where it lies; its memory is given back when it is dropped.
pub(crate) struct View<'a> {
    elements: Elements<'a>,
    /// The file, and where in it.
    mapped: Option<(&'a Mmap, Range<usize>)>,
}

enum Elements<'a> {
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
            Elements::Memory(values) => out.copy_from_slice(&values[start..end]),
            Elements::F32(bytes) => widen(&bytes[start..end], out, f32::from_le_bytes),
            Elements::F16(bytes) => {
                widen(&bytes[start..end], out, |b| half::f16::from_le_bytes(b).to_f32());
            }
            Elements::Bf16(bytes) => {
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

fn find_in_folder(folder: &Path) -> Result<PathBuf, Error> {
    let names = ["model.safetensors.index.json", "model.safetensors"];
    names.iter().map(|name| folder.join(name)).find(|path| path.is_file()).ok_or_else(|| Error::Format {
        path: folder.to_path_buf(),
        expected: "a folder with model.safetensors or model.safetensors.index.json",
        found: "neither".to_string(),
    })
}

/// The shards that an index names, without repetition.
fn read_index(path: &Path) -> Result<Vec<PathBuf>, Error> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let text = std::fs::read(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })?;
    let index: Index = serde_json::from_slice(&text).map_err(|error| Error::Format {
        path: path.to_path_buf(),
        expected: "the index of a sharded checkpoint (a `weight_map` of tensor names to files)",
        found: error.to_string(),
    })?;
    let files: std::collections::BTreeSet<_> = index.weight_map.into_values().collect();
    Ok(files.into_iter().map(|file| path.with_file_name(file)).collect())
}
