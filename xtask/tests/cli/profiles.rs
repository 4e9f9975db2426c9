//! A profile is named where all layers are within its limits, and only where precision explains that they fail.

use harness::tensor::Tensor;

use crate::brought::*;
use crate::support::*;

#[test]
fn a_port_that_is_less_exact_throughout_gets_the_profile_that_fits() {
    let mut findings = Findings::default();
    let dump = root().join("fixtures/ggml-small/candidate/debug_ggml_output");
    let seen = compare(&dump, "fixtures/ggml-small", &[]);
    findings.fails(
        "f16 weights",
        &seen,
        1,
        &["off from the first layer on, and all 46 layers within the limits", "--profile f16-weights"],
    );
    findings.never("f16 weights", &seen, &["next: look at the first failing layer"]);
    findings.passes(
        "judged by it",
        &compare(&dump, "fixtures/ggml-small", &["--profile", "f16-weights"]),
        &[],
    );

    // A small error that begins further down is not one of precision.
    let port = RightPort::encoded();
    let wrong: BroughtTensors = port
        .tensors
        .iter()
        .map(|(name, x)| match name.starts_with("mobilenet_stem") {
            true => (name.clone(), x.clone()),
            false => (name.clone(), mapped(x, |x| x * (1.0 + 2e-4))),
        })
        .collect();
    let seen = compare(dumped(&wrong).path(), &port.reference(), &[]);
    findings.never("from a block on", &seen, &["--profile"]);
    findings.none();
}

/// timm wholly in bf16 with the sums in another order than where the tolerances come from (channels last), on the set
/// `variants`: `fixtures/generate/bf16_runs.py` builds the model.
const BF16_RUN: &str = "xtask/tests/cli/data/variants-bf16.safetensors";

#[test]
fn a_port_wholly_in_bf16_has_a_profile_of_its_own() {
    let mut findings = Findings::default();
    let run = root().join(BF16_RUN);
    let profile = ["--profile", "bf16-all"];
    let seen = compare(&run, "fixtures/variants", &profile);
    findings.passes("against the set", &seen, &["limits are multiples of a measured noise floor"]);
    findings.passes("against a folder", &compare(&run, "fixtures/variants/reference", &profile), &[]);
    findings.fails("in f32", &compare(&run, "fixtures/variants", &[]), 1, &["--profile bf16-all"]);

    let bytes = std::fs::read(&run).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let right: BroughtTensors = tensors
        .iter()
        .map(|(name, view)| {
            let values = view.data().as_chunks().0.iter();
            let values = values.map(|bytes| half::bf16::from_le_bytes(*bytes).to_f32()).collect();
            (name.to_string(), Tensor::from_f32(view.shape().to_vec(), values).unwrap())
        })
        .collect();
    let name = "mobilenet_block_0_edge_residual";
    let mut wrong = right.clone();
    wrong.insert(name.to_string(), mapped(&right[name], |x| x * 1.03));
    let seen = compare(dumped(&wrong).path(), "fixtures/variants", &profile);
    findings.fails("3 % off in an early block", &seen, 1, &["first failing layer: mobilenet_block_0"]);
    findings.none();
}
