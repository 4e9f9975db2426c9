//! Files that are cut short, that lie or that are something else: an error that says what to do, never a panic, and no
//! memory on a file's word.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod torch_file;

use std::io::{Cursor, Write};
use std::path::Path;

use harness::mapping::Mapping;
use harness::store::{Naming, ReadAs, open};
use harness::tensor::Tensor;
use proptest::prelude::*;
use zip::CompressionMethod;

use torch_file::{Pickled, StorageView, torch_zip, torch_zip_of_views};

/// Elements that are read of a tensor at the most: what a file may make a user wait for is another matter.
const MOST: usize = 1 << 20;

/// Reads all that is at a path; the first error.
fn read_all(path: &Path) -> Result<usize, String> {
    let naming = Naming::by_pattern("debug_{name}.npy");
    let store = open(path, &naming, ReadAs::default()).map_err(|error| error.to_string())?;
    let mut elements = 0;
    for entry in store.entries() {
        let tensor = store.open(&entry.key).map_err(|error| error.to_string())?;
        if tensor.len() <= MOST {
            elements += tensor.read().map_err(|error| error.to_string())?.len();
        }
    }
    Ok(elements)
}

/// Address space that the process has had at the most, in bytes; none where the system does not say.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmPeak:"))?;
    Some(1024 * line.split_whitespace().nth(1)?.parse::<u64>().ok()?)
}

/// That no more memory was asked for than small files need.
fn assert_small(before: Option<u64>) {
    if let (Some(before), Some(after)) = (before, peak()) {
        assert!(after - before < 1 << 30, "{} MiB were asked for", (after - before) >> 20);
    }
}

fn npy(shape: &str, elements: usize) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend((0..elements).flat_map(|i| (i as f32).to_le_bytes()));
    bytes
}

