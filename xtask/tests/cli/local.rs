//! Parts judged by themselves: a real dump and weights, no reference.

use harness::tensor::Tensor;

use crate::brought::*;
use crate::support::*;

const DUMP: &str = "fixtures/ggml-small/candidate/debug_ggml_output";
const SOURCES: [&str; 4] =
    ["--weights", "fixtures/ggml-small/model.safetensors", "--input", "fixtures/ggml-small/input.png"];

fn parity(candidate: &str, options: &[&str]) -> assert_cmd::Command {
    xtask(&[&["parity", "--candidate", candidate], &SOURCES[..], options].concat())
}

#[test]
fn the_real_dump_passes_part_by_part() {
    let report = tempfile::tempdir().unwrap();
    let path = report.path().join("local.json");
    let requested = format!("json={}", path.display());
    parity(DUMP, &["--report", &requested])
        .assert()
        .code(0)
        .stdout(contains("rounded as ggml-f16"))
        .stdout(contains("PASS  43 compared, 43 passed"));
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let text = report.to_string();
    assert!(text.contains("judged_locally"), "{text}");
    // Every layer at half of its limit at the most, and no limit over 1.5e-4.
    let layers = report["layers"].as_array().unwrap();
    for layer in layers {
        let name = layer["name"].as_str().unwrap();
        for criterion in layer["tolerance"]["criteria"].as_array().unwrap() {
            let (measured, limit) =
                (criterion["measured"].as_f64().unwrap(), criterion["limit"].as_f64().unwrap());
            assert!(measured <= 0.5 * limit, "{name}: {criterion}");
            assert!(criterion["metric"] != "rel_l2" || limit <= 1.5e-4, "{name}: {criterion}");
        }
    }
}

#[test]
fn a_dump_that_lacks_tensors_is_judged_in_longer_parts() {
    let kept = |name: &str| !name.contains("block_5_") && !name.contains("block_6_");
    let tensors: BroughtTensors = read_folder(&root().join(DUMP), "debug_")
        .into_iter()
        .filter(|(name, _)| !name.contains('(') && kept(name))
        .collect();
    let folder = dumped(&tensors);
    parity(folder.path().to_str().unwrap(), &[])
        .assert()
        .code(0)
        .stdout(contains("2 of them together with the next"));
}

#[test]
fn what_is_missing_on_the_command_line_is_said() {
    xtask(&["parity", "--candidate", DUMP]).assert().code(2).stderr(contains("nothing to compare it with"));
    xtask(&["parity", "--candidate", DUMP, "--weights", "fixtures/ggml-small/model.safetensors"])
        .assert()
        .code(2)
        .stderr(contains("--input FILE"));
    parity(DUMP, &["--rounding", "q4"]).assert().code(2).stderr(contains("ggml-f16"));
}

#[test]
fn everything_about_one_part() {
    for asked in ["blocks.1.1", "mobilenet_block_6_inverted_residual", "timm_model.blocks.1.1"] {
        parity(DUMP, &["--explain", asked]).assert().code(0).stdout(contains("changes were tried"));
    }
    parity(DUMP, &["--explain", "blocks.9.9"]).assert().code(2).stderr(contains("did you mean blocks."));
    xtask(&["parity", "--explain", "blocks.1.1"]).assert().code(2).stderr(contains("--candidate"));
}

