//! Weights in a GGUF file, versions 2 and 3, in either byte order.
//!
//! The header is parsed here, in a hundred lines. Of the crates for it (2026-11-30), gguf 0.1, ggus 0.5 and gguf-rs-lib 0.3
//! read files in the CPU's byte order or in little-endian alone; gguf-rs 0.1 reads both, allocates up to 1 GiB for a text
//! on the word of its length, and depends on the crates of its command line.

use std::collections::{BTreeMap, BTreeSet};

use super::byte_order::ByteOrder;
use super::mapped::MappedFile;
use super::weight_type::WeightType;
use super::{Entry, Location};
use crate::error::Error;

const EXPECTED: &str = "a GGUF file of version 2 or 3";
/// Axes that a tensor of ggml has at the most.
const MOST_AXES: u32 = 4;
/// Arrays of arrays that are followed; no program is known to write any.
const DEEPEST: u32 = 4;
/// Elements of an array that are kept as a fact.
const FEW: u64 = 8;

/// What a GGUF file holds.
pub(super) struct GgufFile {
    pub(super) version: u32,
    pub(super) order: ByteOrder,
    /// What it says of itself: numbers, words and short lists, by name.
    pub(super) facts: BTreeMap<String, String>,
    /// Its tensors by their names in the file, shapes with the slowest axis first.
    pub(super) tensors: BTreeMap<String, Entry>,
}

impl GgufFile {
    /// # Errors
    /// A file that is cut short, malformed, of another version, or a part of a split one.
    pub(super) fn read(file: &MappedFile) -> Result<GgufFile, Error> {
        parse(&file.bytes).map_err(|found| file.not(EXPECTED, found))
    }
}

/// A tensor as the header lists it.
struct GgufTensorInfo {
    name: String,
    /// Slowest axis first.
    shape: Vec<usize>,
    kind: WeightType,
    /// From the beginning of the data.
    offset: usize,
    /// Bytes; none for a type that is not supported.
    size: Option<usize>,
}

fn parse(bytes: &[u8]) -> Result<GgufFile, String> {
    let mut cursor = Cursor { bytes, at: 4, order: ByteOrder::Little };
    let mut version = cursor.u32("its version")?;
    if version & 0xFFFF == 0 {
        (cursor.order, version) = (ByteOrder::Big, version.swap_bytes());
    }
    if ![2, 3].contains(&version) {
        return Err(format!("version {version}: convert the model again with a present-day llama.cpp"));
    }
    let (tensor_count, fact_count) =
        (cursor.u64("its number of tensors")?, cursor.u64("its number of facts")?);
    let mut facts = BTreeMap::new();
    for number in 0..fact_count {
        let key = cursor.text(|| format!("the name of fact {number}"))?;
        let kind = cursor.u32("the type of a fact")?;
        if let Some(value) = cursor.fact(&key, kind, 0)?
            && facts.insert(key.clone(), value).is_some()
        {
            return Err(format!("fact `{key}` twice"));
        }
    }
    let alignment = match facts.get("general.alignment") {
        None => 32,
        Some(text) => text
            .parse()
            .ok()
            .filter(|alignment: &usize| alignment.is_power_of_two())
            .ok_or_else(|| format!("an alignment of {text}, which is no power of two"))?,
    };
    if let Some(parts) = facts.get("split.count").filter(|parts| !["0", "1"].contains(&parts.as_str())) {
        return Err(format!("one of {parts} parts of a split file: join them with llama-gguf-split --merge"));
    }
    let mut listed = Vec::new();
    let mut names = BTreeSet::new();
    for number in 0..tensor_count {
        let tensor = cursor.tensor(number)?;
        if !names.insert(tensor.name.clone()) {
            return Err(format!("tensor `{}` twice", tensor.name));
        }
        listed.push(tensor);
    }
    let data = cursor.at.checked_next_multiple_of(alignment).ok_or("an alignment beyond all files")?;
    place(bytes.len(), data, alignment, &mut listed)?;
    let entry = |tensor: GgufTensorInfo| {
        let start = data + tensor.offset;
        let range = start..start + tensor.size.unwrap_or(0);
        let (kind, order) = (tensor.kind, cursor.order);
        let location = Location::File { shard: 0, kind, order, range, channels_last: None };
        (tensor.name.clone(), Entry { name: tensor.name, shape: tensor.shape, location })
    };
    let order = cursor.order;
    Ok(GgufFile { version, order, facts, tensors: listed.into_iter().map(entry).collect() })
}

