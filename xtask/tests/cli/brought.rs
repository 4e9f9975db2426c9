//! Dumps as other people's scripts write them, made of the project's own, which is right; and what a user gets for them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use harness::store::read_npy;
use harness::tensor::{Tensor, unravel};
use tempfile::TempDir;

use crate::support::*;

/// Lines that a run with one cause may print, and one that passes.
const FAILING_LINES: usize = 45;
const PASSING_LINES: usize = 14;

/// Tensors by the name that the mapping knows them by.
pub(crate) type BroughtTensors = BTreeMap<String, Tensor>;

/// The dump of a right port, and the picture that it was given.
pub(crate) struct RightPort {
    pub(crate) set: &'static str,
    pub(crate) tensors: BroughtTensors,
    pub(crate) input: Tensor,
}

impl RightPort {
    /// The encoder's own dump of fixtures/ggml-small.
    pub(crate) fn encoded() -> RightPort {
        RightPort::of("ggml-small", &[])
    }

    pub(crate) fn of(set: &'static str, options: &[&str]) -> RightPort {
        let input = format!("fixtures/{set}/input.png");
        let picture = encoder::input::read_image(&root().join(&input)).unwrap();
        RightPort {
            set,
            tensors: encoded(set, &input, options),
            input: Tensor::from_f32(picture.shape, picture.data).unwrap(),
        }
    }

    /// The dump of the same model with another input.
    pub(crate) fn given(&self, input: &Tensor) -> BroughtTensors {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input.npy");
        harness::store::write_npy(&path, input).unwrap();
        encoded(self.set, path.to_str().unwrap(), &[])
    }

    pub(crate) fn reference(&self) -> String {
        format!("fixtures/{}", self.set)
    }

    /// Each tensor changed.
    pub(crate) fn each(&self, change: impl Fn(&Tensor) -> Tensor) -> BroughtTensors {
        self.tensors.iter().map(|(name, tensor)| (name.clone(), change(tensor))).collect()
    }

    /// Each tensor under another name.
    pub(crate) fn named(&self, name: impl Fn(&str) -> String) -> BroughtTensors {
        self.tensors.iter().map(|(old, tensor)| (name(old), tensor.clone())).collect()
    }

    /// All tensors and one more, or one of them replaced.
    pub(crate) fn with(&self, name: &str, tensor: Tensor) -> BroughtTensors {
        let mut tensors = self.tensors.clone();
        tensors.insert(name.to_string(), tensor);
        tensors
    }
}

/// The tensors that `encode --dump` writes.
pub(crate) fn encoded(set: &str, input: &str, options: &[&str]) -> BroughtTensors {
    let folder = tempfile::tempdir().unwrap();
    let (dump, weights) = (folder.path().to_str().unwrap(), format!("fixtures/{set}/model.safetensors"));
    let all = ["encode", "--weights", &weights, "--input", input, "--dump", dump];
    xtask(&[&all, options].concat()).assert().code(0);
    read_folder(folder.path(), "debug_")
}

/// The `.npy` files of a folder, by their names without what all begin with.
pub(crate) fn read_folder(folder: &Path, prefix: &str) -> BroughtTensors {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = files.filter_map(|path| {
        let stem = path.file_stem()?.to_str()?.strip_prefix(prefix)?.to_string();
        path.extension().is_some_and(|extension| extension == "npy").then_some((stem, path))
    });
    named.map(|(name, path)| (name, read_npy(&path, None).unwrap())).collect()
}

/// A folder of `.npy` files, each called as `file` says.
pub(crate) fn folder_of(tensors: &BroughtTensors, file: impl Fn(&str) -> String) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, tensor) in tensors {
        harness::store::write_npy(&folder.path().join(file(name)), tensor).unwrap();
    }
    folder
}

/// A dump as the shipped mapping names its files.
pub(crate) fn dumped(tensors: &BroughtTensors) -> TempDir {
    folder_of(tensors, |name| format!("debug_{name}.npy"))
}

/// A reference as the shipped mapping names its files.
pub(crate) fn reference_dumped(tensors: &BroughtTensors) -> TempDir {
    folder_of(tensors, |name| format!("debug_activation_{name}.npy"))
}

