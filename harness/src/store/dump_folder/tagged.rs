//! What the dumper of sglang writes: `step=0___rank=0___dump_index=1___name=N___….pt`, each `{"value": …, "meta": …}`.

use std::path::{Path, PathBuf};

use super::{DumperFolder, SingleTensor, file_name, stem};
use crate::store::item::Item;
use crate::tensor::Dtype;

const EXTENSION: &str = ".pt";
const BETWEEN: &str = "___";
/// What a file calls its tensor.
const INNER: &str = "value";
/// What begins the name of a tensor that a hook took; the module's name follows.
const HOOK: &str = "non_intrusive__";
const OUTPUT: &str = ".output";
/// The first of several outputs, which has the module's bare name.
const FIRST: &str = ".output.0";
/// Where the dumper makes the folder of a run by itself.
const RUN: &str = "dump_";

/// What a file's name says.
#[derive(Debug, PartialEq, Eq)]
struct Tags {
    name: String,
    step: Option<u64>,
    index: u64,
}

impl Tags {
    /// `None` for files of other names.
    fn of(stem: &str) -> Option<Tags> {
        let (mut name, mut step, mut index, mut others) = (None, None, None, String::new());
        for tag in stem.split(BETWEEN) {
            let (key, value) = tag.split_once('=')?;
            match key {
                "name" => name = Some(value),
                "step" | "curr_step" | "forward_pass_id" => step = value.parse().ok(),
                "dump_index" => index = value.parse().ok(),
                "recompute_status" => {}
                // Which part of the machine it was; the key says it.
                key if key == "rank" || key.ends_with("_rank") => {}
                key => others.push_str(&format!(".{key}.{value}")),
            }
        }
        let name = match name?.strip_prefix(HOOK) {
            // A hook's name has its layer in it.
            Some(name) => name.strip_suffix(OUTPUT).or(name.strip_suffix(FIRST)).unwrap_or(name).to_string(),
            None => format!("{}{others}", name?),
        };
        Some(Tags { name, step, index: index? })
    }
}

/// The folder's tensors, or those of the one run in it; `None` for other folders.
///
/// # Errors
/// A run's folder that cannot be listed.
pub(super) fn of(
    path: &Path,
    files: &[PathBuf],
    folders: &[PathBuf],
    two_byte_integers: Option<Dtype>,
) -> std::io::Result<Option<DumperFolder>> {
    let own = run(path, files, two_byte_integers);
    if own.is_some() {
        return Ok(own);
    }
    let mut runs = Vec::new();
    for folder in folders.iter().filter(|folder| file_name(folder).starts_with(RUN)) {
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            files.push(entry?.path());
        }
        files.sort();
        runs.extend(run(path, &files, two_byte_integers));
    }
    // Of several runs one has to be named.
    Ok(runs.pop().filter(|_| runs.is_empty()))
}

fn run(root: &Path, files: &[PathBuf], two_byte_integers: Option<Dtype>) -> Option<DumperFolder> {
    let item = |path: &PathBuf| -> Option<(u64, Item)> {
        let file = file_name(path);
        let Tags { name, step, index } = Tags::of(stem(&file, EXTENSION)?)?;
        let key = path.strip_prefix(root).ok()?.to_string_lossy().replace('\\', "/");
        let source = SingleTensor { path: path.clone(), key: Some(INNER), two_byte_integers };
        Some((index, source.item(key, name, step)))
    };
    let mut items: Vec<(u64, Item)> = files.iter().filter_map(item).collect();
    items.sort_by_key(|(index, item)| (item.call, *index));
    let items: Vec<Item> = items.into_iter().map(|(_, item)| item).collect();
    let order = items.iter().map(|item| item.key.clone()).collect();
    (!items.is_empty()).then_some(DumperFolder { items, order: Some(order) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_from_file_names() {
        let tags = |stem: &str| {
            let Some(Tags { name, step, index }) = Tags::of(stem) else { return "-".to_string() };
            format!("{name} {step:?} {index}")
        };
        let hook = |name: &str| {
            tags(&format!("step=2___rank=1___dump_index=7___name=non_intrusive__{name}___layer_id=3"))
        };
        assert_eq!(hook("model.layers.3.mlp.output"), "model.layers.3.mlp Some(2) 7");
        assert_eq!(hook("model.layers.3.output.0"), "model.layers.3 Some(2) 7");
        assert_eq!(hook("model.layers.3.output.1"), "model.layers.3.output.1 Some(2) 7");
        assert_eq!(hook("model.layers.3.inputs.0"), "model.layers.3.inputs.0 Some(2) 7");
        let plain = "curr_step=0___rank=0___dump_index=1___name=hidden___recompute_status=disabled";
        assert_eq!(tags(plain), "hidden Some(0) 1");
        assert_eq!(tags(&format!("{plain}___layer_id=5___tp_rank=1")), "hidden.layer_id.5 Some(0) 1");
        assert_eq!(tags("name=a"), "-");
        assert_eq!(tags("layer_0"), "-");
    }
}