/// The encoder's own dumps in each precision, on each instruction set that this CPU has.
#[test]
fn right_dumps_in_each_precision_pass_and_no_cause_is_claimed() {
    let mut wrong = Vec::new();
    for set in ["blocks", "base"] {
        let (weights, input) =
            (format!("fixtures/{set}/model.safetensors"), format!("fixtures/{set}/input.png"));
        for precision in ["f32", "bf16x3", "bf16"] {
            for isa in encoder::Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
                let how = ["--precision", precision, "--isa", isa.name()];
                let dump = dumped(&encoded(set, &input, &how));
                let candidate = dump.path().to_str().unwrap();
                let all = ["parity", "--candidate", candidate, "--weights", &weights, "--input", &input];
                let output = xtask(&all).output().unwrap();
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                let rounding = if precision == "f32" { "exact" } else { precision };
                let is_right = said.contains(&format!("    {rounding} (")) && !said.contains("cause:");
                if output.status.code() != Some(0) || !is_right {
                    wrong.push(format!("{set} {precision} {isa}: {said}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The set whose fusion has an output of its own size, its weights and its input.
const WIDE: [&str; 5] =
    ["fixtures/wide", "--weights", "fixtures/wide/model.safetensors", "--input", "fixtures/wide/input.png"];

/// A right dump of it by a port that dumps the result of every layer scale.
fn dump_of_wide() -> tempfile::TempDir {
    let out = tempfile::tempdir().unwrap();
    let dump = out.path().join("dump");
    let encode = ["encode", WIDE[1], WIDE[2], WIDE[3], WIDE[4], "--output-resolution", "2x4", "--dump"];
    xtask(&[&encode[..], &[dump.to_str().unwrap()]].concat()).assert().code(0);
    let mut tensors: BroughtTensors = read_folder(&dump, "debug_").into_iter().collect();
    // Blocks without a skip, whose result it is.
    for block in [2, 3, 6] {
        let result = tensors[&format!("mobilenet_block_{block}_inverted_residual")].clone();
        tensors.insert(format!("mobilenet_block_{block}_layer_scale"), result);
    }
    dumped(&tensors)
}

#[test]
fn the_size_of_the_output_is_found_and_the_result_of_a_layer_scale_may_have_a_name_of_its_own() {
    let dump = dump_of_wide();
    let dump = dump.path().to_str().unwrap();
    let parity =
        |options: &[&str]| xtask(&[&["parity", "--candidate", dump], &WIDE[1..], options].concat()).assert();
    let advice = "2x4, 16x16 was computed, and so computed it is right: --output-resolution 2x4";
    parity(&[]).code(4).stdout(contains(advice)).stdout(contains("27 compared, 27 passed"));
    parity(&["--output-resolution", "2x4"]).code(0).stdout(contains("29 compared, 29 passed"));
    // A set knows it.
    parity(&["--reference", WIDE[0]]).code(0);
    // A case of what was computed in another size would show nothing.
    let repro = ["repro", "msfa", "--candidate", dump, "--out", "unused"];
    xtask(&[&repro[..], &WIDE[1..]].concat()).assert().code(2).stderr(contains("--output-resolution HxW"));
}

#[test]
fn a_comparison_with_a_set_says_how_parts_are_judged_by_themselves() {
    let dump = dump_of_wide();
    // Off by something that has no name, and so is what comes after it.
    let noise = |at: usize| 1e-3 * (at.wrapping_mul(2_654_435_761) >> 7 & 7) as f32;
    for name in ["4_layer_scale", "4_attn_output", "5_layer_scale", "5_inverted_residual"] {
        let tensor = dump.path().join(format!("debug_mobilenet_block_{name}.npy"));
        edit(&tensor, |_, values| values.iter_mut().enumerate().for_each(|(at, x)| *x *= 1.0 + noise(at)));
    }
    let dump = dump.path().to_str().unwrap();
    let failed = xtask(&["parity", "--candidate", dump, "--reference", WIDE[0]]).assert().code(1);
    let command =
        format!("cargo xtask parity --candidate {dump} {} --output-resolution 2x4", WIDE[1..].join(" "));
    let output = String::from_utf8_lossy(&failed.get_output().stdout).into_owned();
    assert!(output.contains(&command), "{output}");
    // It is a command that runs.
    let arguments: Vec<&str> = command.split(' ').skip(2).collect();
    xtask(&arguments).assert().code(1).stdout(contains("first failing layer: mobilenet_block_4_layer_scale"));
}

#[test]
fn tensors_that_were_overwritten_do_not_change_the_rounding_and_what_follows_them_is_right() {
    // Layer scales as they are after the skip was added in place.
    let mut tensors: BroughtTensors = read_folder(&root().join(DUMP), "debug_")
        .into_iter()
        .filter(|(name, _)| !name.contains('('))
        .collect();
    let blocks = [3, 5, 6, 8].map(|block| {
        let name = |tensor: &str| format!("mobilenet_block_{block}_{tensor}");
        (name("layer_scale"), name("inverted_residual"))
    });
    for (scaled, output) in &blocks {
        let overwritten = tensors[output].clone();
        tensors.insert(scaled.clone(), overwritten);
    }
    let folder = dumped(&tensors);
    let mut ran = parity(folder.path().to_str().unwrap(), &[]);
    let said = ran.env("COLUMNS", "300").assert().code(1);
    let said = said.stdout(contains("rounded as ggml-f16")).stdout(contains("39 passed, 4 failed"));
    said.stdout(contains("mobilenet_block_5_layer_scale is not what the port went on with"));
    // One that is within its own limit, and what follows it is right without it too.
    let mut tensors: BroughtTensors = read_folder(&root().join(DUMP), "debug_")
        .into_iter()
        .filter(|(name, _)| !name.contains('('))
        .collect();
    let scaled = tensors.get_mut("mobilenet_block_12_layer_scale").unwrap();
    let values = scaled.iter().map(|x| (1.00002 * x) as f32).collect();
    *scaled = Tensor::from_f32(scaled.shape().to_vec(), values).unwrap();
    let folder = dumped(&tensors);
    parity(folder.path().to_str().unwrap(), &[]).assert().code(0);
}
