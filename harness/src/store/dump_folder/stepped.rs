//! What the intermediate logging of vLLM writes: `step_0/{module}/outputs_cuda_0.pt`, the second call of a module in a step
//! in `{module}_1`, and the calls in their order in `step_0/module_calls.txt`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{DumperFolder, SingleTensor, file_name, stem};
use crate::store::item::Item;
use crate::store::regular;
use crate::tensor::Dtype;

const STEP: &str = "step_";
const CALLS: &str = "module_calls.txt";
const EXTENSION: &str = ".pt";
const OUTPUTS: &str = "outputs";
const INPUTS: &str = "inputs";
/// The first of several outputs, which has the module's bare name.
const FIRST: &str = "outputs_0";
/// What the names of files begin with.
const WRITTEN: [&str; 3] = ["outputs", "inputs", "post_fwd_inputs"];
/// Devices, which end the names of files, perhaps with a number.
const DEVICES: [&str; 7] = ["cpu", "cuda", "hpu", "mps", "npu", "tpu", "xpu"];
/// Larger than any list of the calls of a step.
const MAX_CALLS: u64 = 1 << 24;

/// The tensors of a call.
struct ModuleCall {
    /// The name of its folder.
    folder: String,
    /// The module's name, and how often it was called before in its step.
    module: String,
    repeat: u64,
    files: Vec<PathBuf>,
}

/// The beginning of a call, by the name of its folder, or its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment {
    folder: String,
    end: bool,
}

/// A step's calls.
struct StepFolder {
    number: u64,
    calls: Vec<ModuleCall>,
    /// When they began and ended.
    moments: Option<Vec<Moment>>,
}

/// The folder's tensors; `None` for other folders.
///
/// # Errors
/// A folder of a step that cannot be listed.
pub(super) fn of(
    path: &Path,
    folders: &[PathBuf],
    two_byte_integers: Option<Dtype>,
) -> std::io::Result<Option<DumperFolder>> {
    let mut steps = Vec::new();
    for folder in folders {
        let number = file_name(folder).strip_prefix(STEP).and_then(|number| number.parse().ok());
        let Some(number) = number else { continue };
        steps.extend(StepFolder::of(folder, number)?);
    }
    // The folder of one step may be named as well.
    if steps.is_empty() && path.join(CALLS).is_file() {
        steps.extend(StepFolder::of(path, 0)?);
    }
    steps.sort_by_key(|step| step.number);
    let runs = steps.len() > 1;
    let (mut items, mut order) = (Vec::new(), Some(Vec::new()));
    for step in &steps {
        let found = step.items(path, runs, two_byte_integers);
        order = order.zip(step.ordered(&found)).map(|(mut order, of_step)| {
            order.extend(of_step);
            order
        });
        items.extend(found.into_iter().map(|(_, item)| item));
    }
    Ok((!items.is_empty()).then_some(DumperFolder { items, order }))
}

impl StepFolder {
    fn of(folder: &Path, number: u64) -> std::io::Result<Option<StepFolder>> {
        let mut folders: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?.path();
            if !entry.is_dir() {
                continue;
            }
            let mut files: Vec<PathBuf> = Vec::new();
            for file in std::fs::read_dir(&entry)? {
                files.push(file?.path());
            }
            files.retain(|file| stem(&file_name(file), EXTENSION).is_some_and(is_written));
            files.sort();
            if !files.is_empty() {
                folders.insert(file_name(&entry), files);
            }
        }
        let known: BTreeSet<String> = folders.keys().cloned().collect();
        let call = |(folder, files): (String, Vec<PathBuf>)| {
            let (module, repeat) = module(&folder, &known);
            ModuleCall { module: module.to_string(), repeat, folder, files }
        };
        let calls: Vec<ModuleCall> = folders.into_iter().map(call).collect();
        let moments = calls_in(&folder.join(CALLS)).map(|calls| moments(&calls));
        Ok((!calls.is_empty()).then_some(StepFolder { number, calls, moments }))
    }

    /// The step's tensors, and when each was there. Runs are steps, or calls in the one step.
    fn items(&self, root: &Path, runs: bool, two_byte_integers: Option<Dtype>) -> Vec<(Moment, Item)> {
        let mut items = Vec::new();
        for ModuleCall { folder, module, repeat, files } in &self.calls {
            for file in files {
                let name = file_name(file);
                let Some(what) = stem(&name, EXTENSION).map(without_device) else { continue };
                let name = match what {
                    OUTPUTS | FIRST => module.clone(),
                    what => format!("{module}.{what}"),
                };
                let Ok(key) = file.strip_prefix(root) else { continue };
                let key = key.to_string_lossy().replace('\\', "/");
                let call = if runs { self.number } else { *repeat };
                let source = SingleTensor { path: file.clone(), key: None, two_byte_integers };
                let moment = Moment { folder: folder.clone(), end: !what.starts_with(INPUTS) };
                items.push((moment, source.item(key, name, Some(call))));
            }
        }
        items
    }

    /// The keys of the step's tensors in the order of execution; `None` where the list of calls lacks one.
    fn ordered(&self, items: &[(Moment, Item)]) -> Option<Vec<String>> {
        let moments = self.moments.as_ref()?;
        let position: BTreeMap<&Moment, usize> =
            moments.iter().enumerate().map(|(at, moment)| (moment, at)).collect();
        let mut keys = Vec::new();
        for (moment, item) in items {
            keys.push((*position.get(moment)?, item.key.clone()));
        }
        keys.sort();
        Some(keys.into_iter().map(|(_, key)| key).collect())
    }
}

