//! Pipes and devices where a file should be are refused, and not waited for.
#![cfg(unix)]

use super::*;

/// A pipe and a device without end.
fn irregular(scratch: &Scratch) -> [String; 2] {
    [scratch.pipe("pipe"), "/dev/zero".to_string()]
}

#[test]
fn weights_index_input_and_mapping() {
    let scratch = Scratch::new();
    let out = scratch.text("out.npy");
    let set = small_set();
    let (weights, input) = (set.join("model.safetensors"), set.join("input.png"));
    let (weights, input) = (weights.to_str().unwrap(), input.to_str().unwrap());
    for file in irregular(&scratch) {
        for (weights, input) in [(file.as_str(), input), (weights, file.as_str())] {
            bounded(&["encode", "--weights", weights, "--input", input, "--out", &out])
                .assert()
                .code(5)
                .stderr(contains("found a pipe or device"));
        }
        bounded(&["mapping", "check", &file]).assert().code(2).stderr(contains("found a pipe or device"));
    }
    let index = scratch.pipe("weights/model.safetensors.index.json");
    bounded(&["encode", "--weights", &index, "--input", input, "--out", &out])
        .assert()
        .code(5)
        .stderr(contains("found a pipe or device"));
}

#[test]
fn files_of_a_set_and_of_a_dump() {
    let set = DamagedSet::of("ggml-small");
    let replaced = |name: &str| {
        let path = set.folder.path().join(name);
        let before = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        (path, before)
    };
    let (sums, before) = replaced("candidate/SHA256SUMS");
    bounded(&["fixtures", "check", "--out", set.path()])
        .assert()
        .code(5)
        .stdout(contains("SHA256SUMS: cannot be read: expected a regular file, found a pipe or device"));
    std::fs::remove_file(&sums).unwrap();
    std::fs::write(&sums, before).unwrap();
    replaced("manifest.json");
    set.parity().timeout(MOST).assert().code(5).stderr(contains("found a pipe or device"));
}

#[test]
fn the_name_of_a_tensor_in_a_dump_folder() {
    let scratch = Scratch::new();
    scratch.pipe("dump/debug_mobilenet_stem_output.npy");
    encode(&["--dump", &scratch.text("dump")])
        .assert()
        .code(5)
        .stderr(contains("debug_mobilenet_stem_output.npy"))
        .stderr(contains("expected a file or nothing there, found a pipe or device"));
}

#[test]
fn baselines() {
    let checkout = crate::checkout::Checkout::of("symmetric");
    let path = checkout.folder.path().join("baselines/symmetric/f32.tolerances.json");
    std::fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    checkout.run(&["parity", "--quiet"]).failure().stderr(contains("found a pipe or device"));
}
