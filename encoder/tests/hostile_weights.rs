//! Weights that are cut short, that lie or that are something else: an error that says what to do, never a panic, and no
//! memory on a file's word.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod allocation;
mod fixtures;
mod gguf_file;

use std::path::{Path, PathBuf};

use encoder::{Checkpoint, LoadOptions, Model, Settings};
use gguf_file::{F16, F32, GgufTensor, gguf_bytes, gguf_tensor};
use proptest::prelude::*;

use fixtures::fixtures;

/// Reads all that is at a path; the first error.
fn read_all(path: &Path) -> Result<(), encoder::Error> {
    let checkpoint = Checkpoint::open(path)?;
    for name in checkpoint.names() {
        checkpoint.load(name, checkpoint.shape(name).unwrap())?;
        checkpoint.values_and_rounding(name)?;
    }
    encoder::Architecture::missing_tensors(&checkpoint);
    Model::load(&checkpoint, &LoadOptions { settings: Settings::default(), ..LoadOptions::default() })?;
    Ok(())
}

/// More than any piece of memory that a small file needs, and far less than a header can lie.
const MUCH: usize = 64 << 20;

/// That no memory was asked for on a file's word, by any test of this file.
fn assert_small() {
    let largest = allocation::largest();
    assert!(largest < MUCH, "{} MiB were asked for at once", largest >> 20);
}

/// A model in GGUF.
fn whole_model() -> Vec<u8> {
    let checkpoint = Checkpoint::open(&fixtures().join("symmetric")).unwrap();
    let tensor = |name: &str| {
        let shape = checkpoint.shape(name).unwrap();
        gguf_tensor(name, shape, &checkpoint.load(name, shape).unwrap(), F16).0
    };
    gguf_bytes("clip", &checkpoint.names().map(tensor).collect::<Vec<_>>())
}

fn specimen(file: &str) -> Vec<u8> {
    std::fs::read(fixtures().join("../encoder/tests/data").join(file)).unwrap()
}

