//! ONNX tensors: protobuf messages `TensorProto`, one a file. Fields are walked over where they lie, elements stay on disk.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{Place, StoreError, TensorProblem};
use super::item::{Item, TensorSource};
use super::lazy::LazyBytes;
use super::regular;
use super::stored::{ElementBytes, Encoding, ReadAt, StoredTensor};
use crate::tensor::{Dtype, element_count};

const EXPECTED: &str = "an ONNX tensor (TensorProto)";
/// More fields than any tensor has that is written with its elements in one piece.
const MAX_FIELDS: usize = 1024;
/// More axes than any tensor has.
const MAX_RANK: usize = 64;
const MAX_NAME: u64 = 4096;

/// Numbers of the fields of a `TensorProto`.
mod field {
    pub(super) const DIMS: u64 = 1;
    pub(super) const DATA_TYPE: u64 = 2;
    pub(super) const SEGMENT: u64 = 3;
    pub(super) const FLOAT_DATA: u64 = 4;
    pub(super) const INT32_DATA: u64 = 5;
    pub(super) const NAME: u64 = 8;
    pub(super) const RAW_DATA: u64 = 9;
    pub(super) const DOUBLE_DATA: u64 = 10;
    pub(super) const EXTERNAL_DATA: u64 = 13;
    pub(super) const DATA_LOCATION: u64 = 14;
    /// All that there are; 15 was never given out.
    pub(super) const LAST: u64 = 16;
}

/// The fields that may hold a tensor's elements.
const ELEMENTS: [u64; 4] = [field::FLOAT_DATA, field::INT32_DATA, field::RAW_DATA, field::DOUBLE_DATA];

/// How many types of elements the format has; 0 is none.
const DATA_TYPES: std::ops::RangeInclusive<u64> = 1..=64;

/// What follows the number of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Number(u64),
    /// So many bytes.
    Bytes(u64),
}

/// Bytes of a file, of a field or of the front of a file.
struct Bytes<R> {
    from: R,
    /// Where the next of them lies.
    at: u64,
    /// Where they end.
    end: u64,
}

