//! `cargo xtask fixtures check`.

use tempfile::TempDir;

use predicates::prelude::PredicateBooleanExt;

use crate::checkout::{Checkout, LAYER, TOLERANCES};
use crate::support::*;

fn check(set: &DamagedSet) -> assert_cmd::Command {
    xtask(&["fixtures", "check", "--out", set.path()])
}

#[test]
fn trap_12_the_inputs_of_the_committed_sets_can_show_what_was_moved() {
    let output = xtask(&["fixtures", "check"]).assert().code(0).get_output().stdout.clone();
    let text = String::from_utf8(output).unwrap();
    let good = |line: &&str| {
        let probes = line.split_once(": 0 findings; ").and_then(|(_, rest)| rest.split_once(' '));
        line.ends_with("0 of which the input cannot show")
            && probes.is_some_and(|(count, _)| count.parse::<usize>().is_ok_and(|count| count > 50))
    };
    // Eleven, and the one in fixtures/inner.
    assert_eq!(text.lines().filter(good).count(), 12, "{text}");
}

/// A checkout with one set of no derived tolerances, whose mapping lets everything pass.
fn blind(mapping: impl FnOnce(String) -> String) -> TempDir {
    let root_of_copy = tempfile::tempdir().unwrap();
    let at = |path: &str| root_of_copy.path().join(path);
    for folder in ["fixtures/symmetric", "mappings"] {
        copy(&root().join(folder), &at(folder));
    }
    let path = at("mappings/gemma3n.toml");
    let text = mapping(std::fs::read_to_string(&path).unwrap());
    std::fs::write(path, text).unwrap();
    root_of_copy
}

#[test]
fn an_input_that_cannot_show_what_was_moved_is_told() {
    let limits = "[[rule]]\nlimits.f32 = { rel_l2 = 0.99, rel_linf = 0.99 }\n";
    let wide = |text: String| text.replace("[[rule]]\n", limits);
    let other_layout = |text: String| wide(text).replacen("layout = \"b c h w\"", "layout = \"b c w h\"", 1);
    // Under another layout the encoder's own tensors are others too.
    for (root_of_copy, code) in [(blind(wide), 0), (blind(other_layout), 5)] {
        let output = xtask(&["fixtures", "check"])
            .env("PARITY_ROOT", root_of_copy.path())
            .assert()
            .code(code)
            .stdout(contains("mobilenet_stem_output (timm_model_conv_stem) stays within its tolerance under"))
            .get_output()
            .stdout
            .clone();
        let text = String::from_utf8(output).unwrap();
        let warnings = text.lines().filter(|line| line.starts_with("warning: ")).count();
        // Those that move a tensor by less than itself: no limits let more pass.
        assert!(warnings >= 20, "{text}");
    }
}

#[test]
fn files_without_a_record_are_found() {
    let set = DamagedSet::of("ggml-small");
    let candidate = set.folder.path().join("candidate/debug_ggml_output/debug_mm_input_proj.npy");
    edit(&candidate, |_, values| values[0] = values[0].next_up());
    let extra = set.reference("extra");
    std::fs::copy(set.reference("timm_model_conv_stem"), &extra).unwrap();
    check(&set)
        .assert()
        .code(5)
        .stdout(contains("reference/debug_activation_extra.npy: not recorded"))
        .stdout(contains("debug_ggml_output/debug_mm_input_proj.npy: not what its recorded hash says"))
        .stdout(contains("2 findings; 138 probes"));
    std::fs::remove_file(extra).unwrap();
    std::fs::remove_file(candidate).unwrap();
    std::fs::write(set.folder.path().join("notes.txt"), "").unwrap();
    check(&set)
        .assert()
        .code(5)
        .stdout(contains("debug_mm_input_proj.npy: recorded, and not there"))
        .stdout(contains("notes.txt: not recorded"));
}

#[test]
fn broken_figures_are_not_blamed_on_the_set() {
    let checkout = Checkout::of("symmetric");
    checkout.edit(TOLERANCES, |value| value["layers"][0]["tolerance"]["rel_l2"] = 1e-9.into());
    checkout
        .run(&["fixtures", "check"])
        .code(5)
        .stdout(contains("next: git restore baselines"))
        .stdout(contains("git restore fixtures").not());
}

/// Tolerances of bf16 stand on floors that no manifest holds.
#[test]
fn a_floor_that_the_reference_does_not_have_is_found() {
    let checkout = Checkout::of("symmetric");
    checkout.edit_layer("bf16.tolerances.json", LAYER, |layer| {
        for part in ["noise_floor", "spread", "tolerance"] {
            let metrics = layer[part].as_object_mut().unwrap();
            metrics.values_mut().for_each(|figure| *figure = (figure.as_f64().unwrap() * 1.01).into());
        }
    });
    checkout.run(&["parity", "--precision", "bf16"]).code(0);
    checkout
        .run(&["fixtures", "check"])
        .code(5)
        .stdout(contains(&format!(
            "bf16: `{LAYER}`: expected the noise floor that the reference in that precision has"
        )))
        .stdout(contains(
            "next: git restore baselines, or cargo xtask baseline derive --profile bf16 --set symmetric",
        ));
}

#[test]
fn a_broken_set_does_not_hide_the_others() {
    let root_of_copy = tempfile::tempdir().unwrap();
    copy(&root().join("mappings"), &root_of_copy.path().join("mappings"));
    for folder in ["baselines", "fixtures"]
        .into_iter()
        .flat_map(|part| ["symmetric", "blocks", "variants"].map(|set| format!("{part}/{set}")))
    {
        copy(&root().join(&folder), &root_of_copy.path().join(&folder));
    }
    let file = |set: &str, tensor: &str| {
        root_of_copy.path().join(format!("fixtures/{set}/reference/debug_activation_timm_model_{tensor}.npy"))
    };
    let bytes = std::fs::read(file("blocks", "blocks_0_1")).unwrap();
    std::fs::write(file("blocks", "blocks_0_1"), &bytes[..bytes.len() / 2]).unwrap();
    std::fs::remove_file(root_of_copy.path().join("fixtures/symmetric/model.safetensors")).unwrap();
    std::fs::remove_file(file("variants", "conv_stem")).unwrap();
    xtask(&["fixtures", "check"])
        .env("PARITY_ROOT", root_of_copy.path())
        .assert()
        .code(5)
        .stdout(contains("blocks_0_1.npy: truncated"))
        .stdout(contains("model.safetensors: recorded, and not there"))
        .stdout(contains(
            "fixtures/variants: reference/debug_activation_timm_model_conv_stem.npy: recorded, and not",
        ))
        .stdout(contains("next: git restore fixtures"));
}
