//! A profile is named where all layers are within its limits, and only where precision explains that they fail.

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
        &["off from the first layer on, and all 47 layers within the limits", "--profile f16-weights"],
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
