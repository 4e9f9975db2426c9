//! What is written replaces nothing that is read, and keeps what the user made of a file.
#![cfg(unix)]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// Runs a command line in which `XTASK` is the command.
fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.current_dir(root()).timeout(MOST).env_remove("ENCODER_MAX_ISA");
    command.arg("-c").arg(script.replace("XTASK", binary().to_str().unwrap()));
    command
}

fn encode_command() -> &'static str {
    "XTASK encode --weights fixtures/symmetric/model.safetensors --input fixtures/symmetric/input.png \
     --padding symmetric"
}

#[test]
fn a_log_is_appended_to() {
    let scratch = Scratch::new();
    let log = scratch.write("log", "earlier\n");
    let run = "XTASK parity --quiet --reference fixtures/symmetric --report json=/dev/stdout";
    shell(&format!("{run} >> {log}")).assert().code(0);
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.starts_with("earlier\n") && text.contains("\"schema_version\""), "{text}");

    std::fs::write(&log, "earlier\n").unwrap();
    shell(&format!("{} --out /dev/stdout >> {log}", encode_command())).assert().code(0);
    let bytes = std::fs::read(&log).unwrap();
    assert!(bytes.starts_with(b"earlier\n\x93NUMPY"), "{:?}", &bytes[..20]);
}

#[test]
fn a_private_file_stays_private() {
    let scratch = Scratch::new();
    let report = scratch.write("report.json", "");
    let tokens = scratch.write("tokens.npy", "");
    for file in [&report, &tokens] {
        std::fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
    }
    let run = "XTASK parity --quiet --reference fixtures/symmetric --report json=";
    shell(&format!("{run}{report} && {} --out {tokens}", encode_command())).assert().code(0);
    for file in [report, tokens] {
        let metadata = std::fs::metadata(&file).unwrap();
        assert!(metadata.len() > 0, "{file}");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{file}");
    }
}

#[test]
fn a_reader_that_goes_away_costs_no_dump() {
    let scratch = Scratch::new();
    let dump = scratch.text("dump");
    let run = format!("{} --dump {dump}", encode_command());
    shell(&run).assert().code(0);
    let whole = names(&scratch.path("dump"));
    assert!(whole.contains(&"dump.json".to_string()));
    shell(&format!("{run} | head -1")).assert().code(0);
    assert_eq!(names(&scratch.path("dump")), whole);
    // Where there is no space for what is said, the dump is whole, and the command says that it could not say so.
    if Path::new("/dev/full").exists() {
        shell(&format!("{run} > /dev/full"))
            .assert()
            .code(5)
            .stderr(contains("cannot write to the standard output"));
        assert_eq!(names(&scratch.path("dump")), whole);
    }
}

#[test]
fn a_link_under_a_tensors_name_is_replaced() {
    let scratch = Scratch::new();
    let other = scratch.write("other", "other");
    std::fs::create_dir(scratch.path("dump")).unwrap();
    let name = "debug_mobilenet_stem_output.npy";
    std::os::unix::fs::symlink(&other, scratch.path("dump").join(name)).unwrap();
    shell(&format!("{} --dump {}", encode_command(), scratch.text("dump"))).assert().code(0);
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "other");
    assert!(!scratch.path("dump").join(name).is_symlink());
}

#[test]
fn tokens_do_not_replace_the_index_of_the_weights() {
    let scratch = Scratch::new();
    let set = small_set();
    std::fs::create_dir(scratch.path("weights")).unwrap();
    std::fs::copy(set.join("model.safetensors"), scratch.path("weights/model.safetensors")).unwrap();
    let weights = std::fs::read(set.join("model.safetensors")).unwrap();
    let header = u64::from_le_bytes(weights[..8].try_into().unwrap());
    let header: serde_json::Value =
        serde_json::from_slice(&weights[8..8 + usize::try_from(header).unwrap()]).unwrap();
    let names = header.as_object().unwrap().keys().filter(|name| *name != "__metadata__");
    let map: serde_json::Map<String, serde_json::Value> =
        names.map(|name| (name.clone(), "model.safetensors".into())).collect();
    let index = serde_json::json!({"weight_map": map}).to_string();
    let index_file = scratch.write("weights/model.safetensors.index.json", &index);
    let input = set.join("input.png");
    bounded(&[
        "encode",
        "--weights",
        &scratch.text("weights"),
        "--input",
        input.to_str().unwrap(),
        "--out",
        &index_file,
    ])
    .assert()
    .code(2)
    .stderr(contains("this command reads that file"));
    assert_eq!(std::fs::read_to_string(index_file).unwrap(), index);
}
