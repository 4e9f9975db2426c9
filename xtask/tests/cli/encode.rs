//! `cargo xtask encode`.

use std::path::Path;

use harness::store::{read_npy, write_npy};
use harness::tensor::Tensor;

use predicates::prelude::PredicateBooleanExt;

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

const BLOCKS: &str = "fixtures/blocks/model.safetensors";

/// Copies of committed pictures, and what encoding all of them takes.
fn some_pictures() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["420.jpg", "grey.png", "orientation-6.jpg", "lossy.webp", "transparent.gif"] {
        std::fs::copy(root().join("fixtures/pictures").join(name), folder.path().join(name)).unwrap();
    }
    std::fs::write(folder.path().join("notes.txt"), "no picture").unwrap();
    folder
}

fn values(path: &Path) -> (Vec<usize>, Vec<f32>) {
    let tensor = read_npy(path, None).unwrap();
    (tensor.shape().to_vec(), tensor.to_f32().iter().copied().collect())
}

#[test]
fn a_folder_of_pictures_is_encoded_in_batches_of_any_size() {
    let (pictures, folder) = (some_pictures(), tempfile::tempdir().unwrap());
    let encode = |batch: &str, out: &str| {
        let out = folder.path().join(out);
        xtask(&["encode", "--weights", BLOCKS, "--resize", "64x48", "--batch", batch, "--input"])
            .arg(pictures.path())
            .arg("--out")
            .arg(&out)
            .assert()
            .code(0)
            .stderr(contains("[5, 256, 48] from [5, 3, 64, 48]"))
            .stderr(contains("pictures/s"))
            .stderr(contains("1 turned by their orientation"))
            .stderr(contains("5 resized to 64x48 (bilinear, as transformers' fast image processor)"));
        out
    };
    let (shape, one_by_one) = values(&encode("1", "one.npy"));
    assert_eq!(shape, [5, 256, 48]);
    assert_eq!(values(&encode("3", "three.npy")).1, one_by_one);
    let bytes = std::fs::read(encode("5", "five.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    // By their names, as the folder is gone through.
    for (index, name) in ["420", "grey", "lossy", "orientation-6", "transparent"].iter().enumerate() {
        let tensor = tensors.tensor(name).unwrap();
        assert_eq!(tensor.shape(), [1, 256, 48], "{name}");
        let expected: Vec<u8> =
            one_by_one[index * 256 * 48..][..256 * 48].iter().flat_map(|value| value.to_le_bytes()).collect();
        assert!(tensor.data() == expected, "{name}");
    }
}

#[test]
fn pictures_of_one_name_get_longer_names() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("tokens.safetensors");
    let pictures = ["fixtures/pictures/grey.png", "fixtures/pictures/grey.jpg"];
    xtask(&["encode", "--weights", BLOCKS, "--input", pictures[0], pictures[1], "--out"])
        .arg(&out)
        .assert()
        .code(0)
        .stderr(contains("pictures at their own size since no processor's settings are beside the weights"));
    let bytes = std::fs::read(&out).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut names = tensors.names();
    names.sort();
    assert_eq!(names, ["grey.jpg", "grey.png"]);
    xtask(&["encode", "--weights", BLOCKS, "--input", pictures[0], pictures[0], "--out"])
        .arg(&out)
        .assert()
        .code(2)
        .stderr(contains("a file is named twice"));
}

#[test]
fn settings_beside_the_weights_say_the_size() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::copy(root().join(BLOCKS), path("model.safetensors")).unwrap();
    let settings = path("preprocessor_config.json");
    let encode = |more: &[&str]| {
        let all =
            ["encode", "--weights", &path("model.safetensors"), "--out", &path("tokens.npy"), "--input"];
        xtask(&[all.as_slice(), &["fixtures/pictures/rgba.png"], more].concat()).assert()
    };
    std::fs::write(
        &settings,
        r#"{"size": {"height": 64, "width": 48}, "resample": 3, "do_normalize": false}"#,
    )
    .unwrap();
    encode(&[]).code(0).stderr(contains(
        "laid over white, resized 23x31 to 64x48 (bicubic, as transformers' fast image processor); 64x48 as the \
         processor's settings beside the weights say",
    ));
    encode(&["--processor", "slow"]).code(0).stderr(contains("as transformers' slow image processor"));
    encode(&["--processor", "llama.cpp"])
        .code(0)
        .stderr(contains("transparency dropped, resized 23x31 to 64x48 (bilinear on black, as llama.cpp)"));
    encode(&["--resize", "none"])
        .code(0)
        .stderr(contains("laid over white; picture at its own size as --resize says"));
    encode(&["--resize", "none", "--processor", "slow"]).code(2).stderr(contains("they are not"));
    std::fs::write(&settings, r#"{"size": {"height": 64, "width": 48}, "resample": 2}"#).unwrap();
    encode(&[])
        .code(0)
        .stderr(contains("normalised by mean [0.5, 0.5, 0.5] and deviation [0.5, 0.5, 0.5]; 64x48"));
    std::fs::write(&settings, r#"{"size": {"shortest_edge": 64}, "image_processor_type": "Other"}"#).unwrap();
    encode(&[])
        .code(5)
        .stderr(contains("preprocessor_config.json: expected settings of an image processor"))
        .stderr(contains("help: --resize HxW says what to do instead"));
    encode(&["--resize", "32x32"]).code(0);
    for size in ["768", "0x768", "768x100000", "axb", ""] {
        encode(&["--resize", size]).code(2).stderr(contains("expected height x width"));
    }
    // A file that the command reads.
    let before = std::fs::read(&settings).unwrap();
    xtask(&["encode", "--weights", &path("model.safetensors"), "--out", &settings, "--input"])
        .arg("fixtures/pictures/rgba.png")
        .assert()
        .code(2)
        .stderr(contains("this command reads that file"));
    assert!(std::fs::read(&settings).unwrap() == before);
}

#[test]
fn one_bad_picture_is_named_and_nothing_is_left() {
    let (pictures, folder) = (some_pictures(), tempfile::tempdir().unwrap());
    let bad = pictures.path().join("lossy.webp");
    let bytes = std::fs::read(&bad).unwrap();
    std::fs::write(&bad, &bytes[..bytes.len() / 2]).unwrap();
    let out = folder.path().join("tokens.npy");
    let encode = |input: &Path| {
        let mut command = xtask(&["encode", "--weights", BLOCKS, "--resize", "32x32", "--input"]);
        command.arg(input).arg("--out").arg(&out);
        command.assert().code(5)
    };
    encode(pictures.path())
        .stderr(contains("lossy.webp: expected a whole WebP picture, found"))
        .stderr(contains("help: name another file, or save the picture anew"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "something was left behind");
    encode(folder.path()).stderr(contains("expected pictures, found no file named as one"));
}

#[test]
fn none_of_several_inputs_is_written_over() {
    let pictures = some_pictures();
    for name in ["420.jpg", "grey.png"] {
        let path = pictures.path().join(name);
        let before = std::fs::read(&path).unwrap();
        for input in [pictures.path().to_path_buf(), path.clone()] {
            xtask(&["encode", "--weights", BLOCKS, "--input", "fixtures/pictures/rgb.png"])
                .arg(input)
                .arg("--out")
                .arg(&path)
                .assert()
                .code(2)
                .stderr(contains("this command reads that file; writing there would destroy it"));
        }
        assert!(std::fs::read(&path).unwrap() == before, "{name}");
    }
}

#[test]
fn a_dump_is_of_one_input_and_says_what_was_done_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = ["fixtures/pictures/rgb.png", "fixtures/pictures/orientation-6.jpg"];
    let encode = |pictures: &[&str]| {
        let all = ["encode", "--weights", BLOCKS, "--resize", "32x32", "--input"];
        let mut command = xtask(&[all.as_slice(), pictures].concat());
        command.arg("--dump").arg(folder.path());
        command.assert()
    };
    encode(&pictures).code(2).stderr(contains("a dump is of one input, found 2"));
    encode(&pictures[1..]).code(0);
    let record = std::fs::read(folder.path().join("dump.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    let done =
        "orientation 6 applied, resized 17x10 to 32x32 (bilinear, as transformers' fast image processor)";
    assert_eq!(record["facts"]["picture"], done);
    assert_eq!(record["input_tensor"]["shape"], serde_json::json!([1, 3, 32, 32]));
}

#[test]
fn parity_prepares_a_named_picture_in_the_same_way() {
    let parity = |more: &[&str]| {
        let all = ["parity", "--quiet", "--reference", "fixtures/symmetric"];
        xtask(&[all.as_slice(), more].concat()).assert()
    };
    let input = ["--input", "fixtures/symmetric/input.png"];
    parity(&input).code(0);
    parity(&[input.as_slice(), &["--resize", "70x117"]].concat()).code(0);
    parity(&[input.as_slice(), &["--resize", "64x64"]].concat()).code(5).stderr(contains("different inputs"));
    parity(&["--resize", "64x64"]).code(2).stderr(contains("act on the picture of --input"));
}

const ON_BLOCKS: [&str; 5] =
    ["encode", "--weights", "fixtures/blocks/model.safetensors", "--input", "fixtures/blocks/input.png"];

#[test]
fn a_tensor_of_another_program_is_put_in_and_its_cost_at_the_end_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let (dump, wrong, tokens) = (path("dump"), path("wrong.npy"), path("tokens.npy"));
    xtask(&[&ON_BLOCKS[..], &["--dump", &dump]].concat()).assert().code(0);
    let name = "mobilenet_block_3_edge_residual";
    let own = folder.path().join(format!("dump/debug_{name}.npy"));
    assert!(own.is_file(), "{}", own.display());
    // Its own tensor changes no bit.
    let replaced = format!("{name}={}", own.display());
    xtask(&[&ON_BLOCKS[..], &["--replace", &replaced, "--out", &tokens]].concat())
        .assert()
        .code(0)
        .stdout(contains("mobilenet_block_3_edge_residual: off by 0.000e0"))
        .stdout(contains("mm_post_proj_norm: off by 0.000e0"));
    let bytes = |path: &Path| read_npy(path, None).unwrap().to_f32().iter().copied().collect::<Vec<f32>>();
    let end = folder.path().join("dump/debug_mm_post_proj_norm.npy");
    assert_eq!(bytes(Path::new(&tokens)), bytes(&end));
    // One that is 1 % too large, without a batch axis, does.
    let tensor = read_npy(&own, None).unwrap();
    let values: Vec<f32> = tensor.to_f32().iter().map(|x| 1.01 * x).collect();
    let shape = tensor.shape()[1..].to_vec();
    write_npy(Path::new(&wrong), &Tensor::from_f32(shape, values).unwrap()).unwrap();
    let replaced = format!("debug_{name}={wrong}");
    xtask(&[&ON_BLOCKS[..], &["--replace", &replaced]].concat())
        .assert()
        .code(0)
        .stdout(contains("mobilenet_block_3_edge_residual: off by 1.000e-2"))
        .stdout(contains("mm_post_proj_norm: off by 0.000e0").not());
}

#[test]
fn what_cannot_be_replaced_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.npy");
    write_npy(&file, &Tensor::from_f32(vec![1, 2], vec![0.5; 2]).unwrap()).unwrap();
    for (name, code, message) in [
        ("mobilenet_block_3_edge_residul", 2, "did you mean mobilenet_block_3_edge_residual"),
        ("mobilenet_block_6_layer_scale", 2, "that the next one takes"),
        ("mobilenet_block_3_edge_residual", 5, "found [1, 2]"),
    ] {
        let replaced = format!("{name}={}", file.display());
        xtask(&[&ON_BLOCKS[..], &["--replace", &replaced]].concat())
            .assert()
            .code(code)
            .stderr(contains(message));
    }
    let replaced = format!("mobilenet_block_3_edge_residual={}", file.display());
    xtask(&[&ON_BLOCKS[..], &["--replace", &replaced, "--dump", "d"]].concat()).assert().code(2);
}
