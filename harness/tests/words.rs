//! The harness knows no model, no program that uses it, and none of their files.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};

/// Words that belong to a model, to a tool that dumps it, or to the program that uses the harness.
const FOREIGN: [&str; 16] = [
    "mobilenet",
    "gemma",
    "timm",
    "ggml",
    "llama",
    "msfa",
    "kv_stride",
    "output_resolution",
    "soft token",
    "embedder",
    "cargo xtask",
    "xtask",
    "git restore",
    "--strict",
    "--profile",
    "fixtures/",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, found),
            false if path.extension().is_some_and(|extension| extension == "rs") => found.push(path),
            false => {}
        }
    }
}

#[test]
fn no_word_of_a_model_or_of_its_users() {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the package when it runs tests");
    let mut files = Vec::new();
    sources(&Path::new(&package).join("src"), &mut files);
    assert!(files.len() > 30, "expected the sources, found {files:?}");
    let mut found = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap().to_lowercase();
        for (number, line) in text.lines().enumerate() {
            let foreign = FOREIGN.iter().filter(|word| line.contains(**word));
            found.extend(foreign.map(|word| format!("{}:{}: {word}", file.display(), number + 1)));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
