//! What was tried to hang the commands, to eat the machine, to destroy files or to fool readers, and what comes of it now.

mod damage;
mod ends;
mod irregular;
mod outputs;
mod sizes;
mod steering;
mod strangers;
mod time;

use std::path::{Path, PathBuf};
use std::time::Duration;

use assert_cmd::Command;
use tempfile::TempDir;

use crate::support::*;

/// No hostile case takes longer, on a machine that does much else beside: each takes a few seconds of its own.
const MOST: Duration = Duration::from_secs(60);

/// The command, which is ended where it takes too long.
fn bounded(arguments: &[&str]) -> Command {
    let mut command = xtask(arguments);
    command.timeout(MOST);
    command
}

/// A folder for a case's own files.
struct Scratch {
    folder: TempDir,
}

impl Scratch {
    fn new() -> Scratch {
        Scratch { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_string()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self.text(name)
    }

    /// A pipe that nobody writes to.
    #[cfg(unix)]
    fn pipe(&self, name: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        self.text(name)
    }
}

/// An `.npy` file of version 1 with this header.
fn npy(header: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(body);
    bytes
}

/// A header of f32 in row-major order.
fn f32_header(shape: &str) -> String {
    format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}")
}

/// The beginning of a mapping, up to its rules.
const HEAD: &str = r#"schema_version = 1
name = "hostile"
[candidate]
files = "{name}.npy"
layout = "n"
[reference]
files = "{name}.npy"
layout = "n"
[profile.f32]
description = "any"
limits = { rel_l2 = 1e-6 }
"#;

/// A mapping of one rule, `a`.
fn mapping_of_one() -> String {
    format!("{HEAD}[[rule]]\nname = \"a\"\ncandidate = \"a\"\nreference = \"a\"\n")
}

/// Two dump folders and a mapping, of which a case changes something.
struct HostilePair {
    scratch: Scratch,
}

impl HostilePair {
    fn new(mapping: &str) -> HostilePair {
        let scratch = Scratch::new();
        scratch.write("mapping.toml", mapping);
        for side in ["candidate", "reference"] {
            let body: Vec<u8> = [1f32, 2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
            scratch.write(&format!("{side}/a.npy"), npy(&f32_header("(2,)"), &body));
        }
        HostilePair { scratch }
    }

    fn parity(&self, more: &[&str]) -> Command {
        let [candidate, reference, mapping] =
            ["candidate", "reference", "mapping.toml"].map(|name| self.scratch.text(name));
        let named = ["--candidate", &candidate, "--reference", &reference, "--mapping", &mapping];
        bounded(&[&["parity"], &named[..], more].concat())
    }
}

/// The smallest committed set.
fn small_set() -> PathBuf {
    root().join("fixtures/symmetric")
}

/// `encode` of the smallest set's weights and input.
fn encode(more: &[&str]) -> Command {
    let set = small_set();
    let file = |name: &str| set.join(name).to_str().unwrap().to_string();
    let (weights, input) = (file("model.safetensors"), file("input.png"));
    bounded(&[&["encode", "--weights", &weights, "--input", &input], more].concat())
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
