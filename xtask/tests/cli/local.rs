//! Parts judged by themselves: a real dump and weights, no reference.

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
    // Every layer at half of its limit at the most, and no limit of a whole part over 4e-4.
    let layers = report["layers"].as_array().unwrap();
    for layer in layers {
        let name = layer["name"].as_str().unwrap();
        for criterion in layer["tolerance"]["criteria"].as_array().unwrap() {
            let (measured, limit) =
                (criterion["measured"].as_f64().unwrap(), criterion["limit"].as_f64().unwrap());
            assert!(measured <= 0.5 * limit, "{name}: {criterion}");
            let ends_a_part = ["edge_residual", "inverted_residual", "attn_output"];
            if criterion["metric"] == "rel_l2" && ends_a_part.iter().any(|end| name.ends_with(end)) {
                assert!(limit <= 4e-4, "{name}: {criterion}");
            }
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
