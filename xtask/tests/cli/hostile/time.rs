//! Time grows with the size of what is read, and not with its power.

use super::*;

#[test]
fn brackets_in_the_strings_of_a_header() {
    let header = format!("{{'descr': {}", "(']',".repeat(30));
    let scratch = Scratch::new();
    let input = scratch.write("input.npy", npy(&header, b""));
    let out = scratch.text("out.npy");
    let weights = small_set().join("model.safetensors");
    bounded(&["encode", "--weights", weights.to_str().unwrap(), "--input", &input, "--out", &out])
        .assert()
        .code(5)
        .stderr(contains("malformed header: brackets nested deeper than 3"));
    let pair = HostilePair::new(&mapping_of_one());
    pair.scratch.write("candidate/a.npy", npy(&header, b""));
    pair.parity(&[]).assert().code(5).stdout(contains("brackets nested deeper than 3"));
}

#[test]
fn stars_in_ignores() {
    for stars in ["*a*a*a*a*a*a*a*ab".to_string(), "*".repeat(100_000), "*a".repeat(50_000)] {
        let ignore = format!("[[ignore]]\nside = \"candidate\"\nnames = \"{stars}\"\nreason = \"tried\"\n");
        let pair = HostilePair::new(&format!("{}{ignore}", mapping_of_one().replace("= \"a\"", "= \"b\"")));
        let name = format!("candidate/{}.npy", "a".repeat(120));
        std::fs::rename(pair.scratch.path("candidate/a.npy"), pair.scratch.path(&name)).unwrap();
        let code = pair.parity(&[]).assert().get_output().status.code();
        assert!(matches!(code, Some(2 | 3)), "{code:?} for {}", &stars[..10]);
    }
}

#[test]
fn rules_that_take_one_name_and_rules_that_are_many() {
    let rule = |i: usize, name: &str| {
        format!("[[rule]]\nname = \"r{i}\"\ncandidate = \"{name}\"\nreference = \"{name}\"\n")
    };
    let scratch = Scratch::new();
    let one: String = (0..150).map(|i| rule(i, &format!("a_{{n{i}}}"))).collect();
    let one = scratch.write("one.toml", format!("{HEAD}{one}"));
    let output = bounded(&["mapping", "check", &one]).assert().code(2).get_output().clone();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("two rules take the candidate") && text.contains("99 more mistakes"), "{text}");

    let many: String = (0..10_000).map(|i| rule(i, &format!("a_{{n}}_{i}x"))).collect();
    let many = scratch.write("many.toml", format!("{HEAD}{many}"));
    bounded(&["mapping", "check", &many]).assert().code(0);

    let too_many: String = (0..20_001).map(|i| rule(i, &format!("a_{i}x"))).collect();
    let too_many = scratch.write("too_many.toml", format!("{HEAD}{too_many}"));
    bounded(&["mapping", "check", &too_many])
        .assert()
        .code(2)
        .stderr(contains("too many rules"))
        .stderr(contains("expected at most 20000, found 20001"));
}

#[test]
fn a_manifest_of_many_tensors() {
    let set = DamagedSet::of("symmetric");
    let path = set.folder.path().join("manifest.json");
    let mut manifest: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let tensors = manifest["tensors"].as_array_mut().unwrap();
    let first = tensors[0].clone();
    for i in 0..100_000 {
        let mut tensor = first.clone();
        tensor["name"] = format!("more_{i}").into();
        tensor["file"] = format!("debug_more_{i}.npy").into();
        tensors.push(tensor);
    }
    std::fs::write(&path, serde_json::to_string(&manifest).unwrap()).unwrap();
    set.parity().timeout(MOST).assert().code(3).stdout(contains("missing reference 100000"));
}

#[test]
fn an_empty_tensor_of_many_axes() {
    let set = DamagedSet::of("symmetric");
    let tensor = set.reference("timm_model_conv_stem");
    std::fs::write(&tensor, npy(&f32_header("(1, 18446744073709551615, 0, 4)"), b"")).unwrap();
    bounded(&["fixtures", "check", "--out", set.path()])
        .assert()
        .code(5)
        .stdout(contains("not what its recorded hash says"));
}
