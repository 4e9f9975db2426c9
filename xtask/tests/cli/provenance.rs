//! What a dump or a set records of itself, and what becomes of files that are not as recorded.

use std::path::Path;

use harness::store::write_npy;
use harness::tensor::Tensor;
use tempfile::TempDir;

use crate::support::*;

/// A dump of a committed set by this project's encoder.
fn dump(set: &str, options: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    dump_into(folder.path(), set, options);
    folder
}

fn dump_into(folder: &Path, set: &str, options: &[&str]) {
    let (weights, input) = (format!("fixtures/{set}/model.safetensors"), format!("fixtures/{set}/input.png"));
    let mut arguments = vec!["encode", "--weights", &weights, "--input", &input];
    arguments.extend(["--dump", folder.to_str().unwrap()]);
    arguments.extend(options);
    xtask(&arguments).assert().code(0);
}

const SYMMETRIC: [&str; 4] = ["--padding", "symmetric", "--output-resolution", "5x8"];

fn parity(candidate: &Path, set: &str) -> assert_cmd::Command {
    let reference = format!("fixtures/{set}");
    xtask(&["parity", "--quiet", "--candidate", candidate.to_str().unwrap(), "--reference", &reference])
}

#[test]
fn the_smallest_change_of_a_reference_is_not_green() {
    let set = DamagedSet::of("blocks");
    edit(&set.reference("timm_model_blocks_2_1"), |_, values| values[100] = values[100].next_up());
    set.parity()
        .assert()
        .code(5)
        .stdout(contains(
            "changed: reference debug_activation_timm_model_blocks_2_1.npy: not as manifest.json",
        ))
        .stdout(contains("40 compared, 40 passed (exit code 5)"))
        .stdout(contains("next: "));
    // A change that the numbers show is a matter of numbers, and is named all the same.
    edit(&set.reference("timm_model_blocks_2_1"), |_, values| values[100] += 1e-2);
    set.parity().assert().code(1).stdout(contains("changed: reference"));
}

#[test]
fn files_of_another_run_are_not_green() {
    let folder = dump("symmetric", &SYMMETRIC);
    parity(folder.path(), "symmetric").assert().code(0);
    // A view of a tensor, which the mapping ignores: nothing but the record tells that it is stale.
    let tensor = Tensor::from_f32(vec![1], vec![1.0]).unwrap();
    let stale = folder.path().join("debug_mobilenet_stem_output (reshaped).npy");
    write_npy(&stale, &tensor).unwrap();
    parity(folder.path(), "symmetric")
        .assert()
        .code(5)
        .stdout(contains("(reshaped).npy: not recorded in dump.json: of another run"));
    std::fs::remove_file(stale).unwrap();
    let edited = folder.path().join("debug_mm_input_proj.npy");
    edit(&edited, |_, values| values[0] = values[0].next_up());
    parity(folder.path(), "symmetric").assert().code(5).stdout(contains("debug_mm_input_proj.npy: not as"));
    std::fs::remove_file(edited).unwrap();
    parity(folder.path(), "symmetric")
        .assert()
        .code(3)
        .stdout(contains("recorded in dump.json, and not there"));
}

#[test]
fn a_used_folder_holds_one_run() {
    let folder = dump("blocks", &["--output-resolution", "2x4"]);
    let kept = folder.path().join("notes.npy");
    std::fs::write(&kept, b"mine").unwrap();
    dump_into(folder.path(), "symmetric", &SYMMETRIC);
    assert_eq!(std::fs::read(&kept).unwrap(), b"mine");
    std::fs::remove_file(&kept).unwrap();
    parity(folder.path(), "symmetric").assert().code(0).stdout(contains("30 compared, 30 passed"));
    // A run that computes nothing leaves the dump as it is.
    write_npy(
        &folder.path().join("../range.npy"),
        &Tensor::from_f32(vec![1, 3, 64, 64], vec![127.0; 3 * 64 * 64]).unwrap(),
    )
    .unwrap();
    let range = folder.path().join("../range.npy");
    let arguments = ["encode", "--weights", "fixtures/symmetric/model.safetensors", "--input"];
    xtask(&arguments).arg(&range).arg("--dump").arg(folder.path()).assert().code(5);
    std::fs::remove_file(range).unwrap();
    parity(folder.path(), "symmetric").assert().code(0);
    std::fs::write(folder.path().join("dump.json"), "{").unwrap();
    parity(folder.path(), "symmetric").assert().code(5).stderr(contains("dump anew, or remove this file"));
    let arguments = ["--input", "fixtures/symmetric/input.png", "--dump"];
    xtask(&["encode", "--weights", "fixtures/symmetric/model.safetensors"])
        .args(arguments)
        .arg(folder.path())
        .assert()
        .code(5)
        .stderr(contains("dump into an empty one"));
}

#[test]
fn other_settings_are_refused_before_any_number() {
    let folder = dump("symmetric", &["--padding", "same", "--output-resolution", "5x8"]);
    parity(folder.path(), "symmetric")
        .assert()
        .code(5)
        .stderr(contains("different settings: padding same and symmetric"))
        .stderr(contains("--padding symmetric --output-resolution 5x8 --dump DIR"));
    xtask(&["parity", "--reference", "fixtures/symmetric", "--output-resolution", "16x16"])
        .assert()
        .code(5)
        .stderr(contains("output_resolution 16x16 and 5x8"));
}

