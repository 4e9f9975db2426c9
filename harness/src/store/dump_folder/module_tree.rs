//! What `model_addition_debugger_context(use_repr=False)` of transformers writes: for each module that holds no others
//! `{Class}.{module}_outputs.safetensors`, for all modules `{Class}.{module}_inputs_args_0.safetensors` and the like, and the
//! calls as a tree, `{Class}_debug_tree_FULL_TENSORS.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::{DumperFolder, SingleTensor, file_name, stem};
use crate::store::item::Item;
use crate::store::regular;
use crate::tensor::Dtype;

const TREE: &str = "_debug_tree_FULL_TENSORS.json";
const EXTENSION: &str = ".safetensors";
const OUTPUTS: &str = "_outputs";
const INPUTS: &str = "_inputs";
/// The first of several outputs, which has the module's bare name.
const FIRST: &str = "_outputs_0";
/// What a file calls its tensor.
const INNER: &str = "data";
/// Larger than the tree of a model of fifty thousand modules.
const MAX_TREE: u64 = 1 << 27;

/// A call of a module.
#[derive(Deserialize)]
struct TreeCall {
    #[serde(default)]
    inputs: Value,
    #[serde(default)]
    outputs: Value,
    #[serde(default)]
    children: Vec<TreeCall>,
}

/// The folder's tensors; `None` without the tree of calls.
pub(super) fn of(files: &[PathBuf], two_byte_integers: Option<Dtype>) -> Option<DumperFolder> {
    let tree = files.iter().find(|file| file_name(file).ends_with(TREE))?;
    let class = file_name(tree).strip_suffix(TREE)?.to_string();
    let items: Vec<Item> = files.iter().filter_map(|file| item(file, &class, two_byte_integers)).collect();
    let order = TreeCall::read(tree).and_then(|tree| tree.order(&class, &items));
    (!items.is_empty()).then_some(DumperFolder { items, order })
}

fn item(path: &Path, class: &str, two_byte_integers: Option<Dtype>) -> Option<Item> {
    let key = file_name(path);
    let name = name(stem(&key, EXTENSION)?, class)?;
    let source = SingleTensor { path: path.to_path_buf(), key: Some(INNER), two_byte_integers };
    Some(source.item(key, name, None))
}

/// What a tensor is called: an output as its module is, without the model's class, which is the name of the model's own
/// output. Inputs, and outputs after the first, keep what tells them apart.
fn name(stem: &str, class: &str) -> Option<String> {
    let rest = stem.strip_prefix(class)?;
    // Modules may have names with these words in them, but what follows the last of them has no dot.
    let last = rest.rfind('.').map_or(0, |dot| dot + 1);
    let at = last + [OUTPUTS, INPUTS].iter().filter_map(|word| rest[last..].find(word)).min()?;
    let (module, what) = rest.split_at(at);
    let module = match module.strip_prefix('.') {
        Some(module) => module,
        None if module.is_empty() => class,
        // Another class, whose name begins with this one's.
        None => return None,
    };
    Some(match what {
        OUTPUTS | FIRST => module.to_string(),
        what => format!("{module}{what}"),
    })
}

impl TreeCall {
    fn read(path: &Path) -> Option<TreeCall> {
        let (file, length) = regular::open(path).ok()?;
        // The parser bounds how deep values lie in each other.
        (length <= MAX_TREE).then(|| serde_json::from_reader(BufReader::new(file)).ok()).flatten()
    }

    /// The keys in the order of execution; `None` where the tree leaves modules out, as it does unless it is asked for all:
    /// nothing then says where they belong.
    fn order(&self, class: &str, items: &[Item]) -> Option<Vec<String>> {
        let mut files = Vec::new();
        self.files(&mut files);
        // Of a module that is called twice the last call is kept.
        let position: BTreeMap<&str, usize> =
            files.iter().enumerate().map(|(at, file)| (file.as_str(), at)).collect();
        let model = format!("{class}{OUTPUTS}");
        let mut listed: BTreeSet<(usize, &str)> = BTreeSet::new();
        for item in items {
            let at = match position.get(item.key.as_str()) {
                Some(at) => *at,
                // The tree leaves out what the model as a whole gives.
                None if item.key.starts_with(&model) => usize::MAX,
                None => return None,
            };
            listed.insert((at, &item.key));
        }
        Some(listed.into_iter().map(|(_, key)| key.to_string()).collect())
    }

    /// The files that a call and those in it wrote, in order.
    fn files(&self, found: &mut Vec<String>) {
        files(&self.inputs, found);
        for call in &self.children {
            call.files(found);
        }
        files(&self.outputs, found);
    }
}

/// The files that are named in a description of inputs or outputs.
fn files(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| files(value, found)),
        Value::Object(values) => {
            for (key, value) in values {
                match value.as_str().and_then(|value| value.strip_prefix("./")) {
                    Some(file) if key == "value" => found.push(file.to_string()),
                    _ => files(value, found),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_called_as_their_modules() {
        let name = |stem: &str| name(stem, "Net").unwrap_or_else(|| "-".to_string());
        assert_eq!(name("Net.layers.0.conv_outputs"), "layers.0.conv");
        assert_eq!(name("Net.norm_outputs_0"), "norm");
        assert_eq!(name("Net.norm_outputs_1"), "norm_outputs_1");
        assert_eq!(name("Net.norm_outputs_hidden_states"), "norm_outputs_hidden_states");
        assert_eq!(name("Net.norm_inputs_args_0"), "norm_inputs_args_0");
        assert_eq!(name("Net.mix_outputs.proj_outputs"), "mix_outputs.proj");
        assert_eq!(name("Net_outputs"), "Net");
        assert_eq!(name("Net_inputs_kwargs_x"), "Net_inputs_kwargs_x");
        assert_eq!(name("NetTwo.a_outputs"), "-");
        assert_eq!(name("Net.weights"), "-");
        assert_eq!(name("model"), "-");
    }
}