fn is_written(stem: &str) -> bool {
    let rest = WRITTEN.iter().find_map(|word| stem.strip_prefix(word));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

/// The module that a folder is of, and how often it was called before: `mlp_1` is the second call of `mlp`, where there is a
/// first.
fn module<'a>(folder: &'a str, known: &BTreeSet<String>) -> (&'a str, u64) {
    let call = folder.rsplit_once('_').and_then(|(module, call)| Some((module, call.parse().ok()?)));
    call.filter(|(module, _)| known.contains(*module)).unwrap_or((folder, 0))
}

/// The name of a file without the device that ends it.
fn without_device(stem: &str) -> &str {
    let Some((rest, last)) = stem.rsplit_once('_') else { return stem };
    if DEVICES.contains(&last) {
        return rest;
    }
    match rest.rsplit_once('_') {
        Some((rest, device)) if DEVICES.contains(&device) && last.bytes().all(|c| c.is_ascii_digit()) => rest,
        _ => stem,
    }
}

/// The calls that a list has, in the order in which they began.
fn calls_in(path: &Path) -> Option<Vec<String>> {
    let (file, length) = regular::open(path).ok()?;
    let mut text = String::new();
    (length <= MAX_CALLS).then(|| file.take(MAX_CALLS).read_to_string(&mut text).ok()).flatten()?;
    Some(text.lines().map(ToString::to_string).collect())
}

/// When calls began, in this order, and ended: after those of modules inside them, whose names say so.
fn moments(began: &[String]) -> Vec<Moment> {
    let moment = |call: &String, end| Moment { folder: call.clone(), end };
    let (mut open, mut moments): (Vec<&String>, Vec<Moment>) = (Vec::new(), Vec::new());
    for call in began {
        let holds =
            |outer: &String| call.strip_prefix(outer.as_str()).is_some_and(|rest| rest.starts_with('.'));
        while let Some(last) = open.pop_if(|outer| !holds(outer)) {
            moments.push(moment(last, true));
        }
        moments.push(moment(call, false));
        open.push(call);
    }
    moments.extend(open.into_iter().rev().map(|call| moment(call, true)));
    moments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_come_after_those_of_the_modules_inside() {
        let began = ["a", "a.b", "a.b.c", "a.d", "ab", "e"].map(String::from);
        let moments = moments(&began);
        let of = |end| moments.iter().filter(move |moment| moment.end == end).map(|moment| &moment.folder);
        assert!(of(false).eq(&began));
        assert!(of(true).eq(["a.b.c", "a.b", "a.d", "a", "ab", "e"].iter()));
    }

    #[test]
    fn devices_and_calls_are_taken_off() {
        let stems = ["outputs_cuda_0", "outputs_cpu", "inputs_0_cuda_1", "outputs_1", "outputs_hidden_3"];
        let expected = ["outputs", "outputs", "inputs_0", "outputs_1", "outputs_hidden_3"];
        assert_eq!(stems.map(without_device), expected);
        let known = ["mlp", "mlp_1", "head_2"].map(String::from).into();
        assert_eq!(module("mlp_1", &known), ("mlp", 1));
        assert_eq!(module("head_2", &known), ("head_2", 0));
    }
}
