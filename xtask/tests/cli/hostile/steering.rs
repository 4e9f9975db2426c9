//! Text out of files is shown, and does not steer the terminal.
#![cfg(unix)]

use super::*;

const STEERING: &str = "\u{1b}[2J\u{1b}[32mPASS\nPASS";

/// What a run prints, which holds nothing of a file that would steer.
fn shown(mut command: Command) -> String {
    let output = command.env("CLICOLOR_FORCE", "1").output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(!text.contains("\u{1b}[2J") && !text.lines().any(|line| line.trim() == "PASS"), "{text}");
    text
}

#[test]
fn names_of_files_and_types_of_tensors() {
    let pair = HostilePair::new(&mapping_of_one());
    let steering = pair.scratch.path("candidate").join(format!("b{STEERING}.npy"));
    std::fs::copy(pair.scratch.path("candidate/a.npy"), &steering).unwrap();
    assert!(shown(pair.parity(&[])).contains(r"\u{1b}[2J\u{1b}[32mPASS\nPASS"));

    let pair = HostilePair::new(&mapping_of_one());
    let header = f32_header("(2,)").replace("<f4", "\u{1b}[2JPASS");
    pair.scratch.write("candidate/a.npy", npy(&header, &[0; 8]));
    assert!(shown(pair.parity(&[])).contains(r"\u{1b}[2JPASS"));
    let header = f32_header("(2,)").replace("<f4", &"x".repeat(7_000));
    pair.scratch.write("candidate/a.npy", npy(&header, &[0; 8]));
    let text = shown(pair.parity(&[]));
    assert!(text.contains("7000 bytes") && text.len() < 4_000, "{} bytes", text.len());
}

#[test]
fn texts_of_mappings_manifests_and_records() {
    let escaped = STEERING.replace('\u{1b}', "\\u001b").replace('\n', "\\n");
    let scratch = Scratch::new();
    for mapping in [
        mapping_of_one().replace("name = \"a\"", &format!("name = \"{escaped}\"")),
        mapping_of_one().replace("[profile.f32]", &format!("[profile.\"{escaped}\"]")),
        format!("{}\"{escaped}\" = 1\n", mapping_of_one()),
    ] {
        let file = scratch.write("mapping.toml", mapping);
        let text = shown(bounded(&["mapping", "check", &file]));
        assert!(text.contains("a character that is not shown"), "{text}");
    }

    let set = DamagedSet::of("symmetric");
    let path = set.folder.path().join("manifest.json");
    let mut manifest: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    manifest["set"] = STEERING.into();
    manifest["generator"]["versions"]["timm"] = STEERING.into();
    std::fs::write(&path, manifest.to_string()).unwrap();
    shown(set.parity());
    shown(xtask(&["parity", "--verbose", "--reference", set.path()]));

    let pair = HostilePair::new(&mapping_of_one());
    let record = serde_json::json!({"schema_version": 2, "program": STEERING, "facts": {STEERING: STEERING},
        "settings": {STEERING: STEERING}, "tensors": []});
    pair.scratch.write("candidate/dump.json", record.to_string());
    shown(pair.parity(&["--verbose"]));
}
