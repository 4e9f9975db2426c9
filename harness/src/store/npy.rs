//! `.npy` files: f16, bf16, f32 and f64, C and Fortran order, either endianness, versions 1 to 3.
//!
//! Nothing is allocated on a header's word: every size is held against the length of the file first.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use npyz::WriterBuilder;
use py_literal::Value;

use super::error::{Place, StoreError, TensorProblem};
use super::file_kind::{FileKind, NPY_MAGIC};
use super::regular;
use super::stored::{ElementBytes, Encoding, StoredTensor};
use crate::bounds::{NPY_DECLARATION, NPY_HEADER, NPY_NESTING, RANK};
use crate::tensor::{Dtype, Tensor, Values, element_count};
use crate::text::shown::quoted;

/// What precedes the elements of an `.npy` file.
pub(super) struct NpyHeader {
    pub(super) shape: Vec<usize>,
    pub(super) encoding: Encoding,
    /// As it stands in the file.
    pub(super) bytes: Vec<u8>,
}

/// Opens a tensor: its header is read, its elements are not.
///
/// `two_byte_integers` says what `<u2` and `<i2` stand for; NumPy has no bf16, so dumps of it are often stored that way.
///
/// # Errors
/// Whatever is not exactly one tensor of floating-point numbers.
pub fn open(path: &Path, two_byte_integers: Option<Dtype>) -> Result<StoredTensor, StoreError> {
    let place = Place::file(path);
    let (mut file, length) = regular::open(path).map_err(|problem| place.error(problem))?;
    let header = parse(&mut file, length, two_byte_integers).map_err(|problem| {
        place.error(match problem {
            // Only the file as a whole shows what else it is.
            TensorProblem::Kind { expected, .. } => {
                TensorProblem::Kind { expected, found: FileKind::describe(path) }
            }
            other => other,
        })
    })?;
    let NpyHeader { shape, encoding, bytes: header } = header;
    let elements = ElementBytes { offset: header.len() as u64, header, bytes: Arc::new(file) };
    StoredTensor::new(place, shape, encoding, elements)
}

/// Reads a tensor.
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path, two_byte_integers: Option<Dtype>) -> Result<Tensor, StoreError> {
    open(path, two_byte_integers)?.read()
}

/// Reads what precedes the elements in a file of `length` bytes, and holds the length against it.
pub(super) fn parse(
    mut reader: impl Read,
    length: u64,
    two_byte_integers: Option<Dtype>,
) -> Result<NpyHeader, TensorProblem> {
    let mut front = Vec::new();
    reader.by_ref().take(10).read_to_end(&mut front)?;
    if front.starts_with(NPY_MAGIC) && front.len() < 10 {
        return Err(TensorProblem::Header(format!("cut short after {length} bytes")));
    }
    if front.len() < 10 || !front.starts_with(NPY_MAGIC) {
        let found = match front.as_slice() {
            [] => "an empty file".to_string(),
            bytes => format!("{} bytes that start with {:02x?}", length, &bytes[..bytes.len().min(6)]),
        };
        return Err(TensorProblem::Kind { expected: "an .npy file (it starts with \\x93NUMPY)", found });
    }
    let (major, minor) = (front[6], front[7]);
    if !(1..=3).contains(&major) || minor != 0 {
        return Err(TensorProblem::NpyVersion { major, minor });
    }
    let header = if major == 1 {
        u64::from(u16::from_le_bytes([front[8], front[9]]))
    } else {
        let mut more = [0; 2];
        let cut_short = |_| TensorProblem::Header(format!("cut short after {length} bytes"));
        reader.read_exact(&mut more).map_err(cut_short)?;
        front.extend(more);
        u64::from(u32::from_le_bytes([front[8], front[9], more[0], more[1]]))
    };
    let start = front.len() as u64;
    if header > NPY_HEADER || start + header > length {
        return Err(TensorProblem::HeaderLength { header, length, most: NPY_HEADER });
    }
    let mut declaration = Vec::new();
    reader.by_ref().take(header).read_to_end(&mut declaration)?;
    // A header may be padded, so that it can grow where it is.
    let text = declaration.trim_ascii();
    if text.len() > NPY_DECLARATION {
        let found = text.len();
        let message = format!("expected at most {NPY_DECLARATION} bytes without padding, found {found}");
        return Err(TensorProblem::Header(message));
    }
    let (shape, encoding) = interpret(text, two_byte_integers)?;
    let dtype = encoding.dtype;
    let count = element_count(&shape).and_then(|count| u64::try_from(count).ok());
    let expected = count.and_then(|count| count.checked_mul(dtype.size() as u64));
    let Some(expected) = expected else {
        return Err(TensorProblem::Shape { found: format!("{shape:?}") });
    };
    let found = length - start - header;
    if found < expected {
        return Err(TensorProblem::Truncated { shape, dtype, expected, found });
    }
    if found > expected {
        return Err(TensorProblem::Oversized { shape, dtype, expected, found });
    }
    front.extend(declaration);
    Ok(NpyHeader { shape, encoding, bytes: front })
}

