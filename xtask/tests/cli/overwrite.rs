//! No command writes over what it reads.

use std::path::{Path, PathBuf};

use crate::checkout::Checkout;
use crate::support::*;

/// Asks for a report at `path`, which must be refused and left as it is.
fn refused(checkout: &Checkout, path: &Path, arguments: &[&str]) {
    let before = std::fs::read(path).unwrap();
    let report = format!("json={}", path.display());
    let all: Vec<&str> = ["parity", "--report", &report].iter().chain(arguments).copied().collect();
    checkout.run(&all).code(2).stdout("").stderr(contains("this command reads that file"));
    assert!(std::fs::read(path).unwrap() == before, "{}", path.display());
}

#[test]
fn a_report_does_not_replace_what_the_run_reads() {
    let checkout = Checkout::of("symmetric");
    let root = checkout.folder.path();
    for file in [
        "mappings/gemma3n.toml",
        "fixtures/symmetric/manifest.json",
        "fixtures/symmetric/model.safetensors",
        "fixtures/symmetric/input.png",
        "fixtures/symmetric/reference/debug_activation_timm_model_conv_stem.npy",
        "baselines/symmetric/f32.tolerances.json",
        "baselines/symmetric/f32.errors.json",
        // Other spellings of the same.
        "fixtures/../mappings/./gemma3n.toml",
    ] {
        refused(&checkout, &root.join(file), &[]);
    }
    // A file that is not read is replaced.
    let other = root.join("parity.json");
    std::fs::write(&other, "an earlier report").unwrap();
    let report = format!("json={}", other.display());
    checkout.run(&["parity", "--quiet", "--report", &report]).code(0);
    assert!(std::fs::read_to_string(other).unwrap().contains("\"verdict\": \"pass\""));
}

#[cfg(unix)]
#[test]
fn links_lead_to_what_is_read_too() {
    let checkout = Checkout::of("symmetric");
    let root = checkout.folder.path();
    let manifest = root.join("fixtures/symmetric/manifest.json");
    std::os::unix::fs::symlink(&manifest, root.join("link.json")).unwrap();
    std::fs::hard_link(&manifest, root.join("hard.json")).unwrap();
    for link in ["link.json", "hard.json"] {
        refused(&checkout, &root.join(link), &[]);
    }
}

#[test]
fn a_report_does_not_replace_a_dump() {
    let checkout = Checkout::of("symmetric");
    let dump = checkout.folder.path().join("dump");
    let set = checkout.folder.path().join("fixtures/symmetric");
    let (set, folder) = (set.to_str().unwrap(), dump.to_str().unwrap());
    let (weights, input) = (format!("{set}/model.safetensors"), format!("{set}/input.png"));
    checkout
        .run(&[
            "encode",
            "--weights",
            &weights,
            "--input",
            &input,
            "--dump",
            folder,
            "--padding",
            "symmetric",
        ])
        .code(0);
    for file in ["dump.json", "debug_mobilenet_stem_output.npy"] {
        refused(&checkout, &dump.join(file), &["--candidate", folder, "--reference", set]);
    }
}

#[test]
fn a_dump_does_not_replace_its_own_input() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let pixels = encoder::input::read_image(&root().join("fixtures/symmetric/input.png")).unwrap();
    let inputs: [PathBuf; 2] = [at("debug_mobilenet_stem_output.npy"), at("dump.json")];
    for input in &inputs {
        encoder::dump::write_npy(input, &pixels.shape, &pixels.data).unwrap();
        let before = std::fs::read(input).unwrap();
        let mut command = xtask(&["encode", "--weights", "fixtures/symmetric/model.safetensors", "--input"]);
        command.arg(input).arg("--dump").arg(folder.path());
        let code = command.assert().get_output().status.code();
        assert!(matches!(code, Some(2 | 5)), "{code:?}");
        assert!(std::fs::read(input).unwrap() == before, "{}", input.display());
        std::fs::remove_file(input).unwrap();
    }
}