/// An `.npy` file with a header written by hand.
pub(crate) fn npy(version: u8, descr: &str, shape: &str, padding: usize, body: &[u8]) -> Vec<u8> {
    let header =
        format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}{}\n", " ".repeat(padding));
    let mut bytes = b"\x93NUMPY".to_vec();
    bytes.extend([version, 0]);
    match version {
        1 => bytes.extend((header.len() as u16).to_le_bytes()),
        _ => bytes.extend((header.len() as u32).to_le_bytes()),
    }
    bytes.extend(header.as_bytes());
    bytes.extend(body);
    bytes
}

/// A shape as Python writes it.
pub(crate) fn python_shape(shape: &[usize]) -> String {
    let extents: String = shape.iter().map(|extent| format!("{extent}, ")).collect();
    format!("({extents})")
}

/// A dump whose files have this `descr` and these bytes for each value.
pub(crate) fn dumped_as<const N: usize>(
    tensors: &BroughtTensors,
    descr: &str,
    bytes: impl Fn(f32) -> [u8; N],
) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, tensor) in tensors {
        let body: Vec<u8> = values(tensor).into_iter().flat_map(&bytes).collect();
        let file = npy(1, descr, &python_shape(tensor.shape()), 0, &body);
        std::fs::write(folder.path().join(format!("debug_{name}.npy")), file).unwrap();
    }
    folder
}

pub(crate) fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.to_f32().iter().copied().collect()
}

/// The same elements in the same order under another shape.
pub(crate) fn under(shape: &[usize], tensor: &Tensor) -> Tensor {
    Tensor::from_f32(shape.to_vec(), values(tensor)).unwrap()
}

/// Each value changed.
pub(crate) fn mapped(tensor: &Tensor, change: impl Fn(f32) -> f32) -> Tensor {
    Tensor::from_f32(tensor.shape().to_vec(), values(tensor).into_iter().map(change).collect()).unwrap()
}

/// The tensor that has at each index what `from` has at another.
pub(crate) fn moved(tensor: &Tensor, shape: &[usize], from: impl Fn(&[usize]) -> Vec<usize>) -> Tensor {
    let old = tensor.shape();
    let at = |index: Vec<usize>| index.iter().zip(old).fold(0, |flat, (i, extent)| flat * extent + i);
    let values = (0..tensor.len()).map(|flat| tensor.get(at(from(&unravel(flat, shape)))) as f32).collect();
    Tensor::from_f32(shape.to_vec(), values).unwrap()
}

/// Axes in another order, elements with them.
pub(crate) fn transposed(tensor: &Tensor, order: &[usize]) -> Tensor {
    let shape: Vec<usize> = order.iter().map(|axis| tensor.shape()[*axis]).collect();
    moved(tensor, &shape, |index| {
        let mut old = vec![0; order.len()];
        order.iter().zip(index).for_each(|(axis, i)| old[*axis] = *i);
        old
    })
}

/// Maps in another order of axes, tokens as they are.
pub(crate) fn maps_transposed(tensor: &Tensor, order: &[usize]) -> Tensor {
    if tensor.shape().len() == 4 { transposed(tensor, order) } else { tensor.clone() }
}

pub(crate) fn without_leading_ones(tensor: &Tensor) -> Tensor {
    let mut shape = tensor.shape();
    while let [1, rest @ ..] = shape
        && !rest.is_empty()
    {
        shape = rest;
    }
    under(shape, tensor)
}

