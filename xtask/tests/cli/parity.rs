//! `cargo xtask parity`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use harness::store::write_npy;
use harness::tensor::Tensor;

use crate::support::*;

/// Exchanges the last two axes.
fn swap_h_and_w(path: &Path) {
    edit(path, |shape, values| {
        let (h, w) = (shape[2], shape[3]);
        let swapped = values
            .chunks(h * w)
            .flat_map(|map| (0..w).flat_map(move |x| (0..h).map(move |y| map[y * w + x])))
            .collect();
        *values = swapped;
        shape.swap(2, 3);
    });
}

#[test]
fn the_encoder_passes_on_every_committed_set() {
    let report = tempfile::tempdir().unwrap();
    let json = report.path().join("parity.json");
    let argument = format!("json={}", json.display());
    xtask(&["parity", "--report", &argument]).assert().code(0).stdout(contains("PASS"));
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert!(report["summary"]["compared"].as_u64().unwrap() >= 45);
    assert_eq!(report["summary"]["verdict"], "pass");
    let floors = floors();
    for layer in report["layers"].as_array().unwrap() {
        let set = &report["provenance"][layer["comparison"].as_u64().unwrap() as usize]["reference"]["title"];
        let set = set.as_str().unwrap().trim_start_matches("set ").split(',').next().unwrap().to_string();
        let floor = floors[&(set, layer["reference"].as_str().unwrap().to_string())];
        assert!(layer["rel_l2"].as_f64().unwrap() <= 4.0 * floor, "over 4 times {floor:e}: {layer}");
        // A layer that a baseline lost would be judged by looser limits, and not be held by the ratchet.
        let criteria = layer["tolerance"]["criteria"].as_array().unwrap();
        let derived = criteria.iter().filter(|criterion| criterion["basis"] == "derived").count();
        assert_eq!(derived, 2, "no derived tolerance: {layer}");
        assert!(layer["baseline"].is_object(), "no known errors: {layer}");
    }
    let sets: BTreeSet<&String> = floors.keys().map(|(set, _)| set).collect();
    assert_eq!(
        sets.into_iter().collect::<Vec<_>>(),
        [
            "base",
            "blocks",
            "ggml-small",
            "large-values",
            "low-energy",
            "low-energy-variants",
            "odd-bilinear",
            "symmetric",
            "variants",
            "wide",
            "without-fusion"
        ]
    );
}

/// The noise floor (rel_l2) of every tensor by set and name, as the manifests record it.
fn floors() -> BTreeMap<(String, String), f64> {
    let mut floors = BTreeMap::new();
    for entry in std::fs::read_dir(root().join("fixtures")).unwrap() {
        let Ok(text) = std::fs::read(entry.unwrap().path().join("manifest.json")) else { continue };
        let manifest: serde_json::Value = serde_json::from_slice(&text).unwrap();
        for tensor in manifest["tensors"].as_array().unwrap() {
            let name = |value: &serde_json::Value| value.as_str().unwrap().to_string();
            let floor = tensor["noise_floor"]["rel_l2"].as_f64().unwrap();
            floors.insert((name(&manifest["set"]), name(&tensor["name"])), floor);
        }
    }
    floors
}