/// Checks that every tensor lies in the file, and that none shares bytes with another.
fn place(length: usize, data: usize, alignment: usize, listed: &mut [GgufTensorInfo]) -> Result<(), String> {
    listed.sort_by_key(|tensor| tensor.offset);
    let mut end = 0;
    for tensor in listed {
        let GgufTensorInfo { name, offset, size, .. } = tensor;
        if !offset.is_multiple_of(alignment) {
            return Err(format!("tensor `{name}` at byte {offset}, which is not aligned to {alignment}"));
        }
        // Where a tensor of an unknown type ends is not known; where it begins is.
        let size = size.unwrap_or(0);
        if *offset < end {
            return Err(format!("tensor `{name}` over the bytes of another"));
        }
        end = offset.checked_add(size).ok_or_else(|| format!("tensor `{name}` beyond all files"))?;
        let needed = end.checked_add(data).ok_or_else(|| format!("tensor `{name}` beyond all files"))?;
        if needed > length {
            return Err(format!(
                "a file of {length} bytes, where tensor `{name}` ends at byte {needed}: cut short; fetch it again"
            ));
        }
    }
    Ok(())
}

/// Reads a header, and no further than the file goes.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    order: ByteOrder,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: u64, what: impl Fn() -> String) -> Result<&'a [u8], String> {
        let rest = &self.bytes[self.at.min(self.bytes.len())..];
        let taken = usize::try_from(length).ok().and_then(|length| rest.get(..length));
        let taken = taken.ok_or_else(|| {
            let what = what();
            format!(
                "{what} of {length} bytes where {} are left: cut short or damaged; fetch it again",
                rest.len()
            )
        })?;
        self.at += taken.len();
        Ok(taken)
    }

    fn u32(&mut self, what: &str) -> Result<u32, String> {
        let bytes = self.take(4, || what.to_string())?;
        Ok(self.order.u32([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn u64(&mut self, what: &str) -> Result<u64, String> {
        let bytes = self.take(8, || what.to_string())?;
        Ok(self.order.u64(bytes.first_chunk().copied().unwrap_or_default()))
    }

    fn text(&mut self, what: impl Fn() -> String) -> Result<String, String> {
        let length = self.u64("the length of a text")?;
        let bytes = self.take(length, &what)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_string()),
            Err(_) => Err(format!("{} that is not UTF-8", what())),
        }
    }

    /// A value of a fact; none for long lists, which are passed over.
    fn fact(&mut self, key: &str, kind: u32, depth: u32) -> Result<Option<String>, String> {
        let what = || format!("fact `{key}`");
        if kind == 8 {
            let length = self.u64("the length of a text")?;
            let bytes = self.take(length, what)?;
            return Ok(Some(String::from_utf8_lossy(bytes).into_owned()));
        }
        if kind == 9 {
            return self.list(key, depth);
        }
        let bytes =
            self.take(size_of_fact(kind).ok_or_else(|| format!("fact `{key}` of type {kind}"))?, what)?;
        Ok(Some(self.number(kind, bytes)))
    }

    fn list(&mut self, key: &str, depth: u32) -> Result<Option<String>, String> {
        let (kind, count) = (self.u32("the type of a list")?, self.u64("the length of a list")?);
        if depth >= DEEPEST {
            return Err(format!("fact `{key}`: lists in lists beyond {DEEPEST}"));
        }
        // Numbers are passed over at once.
        if let Some(size) = size_of_fact(kind).filter(|_| count > FEW) {
            let what = || format!("fact `{key}`");
            self.take(
                size.checked_mul(count).ok_or_else(|| format!("fact `{key}` of {count} numbers"))?,
                what,
            )?;
            return Ok(None);
        }
        let mut values = Vec::new();
        for _ in 0..count {
            let value = self.fact(key, kind, depth + 1)?;
            values.extend(value.filter(|_| count <= FEW));
        }
        Ok((count <= FEW).then(|| format!("[{}]", values.join(", "))))
    }

    fn number(&self, kind: u32, bytes: &[u8]) -> String {
        let mut little = [0; 8];
        little[..bytes.len()].copy_from_slice(bytes);
        if self.order == ByteOrder::Big {
            little[..bytes.len()].reverse();
        }
        let (wide, narrow) =
            (u64::from_le_bytes(little), u32::from_le_bytes([little[0], little[1], little[2], little[3]]));
        match kind {
            0 | 2 | 4 | 10 => wide.to_string(),
            1 => little[0].cast_signed().to_string(),
            3 => i16::from_le_bytes([little[0], little[1]]).to_string(),
            5 => narrow.cast_signed().to_string(),
            6 => f32::from_bits(narrow).to_string(),
            7 => (wide != 0).to_string(),
            11 => wide.cast_signed().to_string(),
            _ => f64::from_bits(wide).to_string(),
        }
    }

    fn tensor(&mut self, number: u64) -> Result<GgufTensorInfo, String> {
        let name = self.text(|| format!("the name of tensor {number}"))?;
        let axes = self.u32("a tensor's number of axes")?;
        if axes == 0 || axes > MOST_AXES {
            return Err(format!("tensor `{name}` of {axes} axes, where ggml has 1 to {MOST_AXES}"));
        }
        let mut shape = Vec::new();
        for _ in 0..axes {
            let extent = self.u64("an extent of a tensor")?;
            let extent = usize::try_from(extent).ok().filter(|extent| *extent > 0);
            shape.push(extent.ok_or_else(|| format!("tensor `{name}` with an extent that no tensor has"))?);
        }
        let kind = WeightType::of_ggml(self.u32("the type of a tensor")?);
        let offset = self.u64("the offset of a tensor")?;
        let beyond = || format!("tensor `{name}` beyond all files");
        let offset = usize::try_from(offset).map_err(|_| beyond())?;
        let elements =
            shape.iter().try_fold(1usize, |all, extent| all.checked_mul(*extent)).ok_or_else(beyond)?;
        let size = match kind.unit() {
            None => None,
            Some(unit) if !shape[0].is_multiple_of(unit.elements) => {
                return Err(format!(
                    "tensor `{name}` with rows of {} elements, where {kind} has blocks of {}",
                    shape[0], unit.elements
                ));
            }
            Some(unit) => Some((elements / unit.elements).checked_mul(unit.bytes).ok_or_else(beyond)?),
        };
        shape.reverse();
        Ok(GgufTensorInfo { name, shape, kind, offset, size })
    }
}

/// Bytes of a fact that is one number; none for texts, lists and what is not known.
fn size_of_fact(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// The shape that timm has for a tensor by its name there.
///
/// llama.cpp's converter adds axes of 1 to a bias and a layer scale, ggml loses axes of 1 at the front of a shape, and
/// 1 x 1 kernels are made matrices to be quantised, since rows of one element make no blocks.
pub(super) fn timm_shape(name: &str, shape: &[usize]) -> Vec<usize> {
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    let is_depthwise = name.contains(".dw_") || name.contains(".down_conv.");
    if name.ends_with("embedding_projection.weight") {
        return match *shape {
            [out, input, 1, 1] => vec![out, input],
            [n] => vec![1, n],
            _ => shape.to_vec(),
        };
    }
    if ends(&[".conv.weight", ".proj.weight", "conv_exp.weight", "conv_pwl.weight", "down_conv.weight"]) {
        return match *shape {
            [out, input] if !is_depthwise => vec![out, input, 1, 1],
            [channels, height, width] if is_depthwise && height == width => vec![channels, 1, height, width],
            [input, height, width] if height == width => vec![1, input, height, width],
            [out, input, 1] => vec![out, input, 1, 1],
            _ => shape.to_vec(),
        };
    }
    let long: Vec<usize> = shape.iter().copied().filter(|extent| *extent != 1).collect();
    match long.as_slice() {
        [] => vec![1],
        [length] => vec![*length],
        _ => shape.to_vec(),
    }
}