/// The header without the `L` that Python 2 puts after large integers, for its parser does not know it.
fn without_python_2(header: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(header.len());
    let mut quote = None;
    for byte in header {
        match (quote, byte) {
            (Some(open), byte) if open == byte => quote = None,
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'L') if out.last().is_some_and(u8::is_ascii_digit) => continue,
            _ => {}
        }
        out.push(*byte);
    }
    out
}

/// Shape, type, endianness and order that a header declares.
fn interpret(
    header: &[u8],
    two_byte_integers: Option<Dtype>,
) -> Result<(Vec<usize>, Encoding), TensorProblem> {
    // The parser takes a time that doubles with each level. A bracket in quotes closes nothing.
    let (mut nesting, mut quote, mut escaped) = (0usize, None, false);
    for byte in header {
        match (quote, byte) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(open), byte) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'(' | b'[' | b'{') => nesting += 1,
            (None, b')' | b']' | b'}') => nesting = nesting.saturating_sub(1),
            (None, _) => {}
        }
        if nesting > NPY_NESTING {
            return Err(TensorProblem::Header(format!("brackets nested deeper than {NPY_NESTING}")));
        }
    }
    let malformed = |message: String| TensorProblem::Header(message);
    let header = without_python_2(header);
    let text = std::str::from_utf8(&header).map_err(|error| malformed(error.to_string()))?;
    let Ok(Value::Dict(entries)) = text.parse::<Value>() else {
        return Err(malformed("expected a Python dictionary with descr, fortran_order and shape".into()));
    };
    let entry = |name: &str| {
        let mut found = entries.iter().filter(|(key, _)| matches!(key, Value::String(key) if key == name));
        // To Python the last one counts, to others the first.
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Ok(value),
            (Some(_), Some(_)) => Err(malformed(format!("entry `{name}` is there twice"))),
            (None, _) => Err(malformed(format!("no entry `{name}`"))),
        }
    };
    let column_major = match entry("fortran_order")? {
        Value::Boolean(column_major) => *column_major,
        _ => return Err(malformed("`fortran_order` is neither True nor False".into())),
    };
    let (dtype, big_endian) = match entry("descr")? {
        Value::String(descr) => number_type(descr, two_byte_integers)?,
        _ => {
            let found = "a record of several fields".into();
            return Err(TensorProblem::Dtype { found, two_byte_integers: false });
        }
    };
    let Value::Tuple(extents) = entry("shape")? else {
        return Err(malformed("`shape` is not a tuple".into()));
    };
    let extent = |value: &Value| match value {
        Value::Integer(extent) => usize::try_from(extent).ok(),
        _ => None,
    };
    let shape: Option<Vec<usize>> = extents.iter().map(extent).collect();
    match shape {
        Some(shape) if shape.len() <= RANK => Ok((shape, Encoding { dtype, big_endian, column_major })),
        _ => {
            let shown = |extent: &Value| quoted(&extent.to_string());
            let first = extents.iter().take(4).map(shown).collect::<Vec<_>>().join(", ");
            Err(TensorProblem::Shape { found: format!("{} axes, ({first}, …)", extents.len()) })
        }
    }
}