#[test]
fn nothing_is_wider_than_a_terminal() {
    for arguments in [&["parity"][..], &["parity", "--verbose"]] {
        let output = xtask(arguments).assert().get_output().stdout.clone();
        let text = String::from_utf8(output).unwrap();
        let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{wide:#?}");
    }
}

#[test]
fn the_real_dump_passes_as_what_it_is() {
    xtask(&["parity", "--candidate", DUMP, "--reference", "fixtures/ggml-small", "--profile", "f16-weights"])
        .assert()
        .code(0)
        .stdout(contains("46 compared, 46 passed, 6 ignored"))
        .stdout(contains("ignored: 6 of the candidate: a view of a tensor"));
}

#[test]
fn the_real_dump_fails_as_what_it_is_not() {
    xtask(&["parity", "--candidate", DUMP, "--reference", "fixtures/ggml-small/reference"])
        .assert()
        .code(1)
        .stdout(contains("first failing layer: mobilenet_stem_output"))
        .stdout(contains("--profile f16-weights"));
}

#[test]
fn a_renamed_reference_is_a_matter_of_coverage() {
    let set = DamagedSet::of("blocks");
    let renamed = set.reference("timm_model_blocks_1_1");
    std::fs::rename(&renamed, set.reference("timm_model_blocks_1_1_old")).unwrap();
    set.parity()
        .assert()
        .code(3)
        .stdout(contains("missing reference timm_model_blocks_1_1"))
        .stdout(contains("unmapped reference timm_model_blocks_1_1_old"))
        .stdout(contains("`timm_model_blocks_1_1` is missing: is this it?"));
}

#[test]
fn one_wrong_element_is_a_matter_of_numbers() {
    let set = DamagedSet::of("blocks");
    edit(&set.reference("timm_model_blocks_2_1"), |_, values| values[100] += 1e-2);
    set.parity().assert().code(1).stdout(contains("1 failed")).stdout(contains("worst element"));
}

#[test]
fn trap_09_swapped_axes_are_a_matter_of_shapes_unless_the_map_is_square() {
    let oblong = DamagedSet::of("blocks");
    swap_h_and_w(&oblong.reference("timm_model_blocks_0_0"));
    oblong.parity().assert().code(4).stdout(contains("extents would fit with h and w exchanged"));
    let square = DamagedSet::of("ggml-small");
    swap_h_and_w(&square.reference("timm_model_blocks_0_0"));
    square.parity().assert().code(1).stdout(contains("first failing layer: mobilenet_block_0_edge_residual"));
}

#[test]
fn a_typo_in_the_mapping_is_a_matter_of_usage() {
    let folder = tempfile::tempdir().unwrap();
    let mapping = folder.path().join("typo.toml");
    let text = std::fs::read_to_string(root().join("mappings/gemma3n.toml")).unwrap();
    std::fs::write(
        &mapping,
        text.replacen("reference = \"timm_model_conv_stem\"", "refrence = \"timm_model_conv_stem\"", 1),
    )
    .unwrap();
    let typo = mapping.to_str().unwrap();
    let line = 1 + text.lines().position(|line| line == "reference = \"timm_model_conv_stem\"").unwrap();
    let place = format!("typo.toml:{line}:1");
    for arguments in [&["parity", "--mapping", typo][..], &["mapping", "check", typo]] {
        xtask(arguments)
            .assert()
            .code(2)
            .stderr(contains(&place))
            .stderr(contains("did you mean `reference`?"));
    }
}

#[test]
fn a_truncated_file_is_a_matter_of_reading() {
    let set = DamagedSet::of("blocks");
    let path = set.reference("timm_model_blocks_0_1");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    set.parity().assert().code(5).stdout(contains(
        "debug_activation_timm_model_blocks_0_1.npy: truncated: shape [1, 12, 24, 32] of f32",
    ));
}

#[test]
fn the_most_fundamental_finding_decides() {
    let set = DamagedSet::of("blocks");
    edit(&set.reference("timm_model_blocks_2_1"), |_, values| values[100] += 1e-2);
    std::fs::rename(set.reference("timm_model_msfa"), set.reference("timm_model_msfo")).unwrap();
    set.parity().assert().code(3);
    std::fs::write(set.reference("timm_model_conv_stem"), b"").unwrap();
    set.parity().assert().code(5).stdout(contains("found an empty file"));
}

#[test]
fn trap_01_unrelated_tensors_are_no_pass() {
    let folder = tempfile::tempdir().unwrap();
    let tensor = Tensor::from_f32(vec![1], vec![1.0]).unwrap();
    write_npy(&folder.path().join("debug_unrelated.npy"), &tensor).unwrap();
    let candidate = folder.path().to_str().unwrap();
    xtask(&["parity", "--candidate", candidate, "--reference", "fixtures/blocks", "--quiet"])
        .assert()
        .code(3)
        .stdout(contains("nothing was compared"));
}

#[test]
fn unusable_folders_and_options_say_what_to_do() {
    let cases: [(&[&str], u8, &str); 8] = [
        (&["--candidate", DUMP], 2, "--reference"),
        (&["--profile", "f23"], 2, "no profile `f23`; did you mean `f32`?"),
        (&["--reference", "fixtures/block"], 5, "did you mean `fixtures/blocks`?"),
        (&["--reference", "fixtures/blocks/reference", "--candidate", "README.md"], 5, "found text"),
        (&["--threads", "0"], 2, "leaves no thread to run on"),
        (&["--report", "xml=a"], 2, "such as json=PATH, found `xml`"),
        (&["--report", "json=README.md/parity.json", "--reference", "fixtures/symmetric"], 5, "cannot write"),
        (
            &["--candidate", DUMP, "--reference", "fixtures/ggml-small", "--isa", "portable"],
            2,
            "have nothing to act on",
        ),
    ];
    for (arguments, code, message) in cases {
        let all: Vec<&str> = ["parity"].iter().chain(arguments).copied().collect();
        xtask(&all).assert().code(i32::from(code)).stderr(contains(message));
    }
}

#[test]
fn no_committed_set_is_warned_of() {
    xtask(&["parity", "--quiet"]).assert().code(0).stderr("");
}

#[test]
fn a_reference_whose_files_have_other_names_is_told() {
    let run = xtask(&["parity", "--reference", DUMP, "--candidate", DUMP]).assert().code(3);
    run.stdout(contains("no file of the reference is named like `debug_activation_{name}.npy`"));
}

#[test]
fn somebodys_own_dumps_are_judged_by_the_mappings_limits() {
    let set = DamagedSet::of("blocks");
    let dump = tempfile::tempdir().unwrap();
    let weights = format!("{}/model.safetensors", set.path());
    let input = format!("{}/input.png", set.path());
    let dump = dump.path().to_str().unwrap();
    xtask(&[
        "encode",
        "--weights",
        &weights,
        "--input",
        &input,
        "--output-resolution",
        "2x4",
        "--dump",
        dump,
    ])
    .assert()
    .code(0)
    .stdout(contains("Saved tensor 'mobilenet_stem_output' with shape [64, 48, 8, 1] to "));
    std::fs::remove_file(set.folder.path().join("manifest.json")).unwrap();
    let reference = format!("{}/reference", set.path());
    xtask(&["parity", "--candidate", dump, "--reference", &reference])
        .assert()
        .code(0)
        .stdout(contains("the reference has no manifest"))
        .stdout(contains("limits are the mapping's own"));
}

#[test]
fn weights_or_inputs_of_another_set_are_refused() {
    let other = ["--weights", "fixtures/symmetric/model.safetensors"];
    let input = ["--input", "fixtures/symmetric/input.png"];
    for (option, message) in [(other, "different weights"), (input, "different inputs")] {
        let all: Vec<&str> =
            ["parity", "--reference", "fixtures/blocks"].iter().chain(&option).copied().collect();
        xtask(&all).assert().code(5).stderr(contains(message));
    }
}

#[test]
fn a_dump_says_what_it_is_of() {
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().to_str().unwrap();
    let set =
        ["--weights", "fixtures/ggml-small/model.safetensors", "--input", "fixtures/ggml-small/input.png"];
    let all: Vec<&str> = ["encode", "--dump", dump].iter().chain(&set).copied().collect();
    xtask(&all).assert().code(0);
    let compare = |set: &str| xtask(&["parity", "--strict", "--candidate", dump, "--reference", set]);
    compare("fixtures/ggml-small").assert().code(0).stdout(contains("input (input.png) bit-identical ok"));
    compare("fixtures/symmetric").assert().code(5).stderr(contains("different weights"));
    edit(&folder.path().join("debug_mobilenet_stem_output.npy"), |_, values| values[0] = values[0].next_up());
    compare("fixtures/ggml-small").assert().code(5).stderr(contains("debug_mobilenet_stem_output.npy"));
    std::fs::remove_file(folder.path().join("dump.json")).unwrap();
    compare("fixtures/ggml-small").assert().code(5).stderr(contains("has no dump.json"));
    xtask(&["parity", "--candidate", dump, "--reference", "fixtures/ggml-small"])
        .assert()
        .code(0)
        .stdout(contains("note: it is not recorded what weights and input the candidate was computed from"));
}

#[test]
fn strict_asks_for_the_weights_that_the_set_was_made_with() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    copy(&root().join("fixtures/blocks"), &at("blocks"));
    let (set, dump) = (at("blocks"), at("dump"));
    let (set, dump) = (set.to_str().unwrap(), dump.to_str().unwrap());
    let weights = at("blocks/model.safetensors");
    let input = at("blocks/input.png");
    let settings = ["--output-resolution", "2x4"];
    let of = ["--weights", weights.to_str().unwrap(), "--input", input.to_str().unwrap()];
    let all: Vec<&str> = ["encode", "--dump", dump].iter().chain(&of).chain(&settings).copied().collect();
    xtask(&all).assert().code(0);
    let compare = || xtask(&["parity", "--strict", "--candidate", dump, "--reference", set]);
    compare().assert().code(0);
    std::fs::copy(root().join("fixtures/variants/model.safetensors"), &weights).unwrap();
    compare().assert().code(5).stderr(contains("model.safetensors: not as manifest.json recorded it"));
    std::fs::remove_file(&weights).unwrap();
    compare().assert().code(0);
}

