//! What the operations inside blocks give: `encode --inner`, and the mapping that compares it.

use std::path::Path;

use harness::mapping::Mapping;
use harness::store::{read_npy, write_npy};
use harness::tensor::Tensor;

use crate::support::*;

const SET: &str = "fixtures/inner/operations";
const MAPPING: &str = "mappings/gemma3n-inner.toml";

/// Dumps the set's model, with these arguments besides.
fn dump(folder: &Path, more: &[&str]) -> assert_cmd::Command {
    let (weights, input) = (format!("{SET}/model.safetensors"), format!("{SET}/input.png"));
    let folder = folder.to_str().unwrap();
    let resolution = ["--output-resolution", "2x3"];
    let own = ["encode", "--weights", &weights, "--input", &input, "--dump", folder];
    xtask(&[own.as_slice(), resolution.as_slice(), more].concat())
}

#[test]
fn the_encoder_passes_with_inner_taps() {
    for more in [[].as_slice(), &["--isa", "portable"], &["--precision", "bf16x3"], &["--precision", "bf16"]]
    {
        let arguments = ["parity", "--mapping", MAPPING, "--reference", SET];
        xtask(&[arguments.as_slice(), more].concat())
            .assert()
            .code(0)
            .stdout(contains("PASS  68 compared, 68 passed"));
    }
}

#[test]
fn the_default_comparison_asks_for_no_inner_taps() {
    xtask(&["parity", "--reference", SET]).assert().code(0).stdout(contains("PASS  33 compared, 33 passed"));
}

#[test]
fn a_dump_with_inner_tensors_passes_under_both_mappings() {
    let folder = tempfile::tempdir().unwrap();
    dump(folder.path(), &["--inner"]).assert().code(0);
    let candidate = folder.path().to_str().unwrap();
    let compared = |mapping: &str, figures: &str| {
        xtask(&["parity", "--candidate", candidate, "--reference", SET, "--mapping", mapping])
            .assert()
            .code(0)
            .stdout(contains(figures));
    };
    compared(MAPPING, "PASS  68 compared, 68 passed");
    compared("mappings/gemma3n.toml", "PASS  33 compared, 33 passed");
}

#[test]
fn inner_tensors_bring_a_fault_down_to_one_operation() {
    let folder = tempfile::tempdir().unwrap();
    dump(folder.path(), &["--inner"]).assert().code(0);
    std::fs::remove_file(folder.path().join("dump.json")).unwrap();
    let (weights, input) = (format!("{SET}/model.safetensors"), format!("{SET}/input.png"));
    let candidate = folder.path().to_str().unwrap();
    let resolution = ["--output-resolution", "2x3", "--mapping", MAPPING];
    let own = ["parity", "--candidate", candidate, "--weights", &weights, "--input", &input];
    let judged = || xtask(&[own.as_slice(), &resolution].concat());
    judged().assert().code(0).stdout(contains("PASS  65 compared, 65 passed"));
    // As if a later operation had been done in place before it was written.
    let of = |name: &str| folder.path().join(format!("debug_mobilenet_block_2_{name}.npy"));
    let expansion = read_npy(&of("pw_exp"), None).unwrap();
    let squared: Vec<f32> = expansion.iter().map(|x| (x * x) as f32).collect();
    write_npy(&of("pw_exp"), &Tensor::from_f32(expansion.shape().to_vec(), squared).unwrap()).unwrap();
    judged()
        .env("COLUMNS", "300")
        .assert()
        .code(1)
        .stdout(contains("FAIL  65 compared, 64 passed, 1 failed"))
        .stdout(contains("mobilenet_block_2_pw_exp is not what the port went on with"));
}

#[test]
fn inner_tensors_change_no_bit_of_the_others_and_may_be_left_out() {
    let [outer, inner] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    dump(outer.path(), &[]).assert().code(0);
    dump(inner.path(), &["--inner"]).assert().code(0);
    let files = |folder: &Path| {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        entries.filter(|name| name.to_string_lossy().ends_with(".npy")).collect::<Vec<_>>()
    };
    let names = files(outer.path());
    assert!(names.len() < files(inner.path()).len());
    for name in names {
        let [a, b] = [&outer, &inner].map(|folder| std::fs::read(folder.path().join(&name)).unwrap());
        assert!(a == b, "{}", name.to_string_lossy());
    }
    let only = inner.path().join("debug_mobilenet_block_2_dw_mid.npy");
    assert_eq!(read_npy(&only, None).unwrap().shape(), [1, 24, 8, 12]);
    std::fs::copy(&only, outer.path().join(only.file_name().unwrap())).unwrap();
    std::fs::remove_file(outer.path().join("dump.json")).unwrap();
    let candidate = outer.path().to_str().unwrap();
    xtask(&["parity", "--candidate", candidate, "--reference", SET, "--mapping", MAPPING])
        .assert()
        .code(0)
        .stdout(contains("PASS  34 compared, 34 passed"));
}

#[test]
fn inner_tensors_without_a_dump_are_refused() {
    xtask(&["encode", "--weights", "w", "--input", "i", "--out", "o.npy", "--inner"])
        .assert()
        .code(2)
        .stderr(contains("add --dump DIR"));
}

#[test]
fn the_mapping_has_the_rules_of_the_default_one() {
    let read = |path: &str| Mapping::read(&root().join(path)).unwrap();
    let (default, inner) = (read("mappings/gemma3n.toml"), read(MAPPING));
    let rules = |mapping: &Mapping| {
        let described = |rule: &harness::mapping::Rule| {
            let templates: Vec<String> = rule.candidates.iter().map(|name| name.sample(1)).collect();
            (
                rule.name.clone(),
                templates,
                rule.reference.sample(1),
                rule.reference_optional,
                rule.may_be_unused,
            )
        };
        mapping.rules.iter().map(described).collect::<Vec<_>>()
    };
    let known = rules(&inner);
    let mut places = rules(&default).into_iter().map(|rule| {
        known
            .iter()
            .position(|other| *other == rule)
            .unwrap_or_else(|| panic!("{rule:?} is not in {MAPPING}"))
    });
    assert!(places.by_ref().is_sorted(), "in the same order");
    for profile in inner.profiles.values() {
        let of_default = &default.profiles[&profile.name];
        assert_eq!((profile.limits, profile.times_floor), (of_default.limits, of_default.times_floor));
    }
}