#[test]
fn the_input_is_layer_0() {
    let folder = tempfile::tempdir().unwrap();
    let pixels = encoder::input::read_image(&root().join("fixtures/symmetric/input.png")).unwrap();
    let input = folder.path().join("pixels.npy");
    write_npy(&input, &Tensor::from_f32(pixels.shape.clone(), pixels.data.clone()).unwrap()).unwrap();
    let run = |dump: &str| {
        let mut command = xtask(&["encode", "--weights", "fixtures/symmetric/model.safetensors"]);
        command.arg("--input").arg(&input).args(SYMMETRIC).arg("--dump").arg(folder.path().join(dump));
        command.assert().code(0);
        let candidate = folder.path().join(dump);
        let mut command = xtask(&["parity", "--reference", "fixtures/symmetric", "--candidate"]);
        command.arg(candidate);
        command
    };
    run("same").assert().code(0).stdout(contains("input (input.png) bit-identical ok"));
    let with_input = |input: &Path| {
        let mut command = xtask(&["parity", "--reference", "fixtures/symmetric", "--input"]);
        command.arg(input);
        command
    };
    with_input(&input).assert().code(0).stdout(contains("bit-identical"));
    let mut data = pixels.data;
    data[0] = data[0].next_down().max(0.0) + f32::EPSILON;
    write_npy(&input, &Tensor::from_f32(pixels.shape, data).unwrap()).unwrap();
    run("other").assert().code(5).stderr(contains("different inputs"));
    with_input(&input).assert().code(5).stderr(contains("different inputs"));
    // A dump that records only the file's hash is judged by that.
    let record = folder.path().join("same/dump.json");
    let mut manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    manifest.as_object_mut().unwrap().remove("input_tensor").unwrap();
    std::fs::write(&record, manifest.to_string()).unwrap();
    parity(&folder.path().join("same"), "symmetric").assert().code(5).stderr(contains("different inputs"));
}

#[test]
fn a_set_whose_input_was_changed_or_lost_says_so() {
    let set = DamagedSet::of("symmetric");
    let folder = dump("symmetric", &SYMMETRIC);
    let input = set.folder.path().join("input.png");
    let mut bytes = std::fs::read(&input).unwrap();
    bytes.push(0);
    std::fs::write(&input, bytes).unwrap();
    set.parity().assert().code(5).stderr(contains("different inputs")).stderr(contains("fixtures check"));
    xtask(&["parity", "--quiet", "--reference", set.path(), "--candidate"])
        .arg(folder.path())
        .assert()
        .code(5)
        .stdout(contains("changed: reference input.png: not as manifest.json recorded it"));
    std::fs::remove_file(&input).unwrap();
    set.parity()
        .assert()
        .code(5)
        .stderr(contains("input.png: cannot be read"))
        .stderr(contains("is the path right? --input FILE names another input"));
}

#[cfg(unix)]
#[test]
fn a_pipe_in_a_dump_is_not_waited_for() {
    let folder = dump("symmetric", &SYMMETRIC);
    let record = folder.path().join("dump.json");
    std::fs::remove_file(&record).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&record).status().unwrap().success());
    let seconds = std::time::Duration::from_secs(20);
    parity(folder.path(), "symmetric")
        .timeout(seconds)
        .assert()
        .code(5)
        .stderr(contains("dump.json: cannot be read: expected a regular file"));
}

/// The tensors of a committed set's weights: name, type, shape, bytes.
fn tensors_of(set: &str) -> Vec<(String, safetensors::Dtype, Vec<usize>, Vec<u8>)> {
    let bytes = std::fs::read(root().join(format!("fixtures/{set}/model.safetensors"))).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensors = tensors.iter().map(|(name, view)| (name, view.dtype(), view.shape().to_vec(), view.data()));
    tensors.map(|(name, dtype, shape, data)| (name.to_string(), dtype, shape, data.to_vec())).collect()
}

fn write_weights(path: &Path, tensors: &[(String, safetensors::Dtype, Vec<usize>, Vec<u8>)]) {
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        (name, safetensors::tensor::TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn weights_are_the_same_where_each_tensor_is() {
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("vision.safetensors");
    let dumped = folder.path().join("dump");
    let judged_by_dump = || {
        let (weights, dumped) = (weights.to_str().unwrap(), dumped.to_str().unwrap());
        let input = "fixtures/blocks/input.png";
        let size = ["--output-resolution", "2x4"];
        let arguments = ["encode", "--weights", weights, "--input", input, "--dump", dumped];
        xtask(&[&arguments[..], &size].concat()).assert().code(0);
        parity(Path::new(dumped), "blocks").assert()
    };
    let judged_at_once = || {
        let weights = weights.to_str().unwrap();
        xtask(&["parity", "--quiet", "--reference", "fixtures/blocks", "--weights", weights]).assert()
    };
    // Other names, and without a tensor that the model does not read.
    let mut tensors = tensors_of("blocks");
    for (name, ..) in &mut tensors {
        *name = name.replace("model.vision_tower.timm_model.", "").replace("model.", "");
    }
    tensors.retain(|(name, ..)| name != "embed_vision.embedding.weight");
    write_weights(&weights, &tensors);
    judged_by_dump().code(0).stdout(contains("PASS"));
    judged_at_once().code(0).stdout(contains("PASS"));
    // The last bit of one value.
    let changed = tensors.iter_mut().find(|(name, ..)| name.ends_with("conv_stem.conv.weight")).unwrap();
    changed.3[0] ^= 1;
    write_weights(&weights, &tensors);
    let message = "tensors differs: conv_stem.conv.weight; their numbers say nothing about each other";
    judged_by_dump()
        .code(5)
        .stderr(contains("vision.safetensors and model.safetensors"))
        .stderr(contains(message));
    judged_at_once().code(5).stderr(contains(message));
}