fn zipped(entries: &[(&str, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in entries {
        archive.start_file(*name, options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn npz(method: CompressionMethod) -> Vec<u8> {
    zipped(&[("a.npy", npy("(2, 3)", 6)), ("b.npy", npy("(4,)", 4))], method)
}

fn safetensors(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(vec![0; data]);
    bytes
}

/// A safetensors file of one tensor with these words about it.
fn one(shape: &str, offsets: &str, data: usize) -> Vec<u8> {
    safetensors(
        &format!("{{\"a\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":{offsets}}}}}"),
        data,
    )
}

fn torch() -> Vec<u8> {
    let tensor = |n: usize| Pickled::Tensor(Tensor::from_f32(vec![2, n], vec![0.5; 2 * n]).unwrap());
    let inner = Pickled::Dict(vec![("c".to_string(), tensor(2))]);
    torch_zip(&Pickled::Dict(vec![("a".to_string(), tensor(3)), ("b".to_string(), inner)]))
}

/// A file with the first of these bytes exchanged for others of the same length, all the times that they occur.
fn replaced(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> =
        (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert!(!places.is_empty(), "nothing to replace");
    places.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to));
    bytes
}

fn cut(bytes: &[u8], parts: usize) -> Vec<u8> {
    bytes[..bytes.len() / parts].to_vec()
}

/// The uncompressed sizes that an archive declares, in its directory and before each entry, all made this one.
fn declared_size(mut bytes: Vec<u8>, size: u32) -> Vec<u8> {
    for at in 0..bytes.len() - 30 {
        let field = match &bytes[at..at + 4] {
            b"PK\x03\x04" => 22,
            b"PK\x01\x02" => 24,
            _ => continue,
        };
        bytes[at + field..at + field + 4].copy_from_slice(&size.to_le_bytes());
    }
    bytes
}

/// What each file is, and what a user is told.
#[test]
fn files_that_lie_are_refused_with_what_was_expected_and_found() {
    let before = peak();
    let (stored, deflated) = (CompressionMethod::Stored, CompressionMethod::Deflated);
    let zeros = vec![0; 64 << 20];
    let bomb = zipped(&[("a.npy", [npy("(16777216,)", 0), zeros].concat())], deflated);
    let fitting = zipped(&[("a.npy", [npy("(2, 3)", 6), vec![0; 64 << 20]].concat())], deflated);
    let huge = "[1099511627776]";
    let many: StorageView<'_> = ("a", 0, &[1 << 20, 1 << 20], &[0, 0]);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("an empty.npz", Vec::new()),
        ("text.npz", b"hello, this is no archive\n".to_vec()),
        ("text.safetensors", b"{\"a\": 1}".to_vec()),
        ("an npz cut short.npz", cut(&npz(stored), 2)),
        ("an npz of an extent too many.npz", zipped(&[("a.npy", npy("(2, 4)", 6))], stored)),
        ("an npz of a negative extent.npz", zipped(&[("a.npy", npy("(-2, 3)", 6))], stored)),
        ("an npz of a huge extent.npz", zipped(&[("a.npy", npy("(1099511627776,)", 6))], deflated)),
        ("an npz of text.npz", zipped(&[("a.npy", b"hello".to_vec())], stored)),
        ("a bomb declared small.npz", declared_size(bomb, 152)),
        ("a bomb declared as its header says.npz", declared_size(fitting, npy("(2, 3)", 6).len() as u32)),
        ("an npz that declares too much.npz", declared_size(npz(stored), 1 << 30)),
        ("an empty npz.npz", zipped(&[], stored)),
        ("an npz without tensors.npz", zipped(&[("README.md", b"hello".to_vec())], stored)),
        ("a header too long.safetensors", safetensors("{}", 0).into_iter().map(|b| b.max(1)).collect()),
        ("a header of nothing.safetensors", safetensors("{}", 0)),
        ("a header that is no JSON.safetensors", safetensors("{'a'}", 4)),
        ("cut short.safetensors", one("[2,3]", "[0,24]", 20)),
        ("too long.safetensors", one("[2,3]", "[0,24]", 28)),
        ("a shape that lies.safetensors", one("[2,4]", "[0,24]", 24)),
        ("a huge shape.safetensors", one(huge, "[0,4398046511104]", 24)),
        ("an overflowing shape.safetensors", one("[4294967296,4294967296,16]", "[0,24]", 24)),
        ("a negative extent.safetensors", one("[-2,3]", "[0,24]", 24)),
        ("a hole.safetensors", one("[2,3]", "[8,32]", 32)),
        ("offsets in reverse.safetensors", one("[2,3]", "[24,0]", 24)),
        (
            "one name twice.safetensors",
            safetensors(
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\
                 \"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
                8,
            ),
        ),
        ("cut short.pt", cut(&torch(), 2)),
        ("no pickle.pt", zipped(&[("archive/data/0", vec![0; 4])], stored)),
        ("an empty pickle.pt", zipped(&[("archive/data.pkl", Vec::new())], stored)),
        ("a pickle of a call.pt", b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R.".to_vec()),
        ("a changed pickle.pt", replaced(torch(), b"J\x03\0\0\0t", b"J\xff\xff\xff\x7ft")),
        ("a huge extent.pt", torch_zip_of_views(&[1.0], &[("a", 0, &[1 << 30], &[1])])),
        ("a negative extent.pt", torch_zip_of_views(&[1.0], &[("a", 0, &[usize::MAX], &[1])])),
        ("an offset too far.pt", torch_zip_of_views(&[1.0], &[("a", 9, &[1], &[1])])),
        ("a storage that is not there.pt", replaced(torch(), b"data/0", b"data/7")),
        ("one element as many.pt", torch_zip_of_views(&[1.0], &[many])),
        ("too many brackets.pt", [b"\x80\x02".to_vec(), vec![b']'; 100_000], b".".to_vec()].concat()),
    ];
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display().to_string();
    let mut messages = Vec::new();
    for (name, bytes) in cases {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let told = match read_all(&path) {
            Ok(elements) => format!("{name}: READ, {elements} elements"),
            Err(message) => message.replace(&root, "").trim_start_matches(['/', '\\']).to_string(),
        };
        messages.push(told);
    }
    assert_small(before);
    insta::assert_snapshot!(messages.join("\n"));
}

/// Raw elements and what stands beside them.
#[test]
fn sidecars_that_lie_are_refused_with_what_was_expected_and_found() {
    let before = peak();
    let cases: [(&str, &str, &str); 17] = [
        ("f32", "json", "{\"shape\": [2, 4]}"),
        ("f32", "json", "{\"shape\": [2, 2]}"),
        ("f32", "json", "{\"shape\": [-2, 3]}"),
        ("f32", "json", "{\"shape\": [1099511627776, 1099511627776]}"),
        ("f32", "json", "{\"shape\": [1099511627776]}"),
        ("f32", "json", "{\"shape\": \"2x3\"}"),
        ("f32", "json", "{\"dtype\": \"f32\"}"),
        ("f32", "json", "{\"shape\": [2, 3], \"dtype\": \"i32\"}"),
        ("f32", "json", "{\"shape\": [2, 3], \"dtype\": \"f64\"}"),
        ("f32", "json", "{\"shape\": [2, 3], \"layout\": \"NHWC\"}"),
        ("f32", "json", ""),
        ("f32", "json", "not JSON"),
        ("bin", "shape", "2,4"),
        ("bin", "shape", "-2,3"),
        ("bin", "shape", "two by three"),
        ("bin", "shape", "99999999999999999999999"),
        ("f32", "txt", "2,3"),
    ];
    let mut messages = Vec::new();
    for (extension, sidecar, text) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = |extension: &str| folder.path().join(format!("a.{extension}"));
        std::fs::write(path(extension), [0; 24]).unwrap();
        std::fs::write(path(sidecar), text).unwrap();
        let told = read_all(folder.path()).map(|elements| format!("READ, {elements} elements"));
        let root = format!("{}{}", folder.path().display(), std::path::MAIN_SEPARATOR);
        messages.push(format!(".{sidecar} `{text}`: {}", told.unwrap_or_else(|e| e).replace(&root, "")));
    }
    assert_small(before);
    insta::assert_snapshot!(messages.join("\n"));
}