/// The shipped mapping with keys of a side replaced or added.
pub(crate) fn mapping_with(side: &str, lines: &[(&str, &str)]) -> (TempDir, PathBuf) {
    let shipped = std::fs::read_to_string(root().join("mappings/gemma3n.toml")).unwrap();
    let header = format!("[{side}]");
    let (mut inside, mut out) = (false, Vec::new());
    for line in shipped.lines() {
        if line.starts_with('[') {
            inside = line.starts_with(&header);
        }
        let is_replaced = |(key, _): &(&str, &str)| line.starts_with(&format!("{key} ="));
        if !(inside && lines.iter().any(is_replaced)) {
            out.push(line.to_string());
        }
        if inside && line.starts_with('[') {
            out.extend(lines.iter().map(|(key, value)| format!("{key} = {value}")));
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("port.toml");
    std::fs::write(&path, out.join("\n")).unwrap();
    (folder, path)
}

/// What a user gets.
pub(crate) struct Answer {
    code: i32,
    /// As it is printed.
    shown: String,
    /// The same without the breaks of its lines.
    text: String,
}

impl Answer {
    /// The value that the output says to give to a key, as TOML has it.
    pub(crate) fn advised(&self, key: &str) -> Option<String> {
        let (_, rest) = self.text.split_once(&format!("{key} = "))?;
        let end = match rest.chars().next()? {
            '"' => 2 + rest[1..].find('"')?,
            '[' => 1 + rest.find(']')?,
            _ => rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()),
        };
        Some(rest[..end].to_string())
    }

    /// The lines that were printed, without what they are indented by.
    pub(crate) fn rows(&self) -> Vec<&str> {
        self.shown.lines().map(str::trim_start).collect()
    }
}

/// Compares a candidate, whatever holds it, with a reference.
pub(crate) fn compare(candidate: &Path, reference: &str, options: &[&str]) -> Answer {
    let all = ["parity", "--candidate", candidate.to_str().unwrap(), "--reference", reference];
    let output = xtask(&[&all, options].concat()).output().unwrap();
    let streams = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    let shown = streams.concat();
    let text = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    Answer { code: output.status.code().unwrap(), shown, text }
}

/// What was wrong in any of several cases.
#[derive(Default)]
pub(crate) struct Findings {
    found: Vec<String>,
}

impl Findings {
    /// Exit code, what is said, and that it is short.
    fn expect(&mut self, case: &str, seen: &Answer, code: i32, most: usize, says: &[&str]) {
        let mut wrong = Vec::new();
        if seen.code != code {
            wrong.push(format!("expected exit code {code}, found {}", seen.code));
        }
        let lines = seen.shown.lines().count();
        if lines > most {
            wrong.push(format!("expected at most {most} lines, found {lines}"));
        }
        for text in says {
            let unbroken = text.split_whitespace().collect::<Vec<_>>().join(" ");
            if !seen.text.contains(&unbroken) {
                wrong.push(format!("expected `{text}`"));
            }
        }
        self.add(case, seen, &wrong);
    }

    fn add(&mut self, case: &str, seen: &Answer, wrong: &[String]) {
        if !wrong.is_empty() {
            self.found.push(format!("{case}: {}\n{}", wrong.join("; "), seen.shown));
        }
    }

    pub(crate) fn passes(&mut self, case: &str, seen: &Answer, says: &[&str]) {
        self.expect(case, seen, 0, PASSING_LINES, says);
    }

    pub(crate) fn fails(&mut self, case: &str, seen: &Answer, code: i32, says: &[&str]) {
        self.expect(case, seen, code, FAILING_LINES, says);
    }

    /// What is not said.
    pub(crate) fn never(&mut self, case: &str, seen: &Answer, says: &[&str]) {
        let said = says.iter().filter(|text| seen.text.contains(**text));
        let wrong: Vec<String> = said.map(|text| format!("expected no `{text}`")).collect();
        self.add(case, seen, &wrong);
    }

    /// That the line which the output says to write into the mapping makes the candidate pass.
    pub(crate) fn advice_holds(
        &mut self,
        case: &str,
        seen: &Answer,
        side: &str,
        keys: &[&str],
        sides: (&Path, &str),
    ) {
        let advised: Vec<(&str, String)> =
            keys.iter().filter_map(|key| Some((*key, seen.advised(key)?))).collect();
        if advised.len() < keys.len() {
            self.add(case, seen, &[format!("expected values for {keys:?}, found {advised:?}")]);
            return;
        }
        let lines: Vec<(&str, &str)> = advised.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let (_kept, mapping) = mapping_with(side, &lines);
        let again = compare(sides.0, sides.1, &["--mapping", mapping.to_str().unwrap()]);
        self.passes(&format!("{case}, as advised ({lines:?})"), &again, &[]);
    }

    pub(crate) fn none(self) {
        assert!(self.found.is_empty(), "{}", self.found.join("\n"));
    }
}
