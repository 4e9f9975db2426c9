//! Dumps of a right port that were spoiled after it ran: stored in fewer bits, overwritten, cut short.

use harness::tensor::{Tensor, Values};

use crate::brought::*;
use crate::support::*;

const WEIGHTS: &str = "fixtures/ggml-small/model.safetensors";
const INPUT: &str = "fixtures/ggml-small/input.png";

/// The tensors of the real dump that are compared.
fn right() -> BroughtTensors {
    let tensors = read_folder(&root().join("fixtures/ggml-small/candidate/debug_ggml_output"), "debug_");
    tensors.into_iter().filter(|(name, _)| !name.contains('(')).collect()
}

/// Judges a dump part by part: the exit code and what is said.
fn judged(tensors: &BroughtTensors) -> (Option<i32>, String) {
    let folder = dumped(tensors);
    let candidate = folder.path().to_str().unwrap();
    let output = xtask(&["parity", "--candidate", candidate, "--weights", WEIGHTS, "--input", INPUT])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), said.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn with_values(tensor: &Tensor, change: impl Fn(usize, f32) -> f32) -> Tensor {
    let Values::F32(values) = tensor.values() else { panic!("dumps are of f32") };
    let values = values.iter().enumerate().map(|(at, x)| change(at, *x)).collect();
    Tensor::from_f32(tensor.shape().to_vec(), values).unwrap()
}

#[test]
fn values_that_were_rounded_when_they_were_stored_pass() {
    type RoundedValue = fn(f32) -> f32;
    let types: [(&str, RoundedValue); 2] =
        [("f16", |x| half::f16::from_f32(x).to_f32()), ("bf16", |x| half::bf16::from_f32(x).to_f32())];
    for (name, rounded) in types {
        let all = right();
        let stored = all.iter().map(|(name, tensor)| (name.clone(), with_values(tensor, |_, x| rounded(x))));
        let (code, said) = judged(&stored.collect());
        assert_eq!(code, Some(0), "{name}: {said}");
        assert!(said.contains(&format!("are all numbers of {name}")), "{said}");
        // A fault of 1 % is seen all the same.
        let mut faulty = all.clone();
        let scaled = with_values(&all["mobilenet_block_8_inverted_residual"], |_, x| 1.01 * x);
        faulty.insert("mobilenet_block_8_inverted_residual".to_string(), scaled);
        let stored =
            faulty.iter().map(|(name, tensor)| (name.clone(), with_values(tensor, |_, x| rounded(x))));
        let (code, said) = judged(&stored.collect());
        assert!(code == Some(1) && said.contains("42 passed, 1 failed"), "{name}: {said}");
        assert!(said.contains("first failing layer: mobilenet_block_8_inverted_residual"), "{name}: {said}");
    }
}

/// An output that was overwritten fails, and nothing after it does.
#[test]
fn what_the_port_did_not_go_on_with_fails_alone() {
    let all = right();
    let spoiled: [(&str, &str); 4] = [
        ("mobilenet_block_6_inverted_residual", "mobilenet_block_7_attn_norm"),
        ("mobilenet_block_4_inverted_residual", "mobilenet_block_5_inverted_residual"),
        ("mobilenet_block_10_inverted_residual", "mobilenet_block_11_inverted_residual"),
        ("mobilenet_block_15_inverted_residual", "msfa_concat"),
    ];
    for (name, later) in spoiled {
        let others: [Tensor; 4] = [
            with_values(&all[name], |_, _| 0.0),
            with_values(&all[name], |at, x| if at == 7 { f32::NAN } else { x }),
            with_values(&all[name], |at, x| x + (at as f32).sin()),
            with_values(&all[name], |_, x| 1.002 * x),
        ];
        for (number, other) in others.into_iter().enumerate() {
            let mut tensors = all.clone();
            tensors.insert(name.to_string(), other);
            let (code, said) = judged(&tensors);
            assert_eq!(code, Some(1), "{name} {number}: {said}");
            assert!(said.contains("42 passed, 1 failed"), "{name} {number}: {said}");
            let told =
                said.split("cause: ").find(|one| one.contains(&format!("{name} is not what the port")));
            assert!(told.is_some_and(|one| one.contains(later)), "{name} {number}: {said}");
            assert!(!said.contains("unexplained"), "{name} {number}: {said}");
        }
    }
}

