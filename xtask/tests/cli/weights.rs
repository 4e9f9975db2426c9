//! `cargo xtask inspect`, and checkpoints compared with each other.

use std::path::{Path, PathBuf};

use encoder::Checkpoint;
use safetensors::tensor::{Dtype as ElementType, TensorView};
use tempfile::TempDir;

use crate::gguf_file::{F16, F32, GgufTensor, Q8_0, gguf_bytes, gguf_bytes_stating, gguf_tensor};
use crate::support::*;

const SET: &str = "fixtures/wide";

/// A weight by timm's name.
#[derive(Clone)]
struct ConvertedWeight {
    name: String,
    shape: Vec<usize>,
    values: Vec<f32>,
}

fn weights() -> Vec<ConvertedWeight> {
    let checkpoint = Checkpoint::open(&root().join(SET)).unwrap();
    let weight = |name: &str| {
        let shape = checkpoint.shape(name).unwrap().to_vec();
        ConvertedWeight { name: name.to_string(), values: checkpoint.load(name, &shape).unwrap(), shape }
    };
    checkpoint.names().map(weight).collect()
}

fn save(path: &Path, weights: &[ConvertedWeight]) {
    let bytes: Vec<Vec<u8>> =
        weights.iter().map(|w| w.values.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views = weights.iter().zip(&bytes).map(|(weight, bytes)| {
        (&weight.name, TensorView::new(ElementType::F32, weight.shape.clone(), bytes).unwrap())
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn save_gguf(path: &Path, kind: u32) {
    let tensors: Vec<GgufTensor> =
        weights().iter().map(|w| gguf_tensor(&w.name, &w.shape, &w.values, kind).0).collect();
    std::fs::write(path, gguf_bytes("clip", &tensors)).unwrap();
}

/// The set's weights after a change, in a folder.
struct Conversion {
    folder: TempDir,
}

impl Conversion {
    fn of(change: impl FnOnce(&mut Vec<ConvertedWeight>)) -> Conversion {
        let folder = tempfile::tempdir().unwrap();
        let mut changed = weights();
        change(&mut changed);
        save(&folder.path().join("converted.safetensors"), &changed);
        Conversion { folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("converted.safetensors")
    }
}

fn compared(b: &Path) -> (i32, String) {
    let output = xtask(&["parity", "--compare-weights", SET, b.to_str().unwrap()]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}

fn named<'a>(weights: &'a mut [ConvertedWeight], name: &str) -> &'a mut ConvertedWeight {
    weights.iter_mut().find(|weight| weight.name == name).unwrap()
}

/// `[out, in, a, b]` as its axes in another order.
fn permuted(weight: &ConvertedWeight, axes: [usize; 4]) -> Vec<f32> {
    let shape: Vec<usize> = axes.iter().map(|axis| weight.shape[*axis]).collect();
    let strides = [
        weight.shape[1] * weight.shape[2] * weight.shape[3],
        weight.shape[2] * weight.shape[3],
        weight.shape[3],
        1,
    ];
    let mut values = Vec::new();
    for i in 0..weight.values.len() {
        let (mut flat, mut place) = (i, 0);
        for at in (0..4).rev() {
            place += flat % shape[at] * strides[axes[at]];
            flat /= shape[at];
        }
        values.push(weight.values[place]);
    }
    values
}

const KERNEL: &str = "blocks.0.0.conv_exp.weight";
const NORM: &str = "blocks.0.0.bn1.weight";

/// 4 bits for each value in blocks of 32 with a scale, and what a reader makes of them.
fn through_4_bits(values: &[f32], read: impl Fn(&[i32], f32) -> Vec<f32>) -> Vec<f32> {
    let block = |values: &[f32]| {
        let scale = values.iter().fold(0f32, |most, x| most.max(x.abs())) / 7.0;
        let levels: Vec<i32> = values.iter().map(|x| (x / scale).round() as i32).collect();
        read(&levels, scale)
    };
    values.chunks(32).flat_map(block).collect()
}

type WeightChange = fn(&mut Vec<ConvertedWeight>);

#[test]
fn faults_of_a_conversion_are_named() {
    let cases: [(&str, WeightChange, i32, &[&str]); 18] = [
        (
            "kernel transposed",
            |w| {
                let kernel = named(w, KERNEL);
                kernel.values = permuted(kernel, [0, 1, 3, 2]);
            },
            1,
            &[
                "FAIL blocks.0.0.conv_exp.weight: transposed: B holds A with its axes in the order out in kx ky",
            ],
        ),
        (
            "one kernel with its channels last",
            |w| {
                let kernel = named(w, KERNEL);
                kernel.values = permuted(kernel, [0, 2, 3, 1]);
                kernel.shape = [0, 2, 3, 1].map(|axis| kernel.shape[axis]).to_vec();
            },
            4,
            &["in the order out ky kx in"],
        ),
        (
            "the same under the shape that was",
            |w| {
                let kernel = named(w, KERNEL);
                kernel.values = permuted(kernel, [0, 2, 3, 1]);
            },
            1,
            &["in the order out ky kx in"],
        ),
        (
            "another shape",
            |w| {
                let kernel = named(w, "msfa.ffn.pw_exp.conv.weight");
                kernel.shape = vec![kernel.shape[1], kernel.shape[0], 1, 1];
            },
            4,
            &["under another shape"],
        ),
        (
            "bias lost",
            |w| w.retain(|w| w.name != "conv_stem.conv.bias"),
            3,
            &["MISSING in B: 1 of the tensors of A, a bias among them: conv_stem.conv.bias"],
        ),
        ("bias of zeros", |w| named(w, "conv_stem.conv.bias").values.fill(0.0), 1, &["0 throughout"]),
        (
            "exchanged",
            |w| {
                let [a, b] = ["blocks.0.0.bn2.weight", "blocks.0.1.bn2.weight"];
                let values = named(w, a).values.clone();
                named(w, a).values = std::mem::replace(&mut named(w, b).values, values);
            },
            1,
            &[
                "FAIL blocks.0.0.bn2.weight: exchanged with blocks.0.1.bn2.weight: each holds the other's values",
            ],
        ),
        (
            "written twice",
            |w| {
                named(w, "blocks.0.1.bn2.weight").values = named(w, "blocks.0.0.bn2.weight").values.clone();
            },
            1,
            &["FAIL blocks.0.1.bn2.weight: B holds the values that A has in blocks.0.0.bn2.weight"],
        ),
        (
            "1 added, as to other norms of Gemma's",
            |w| named(w, NORM).values.iter_mut().for_each(|x| *x += 1.0),
            1,
            &["B is A plus 1.000000"],
        ),
        (
            "scaled",
            |w| named(w, KERNEL).values.iter_mut().for_each(|x| *x *= 1.01),
            1,
            &["B is A times 1.010000"],
        ),
        (
            "channels of the input reversed",
            |w| {
                let stem = named(w, "conv_stem.conv.weight");
                stem.values = stem
                    .values
                    .chunks(27)
                    .flat_map(|out| out.chunks(9).rev().flatten().copied().collect::<Vec<_>>())
                    .collect();
            },
            1,
            &["reversed: B is A backwards along in"],
        ),
        (
            "convolution for correlation",
            |w| {
                let kernel = named(w, KERNEL);
                kernel.values = kernel
                    .values
                    .chunks(9)
                    .flat_map(|taps| taps.iter().rev().copied().collect::<Vec<_>>())
                    .collect();
            },
            1,
            &["B is A backwards along ky kx"],
        ),
        (
            "through bf16",
            |w| {
                named(w, KERNEL).values.iter_mut().for_each(|x| *x = half::bf16::from_f32(*x).to_f32());
            },
            1,
            &["rounded to BF16 on the way"],
        ),
        (
            "a norm folded in",
            |w| {
                let norm = named(w, NORM).values.clone();
                let kernel = named(w, KERNEL);
                let of_each = kernel.values.len() / norm.len();
                kernel
                    .values
                    .chunks_mut(of_each)
                    .zip(&norm)
                    .for_each(|(x, norm)| x.iter_mut().for_each(|x| *x *= norm));
            },
            1,
            &["a factor for each index of axis out"],
        ),
        (
            "halves of bytes in another order",
            |w| {
                let kernel = named(w, KERNEL);
                kernel.values = through_4_bits(&kernel.values, |levels, scale| {
                    (0..32).map(|i| levels[i % 2 * 16 + i / 2] as f32 * scale).collect()
                });
            },
            1,
            &["wrong dequantisation: in each block of 32 B has A's values in another order"],
        ),
        (
            "scales of blocks lost",
            |w| {
                let kernel = named(w, KERNEL);
                kernel.values = through_4_bits(&kernel.values, |levels, _| {
                    levels.iter().map(|q| *q as f32 + 8.0).collect()
                });
            },
            1,
            &["wrong dequantisation: in each block of 32 B is A with a factor and an offset of its own"],
        ),
        (
            "quantised on the way",
            |w| {
                let kernel = named(w, KERNEL);
                kernel.values = through_4_bits(&kernel.values, |levels, scale| {
                    levels.iter().map(|q| half::f16::from_f32(*q as f32 * scale).to_f32()).collect()
                });
            },
            1,
            &["quantised to 4 bits on the way"],
        ),
        ("one value", |w| named(w, KERNEL).values[100] += 0.5, 1, &["1 of ", "all in output channel 1"]),
    ];
    let mut wrong = Vec::new();
    for (case, change, code, expected) in cases {
        let (found, text) = compared(&Conversion::of(change).file());
        let is_told = expected.iter().all(|expected| text.contains(expected));
        if found != code || !is_told || !text.contains(&format!("(exit code {code})")) {
            wrong.push(format!("{case}: {found}\n{text}"));
        }
        assert!(text.lines().count() < 24, "{text}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn a_right_conversion_passes_in_every_type() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        (F32, "tensors equal, bit by bit"),
        (F16, "tensors equal once rounded to F16"),
        (Q8_0, "tensors within what the steps of F32 and Q8_0 explain"),
    ];
    for (kind, expected) in cases {
        let path = folder.path().join("model.gguf");
        save_gguf(&path, kind);
        let (code, text) = compared(&path);
        assert!(code == 0 && text.contains(expected) && text.contains("PASS"), "{text}");
    }
}

/// What hides behind rounding is found where the rounding ends.
#[test]
fn a_fault_in_a_quantised_file_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    for (kind, name) in [(F16, KERNEL), (Q8_0, "embed_vision.embedding_projection.weight")] {
        let tensor = |w: &ConvertedWeight| {
            let mut values = w.values.clone();
            if w.name == name {
                values.rotate_left(1);
            }
            gguf_tensor(&w.name, &w.shape, &values, kind).0
        };
        let tensors: Vec<GgufTensor> = weights().iter().map(tensor).collect();
        std::fs::write(&path, gguf_bytes("clip", &tensors)).unwrap();
        let (code, text) = compared(&path);
        assert!(code == 1 && text.contains(&format!("FAIL {name}: ")), "{text}");
    }
}

#[test]
fn a_type_that_is_not_supported_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let tensor = |w: &ConvertedWeight| {
        let mut tensor = gguf_tensor(&w.name, &w.shape, &w.values, F16).0;
        if w.name == KERNEL {
            tensor.kind = 23;
        }
        tensor
    };
    let tensors: Vec<GgufTensor> = weights().iter().map(tensor).collect();
    std::fs::write(&path, gguf_bytes("clip", &tensors)).unwrap();
    let message = "not supported: IQ4_XS in tensor `v.blk.0.0.conv_exp.weight`";
    let (code, text) = compared(&path);
    assert!(code == 5 && text.contains(message), "{text}");
    let weights = path.to_str().unwrap();
    let input = format!("{SET}/input.png");
    let out = folder.path().join("out.npy");
    xtask(&["encode", "--weights", weights, "--input", &input, "--out", out.to_str().unwrap()])
        .assert()
        .code(5)
        .stderr(contains(message));
    xtask(&["inspect", weights]).assert().code(5).stdout(contains("IQ4_XS 1"));
}

#[test]
fn the_report_has_every_tensor_and_never_replaces_what_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let gguf = folder.path().join("model.gguf");
    save_gguf(&gguf, F16);
    let report = |path: &Path| format!("--report=json={}", path.display());
    let json = folder.path().join("weights.json");
    let all = ["parity", "--compare-weights", SET, gguf.to_str().unwrap(), "--quiet", &report(&json)];
    xtask(&all).assert().code(0).stdout("");
    let read: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(read["tensors"].as_array().unwrap().len(), weights().len());
    assert_eq!(read["exit_code"], 0);
    let all = ["parity", "--compare-weights", SET, gguf.to_str().unwrap(), &report(&gguf)];
    xtask(&all).assert().code(2).stderr(contains("this command reads that file"));
}

#[test]
fn a_checkpoint_is_inspected_on_a_screen() {
    let folder = tempfile::tempdir().unwrap();
    let gguf = folder.path().join("model.gguf");
    save_gguf(&gguf, Q8_0);
    let output = xtask(&["inspect", gguf.to_str().unwrap()]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("GGUF 3") && text.contains("missing: none") && text.lines().count() < 24, "{text}");
    let output = xtask(&["inspect", gguf.to_str().unwrap(), "--json"]).output().unwrap();
    let read: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(read["tensors"].as_array().unwrap().len(), weights().len());

    let lacking = Conversion::of(|w| w.retain(|w| !w.name.starts_with("blocks.1.") && w.name != NORM));
    xtask(&["inspect", lacking.file().to_str().unwrap()])
        .assert()
        .code(3)
        .stdout(contains(&format!("missing: {NORM}, blocks.1.*")));
    let misfit = Conversion::of(|w| {
        let norm = named(w, NORM);
        norm.shape[0] /= 2;
        norm.values.truncate(norm.shape[0]);
    });
    xtask(&["inspect", misfit.file().to_str().unwrap()]).assert().code(4).stdout(contains(NORM));
    xtask(&["inspect", "README.md"]).assert().code(5).stderr(contains("expected a safetensors file"));
}

/// A fact of a GGUF file that is a list of f32.
type StatedList<'a> = (&'a str, &'a [f32]);

/// The set's weights in a GGUF file that states these facts.
fn save_gguf_stating(path: &Path, facts: &[StatedList<'_>]) {
    let tensors: Vec<GgufTensor> =
        weights().iter().map(|w| gguf_tensor(&w.name, &w.shape, &w.values, F32).0).collect();
    std::fs::write(path, gguf_bytes_stating(facts, "clip", &tensors)).unwrap();
}

#[test]
fn a_mean_and_a_deviation_that_a_gguf_file_states_are_those_of_a_processors_settings() {
    const MEAN: &str = "clip.vision.image_mean";
    const STD: &str = "clip.vision.image_std";
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    for name in ["gguf", "settings"] {
        std::fs::create_dir(at(name)).unwrap();
    }
    let (gguf, safetensors) = (at("gguf/mmproj.gguf"), at("settings/model.safetensors"));
    save(Path::new(&safetensors), &weights());
    let settings = r#"{"size": {"height": 64, "width": 48}, "resample": 2, "image_mean": [0.5, 0.25, 0.5],
        "image_std": [0.5, 0.5, 0.125]}"#;
    std::fs::write(at("settings/preprocessor_config.json"), settings).unwrap();
    let input = format!("{SET}/input.png");
    let encode = |weights: &str, out: &str, resize: &[&str]| {
        let arguments = ["encode", "--weights", weights, "--input", &input, "--out", out];
        xtask(&[&arguments, resize].concat()).assert()
    };
    let tokens = |name: &str| std::fs::read(at(name)).unwrap();
    let said = "normalised by mean [0.5, 0.25, 0.5] and deviation [0.5, 0.5, 0.125]";
    let fixed = ["--resize", "64x48"];
    encode(&safetensors, &at("settings.npy"), &[]).code(0).stderr(contains(said));
    save_gguf_stating(Path::new(&gguf), &[(MEAN, &[0.5, 0.25, 0.5]), (STD, &[0.5, 0.5, 0.125])]);
    encode(&gguf, &at("gguf.npy"), &fixed).code(0).stderr(contains(said));
    assert!(tokens("gguf.npy") == tokens("settings.npy"), "the same values are normalised");
    xtask(&["inspect", &gguf])
        .assert()
        .stdout(contains("mean [0.5, 0.25, 0.5], deviation [0.5, 0.5, 0.125]"));

    // Those of Gemma 3n change nothing.
    save_gguf_stating(Path::new(&gguf), &[(MEAN, &[0.0; 3]), (STD, &[1.0; 3])]);
    encode(&gguf, &at("plain.npy"), &fixed).code(0);
    save_gguf(Path::new(&gguf), F32);
    encode(&gguf, &at("unstated.npy"), &fixed).code(0);
    assert!(tokens("plain.npy") == tokens("unstated.npy") && tokens("plain.npy") != tokens("gguf.npy"));

    let wrong: [(&[StatedList<'_>], &str); 3] = [
        (&[(MEAN, &[0.5; 3])], "expected clip.vision.image_std beside clip.vision.image_mean, found none"),
        (
            &[(MEAN, &[0.5; 2]), (STD, &[0.5; 3])],
            "expected three numbers in clip.vision.image_mean, found [0.5, 0.5]",
        ),
        (&[(MEAN, &[0.5; 3]), (STD, &[0.5, 0.0, 0.5])], "image_std [0.5, 0.0, 0.5], by which nothing can"),
    ];
    for (facts, message) in wrong {
        save_gguf_stating(Path::new(&gguf), facts);
        encode(&gguf, &at("wrong.npy"), &[])
            .code(5)
            .stderr(contains("mmproj.gguf"))
            .stderr(contains(message));
    }
}