/// The type that a `descr` names, and whether its bytes are the highest first.
fn number_type(descr: &str, two_byte_integers: Option<Dtype>) -> Result<(Dtype, bool), TensorProblem> {
    let (order, code) = match descr.strip_prefix(['<', '>', '|', '=']) {
        Some(code) => (descr.chars().next(), code),
        None => (None, descr),
    };
    let other = |found: String, two_byte_integers| Err(TensorProblem::Dtype { found, two_byte_integers });
    let dtype = match (code, two_byte_integers) {
        ("f2" | "float16" | "half", _) => Dtype::F16,
        ("f4" | "float32" | "single", _) => Dtype::F32,
        ("f8" | "float64" | "double", _) => Dtype::F64,
        // By ml_dtypes' own name, and as NumPy writes it without that package.
        ("V2" | "bfloat16", _) => Dtype::Bf16,
        ("u2" | "i2" | "uint16" | "int16", Some(dtype)) => dtype,
        ("u2" | "i2" | "uint16" | "int16", None) => {
            return other(format!("whole numbers of two bytes (`{descr}`)"), true);
        }
        ("O" | "object", _) => return Err(TensorProblem::Objects),
        ("f1" | "V1", _) => return other(format!("numbers of one byte (`{descr}`), fp8 perhaps"), false),
        ("c8" | "c16", _) => return other(format!("complex numbers (`{descr}`)"), false),
        _ => return other(format!("`{}`", quoted(descr)), false),
    };
    Ok((dtype, order == Some('>')))
}

/// Writes a tensor as little-endian f32 or f64 in C order, aside and then renamed: no half file is left behind.
///
/// # Errors
/// Whatever the file system says.
pub fn write(path: &Path, tensor: &Tensor) -> Result<(), StoreError> {
    let shape: Vec<u64> = tensor.shape().iter().map(|extent| *extent as u64).collect();
    let written = crate::files::atomic::write(path, |out| match tensor.values() {
        Values::F32(values) => write_values(out, &shape, values.iter().copied()),
        Values::F64(values) => write_values(out, &shape, values.iter().copied()),
    });
    written.map_err(|error| Place::file(path).error(error.into()))
}

