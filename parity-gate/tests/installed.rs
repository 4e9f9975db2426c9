//! The installed program: `set make`, completions and manual pages.

use std::path::Path;
use std::process::Command;

#[test]
fn runs_without_a_record_are_refused_with_what_writes_one() {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the package when it runs tests");
    let network = Path::new(&package).join("../harness/tests/resnet");
    let out = tempfile::tempdir().unwrap();
    let (set, reference) = (out.path().join("set"), network.join("reference"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_parity-gate"));
    command.env_remove("CI").current_dir(out.path()).args(["set", "make", "--f64"]).arg(&reference);
    command.arg("--f32").arg(&reference).arg("--weights").arg(network.join("weights.npz"));
    let ran = command.arg("--input").arg(network.join("input.npy")).arg("--out").arg(&set).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(ran.status.code(), Some(5), "{said}");
    assert!(said.contains("expected a dump.json beside the tensors"), "{said}");
    assert!(said.contains("examples/capture.py writes one"), "{said}");
    assert!(!set.exists());
}

#[test]
fn completions_and_manual_pages_have_the_programs_own_name() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let ran = Command::new(env!("CARGO_BIN_EXE_parity-gate")).args(arguments).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    };
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]);
        assert!(script.contains("parity-gate") && !script.contains("xtask"), "{shell}");
    }
    run(&["completions", "--man", folder.path().to_str().unwrap()]);
    let page = std::fs::read_to_string(folder.path().join("parity-gate-parity.1")).unwrap();
    assert!(page.contains("candidate"), "{page}");
}
