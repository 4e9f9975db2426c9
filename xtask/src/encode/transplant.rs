//! Tensors of another program put in the place of the encoder's own, and what that costs at the end.

use std::collections::BTreeMap;
use std::path::PathBuf;

use encoder::tap::INPUT;
use encoder::{Encoded, Model, Part, TapTensor};
use harness::store::read_npy;
use harness::text::nearest::nearest;

use crate::shell::failure::Failure;
use crate::shell::paths;

/// A tensor that is asked for to be replaced.
#[derive(Clone, Debug)]
pub(crate) struct Replacement {
    /// The encoder's name of it.
    pub(crate) name: String,
    /// An `.npy` with its values.
    pub(crate) file: PathBuf,
}

/// `NAME=FILE`.
pub(crate) fn replacement(text: &str) -> Result<Replacement, String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => {
            let name = name.strip_prefix("debug_").unwrap_or(name).to_string();
            Ok(Replacement { name, file: file.into() })
        }
        _ => Err("expected NAME=FILE, such as mobilenet_block_3_attn_output=dump/block_3.npy".to_string()),
    }
}

/// Tensors by the encoder's names of them.
type TapTensors = BTreeMap<String, TapTensor>;

/// A run with tensors replaced.
pub(crate) struct Transplanted {
    /// The soft tokens.
    pub(crate) encoded: Encoded,
    /// Of each tensor that was replaced, and of the end: its name, and how far it is from the encoder's own, ‖d‖ / ‖b‖.
    pub(crate) off: Vec<(String, f64)>,
}

/// Runs the encoder part by part with these tensors in the place of its own.
pub(crate) fn run(
    model: &Model,
    input: &TapTensor,
    replacements: &[Replacement],
) -> Result<Transplanted, Failure> {
    let parts = model.parts();
    replacements.iter().try_for_each(|asked| check_name(asked, &parts))?;
    let start: TapTensors = [(INPUT.to_string(), input.clone())].into();
    let (mut own, mut replaced) = (start.clone(), start);
    let mut off = Vec::new();
    let mut ends: Option<(String, TapTensor, TapTensor)> = None;
    for (number, part) in parts.iter().enumerate() {
        let outputs = model.run_part(part, &own).map_err(Failure::unreadable)?;
        let mut others = model.run_part(part, &replaced).map_err(Failure::unreadable)?;
        for ((name, own), (_, other)) in outputs.iter().zip(&mut others) {
            if let Some(asked) = replacements.iter().find(|asked| asked.name == *name) {
                *other = read(asked, &own.shape)?;
                off.push((name.clone(), distance(other, own)));
            }
        }
        let last = outputs.last().cloned().zip(others.last().cloned());
        ends = last.map(|((name, own), (_, other))| (name, own, other)).or(ends);
        for (tensors, outputs) in [(&mut own, outputs), (&mut replaced, others)] {
            tensors.extend(outputs);
            tensors.retain(|name, _| parts[number + 1..].iter().any(|part| part.inputs.contains(name)));
        }
    }
    let Some((name, own, encoded)) = ends else { return Err(Failure::unusable("a model without parts")) };
    off.push((name, distance(&encoded, &own)));
    Ok(Transplanted { encoded, off })
}

/// Only what a later part takes can be replaced.
fn check_name(asked: &Replacement, parts: &[Part]) -> Result<(), Failure> {
    let taken: Vec<&str> = parts.iter().flat_map(|part| &part.inputs).map(String::as_str).collect();
    if asked.name != INPUT && taken.contains(&asked.name.as_str()) {
        return Ok(());
    }
    let given = parts.iter().find(|part| part.outputs.contains(&asked.name));
    let message = format!("--replace {}: no part of the model takes it", asked.name);
    Err(match given.and_then(|part| part.outputs.last()).filter(|last| taken.contains(&last.as_str())) {
        Some(last) => Failure::usage(message, format!("of that part it is {last} that the next one takes")),
        None => {
            let known = nearest(&asked.name, taken.iter().copied());
            let hint = known.map_or(String::new(), |known| format!("did you mean {known}? "));
            Failure::usage(message, format!("{hint}cargo xtask encode --dump DIR lists all names"))
        }
    })
}

/// The values, of the shape that the encoder's own have; the batch axis may be missing where it is 1.
fn read(asked: &Replacement, shape: &[usize]) -> Result<TapTensor, Failure> {
    let Replacement { name, file } = asked;
    let tensor = read_npy(file, None)
        .map_err(|error| Failure::unreadable(error).or_help(|| paths::unreadable_help(file)))?;
    let without_batch = shape.split_first().filter(|(batch, _)| **batch == 1).map(|(_, rest)| rest);
    if tensor.shape() != shape && Some(tensor.shape()) != without_batch {
        let message =
            format!("{}: expected {shape:?}, as {name} is, found {:?}", paths::shown(file), tensor.shape());
        return Err(
            Failure::unusable(message).help("another layout? save it as [batch, channels, height, width]")
        );
    }
    let data: Vec<f32> = tensor.to_f32().iter().copied().collect();
    Ok(TapTensor { shape: shape.to_vec(), data })
}

/// ‖a - b‖ / ‖b‖.
fn distance(a: &TapTensor, b: &TapTensor) -> f64 {
    let (mut difference, mut size) = (0.0, 0.0);
    for (a, b) in a.data.iter().zip(&b.data) {
        let (a, b) = (f64::from(*a), f64::from(*b));
        (difference, size) = (difference + (a - b) * (a - b), size + b * b);
    }
    if difference == 0.0 { 0.0 } else { (difference / size).sqrt() }
}
