//! Folders of weights, and the index of a sharded checkpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::mapped::MappedFile;
use super::names::WeightNaming;
use crate::error::Error;

const INDEX: &str = "model.safetensors.index.json";
const INDEX_ENDING: &str = ".safetensors.index.json";
const EXPECTED_INDEX: &str = "the index of a sharded checkpoint (a `weight_map` of tensor names to files)";
const EXPECTED_FOLDER: &str =
    "a folder with model.safetensors.index.json, model.safetensors, or one .safetensors or .gguf file";

/// The file of a folder that holds its weights, or says where they are.
///
/// # Errors
/// A folder without weights, or with several files of them.
pub(super) fn weights_in(folder: &Path) -> Result<PathBuf, Error> {
    let known = [INDEX, "model.safetensors"].map(|name| folder.join(name));
    if let Some(path) = known.into_iter().find(|path| path.is_file()) {
        return Ok(path);
    }
    let entries = std::fs::read_dir(folder)
        .map_err(|source| Error::Read { path: folder.to_path_buf(), source })?
        .flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let ending = |ending: &str| names.iter().filter(|name| name.ends_with(ending)).collect::<Vec<_>>();
    let (indices, safetensors, gguf) = (ending(INDEX_ENDING), ending(".safetensors"), ending(".gguf"));
    // Beside a vision encoder a language model may lie.
    let of_vision: Vec<&String> = gguf.iter().copied().filter(|name| name.contains("mmproj")).collect();
    let all = [safetensors.as_slice(), &gguf].concat();
    for candidates in [&indices, &all, &of_vision] {
        if let [only] = candidates.as_slice() {
            return Ok(folder.join(only));
        }
    }
    let shards = safetensors.iter().filter(|name| name.contains("-of-")).count();
    let found = match all.as_slice() {
        [] => "no weights".to_string(),
        [first, ..] if shards == all.len() => {
            format!("{shards} shards such as {first} without their index: {INDEX} belongs beside them")
        }
        [first, second, ..] => {
            format!("{} files of weights, such as {first} and {second}: name one", all.len())
        }
        [_] => unreachable!("one file is taken"),
    };
    Err(Error::Format { path: folder.to_path_buf(), expected: EXPECTED_FOLDER, found })
}

/// What an index says of the encoder's weights.
pub(super) struct Index {
    /// Where each of the encoder's tensors is, by its name in the checkpoint.
    pub(super) places: BTreeMap<String, PathBuf>,
    /// The shards that hold them.
    pub(super) shards: Vec<PathBuf>,
    /// The names of all other tensors.
    pub(super) others: Vec<String>,
    /// How many shards there are in all.
    pub(super) all_shards: usize,
}

impl Index {
    /// # Errors
    /// A file that is no index, or names a shard outside of its folder; an index without a MobileNetV5.
    pub(super) fn read(file: &MappedFile) -> Result<Index, Error> {
        #[derive(serde::Deserialize)]
        struct IndexText {
            weight_map: BTreeMap<String, String>,
        }
        let IndexText { weight_map } = serde_json::from_slice(&file.bytes)
            .map_err(|error| file.not(EXPECTED_INDEX, error.to_string()))?;
        if let Some((name, shard)) = weight_map.iter().find(|(_, shard)| !is_below(shard)) {
            let found = format!("shard `{shard}` of tensor `{name}`, which is not a file of that folder");
            return Err(file.not(EXPECTED_INDEX, found));
        }
        let all_shards = weight_map.values().collect::<BTreeSet<_>>().len();
        let naming = WeightNaming::find(|name| weight_map.contains_key(name))
            .ok_or_else(|| WeightNaming::unknown(&file.path.display().to_string(), ""))?;
        let mut places = BTreeMap::new();
        let mut others = Vec::new();
        for (name, shard) in weight_map {
            match naming.timm(&name) {
                Some(_) => drop(places.insert(name, file.path.with_file_name(shard))),
                None => others.push(name),
            }
        }
        let shards: BTreeSet<&PathBuf> = places.values().collect();
        let shards = shards.into_iter().cloned().collect();
        Ok(Index { places, shards, others, all_shards })
    }
}

/// Whether a path leads to a file below the folder that it is relative to.
fn is_below(path: &str) -> bool {
    let path = Path::new(path);
    path.file_name().is_some() && path.components().all(|part| matches!(part, Component::Normal(_)))
}