impl<R: Read> Bytes<R> {
    /// A number of seven bits a byte; `None` where none is there, or it is too large.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..70).step_by(7) {
            let mut byte = [0];
            if self.at >= self.end {
                return None;
            }
            self.from.read_exact(&mut byte).ok()?;
            self.at += 1;
            let bits = u64::from(byte[0] & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            number |= bits << shift;
            if byte[0] < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// The next field: its number, and what follows it. Bytes are not gone over yet.
    fn field(&mut self) -> Option<(u64, Value)> {
        let key = self.number()?;
        let value = match key & 7 {
            0 => Value::Number(self.number()?),
            2 => Value::Bytes(self.number()?),
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

/// Whether a file of that length that begins so is a tensor: known fields of the right kind, the type of its elements among
/// them.
pub(super) fn is_tensor(front: &[u8], length: u64) -> bool {
    let mut bytes = Bytes { from: front, at: 0, end: front.len() as u64 };
    let mut typed = false;
    while bytes.at < bytes.end {
        match bytes.field() {
            Some((field::DATA_TYPE, Value::Number(number))) if DATA_TYPES.contains(&number) => typed = true,
            Some((field::DIMS | field::DATA_LOCATION, Value::Number(_))) => {}
            Some((number, Value::Bytes(size)))
                if number != field::DATA_TYPE && (1..=field::LAST).contains(&number) =>
            {
                let inside = size <= length.saturating_sub(bytes.at);
                // Elements may be cut short.
                if size >= bytes.end - bytes.at {
                    return typed && (inside || ELEMENTS.contains(&number));
                }
                bytes.from = &bytes.from[size as usize..];
                bytes.at += size;
            }
            // A number that the front cuts off.
            None if bytes.at == bytes.end && length > bytes.end => return typed,
            _ => return false,
        }
    }
    typed
}

/// Where a field's bytes lie.
#[derive(Clone, Copy, Debug)]
struct Span {
    at: u64,
    size: u64,
}

/// A tensor without its elements.
#[derive(Debug, Default)]
struct Header {
    name: String,
    dims: Vec<u64>,
    data_type: u64,
    /// The field that holds the elements, and where they lie.
    elements: Option<(u64, Span)>,
    external: bool,
}

impl Header {
    fn read(file: &File, length: u64) -> Result<Header, TensorProblem> {
        let cut = || damaged("a field that cannot be in it");
        let mut bytes = Bytes { from: BufReader::new(file), at: 0, end: length };
        let mut header = Header::default();
        let mut fields = 0;
        while bytes.at < bytes.end {
            fields += 1;
            if fields > MAX_FIELDS {
                return Err(damaged(format!(
                    "more than {MAX_FIELDS} fields; write the elements as `raw_data`"
                )));
            }
            let (number, value) = bytes.field().ok_or_else(cut)?;
            match value {
                Value::Number(value) => header.number(number, value)?,
                Value::Bytes(size) => {
                    let span = Span { at: bytes.at, size };
                    let left = bytes.end - bytes.at;
                    if size > left {
                        return Err(damaged(format!("cut short: a field of {size} bytes, {left} are left")));
                    }
                    let end = span.at + size;
                    header.bytes(number, span, &mut bytes)?;
                    let rest = i64::try_from(end - bytes.at).map_err(|_| cut())?;
                    bytes.from.seek_relative(rest)?;
                    bytes.at = end;
                }
            }
        }
        Ok(header)
    }

    fn number(&mut self, number: u64, value: u64) -> Result<(), TensorProblem> {
        match number {
            field::DIMS => self.extent(value)?,
            field::DATA_TYPE => self.data_type = value,
            field::DATA_LOCATION => self.external |= value != 0,
            _ => {}
        }
        Ok(())
    }

    fn extent(&mut self, extent: u64) -> Result<(), TensorProblem> {
        self.dims.push(extent);
        match self.dims.len() > MAX_RANK {
            true => Err(TensorProblem::Shape { found: format!("more than {MAX_RANK} axes") }),
            false => Ok(()),
        }
    }

    /// Takes from a field's bytes what is wanted of them.
    fn bytes(&mut self, number: u64, span: Span, bytes: &mut Bytes<impl Read>) -> Result<(), TensorProblem> {
        let end = span.at + span.size;
        match number {
            field::DIMS => {
                while bytes.at < end {
                    let extent = bytes.number().filter(|_| bytes.at <= end);
                    self.extent(extent.ok_or_else(|| damaged("extents that are cut short"))?)?;
                }
            }
            field::NAME if span.size <= MAX_NAME => {
                let mut name = Vec::new();
                bytes.at += bytes.from.by_ref().take(span.size).read_to_end(&mut name)? as u64;
                self.name = String::from_utf8(name).map_err(|_| damaged("a name that is not UTF-8"))?;
            }
            field::NAME => return Err(damaged(format!("a name of more than {MAX_NAME} bytes"))),
            field::SEGMENT => return Err(damaged("a segment of a tensor; join its segments")),
            field::EXTERNAL_DATA => self.external = true,
            number if ELEMENTS.contains(&number) && span.size > 0 => {
                let before = self.elements.replace((number, span));
                if before.is_some() {
                    return Err(damaged("elements in several pieces; write them as `raw_data`"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn shape(&self) -> Result<Vec<usize>, TensorProblem> {
        let found = || TensorProblem::Shape { found: format!("{:?}", self.dims) };
        let shape: Option<Vec<usize>> =
            self.dims.iter().map(|extent| usize::try_from(*extent).ok()).collect();
        shape.filter(|shape| element_count(shape).is_some()).ok_or_else(found)
    }

    fn dtype(&self, two_byte_integers: Option<Dtype>) -> Result<Dtype, TensorProblem> {
        Ok(match (self.data_type, two_byte_integers) {
            (1, _) => Dtype::F32,
            (10, _) => Dtype::F16,
            (11, _) => Dtype::F64,
            (16, _) => Dtype::Bf16,
            (4 | 5, Some(dtype)) => dtype,
            (other, _) => {
                let name = match other {
                    2 => "uint8",
                    3 => "int8",
                    4 => "uint16",
                    5 => "int16",
                    6 => "int32",
                    7 => "int64",
                    8 => "string",
                    9 => "bool",
                    12 => "uint32",
                    13 => "uint64",
                    14 => "complex64",
                    15 => "complex128",
                    17..=20 => "float8",
                    _ => "another type",
                };
                let found = format!("{name} (data_type {other})");
                return Err(TensorProblem::Dtype { found, two_byte_integers: matches!(other, 4 | 5) });
            }
        })
    }
}

fn damaged(found: impl std::fmt::Display) -> TensorProblem {
    TensorProblem::Damaged { expected: EXPECTED, found: found.to_string() }
}

/// A tensor's file.
#[derive(Debug)]
struct OnnxTensor {
    path: PathBuf,
    two_byte_integers: Option<Dtype>,
}

/// The tensor of a file, by its name in there, else by the file's.
///
/// # Errors
/// A file that cannot be read, or is no tensor.
pub(super) fn items(path: &Path, two_byte_integers: Option<Dtype>) -> Result<Vec<Item>, StoreError> {
    let place = Place::file(path);
    let (file, length) = regular::open(path).map_err(|problem| place.error(problem))?;
    let Header { name, .. } = Header::read(&file, length).map_err(|problem| place.error(problem))?;
    let name = match name.is_empty() {
        true => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        false => name,
    };
    Ok(vec![Item::named(&name, OnnxTensor { path: path.to_path_buf(), two_byte_integers })])
}

impl TensorSource for OnnxTensor {
    fn open(&self) -> Result<StoredTensor, StoreError> {
        let place = Place::file(&self.path);
        let at = |problem| place.error(problem);
        let (file, length) = regular::open(&self.path).map_err(at)?;
        let header = Header::read(&file, length).map_err(at)?;
        if header.external {
            let found = "a tensor whose elements are in another file; save it with its elements".to_string();
            return Err(at(TensorProblem::Kind { expected: "a tensor with its elements", found }));
        }
        let (shape, dtype) = (header.shape().map_err(at)?, header.dtype(self.two_byte_integers).map_err(at)?);
        let elements = elements(file, &header, &shape, dtype).map_err(at)?;
        let encoding = Encoding { dtype, big_endian: false, column_major: false };
        StoredTensor::new(place, shape, encoding, elements)
    }
}

/// The elements, which must be as many as the shape says.
fn elements(
    file: File,
    header: &Header,
    shape: &[usize],
    dtype: Dtype,
) -> Result<ElementBytes, TensorProblem> {
    let (number, span) = header.elements.unwrap_or((field::RAW_DATA, Span { at: 0, size: 0 }));
    let fits = match number {
        field::FLOAT_DATA => dtype == Dtype::F32,
        field::DOUBLE_DATA => dtype == Dtype::F64,
        field::INT32_DATA => dtype.size() == 2,
        _ => true,
    };
    if !fits {
        return Err(damaged(format!("elements of {dtype} in field {number}")));
    }
    let file = Arc::new(file);
    let (found, elements) = match number {
        field::INT32_DATA => {
            let count = count_numbers(&file, span)?;
            let unpack = move || unpack(&file, span);
            (count * dtype.size() as u64, ElementBytes::at(0, Arc::new(LazyBytes::new(unpack))))
        }
        _ => (span.size, ElementBytes::at(span.at, file)),
    };
    let bytes = element_count(shape).and_then(|count| count.checked_mul(dtype.size()));
    let Some(expected) = bytes.map(|bytes| bytes as u64) else {
        return Err(TensorProblem::Shape { found: format!("{shape:?}") });
    };
    let shape = shape.to_vec();
    match found.cmp(&expected) {
        std::cmp::Ordering::Less => Err(TensorProblem::Truncated { shape, dtype, expected, found }),
        std::cmp::Ordering::Greater => Err(TensorProblem::Oversized { shape, dtype, expected, found }),
        std::cmp::Ordering::Equal => Ok(elements),
    }
}

/// The bytes of a field, as they are.
fn read(file: &File, span: Span) -> std::io::Result<Vec<u8>> {
    let too_large = |_| std::io::Error::from(std::io::ErrorKind::OutOfMemory);
    let mut bytes = vec![0; usize::try_from(span.size).map_err(too_large)?];
    ReadAt::read_exact_at(file, &mut bytes, span.at)?;
    Ok(bytes)
}

/// How many numbers of seven bits a byte there are: as many as there are last bytes.
fn count_numbers(file: &File, span: Span) -> Result<u64, TensorProblem> {
    let bytes = read(file, span)?;
    Ok(bytes.iter().filter(|byte| **byte < 0x80).count() as u64)
}

/// Numbers of 16 bits out of a field of numbers of seven bits a byte.
fn unpack(file: &File, span: Span) -> std::io::Result<Vec<u8>> {
    let packed = read(file, span)?;
    let mut bytes = Bytes { from: packed.as_slice(), at: 0, end: span.size };
    let mut unpacked = Vec::new();
    while bytes.at < bytes.end {
        // Signed numbers below 0 are written as if they had 64 bits.
        let bits = |number: u64| {
            u16::try_from(number).ok().or(i16::try_from(number as i64).ok().map(|number| number as u16))
        };
        let bits = bytes.number().and_then(bits).ok_or_else(|| {
            std::io::Error::new(std::io::ErrorKind::InvalidData, "elements that are no numbers of 16 bits")
        })?;
        unpacked.extend(bits.to_le_bytes());
    }
    Ok(unpacked)
}
