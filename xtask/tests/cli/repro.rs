//! A part of a port as a case of its own.

use std::path::Path;
use std::process::Command;

use harness::store::{read_npy, write_npy};
use harness::tensor::Tensor;

use crate::brought::*;
use crate::support::*;

const NAME: &str = "mobilenet_block_5_inverted_residual";

fn repro(layer: &str, candidate: &Path, out: &Path) -> assert_cmd::Command {
    let [candidate, out] = [candidate, out].map(|path| path.to_str().unwrap());
    let (weights, input) = ("fixtures/ggml-small/model.safetensors", "fixtures/ggml-small/input.png");
    xtask(&["repro", layer, "--candidate", candidate, "--weights", weights, "--input", input, "--out", out])
}

/// Whether the test that was written passes, compiled by itself.
fn written_test_passes(case: &Path) -> bool {
    let program = case.join("repro-test");
    let compiled = Command::new("rustc")
        .args(["--edition", "2024", "--test", "-o"])
        .args([&program, &case.join("repro.rs")])
        .env("CARGO_MANIFEST_DIR", case.parent().unwrap())
        .status();
    assert!(compiled.unwrap().success());
    Command::new(program).output().unwrap().status.success()
}

#[test]
fn a_part_that_fails_in_one_place_becomes_a_small_case_that_fails() {
    let port = RightPort::encoded();
    let tensor = &port.tensors[NAME];
    let &[_, channels, height, width] = tensor.shape() else { panic!("expected a map") };
    let changed = values(tensor).into_iter().enumerate().map(|(flat, x)| {
        let (row, column) = (flat / width % height, flat % width);
        if row == height / 2 && column == width / 2 { 1.5 * x + 0.1 } else { x }
    });
    let changed = Tensor::from_f32(tensor.shape().to_vec(), changed.collect()).unwrap();
    let dump = dumped(&port.with(NAME, changed));
    let folder = tempfile::tempdir().unwrap();
    let case = folder.path().join("repro");
    repro(NAME, dump.path(), &case).assert().code(0).stdout(contains("over the limit"));
    let of_case = |name: &str| read_npy(&case.join(name), None).unwrap();
    let [expected, found] = ["expected", "candidate"].map(|side| of_case(&format!("{side}/{NAME}.npy")));
    assert_eq!(expected.shape(), found.shape());
    assert_eq!(expected.shape()[1], channels);
    assert!(4 * expected.len() <= tensor.len(), "{:?} of {:?}", expected.shape(), tensor.shape());
    assert!(!written_test_passes(&case));
    // A port that is right: its values in the place of the dump's.
    write_npy(&case.join(format!("candidate/{NAME}.npy")), &expected).unwrap();
    assert!(written_test_passes(&case));
    // One that gives no number.
    let written = std::fs::read_to_string(case.join("repro.rs")).unwrap();
    let call = format!("read(\"candidate/{NAME}.npy\")\n}}");
    assert!(written.contains(&call), "{written}");
    let instead = format!("vec![f32::NAN; {}]\n}}", expected.len());
    std::fs::write(case.join("repro.rs"), written.replacen(&call, &instead, 1)).unwrap();
    assert!(!written_test_passes(&case));
    repro(NAME, dump.path(), &case).assert().code(2).stderr(contains("expected a new or empty folder"));
}

#[test]
fn every_kind_of_part_can_be_written() {
    let dump = dumped(&RightPort::encoded().tensors);
    let folder = tempfile::tempdir().unwrap();
    for part in ["conv_stem", "blocks.0.0", "blocks.2.0", "blocks.2.1", "msfa", "embed_vision"] {
        let case = folder.path().join(part);
        repro(part, dump.path(), &case).assert().code(0).stdout(contains("within the limit"));
        for file in ["weights.safetensors", "twin.py", "repro.rs"] {
            assert!(case.join(file).metadata().unwrap().len() > 0, "{part}: {file}");
        }
    }
    let out = folder.path().join("none");
    repro("blocks.7.7", dump.path(), &out).assert().code(2).stderr(contains("did you mean"));
    assert!(!out.exists());
}
