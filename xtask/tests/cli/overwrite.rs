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

/// A run that fails writes its failure into the report, and over nothing that it should have read.
#[test]
fn a_failing_run_replaces_nothing_that_it_reads() {
    let checkout = Checkout::of("symmetric");
    let at = |name: &str| checkout.folder.path().join(name);
    let set = at("fixtures/symmetric");
    std::fs::create_dir_all(at("dump")).unwrap();
    let tensor = "reference/debug_activation_timm_model_conv_stem.npy";
    std::fs::copy(set.join(tensor), at("dump/debug_activation_conv_stem.npy")).unwrap();
    std::fs::write(at("dump/dump.json"), "{\"schema_version\": ").unwrap();
    std::fs::create_dir_all(at("weights")).unwrap();
    std::fs::copy(set.join("model.safetensors"), at("weights/model.safetensors")).unwrap();
    std::fs::write(at("weights/model.safetensors.index.json"), "{}").unwrap();

    let unknown = ["--profile", "nosuch"];
    for file in ["manifest.json", "model.safetensors", "input.png", tensor] {
        refused(&checkout, &set.join(file), &unknown);
    }
    refused(&checkout, &at("mappings/gemma3n.toml"), &unknown);
    refused(&checkout, &at("baselines/symmetric/f32.errors.json"), &unknown);

    let set_path = set.to_str().unwrap().to_string();
    let dump = at("dump");
    let compare = ["--candidate", dump.to_str().unwrap(), "--reference", &set_path];
    refused(&checkout, &dump.join("dump.json"), &compare);
    refused(&checkout, &dump.join("debug_activation_conv_stem.npy"), &compare);

    let weights = at("weights");
    for file in ["model.safetensors", "model.safetensors.index.json"] {
        let folder = ["--reference", &set_path, "--weights", weights.to_str().unwrap()];
        refused(&checkout, &weights.join(file), &folder);
    }
    let index = weights.join("model.safetensors.index.json");
    let by_index = ["--reference", &set_path, "--weights", index.to_str().unwrap()];
    refused(&checkout, &weights.join("model.safetensors"), &by_index);

    let manifest = std::fs::read_to_string(set.join("manifest.json")).unwrap();
    std::fs::write(set.join("manifest.json"), manifest.replacen('{', "", 1)).unwrap();
    for file in ["manifest.json", "model.safetensors", "input.png", tensor] {
        refused(&checkout, &set.join(file), &["--reference", &set_path]);
    }
    let reference = set.join("reference");
    refused(&checkout, &set.join("manifest.json"), &["--reference", reference.to_str().unwrap()]);

    // A set that cannot be found any more is one of the checkout all the same.
    std::fs::remove_file(set.join("manifest.json")).unwrap();
    for file in ["model.safetensors", "input.png", tensor] {
        refused(&checkout, &set.join(file), &[]);
    }

    // An earlier report that lies among the dumps is replaced, by the failure.
    std::fs::write(dump.join("parity.json"), "an earlier report").unwrap();
    let report = format!("json={}", dump.join("parity.json").display());
    checkout.run(&[&["parity", "--report", &report], &compare[..]].concat()).code(5);
    assert!(std::fs::read_to_string(dump.join("parity.json")).unwrap().contains("\"obstacle\""));
}

/// Whoever reads only the report must not find the pass of an earlier run.
#[test]
fn a_mistake_in_the_mapping_replaces_an_earlier_report() {
    let checkout = Checkout::of("symmetric");
    let at = |name: &str| checkout.folder.path().join(name);
    let report = format!("json={}", at("parity.json").display());
    checkout.run(&["parity", "--quiet", "--report", &report]).code(0);
    std::fs::write(at("mappings/gemma3n.toml"), "schema_version = ").unwrap();
    checkout.run(&["parity", "--quiet", "--report", &report]).code(2);
    let text = std::fs::read_to_string(at("parity.json")).unwrap();
    assert!(text.contains("\"obstacle\"") && !text.contains("\"pass\""), "{text}");
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let obstacle = &report["provenance"][0]["findings"][0];
    assert_eq!(
        (&obstacle["kind"], &obstacle["mistakes"][0]["line"]),
        (&"obstacle".into(), &1.into()),
        "{text}"
    );
    assert!(!text.contains('─'), "no drawing belongs in data: {text}");
    assert_eq!(std::fs::read_to_string(at("mappings/gemma3n.toml")).unwrap(), "schema_version = ");
}

#[test]
fn a_report_is_not_called_what_a_record_is() {
    let checkout = Checkout::of("symmetric");
    for name in ["dump.json", "manifest.json"] {
        let path = checkout.folder.path().join(name);
        let report = format!("json={}", path.display());
        checkout.run(&["parity", "--report", &report]).code(2).stderr(contains("name another file"));
        assert!(!path.exists(), "{name}");
    }
}

#[test]
fn tokens_do_not_replace_a_tensor_of_the_dump() {
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("dump");
    std::fs::create_dir(&dump).unwrap();
    for name in ["dump.json", "debug_mm_input_proj.npy"] {
        let set = "fixtures/symmetric";
        let (weights, input) = (format!("{set}/model.safetensors"), format!("{set}/input.png"));
        let mut command = xtask(&["encode", "--weights", &weights, "--input", &input, "--out"]);
        command.arg(dump.join(name)).arg("--dump").arg(&dump);
        command.assert().code(2).stderr(contains("the dump has a file of that name"));
        assert!(!dump.join(name).exists());
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