#[test]
fn a_bad_instruction_set_is_a_matter_of_usage() {
    xtask(&["parity", "--reference", "fixtures/symmetric"]).env("ENCODER_MAX_ISA", "sse9").assert().code(2);
    xtask(&["parity", "--reference", "fixtures/symmetric", "--isa", "sse9"]).assert().code(2);
}

#[test]
fn sub_folders_of_the_checkout_do_as_well() {
    xtask(&["parity", "--quiet"]).current_dir(root().join("fixtures")).assert().code(0);
    xtask(&["parity", "--quiet", "--reference", "."])
        .current_dir(root().join("fixtures/blocks"))
        .assert()
        .code(0);
    xtask(&["parity", "--quiet", "--reference", "."])
        .current_dir(root().join("fixtures/blocks/reference"))
        .assert()
        .code(0)
        .stdout(contains("40 compared, 40 passed"));
}

#[test]
fn a_report_of_an_earlier_run_does_not_stand_for_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("new/parity.json");
    let argument = format!("json={}", report.display());
    let verdict = || {
        let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
        report["summary"]["verdict"].as_str().unwrap().to_string()
    };
    xtask(&["parity", "--reference", "fixtures/symmetric", "--report", &argument]).assert().code(0);
    assert_eq!(verdict(), "pass");
    xtask(&["parity", "--reference", "fixtures/none", "--report", &argument]).assert().code(5);
    assert_eq!(verdict(), "fail");
}