fn write_values<T: npyz::AutoSerialize + Copy>(
    out: &mut dyn Write,
    shape: &[u64],
    values: impl Iterator<Item = T>,
) -> std::io::Result<()> {
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(out).begin_nd()?;
    writer.extend(values)?;
    writer.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A file with this header and body.
    fn file(version: u8, header: &str, body: &[u8]) -> Vec<u8> {
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

    fn header(descr: &str, fortran: bool, shape: &str) -> String {
        let fortran = if fortran { "True" } else { "False" };
        format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n")
    }

    fn opened(bytes: &[u8], two_byte_integers: Option<Dtype>) -> Result<StoredTensor, TensorProblem> {
        let NpyHeader { shape, encoding, bytes: header } =
            parse(bytes, bytes.len() as u64, two_byte_integers)?;
        let elements = ElementBytes { offset: header.len() as u64, header, bytes: Arc::new(bytes.to_vec()) };
        StoredTensor::new(Place::file(Path::new("memory")), shape, encoding, elements)
            .map_err(|error| error.problem)
    }

    fn parsed(bytes: &[u8]) -> Result<Tensor, TensorProblem> {
        opened(bytes, None)?.read().map_err(|error| error.problem)
    }

    #[test]
    fn every_type_order_version_and_endianness() {
        // [[0, 1, 2], [3, 4, 5]]
        for version in 1..=3 {
            for fortran in [false, true] {
                let order =
                    if fortran { [0.0, 3.0, 1.0, 4.0, 2.0, 5.0] } else { [0.0, 1.0, 2.0, 3.0, 4.0, 5.0] };
                for big in [false, true] {
                    for (code, dtype) in
                        [("f2", Dtype::F16), ("V2", Dtype::Bf16), ("f4", Dtype::F32), ("f8", Dtype::F64)]
                    {
                        let body: Vec<u8> = order
                            .iter()
                            .flat_map(|x: &f64| {
                                let mut bytes = match dtype {
                                    Dtype::F16 => half::f16::from_f64(*x).to_le_bytes().to_vec(),
                                    Dtype::Bf16 => half::bf16::from_f64(*x).to_le_bytes().to_vec(),
                                    Dtype::F32 => (*x as f32).to_le_bytes().to_vec(),
                                    Dtype::F64 => x.to_le_bytes().to_vec(),
                                };
                                if big {
                                    bytes.reverse();
                                }
                                bytes
                            })
                            .collect();
                        let descr = format!("{}{code}", if big { '>' } else { '<' });
                        let tensor =
                            parsed(&file(version, &header(&descr, fortran, "(2, 3)"), &body)).unwrap();
                        assert_eq!((tensor.shape(), tensor.dtype()), (&[2, 3][..], dtype));
                        let values: Vec<f64> = tensor.iter().collect();
                        assert_eq!(values, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "{descr} version {version}");
                        let stored = opened(&file(version, &header(&descr, fortran, "(2, 3)"), &body), None);
                        let stored = stored.unwrap();
                        let single: Vec<f64> = (0..6).map(|i| stored.element(i).unwrap()).collect();
                        assert_eq!(single, values, "{descr} version {version}, one by one");
                    }
                }
            }
        }
    }

    #[test]
    fn fingerprints_are_of_the_elements_or_of_the_file() {
        use super::super::{Algorithm, Fingerprint};

        let values = [0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0];
        let row_major: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let fingerprint = |bytes: &[u8], algorithm| -> Fingerprint {
            opened(bytes, None).unwrap().read_fingerprinted(algorithm).unwrap().1
        };
        let plain = file(1, &header("<f4", false, "(2, 3)"), &row_major);
        let elements = fingerprint(&plain, Algorithm::ElementsXxh3);
        assert_eq!(elements.hex, format!("{:032x}", twox_hash::XxHash3_128::oneshot(&row_major)));
        // However they are stored.
        let big: Vec<u8> = values.iter().flat_map(|x| x.to_be_bytes()).collect();
        let columns: Vec<u8> = [0, 3, 1, 4, 2, 5].iter().flat_map(|i| values[*i].to_le_bytes()).collect();
        for other in [
            file(2, &header("<f4", false, "(2, 3)"), &row_major),
            file(1, &header(">f4", false, "(2, 3)"), &big),
            file(1, &header("<f4", true, "(2, 3)"), &columns),
        ] {
            assert_eq!(fingerprint(&other, Algorithm::ElementsXxh3), elements);
            use sha2::Digest;
            let sha256 = sha2::Sha256::digest(&other).iter().map(|b| format!("{b:02x}")).collect::<String>();
            assert_eq!(fingerprint(&other, Algorithm::FileSha256).hex, sha256);
        }
    }

    #[test]
    fn two_byte_integers_are_read_only_as_what_they_are_declared_to_be() {
        let bytes = file(1, &header("<u2", false, "(1,)"), &half::bf16::from_f32(1.5).to_le_bytes());
        assert!(matches!(parsed(&bytes), Err(TensorProblem::Dtype { .. })));
        let tensor = opened(&bytes, Some(Dtype::Bf16)).unwrap().read().unwrap();
        assert_eq!((tensor.dtype(), tensor.get(0)), (Dtype::Bf16, 1.5));
    }

    #[test]
    fn trap_13_no_allocation_on_a_headers_word() {
        let mut huge = file(2, "", b"");
        huge[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        let absurd = |shape: &str| file(1, &header("<f4", false, shape), b"\0\0\0\0");
        let messages: Vec<String> = [
            huge,
            absurd("(18446744073709551615, 18446744073709551615)"),
            absurd("(4611686018427387904, 4)"),
            absurd("(1000000000000,)"),
            absurd("(2,)"),
            absurd("()"),
            absurd("(0,)"),
            file(1, &header("<i4", false, "(1,)"), b"\0\0\0\0"),
            file(1, &header("|O", false, "(1,)"), b"\0\0\0\0"),
            file(9, "", b""),
            file(1, &"(".repeat(60_000), b""),
            file(1, "{'descr': '<f4'}", b""),
            b"\x89PNG\r\n\x1a\n and more".to_vec(),
            Vec::new(),
        ]
        .iter()
        .map(|bytes| match parsed(bytes) {
            Ok(tensor) => format!("{:?}", tensor.shape()),
            Err(problem) => problem.to_string(),
        })
        .collect();
        insta::assert_snapshot!(messages.join("\n"));
    }

    #[test]
    fn brackets_in_quotes_do_not_hide_how_deep_others_are() {
        let hidden = format!("{{'x': {}1", "(')',".repeat(500));
        let nested = |depth: usize| format!("{{'x': {}1{}}}", "(".repeat(depth), ",)".repeat(depth));
        for text in [hidden, nested(NPY_NESTING + 1), nested(500)] {
            let problem = parsed(&file(1, &text, b"")).unwrap_err();
            assert!(problem.to_string().contains("nested deeper than 3"), "{problem}");
        }
        let problem =
            parsed(&file(1, "{'descr': '((((', 'fortran_order': False, 'shape': (1,)}", b"")).unwrap_err();
        assert!(matches!(problem, TensorProblem::Dtype { .. }), "{problem}");
    }

    #[test]
    fn files_that_are_not_there_or_are_folders() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            read(folder.path(), None).unwrap_err().problem,
            TensorProblem::Folder | TensorProblem::Io(_)
        ));
        let missing = read(&folder.path().join("none.npy"), None).unwrap_err();
        assert!(missing.to_string().contains("none.npy: cannot be read"), "{missing}");
    }

    #[test]
    fn what_is_written_is_read_back_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        for tensor in [
            Tensor::from_f32(vec![2, 2], vec![1.0, f32::NAN, -0.0, f32::INFINITY]).unwrap(),
            Tensor::from_f64(vec![1], vec![0.1]).unwrap(),
        ] {
            write(&path, &tensor).unwrap();
            let back = read(&path, None).unwrap();
            assert_eq!(format!("{tensor:?}"), format!("{back:?}"));
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), front in 0usize..=8) {
            let magic = b"\x93NUMPY\x01\x00";
            let _ = parsed(&[&magic[..front], &bytes].concat());
        }

        #[test]
        fn arbitrary_headers_never_panic(
            version in 1u8..=3,
            descr in "'([<>|=]?[fVuiO][0-9]{1,3})'|\\[\\('a', '<f4'\\)\\]|3",
            order in "True|False|1",
            shape in "\\(((0|[0-9]{1,20}|-1), ?){0,40}\\)|[0-9]+|\\[2\\]",
            extra in "|, 'x': 1|\\}|é",
            body in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let header = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}{extra}}}\n");
            if let Ok(tensor) = parsed(&file(version, &header, &body)) {
                prop_assert_eq!(Some(tensor.len()), element_count(tensor.shape()));
            }
        }

        #[test]
        fn damaged_files_never_panic(position in 0usize..90, value in any::<u8>(), cut in 0usize..100) {
            let mut bytes = file(1, &header("<f4", true, "(2, 3)"), &[0; 24]);
            let at = position % bytes.len();
            bytes[at] = value;
            bytes.truncate(bytes.len() - cut.min(bytes.len()));
            let _ = parsed(&bytes);
        }
    }
}