#[test]
fn two_tensors_of_a_block_that_were_overwritten_are_told_one_by_one() {
    let mut tensors = right();
    for (name, factor) in [("mobilenet_block_7_attn_norm", 1.01), ("mobilenet_block_7_layer_scale", 1.02)] {
        let scaled = with_values(&tensors[name], |_, x| factor * x);
        tensors.insert(name.to_string(), scaled);
    }
    let (code, said) = judged(&tensors);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("41 passed, 2 failed"), "{said}");
    for name in ["mobilenet_block_7_attn_norm", "mobilenet_block_7_layer_scale"] {
        assert!(said.contains(&format!("{name} is not what the port went on with")), "{said}");
    }
    assert!(!said.contains("unexplained"), "{said}");
}

#[test]
fn the_end_that_is_not_there_is_missing() {
    let mut tensors = right();
    tensors.remove("mm_post_proj_norm");
    let (code, said) = judged(&tensors);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("42 passed, 1 missing") && said.contains("mm_post_proj_norm"), "{said}");
    tensors.retain(|name, _| !name.starts_with("mm_") && !name.starts_with("msfa_"));
    let (code, said) = judged(&tensors);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("2 missing") && said.contains("msfa_concat_norm"), "{said}");
}

#[test]
fn parts_that_are_judged_together_are_named() {
    let mut tensors = right();
    tensors.retain(|name, _| !name.contains("block_5_") && name != "mobilenet_block_13_inverted_residual");
    let (code, said) = judged(&tensors);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("(blocks.2.1, blocks.3.2)"), "{said}");
}

#[test]
fn tensors_under_each_others_names_and_in_another_order_are_told_by_their_values() {
    let all = right();
    let (one, other) = ("mobilenet_block_5_inverted_residual", "mobilenet_block_6_inverted_residual");
    let mut tensors = all.clone();
    tensors.insert(one.to_string(), all[other].clone());
    tensors.insert(other.to_string(), all[one].clone());
    let (code, said) = judged(&tensors);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("41 passed, 2 failed") && !said.contains("unexplained"), "{said}");
    for (name, of) in [(one, "timm_model_blocks_2_2"), (other, "timm_model_blocks_2_1")] {
        assert!(said.contains(&format!("{name}: its values are those of {of}")), "{said}");
    }
    // One tensor alone: no line of the mapping would be right for the others too.
    let name = "mobilenet_block_8_inverted_residual";
    let Values::F32(values) = all[name].values() else { panic!("dumps are of f32") };
    let mut turned = values.view();
    turned.swap_axes(2, 3);
    let turned = Tensor::from_f32(all[name].shape().to_vec(), turned.iter().copied().collect()).unwrap();
    let mut tensors = all.clone();
    tensors.insert(name.to_string(), turned);
    let (code, said) = judged(&tensors);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("with h and w exchanged") && !said.contains("layout ="), "{said}");
}

#[test]
fn a_stem_that_is_unexplained_may_have_had_another_picture() {
    let folder = dumped(&right());
    let candidate = folder.path().to_str().unwrap();
    let other = folder.path().join("other.png");
    std::fs::copy(root().join("fixtures/blocks/input.png"), &other).unwrap();
    let picture = other.to_str().unwrap();
    xtask(&[
        "parity",
        "--candidate",
        candidate,
        "--weights",
        WEIGHTS,
        "--input",
        picture,
        "--resize",
        "256x256",
    ])
    .assert()
    .code(1)
    .stdout(contains("42 passed, 1 failed"))
    .stdout(contains("dump what it took under the name inp_raw"));
}

