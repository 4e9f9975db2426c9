use super::support::{contains, copy, root, xtask};

/// A set that is small enough to be run a few times.
const SET: [&str; 2] = ["--reference", "fixtures/ggml-small"];

#[test]
fn what_cannot_be_measured_is_refused_before_anything_runs() {
    let nowhere = ["--reference", "nowhere"];
    let cases: [(&[&str], &str); 5] = [
        (&["--threads", "0"], "--threads 0 leaves no thread to run on"),
        (&["--strict-fma", "--precision", "bf16"], "--strict-fma is a way to reach f32"),
        (&["--peers", "--engines", "tensorrt"], "expected some of onnxruntime, openvino, torch-autocast"),
        (&["--engines", "openvino"], "--peers"),
        (&["--rounds", "0"], "0 is not in 1.."),
    ];
    // The set that is not there would be complained of next.
    for (arguments, message) in cases.into_iter().chain([(&[][..], "nowhere/manifest.json: no such file")]) {
        let all: Vec<&str> = ["bench"].iter().chain(arguments).chain(&nowhere).copied().collect();
        xtask(&all).assert().code(2).stdout("").stderr(contains(message));
    }
    for mode in [&["--profile"][..], &["--peers"], &[]] {
        let all: Vec<&str> = ["bench"].iter().chain(mode).chain(&SET).copied().collect();
        let assert = xtask(&all).env("ENCODER_MAX_ISA", "sse9").assert();
        assert.code(2).stdout("").stderr(contains("ENCODER_MAX_ISA: expected one of portable, avx2"));
    }
}

#[test]
fn other_settings_than_those_of_the_set_are_refused() {
    let cases = [
        (["--padding", "symmetric"], "--padding symmetric: the set's is same"),
        (["--output-resolution", "3x5"], "--output-resolution 3x5: the set's is "),
    ];
    for (arguments, message) in cases {
        let all: Vec<&str> = ["bench"].iter().chain(&arguments).chain(&SET).copied().collect();
        xtask(&all).assert().code(2).stdout("").stderr(contains(message));
    }
    let same = ["bench", "--rounds", "1", "--padding", "same"];
    xtask(&same.into_iter().chain(SET).collect::<Vec<_>>()).assert().code(0);
}

#[test]
fn a_set_of_several_pictures_is_measured_too() {
    let all = ["bench", "--rounds", "1", "--reference", "fixtures/odd-bilinear"];
    xtask(&all).assert().code(0).stdout(contains("input [2, 3, 67, 101]"));
}

#[test]
fn a_set_whose_files_were_changed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    copy(&root().join("fixtures/odd-bilinear"), folder.path());
    let input = folder.path().join("input.npy");
    let mut bytes = std::fs::read(&input).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&input, bytes).unwrap();
    let assert = xtask(&["bench", "--rounds", "1", "--reference"]).arg(folder.path()).assert();
    assert.code(5).stdout("").stderr(contains("input.npy: not as manifest.json recorded it"));
}

#[test]
fn an_instruction_set_that_is_lacking_is_refused() {
    let Some(lacking) = encoder::Isa::ALL.into_iter().find(|isa| !isa.is_available()) else {
        eprintln!("SKIPPED: this CPU has all instruction sets");
        return;
    };
    let message = format!("this CPU has no {lacking}");
    for command in ["bench", "parity"] {
        let all: Vec<&str> = [command, "--isa", lacking.name()].iter().chain(&SET).copied().collect();
        xtask(&all).assert().code(2).stderr(contains(&message)).stderr(contains("leave --isa out"));
    }
}

#[test]
fn taps_stand_beside_the_run_without_them() {
    let all: Vec<&str> = ["bench", "--taps", "--rounds", "2"].iter().chain(&SET).copied().collect();
    let output = xtask(&all).assert().code(0).get_output().stdout.clone();
    let text = String::from_utf8(output).unwrap();
    let first: Vec<&str> = text.lines().next().unwrap().split_whitespace().skip(1).collect();
    let first = first.join(" ");
    assert!(first.starts_with("of the time of encoder f32 encoder f32 with taps "), "{first}");
    assert!(first.ends_with(" % of the f32 ceiling"), "{first}");
    assert!(text.lines().any(|line| line.starts_with("f32 ceiling: ")), "{text}");
    // What was computed is the reference's, with taps as without.
    for name in ["encoder f32 ", "encoder f32 with taps "] {
        let line = text.lines().skip(2).find(|line| line.starts_with(name)).unwrap();
        let error: f64 = line.split_whitespace().last().unwrap().parse().unwrap();
        assert!(error < 1e-5, "{line}");
    }
}

#[test]
fn the_profile_has_every_stage() {
    let all: Vec<&str> = ["bench", "--profile"].iter().chain(&SET).copied().collect();
    let output = xtask(&all).assert().code(0).get_output().stdout.clone();
    let text = String::from_utf8(output).unwrap();
    for name in ["conv_stem", "blocks.0", "blocks.3", "msfa", "embed_vision"] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} in\n{text}");
    }
}

#[test]
fn the_variable_caps_what_is_not_chosen() {
    let last_line = |isa: &[&str]| {
        let all: Vec<&str> = ["bench", "--profile"].iter().chain(isa).chain(&SET).copied().collect();
        let assert = xtask(&all).env("ENCODER_MAX_ISA", "portable").assert().code(0);
        String::from_utf8(assert.get_output().stdout.clone()).unwrap().lines().last().unwrap().to_string()
    };
    assert!(last_line(&[]).contains(" on portable "), "{}", last_line(&[]));
    let best = encoder::Isa::best(None).name();
    assert!(last_line(&["--isa", best]).contains(&format!(" on {best} ")), "{}", last_line(&["--isa", best]));
}

#[test]
fn without_their_environment_peers_are_refused() {
    if root().join("bench/.venv").exists() {
        eprintln!("SKIPPED: the peers are installed");
        return;
    }
    let all: Vec<&str> = ["bench", "--peers"].iter().chain(&SET).copied().collect();
    let assert = xtask(&all).assert().code(2).stdout("");
    assert.stderr(contains("the peers are not installed")).stderr(contains("--install-peers"));
}
