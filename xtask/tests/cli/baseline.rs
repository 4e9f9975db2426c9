//! `cargo xtask baseline`, and what a baseline does to the gate.

use crate::support::*;

/// A committed baseline with the errors of one layer divided by 3, in the place of the real one.
#[test]
fn a_layer_that_worsens_under_its_tolerance_fails() {
    let copy_of_root = tempfile::tempdir().unwrap();
    for folder in ["baselines", "fixtures/symmetric", "mappings"] {
        copy(&root().join(folder), &copy_of_root.path().join(folder));
    }
    let path = copy_of_root.path().join("baselines/symmetric/f32.errors.json");
    let mut errors: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let layer = errors["layers"].as_array_mut().unwrap();
    let layer =
        layer.iter_mut().find(|layer| layer["name"] == "mobilenet_block_3_inverted_residual").unwrap();
    for side in ["largest", "smallest"] {
        for metric in ["rel_l2", "rel_linf"] {
            layer[side][metric] = (layer[side][metric].as_f64().unwrap() / 3.0).into();
        }
    }
    std::fs::write(&path, errors.to_string()).unwrap();
    xtask(&["parity"])
        .env("PARITY_ROOT", copy_of_root.path())
        .assert()
        .code(1)
        .stdout(contains("first failing layer: mobilenet_block_3_inverted_residual"))
        .stdout(contains("times its baseline"));
}

#[test]
fn nothing_is_written_where_ci_is_set() {
    let copy_of_root = tempfile::tempdir().unwrap();
    for folder in ["baselines", "fixtures/symmetric", "mappings"] {
        copy(&root().join(folder), &copy_of_root.path().join(folder));
    }
    let in_copy = |arguments: &[&str], ci: &str| {
        xtask(arguments).env("PARITY_ROOT", copy_of_root.path()).env("CI", ci).assert()
    };
    let pending = copy_of_root.path().join("baselines/symmetric/f32.errors.json.new");
    for command in ["measure", "derive"] {
        in_copy(&["baseline", command], "1").code(2).stderr(contains("CI is set: nothing is written"));
    }
    assert!(!pending.exists());
    in_copy(&["baseline", "measure"], "").code(0).stdout(contains("next: cargo xtask baseline review"));
    in_copy(&["baseline", "review", "--accept-all"], "1").code(2).stderr(contains("nothing is written"));
    assert!(pending.exists());
    in_copy(&["baseline", "review", "--accept", "none"], "").code(2).stderr(contains("no such layer waits"));
    in_copy(&["baseline", "review", "--accept-all"], "").code(0).stdout(contains("layers accepted"));
    assert!(!pending.exists());
    in_copy(&["parity", "--quiet"], "").code(0);
}