/// Blocks are counted by the model, not by what the dump has of it.
#[test]
fn a_block_that_is_not_there_moves_no_other() {
    let blocks: [&[&str]; 4] =
        [&["block_1_"], &["block_3_"], &["block_10_"], &["block_0_", "block_1_", "block_2_", "block_15_"]];
    for gone in blocks {
        let mut tensors = right();
        tensors.retain(|name, _| !gone.iter().any(|block| name.contains(block)));
        let (code, said) = judged(&tensors);
        assert_eq!(code, Some(0), "without {gone:?}: {said}");
        assert!(said.contains(&format!("{0} compared, {0} passed", tensors.len())), "{gone:?}: {said}");
    }
}

#[test]
fn some_tensors_that_were_rounded_do_not_hide_how_the_port_rounds() {
    let bf16 = |x: f32| half::bf16::from_f32(x).to_f32();
    let mut tensors = right();
    for (name, tensor) in &mut tensors {
        if name.ends_with("_residual") || name.ends_with("attn_output") {
            *tensor = with_values(tensor, |_, x| bf16(x));
        }
    }
    let (code, said) = judged(&tensors);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn nothing_is_said_of_tensors_without_values() {
    for value in [f32::NAN, 0.0] {
        let mut tensors = right();
        for (name, tensor) in &mut tensors {
            if name.contains("block_9_")
                || name.contains("block_1")
                || name.starts_with('m') && !name.contains("block")
            {
                *tensor = with_values(tensor, |_, _| value);
            }
        }
        let (code, said) = judged(&tensors);
        assert_eq!(code, Some(1), "{value}: {said}");
        for untrue in ["was written out twice", "its values are those of", "every part is within its limit"] {
            assert!(!said.contains(untrue), "{value}: {said}");
        }
    }
}

#[test]
fn one_tensor_of_another_shape_is_no_other_picture() {
    let mut tensors = right();
    let name = "mobilenet_block_6_inverted_residual";
    let rows = with_values(&tensors[name], |_, x| x);
    let Values::F32(values) = rows.values() else { panic!("dumps are of f32") };
    let cropped: Vec<f32> = values.iter().copied().take(24 * 8 * 16).collect();
    tensors.insert(name.to_string(), Tensor::from_f32(vec![1, 24, 8, 16], cropped).unwrap());
    let (code, said) = judged(&tensors);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("what comes before and after it fits") && !said.contains("--resize"), "{said}");
}

/// A dump that says what it was computed from is not judged by anything else.
#[test]
fn other_weights_and_another_input_than_those_of_the_record_are_refused() {
    let out = tempfile::tempdir().unwrap();
    let dump = out.path().join("dump");
    let dump = dump.to_str().unwrap();
    xtask(&["encode", "--weights", WEIGHTS, "--input", INPUT, "--dump", dump]).assert().code(0);
    let parity = |weights: &str, input: &str| {
        xtask(&["parity", "--candidate", dump, "--weights", weights, "--input", input]).assert()
    };
    parity(WEIGHTS, INPUT).code(0);
    parity("fixtures/blocks/model.safetensors", INPUT).code(5).stderr(contains("--weights"));
    parity(WEIGHTS, "fixtures/blocks/input.png").code(5).stderr(contains("--input"));
    // Values that no picture has.
    let values = out.path().join("input.npy");
    let tensor = Tensor::from_f32(vec![1, 3, 4, 4], vec![255.0; 48]).unwrap();
    harness::store::write_npy(&values, &tensor).unwrap();
    parity(WEIGHTS, values.to_str().unwrap()).code(2).stderr(contains("expected values from 0 to 1"));
    let file = std::path::Path::new(dump).join("debug_mobilenet_stem_output.npy");
    std::fs::remove_file(file).unwrap();
    parity(WEIGHTS, INPUT).code(5);
}
