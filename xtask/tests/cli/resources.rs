//! A binary that knows where it is: in the checkout that it is run in, or alone.

use std::path::Path;

use assert_cmd::Command;

use crate::checkout::Checkout;
use crate::support::*;

/// The binary, copied as `cargo install` does, run in a folder without a checkout above it.
fn installed(folder: &Path) -> Command {
    let program = folder.join(binary().file_name().unwrap());
    if !program.exists() {
        std::fs::copy(binary(), &program).unwrap();
    }
    let mut command = Command::new(program);
    command.current_dir(folder);
    for variable in ["CARGO_MANIFEST_DIR", "PARITY_ROOT", "ENCODER_MAX_ISA"] {
        command.env_remove(variable);
    }
    command
}

#[test]
fn the_installed_binary_works_on_two_dump_folders_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    copy(&root().join(DUMP), &at("dump"));
    copy(&root().join("fixtures/ggml-small/reference"), &at("reference"));
    let report = "json=parity.json";
    let arguments = ["parity", "--candidate", "dump", "--reference", "reference", "--profile", "f16-weights"];
    installed(folder.path())
        .args(arguments)
        .args(["--verbose", "--report", report])
        .assert()
        .code(0)
        .stdout(contains("46 compared, 46 passed"))
        .stdout(contains("mapping: gemma3n.toml (built in)"));
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(at("parity.json")).unwrap()).unwrap();
    let resources = &report["provenance"][0]["resources"];
    assert_eq!(resources["mapping"], "gemma3n.toml (built in)");
    assert_eq!(resources["fixtures"], "none");
    installed(folder.path()).args(["mapping", "check"]).assert().code(0).stdout(contains("good: "));
    // What needs the checkout says so.
    for command in [&["parity"][..], &["test"], &["fixtures", "check"], &["bench"]] {
        installed(folder.path())
            .args(command)
            .assert()
            .code(2)
            .stderr(contains("no checkout of this project above the current folder"));
    }
}

#[test]
fn a_checkout_that_was_copied_works_on_its_own_files() {
    // With what marks a checkout, and a mapping that another one does not have.
    let checkout = Checkout::of("symmetric");
    let copy_of = checkout.folder.path();
    std::fs::create_dir(copy_of.join("xtask")).unwrap();
    std::fs::copy(root().join("xtask/Cargo.toml"), copy_of.join("xtask/Cargo.toml")).unwrap();
    let mapping = copy_of.join("mappings/gemma3n.toml");
    let text = std::fs::read_to_string(&mapping).unwrap();
    std::fs::write(&mapping, text.replacen("name = \"stem\"", "name = \"the copy's stem\"", 1)).unwrap();
    for below in [copy_of.to_path_buf(), copy_of.join("fixtures/symmetric")] {
        let mut command = Command::new(binary());
        // As cargo sets it for the checkout that the binary was compiled in.
        command.current_dir(below).env("CARGO_MANIFEST_DIR", root().join("xtask")).env_remove("PARITY_ROOT");
        command
            .args(["parity", "--verbose"])
            .assert()
            .code(0)
            .stdout(contains("30 compared, 30 passed"))
            .stdout(contains("(rule `the copy's stem`)"));
    }
}

#[test]
fn the_built_in_mapping_is_the_committed_one_and_is_good() {
    let committed = std::fs::read_to_string(root().join("mappings/gemma3n.toml")).unwrap();
    let parsed = harness::mapping::Mapping::parse(Path::new("gemma3n.toml"), committed);
    if let Err(error) = parsed {
        panic!("{}", harness::report::mistakes::mapping(&error, false));
    }
}