#[test]
fn a_limit_of_a_rule_holds_where_a_noise_floor_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let mapping = folder.path().join("tight.toml");
    let text = std::fs::read_to_string(root().join("mappings/gemma3n.toml")).unwrap();
    let tight = "name = \"stem\"\nlimits.f32 = { rel_l2 = 1e-12 }";
    std::fs::write(&mapping, text.replacen("name = \"stem\"", tight, 1)).unwrap();
    xtask(&["parity", "--reference", "fixtures/blocks", "--mapping", mapping.to_str().unwrap()])
        .assert()
        .code(1)
        .stdout(contains("first failing layer: mobilenet_stem_output"));
}

/// No false alarm: 50 runs over thread counts on every instruction set that the machine has, on sets of every kind of
/// block.
#[test]
fn the_gate_passes_50_times_over_instruction_sets_and_thread_counts() {
    let (here, missing): (Vec<_>, Vec<_>) = encoder::Isa::ALL.into_iter().partition(|isa| isa.is_available());
    for isa in missing {
        skipped(&format!("{isa} is not supported by this CPU"));
    }
    let sets =
        ["blocks", "odd-bilinear", "symmetric", "variants", "low-energy", "low-energy-variants", "wide"];
    let (mut failed, mut met) = (Vec::new(), BTreeSet::new());
    for run in 0..50 {
        let (isa, round) = (here[run % here.len()], run / here.len());
        let threads = [1, 2, 3, 8][round % 4].to_string();
        let set = format!("fixtures/{}", sets[(round + round / 12) % sets.len()]);
        met.insert(set.clone());
        let arguments = ["--isa", isa.name(), "--threads", &threads, "--reference", &set];
        let output = xtask(&["parity", "--quiet"]).args(arguments).output().unwrap();
        if output.status.code() != Some(0) {
            failed.push(format!("{arguments:?}:\n{}", String::from_utf8_lossy(&output.stdout)));
        }
    }
    assert_eq!(met.len(), sets.len(), "sets that were met");
    assert!(failed.is_empty(), "{} of 50 runs failed:\n{}", failed.len(), failed.join("\n"));
}