/// A tensor of a file that holds little else.
fn stem(extents: &[u64], kind: u32, bytes: usize) -> GgufTensor {
    let (name, extents) = ("v.conv_stem.conv.weight".to_string(), extents.to_vec());
    GgufTensor { name, extents, kind, bytes: vec![0; bytes] }
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

/// A header of one fact, whose type and value these bytes are.
fn of_fact(name: &str, fact: &[u8]) -> Vec<u8> {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend(0u64.to_le_bytes());
    bytes.extend(1u64.to_le_bytes());
    bytes.extend(text(name));
    bytes.extend(fact);
    bytes
}

fn replaced(mut bytes: Vec<u8>, at: usize, with: &[u8]) -> Vec<u8> {
    bytes[at..at + with.len()].copy_from_slice(with);
    bytes
}

/// What each file is, and what a user is told.
#[test]
fn files_that_lie_are_refused_with_what_was_expected_and_found() {
    let folder = tempfile::tempdir().unwrap();
    let huge = u64::MAX.to_le_bytes();
    let good = stem(&[3, 3, 3, 8], F32, 864);
    let second = GgufTensor { name: "v.conv_stem.bn.weight".to_string(), ..stem(&[8], F32, 32) };
    let whole = gguf_bytes("clip", &[good.clone(), second.clone()]);
    let offset_of_second =
        whole.windows(21).position(|name| name == b"v.conv_stem.bn.weight").unwrap() + 21 + 16;
    let nested = [
        &9u32.to_le_bytes()[..],
        &[9u32.to_le_bytes().to_vec(), 1u64.to_le_bytes().to_vec()].concat().repeat(9),
    ]
    .concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing but magic", b"GGUF".to_vec()),
        ("cut in the header", whole[..60].to_vec()),
        ("cut in the data", whole[..whole.len() - 40].to_vec()),
        ("a number of tensors beyond all files", replaced(whole.clone(), 8, &huge)),
        ("a number of facts beyond all files", replaced(whole.clone(), 16, &huge)),
        ("a name beyond all files", replaced(whole.clone(), 24, &huge)),
        (
            "a list of numbers beyond all files",
            of_fact("a", &[&9u32.to_le_bytes()[..], &12u32.to_le_bytes(), &huge].concat()),
        ),
        (
            "a list of texts beyond all files",
            of_fact("a", &[&9u32.to_le_bytes()[..], &8u32.to_le_bytes(), &huge].concat()),
        ),
        ("lists in lists", of_fact("a", &nested)),
        ("a fact of an unknown type", of_fact("a", &[99, 0, 0, 0])),
        ("an odd alignment", of_fact("general.alignment", &[4, 0, 0, 0, 24, 0, 0, 0])),
        ("no alignment", of_fact("general.alignment", &[4, 0, 0, 0, 0, 0, 0, 0])),
        ("a part", of_fact("split.count", &[2, 0, 0, 0, 3, 0])),
        ("a language model", gguf_bytes("gemma3n", &[])),
        ("five axes", gguf_bytes("clip", &[stem(&[3, 3, 3, 8, 1], F32, 864)])),
        // How many bytes they have is not known, so they are not missed before they are read.
        (
            "elements beyond all files of an unknown type",
            gguf_bytes("clip", &[stem(&[3, 3, 3, 1 << 50], 99, 864)]),
        ),
        ("no axis", gguf_bytes("clip", &[stem(&[], F32, 4)])),
        ("an extent of nothing", gguf_bytes("clip", &[stem(&[3, 0, 3, 8], F32, 0)])),
        ("extents beyond all files", gguf_bytes("clip", &[stem(&[1 << 40, 1 << 40], F32, 864)])),
        ("more than there is", gguf_bytes("clip", &[stem(&[3, 3, 3, 1 << 30], F32, 864)])),
        ("a row of half a block", gguf_bytes("clip", &[stem(&[48, 2], 2, 54)])),
        ("a tensor twice", gguf_bytes("clip", &[good.clone(), good.clone()])),
        ("a tensor over another", replaced(whole.clone(), offset_of_second, &32u64.to_le_bytes())),
        ("a tensor that is not aligned", replaced(whole.clone(), offset_of_second, &868u64.to_le_bytes())),
        ("a tensor beyond the file", replaced(whole.clone(), offset_of_second, &(1u64 << 62).to_le_bytes())),
        (
            "a tensor of an unknown type beyond the file",
            replaced(
                replaced(whole.clone(), offset_of_second, &(u64::MAX - 31).to_le_bytes()),
                offset_of_second - 4,
                &99u32.to_le_bytes(),
            ),
        ),
        (
            "a tensor beyond all files",
            replaced(whole.clone(), offset_of_second, &(u64::MAX - 31).to_le_bytes()),
        ),
        (
            "an index with a shard above",
            br#"{"weight_map": {"conv_stem.conv.weight": "../model.safetensors"}}"#.to_vec(),
        ),
        (
            "an index with a shard at a place",
            br#"{"weight_map": {"conv_stem.conv.weight": "/etc/passwd"}}"#.to_vec(),
        ),
        ("an index with a shard of no name", br#"{"weight_map": {"conv_stem.conv.weight": ""}}"#.to_vec()),
        (
            "an index with a shard that is a folder",
            br#"{"weight_map": {"conv_stem.conv.weight": "folder"}}"#.to_vec(),
        ),
        ("an index of another model", br#"{"weight_map": {"lm_head.weight": "a.safetensors"}}"#.to_vec()),
        ("an index of numbers", br#"{"weight_map": {"conv_stem.conv.weight": 1}}"#.to_vec()),
        ("another JSON", br#"{"architectures": ["Gemma3nForConditionalGeneration"]}"#.to_vec()),
        ("a git-lfs pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n".to_vec()),
        ("a PyTorch file", b"PK\x03\x04rest".to_vec()),
        ("a text", b"hello, these are no weights\n".to_vec()),
    ];
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    let path = folder.path().join("FILE");
    let told = cases.into_iter().map(|(case, bytes)| {
        std::fs::write(&path, bytes).unwrap();
        let message = read_all(&path).unwrap_err().to_string();
        let message = message.replace(&format!("{}/", folder.path().display()), "").replace('\\', "/");
        format!("{case}: {message}")
    });
    let told = told.collect::<Vec<_>>().join("\n");
    insta::with_settings!({ filters => vec![(r"Is a directory|is a directory", "DIRECTORY")] }, {
        insta::assert_snapshot!(told);
    });
    assert_small();
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.gguf");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let index = folder.path().join("index");
    std::fs::write(&index, br#"{"weight_map": {"conv_stem.conv.weight": "pipe.gguf"}}"#).unwrap();
    for path in [&pipe, &index, &PathBuf::from("/dev/zero")] {
        let message = Checkpoint::open(path).err().unwrap().to_string();
        assert!(message.contains("a pipe or device"), "{message}");
    }
    // A folder is not waited for either.
    let message = Checkpoint::open(folder.path()).err().unwrap().to_string();
    assert!(message.contains("no weights"), "{message}");
}

/// A snapshot in a cache is links to files elsewhere, which somebody made who may read them.
#[cfg(unix)]
#[test]
fn links_are_followed() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("model.safetensors");
    std::os::unix::fs::symlink(
        std::fs::canonicalize(fixtures().join("symmetric/model.safetensors")).unwrap(),
        &link,
    )
    .unwrap();
    assert!(Checkpoint::open(folder.path()).is_ok());
}

/// A file with some bytes changed, cut or put in.
fn damaged(whole: Vec<u8>, head: usize) -> impl Strategy<Value = Vec<u8>> {
    let length = whole.len();
    let place = prop_oneof![4 => 0..head.min(length), 1 => 0..length];
    let number = prop_oneof![
        Just(0u64),
        Just(1),
        Just(u64::MAX),
        Just(1 << 63),
        Just(1 << 32),
        0u64..64,
        any::<u64>()
    ];
    let changes = prop::collection::vec((place, number, 0usize..4), 1..4);
    changes.prop_map(move |changes| {
        let mut bytes = whole.clone();
        for (at, number, how) in changes {
            let at = at.min(bytes.len().saturating_sub(1));
            match how {
                0 => bytes.truncate(at),
                1 => drop(bytes.splice(at..at, number.to_le_bytes())),
                2 if at + 8 <= bytes.len() => bytes[at..at + 8].copy_from_slice(&number.to_le_bytes()),
                _ if !bytes.is_empty() => bytes[at] ^= (number as u8).max(1),
                _ => {}
            }
        }
        bytes
    })
}

fn index() -> Vec<u8> {
    br#"{"metadata": {}, "weight_map": {"model.vision_tower.timm_model.conv_stem.conv.weight": "model-1-of-2.safetensors",
        "model.language_model.norm.weight": "model-2-of-2.safetensors"}}"#
        .to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn damaged_files_never_panic_and_ask_for_no_memory(
        bytes in prop_oneof![
            3 => damaged(whole_model(), 8000),
            2 => damaged(specimen("types.gguf"), 2000),
            1 => damaged(specimen("types-big-endian.gguf"), 2000),
            1 => damaged(std::fs::read(fixtures().join("symmetric/model.safetensors")).unwrap(), 10_000),
            1 => damaged(index(), 300),
        ]
    ) {
            let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        std::fs::write(&path, bytes).unwrap();
        if let Err(error) = read_all(&path) {
            prop_assert!(!error.to_string().is_empty());
        }
        assert_small();
    }
}
