//! Weights in safetensors files: one file, a sharded index, or a folder with either.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::SafeTensors;

use super::{Checkpoint, Entry, Location, kind, names};
use crate::error::Error;

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
        checkpoint.entries = names::normalised(raw, &checkpoint.origin)?;
        if let Some(found) = kind::foreign(&checkpoint.entries) {
            return Err(Error::Format {
                path,
                expected: "weights as timm and transformers have them",
                found,
            });
        }
        Ok(checkpoint)
    }

    fn map_shard(&mut self, path: &Path, raw: &mut BTreeMap<String, Entry>) -> Result<(), Error> {
        let read = |source| Error::Read { path: path.to_path_buf(), source };
        // Opening a pipe would wait for another program to write to it.
        let metadata = std::fs::metadata(path).map_err(read)?;
        if metadata.is_dir() {
            return Err(read(std::io::ErrorKind::IsADirectory.into()));
        }
        if !metadata.is_file() {
            let (expected, found) = ("a safetensors file", "a pipe or device".to_string());
            return Err(Error::Format { path: path.to_path_buf(), expected, found });
        }
        let file = File::open(path).map_err(read)?;
        // SAFETY: the map is read-only and private to this value. Another process that cuts the file short while it is
        // mapped would end this one with SIGBUS; that is the accepted price of not copying gigabytes.
        let map = unsafe { Mmap::map(&file) }.map_err(read)?;
        let format =
            |found: String| Error::Format { path: path.to_path_buf(), expected: "a safetensors file", found };
        if let Some(found) = kind::of(&map) {
            return Err(format(found.to_string()));
        }
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
    let files: BTreeSet<_> = index.weight_map.into_values().collect();
    Ok(files.into_iter().map(|file| path.with_file_name(file)).collect())
}
