//! `cargo xtask encode`.

use std::path::Path;

use harness::store::{read_npy, write_npy};
use harness::tensor::Tensor;

use crate::support::*;

#[test]
fn dumps_are_asked_for_by_the_environment_too() {
    let folder = tempfile::tempdir().unwrap();
    xtask(&[
        "encode",
        "--weights",
        "fixtures/blocks/model.safetensors",
        "--input",
        "fixtures/blocks/input.png",
    ])
    .env("CLIP_DEBUG_SAVE_TENSORS", "1")
    .env("CLIP_DEBUG_OUTPUT_DIR", folder.path())
    .assert()
    .code(0);
    assert!(folder.path().join("debug_mm_post_proj_norm.npy").is_file());
}

#[test]
fn encode_refuses_what_it_cannot_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let weights = std::fs::read(root().join("fixtures/blocks/model.safetensors")).unwrap();
    std::fs::write(path("short.safetensors"), &weights[..weights.len() - 4]).unwrap();
    std::fs::write(path("no.safetensors"), b"not a checkpoint").unwrap();
    write_npy(
        Path::new(&path("rank.npy")),
        &Tensor::from_f32(vec![3, 64, 64], vec![0.5; 3 * 64 * 64]).unwrap(),
    )
    .unwrap();
    write_npy(
        Path::new(&path("range.npy")),
        &Tensor::from_f32(vec![1, 3, 64, 64], vec![127.0; 3 * 64 * 64]).unwrap(),
    )
    .unwrap();
    let good = ["fixtures/blocks/model.safetensors", "fixtures/blocks/input.png"].map(String::from);
    let [weights, input] = &good;
    let cases = [
        (path("short.safetensors"), input.clone(), "short.safetensors"),
        (path("no.safetensors"), input.clone(), "no.safetensors"),
        (path("none.safetensors"), input.clone(), "none.safetensors"),
        (weights.clone(), path("rank.npy"), "[3, 64, 64]"),
        (weights.clone(), path("range.npy"), "[0, 1]"),
        (weights.clone(), "README.md".to_string(), "README.md"),
    ];
    for (weights, input, message) in cases {
        let out = path("out.npy");
        xtask(&["encode", "--weights", &weights, "--input", &input, "--out", &out])
            .assert()
            .code(5)
            .stderr(contains(message));
        assert!(!Path::new(&out).exists());
    }
}

/// A limit on the size of files stands for a disk that is full.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_no_half_file() {
    let folder = tempfile::tempdir().unwrap();
    let limited = "trap '' XFSZ; ulimit -f 100; exec \"$0\" \"$@\"";
    let output = std::process::Command::new("sh")
        .args(["-c", limited])
        .arg(binary())
        .args([
            "encode",
            "--weights",
            "fixtures/blocks/model.safetensors",
            "--input",
            "fixtures/blocks/input.png",
        ])
        .arg("--dump")
        .arg(folder.path())
        .current_dir(root())
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{message}");
    assert!(message.contains("cannot write") && message.contains(".npy"), "{message}");
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        assert!(read_npy(&path, None).is_ok(), "{} is half a file", path.display());
    }
}

#[test]
fn what_is_read_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (weights, input) = (path("model.safetensors"), path("input.png"));
    for (name, copied) in [("model.safetensors", &weights), ("input.png", &input)] {
        std::fs::copy(root().join("fixtures/symmetric").join(name), copied).unwrap();
    }
    let cases = [
        (weights.clone(), "this command reads that file; writing there would destroy it"),
        (input.clone(), "this command reads that file; writing there would destroy it"),
        (path("nowhere/tokens.npy"), "there is no folder"),
        (path(""), "expected a file, found a folder"),
    ];
    for (out, message) in cases {
        let all = ["encode", "--weights", &weights, "--input", &input, "--out", &out];
        xtask(&all).assert().code(2).stdout("").stderr(contains(message));
    }
    for (name, copied) in [("model.safetensors", &weights), ("input.png", &input)] {
        let original = std::fs::read(root().join("fixtures/symmetric").join(name)).unwrap();
        assert!(std::fs::read(copied).unwrap() == original, "{name}");
    }
}
