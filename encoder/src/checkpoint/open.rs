//! Opens weights, whatever container they are in.

use std::collections::BTreeMap;
use std::path::Path;

use super::byte_order::ByteOrder;
use super::gguf::{GgufFile, timm_shape};
use super::kind::WeightFileKind;
use super::mapped::MappedFile;
use super::names::WeightNaming;
use super::snapshot::{self, Index};
use super::{Checkpoint, Container, Entry, foreign, kind, names, safetensors};
use crate::error::Error;

/// The tensors of a checkpoint by their own names, and what else was found.
struct Raw {
    files: Vec<MappedFile>,
    tensors: BTreeMap<String, Entry>,
    /// Tensors in files that were not opened.
    elsewhere: Vec<String>,
    container: Container,
    facts: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Opens weights, which are told by their content: a safetensors or GGUF file, the index of a sharded checkpoint, or a
    /// folder with one of them. Of a sharded checkpoint only the shards with the encoder's tensors are opened.
    ///
    /// # Errors
    /// Unreadable or malformed files, weights in a form that is not supported, and checkpoints without a MobileNetV5.
    pub fn open(path: &Path) -> Result<Checkpoint, Error> {
        let path = if path.is_dir() { snapshot::weights_in(path)? } else { path.to_path_buf() };
        let file = MappedFile::open(&path)?;
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        let raw = match kind::of(&file.bytes) {
            WeightFileKind::Gguf => read_gguf(file)?,
            WeightFileKind::Index => read_index(&file)?,
            WeightFileKind::Safetensors if is_json => read_index(&file)?,
            WeightFileKind::Safetensors => read_safetensors(file)?,
        };
        Checkpoint::of_raw(&path, raw)
    }

    fn of_raw(path: &Path, raw: Raw) -> Result<Checkpoint, Error> {
        let origin = path.display().to_string();
        let naming = WeightNaming::find(|name| raw.tensors.contains_key(name)).ok_or_else(|| {
            let architecture = raw.facts.get("general.architecture").filter(|name| *name != "clip");
            let what = architecture.map(|name| {
                format!(
                    "; this is a GGUF file of architecture {name}: the vision encoder is in the mmproj file"
                )
            });
            WeightNaming::unknown(&origin, &what.unwrap_or_default())
        })?;
        let not_usable = |found| {
            let expected = "weights as timm, transformers and llama.cpp have them";
            Error::Format { path: path.to_path_buf(), expected, found }
        };
        let (mut entries, others) = names::normalised(raw.tensors, naming).map_err(not_usable)?;
        if let Some(found) = foreign::refused(&entries) {
            return Err(not_usable(found));
        }
        if naming == WeightNaming::Gguf {
            entries.iter_mut().for_each(|(name, entry)| entry.shape = timm_shape(name, &entry.shape));
        }
        let channels_last = foreign::is_channels_last(&entries);
        if channels_last {
            foreign::transpose(&mut entries);
        }
        let (files, shards) = raw.files.into_iter().map(|file| (file.path, file.bytes)).unzip();
        let left_alone = others.into_iter().chain(raw.elsewhere).collect();
        let (container, facts) = (raw.container, raw.facts);
        Ok(Checkpoint { origin, files, shards, entries, container, facts, left_alone, channels_last })
    }
}

fn read_safetensors(file: MappedFile) -> Result<Raw, Error> {
    let mut tensors = BTreeMap::new();
    safetensors::read(&file, 0, &mut tensors)?;
    let (container, elsewhere, facts) = (Container::Safetensors, Vec::new(), BTreeMap::new());
    Ok(Raw { files: vec![file], tensors, elsewhere, container, facts })
}

fn read_gguf(file: MappedFile) -> Result<Raw, Error> {
    let GgufFile { version, order, facts, tensors } = GgufFile::read(&file)?;
    let container = Container::Gguf { version, big_endian: order == ByteOrder::Big };
    Ok(Raw { files: vec![file], tensors, elsewhere: Vec::new(), container, facts })
}

fn read_index(file: &MappedFile) -> Result<Raw, Error> {
    let index = Index::read(file)?;
    let mut files = Vec::new();
    let mut tensors = BTreeMap::new();
    for shard in &index.shards {
        let shard = MappedFile::open(shard)?;
        safetensors::read(&shard, files.len(), &mut tensors)?;
        let of_shard = index.places.iter().filter(|(_, place)| **place == shard.path);
        if let Some((name, _)) = of_shard.into_iter().find(|(name, _)| !tensors.contains_key(*name)) {
            return Err(Error::MissingTensor {
                origin: shard.path.display().to_string(),
                name: name.clone(),
                needed_by: format!("{} says that it is there", file.path.display()),
            });
        }
        files.push(shard);
    }
    let others = index.others.into_iter().filter(|name| !tensors.contains_key(name)).collect();
    let container = Container::Sharded { opened: files.len(), shards: index.all_shards };
    Ok(Raw { files, tensors, elsewhere: others, container, facts: BTreeMap::new() })
}