/// A file with two entries of one name: which of them counts is not for a comparison to choose.
#[test]
fn an_archive_with_a_name_twice_is_no_dump() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("twice.npz");
    std::fs::write(&path, replaced(npz(CompressionMethod::Stored), b"b.npy", b"a.npy")).unwrap();
    let message = read_all(&path).unwrap_err();
    assert!(message.contains("twice.npz") && message.contains("two entries of one name"), "{message}");
}

/// One shard that cannot be read is not left out in silence.
#[test]
fn a_shard_that_is_no_container_is_told_as_what_it_is() {
    let whole = one("[2,3]", "[0,24]", 24);
    let cases = [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n".to_vec(), "a git-lfs pointer"),
        (Vec::new(), "an empty file"),
        (b"<!DOCTYPE html>".to_vec(), "a web page"),
    ];
    for (bytes, found) in cases {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("shard-1.safetensors"), &whole).unwrap();
        std::fs::write(folder.path().join("shard-2.safetensors"), bytes).unwrap();
        let message = read_all(folder.path()).unwrap_err();
        assert!(message.contains("shard-2.safetensors") && message.contains(found), "{message}");
    }
}

/// Opening a pipe would wait for another program for ever.
#[cfg(unix)]
#[test]
fn a_pipe_is_told_as_a_pipe_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["debug_a.npy", "a.npz", "a.safetensors", "a.f32", "a.json"] {
        let path = folder.path().join(name);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let message = read_all(&path).unwrap_err();
        assert!(message.contains(name) && message.contains("a pipe or device"), "{message}");
    }
    let message = read_all(folder.path()).unwrap_err();
    assert!(message.contains("debug_a.npy") && message.contains("a pipe or device"), "{message}");
}

/// Bytes of a file that are changed, and where it is cut.
#[derive(Clone, Debug)]
struct Damage {
    flips: Vec<(prop::sample::Index, u8)>,
    cut: Option<prop::sample::Index>,
}

fn damage() -> impl Strategy<Value = Damage> {
    let flips = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (flips, prop::option::weighted(0.3, any::<prop::sample::Index>()))
        .prop_map(|(flips, cut)| Damage { flips, cut })
}

impl Damage {
    fn done_to(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        for (at, value) in &self.flips {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        if let Some(cut) = self.cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes
    }
}

/// Reads a damaged file: a panic or an abort fails the test, and an error names the file.
fn read_damaged(name: &str, bytes: &[u8]) {
    let before = peak();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    if let Err(message) = read_all(&path) {
        assert!(message.contains(name), "{message}");
    }
    assert_small(before);
}

proptest! {
    #[test]
    fn damaged_npy_files_are_read_or_refused(damage in damage()) {
        read_damaged("debug_a.npy", &damage.done_to(npy("(2, 3)", 6)));
    }

    #[test]
    fn damaged_npz_archives_are_read_or_refused(damage in damage(), deflated in any::<bool>()) {
        let method = if deflated { CompressionMethod::Deflated } else { CompressionMethod::Stored };
        read_damaged("a.npz", &damage.done_to(npz(method)));
    }

    #[test]
    fn damaged_safetensors_files_are_read_or_refused(damage in damage()) {
        read_damaged("a.safetensors", &damage.done_to(one("[2,3]", "[0,24]", 24)));
    }

    #[test]
    fn damaged_pytorch_files_are_read_or_refused(damage in damage()) {
        read_damaged("a.pt", &damage.done_to(torch()));
    }

    /// The pickle alone, which in an archive its checksum protects.
    #[test]
    fn damaged_pickles_are_read_or_refused(damage in damage()) {
        let whole = torch();
        let mut archive = zip::ZipArchive::new(Cursor::new(whole)).unwrap();
        let mut entries = Vec::new();
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).unwrap();
            let mut bytes = Vec::new();
            std::io::copy(&mut entry, &mut bytes).unwrap();
            let name = entry.name().unwrap().to_string();
            if name.ends_with("data.pkl") {
                bytes = damage.done_to(bytes);
            }
            entries.push((name, bytes));
        }
        let entries: Vec<(&str, Vec<u8>)> =
            entries.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
        read_damaged("a.pt", &zipped(&entries, CompressionMethod::Stored));
    }

    #[test]
    fn damaged_sidecars_are_read_or_refused(damage in damage(), json in any::<bool>()) {
        let (sidecar, text) = match json {
            true => ("a.json", &b"{\"shape\": [2, 3], \"dtype\": \"f32\", \"layout\": \"row-major\"}"[..]),
            false => ("a.shape", &b"2,3"[..]),
        };
        let before = peak();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.f32"), [0; 24]).unwrap();
        std::fs::write(folder.path().join(sidecar), damage.done_to(text.to_vec())).unwrap();
        if let Err(message) = read_all(folder.path()) {
            prop_assert!(message.contains("a.f32"), "{message}");
        }
        assert_small(before);
    }

    #[test]
    fn damaged_mappings_are_read_or_refused(damage in damage()) {
        let text = include_bytes!("resnet/mapping.toml").to_vec();
        let damaged = String::from_utf8_lossy(&damage.done_to(text)).into_owned();
        let _ = Mapping::parse(Path::new("damaged.toml"), damaged);
    }
}
