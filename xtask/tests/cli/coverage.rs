//! What the gate must compare does not shrink in silence.

use serde_json::Value;

use crate::checkout::{COVERAGE, Checkout, LAYER};
use crate::support::*;

fn list(checkout: &Checkout) -> Value {
    let path = checkout.folder.path().join("baselines").join(COVERAGE);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_set_that_goes_with_its_baselines_is_missed() {
    let checkout = Checkout::of("symmetric");
    checkout.add("low-energy");
    checkout.run(&["parity", "--quiet"]).code(0);
    for part in ["fixtures", "baselines"] {
        std::fs::remove_dir_all(checkout.folder.path().join(part).join("low-energy")).unwrap();
    }
    let missed = checkout.run(&["parity", "--quiet"]).code(3);
    missed
        .stderr(contains("low-energy: must be compared (coverage.json)"))
        .stderr(contains("layers would go unchecked"));
    // Taking it off the list is a decision.
    let before = list(&checkout);
    let review = checkout.run(&["baseline", "review"]).code(3);
    review.stdout(contains("GONE set low-energy")).stdout(contains("--accept-coverage"));
    checkout.run(&["baseline", "review", "--accept-all"]).code(3);
    assert_eq!(list(&checkout), before);
    checkout.run_with(&["baseline", "review", "--accept-coverage"], "true").code(2);
    assert_eq!(list(&checkout), before);
    checkout.run(&["baseline", "review", "--accept-coverage"]).code(0);
    assert!(list(&checkout)["sets"].get("low-energy").is_none());
    checkout.run(&["parity", "--quiet"]).code(0);
}

#[test]
fn a_layer_and_a_profile_that_go_are_missed() {
    let checkout = Checkout::of("symmetric");
    checkout.edit_coverage(|list| {
        list["sets"]["symmetric"]["layers"]["mobilenet_block_99"] = "blocks.9.9".into()
    });
    let missed = checkout.run(&["parity", "--quiet"]).code(3);
    missed
        .stdout(contains("mobilenet_block_99"))
        .stdout(contains("nothing was compared of this entry"))
        .stdout(contains("next: where that is meant: cargo xtask baseline review"));
    let checkout = Checkout::of("symmetric");
    checkout.edit_coverage(|list| {
        list["sets"]["symmetric"]["layers"].as_object_mut().unwrap().remove(LAYER).unwrap();
    });
    let unknown = checkout.run(&["parity", "--quiet"]).code(3);
    unknown.stdout(contains("it is not on the list of what must be compared"));
    // What is new is taken when it is looked at.
    checkout.run(&["baseline", "review"]).code(0).stdout(contains("new  set symmetric: layer"));
    checkout.run(&["parity", "--quiet"]).code(0);
    std::fs::remove_file(checkout.path("bf16.errors.json")).unwrap();
    checkout.run(&["baseline", "review"]).code(3).stdout(contains("GONE set symmetric: under bf16"));
    checkout.run(&["baseline"]).code(0).stdout(contains("coverage.json: differs from the known errors"));
}

#[test]
fn a_list_that_is_not_there_or_broken_is_told() {
    let checkout = Checkout::of("symmetric");
    let path = checkout.folder.path().join("baselines").join(COVERAGE);
    for (text, code, said) in [
        ("{", 2, "expected a list of sets"),
        ("{\"schema_version\": 7}", 2, "expected schema_version 1, found 7"),
        ("{\"schema_version\": 1, \"sets\": {}, \"inner\": [], \"x\": 1}", 2, "unknown field"),
        ("{\"schema_version\": 1, \"sets\": {}, \"inner\": []}", 3, "it is not on the list"),
    ] {
        std::fs::write(&path, text).unwrap();
        let run = checkout.run(&["parity", "--quiet"]).code(code);
        let output = run.get_output();
        let told =
            [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat();
        assert!(told.split_whitespace().collect::<Vec<_>>().join(" ").contains(said), "{text}: {told}");
    }
    std::fs::remove_file(&path).unwrap();
    let missed = checkout.run(&["parity", "--quiet"]).code(3);
    missed.stderr(contains("coverage.json: not there"));
    checkout.run(&["baseline", "review"]).code(0);
    checkout.run(&["parity", "--quiet"]).code(0);
}

#[cfg(unix)]
#[test]
fn a_link_is_no_set() {
    let checkout = Checkout::of("symmetric");
    let (set, elsewhere) =
        (checkout.folder.path().join("fixtures/symmetric"), checkout.folder.path().join("elsewhere"));
    std::fs::rename(&set, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &set).unwrap();
    checkout.run(&["parity", "--quiet"]).code(5).stderr(contains("a set must be a folder in the checkout"));
}

/// Edits a copy of the shipped mapping, and compares a copy of a set's reference with the set by it.
fn by_own_mapping(edit: impl FnOnce(String) -> String, arguments: &[&str]) -> assert_cmd::assert::Assert {
    let folder = tempfile::tempdir().unwrap();
    let mapping = folder.path().join("own.toml");
    let text = std::fs::read_to_string(root().join("mappings/gemma3n.toml")).unwrap();
    let edited = edit(text.clone());
    assert_ne!(edited, text, "the mapping has changed");
    std::fs::write(&mapping, edited).unwrap();
    let set = root().join("fixtures/symmetric");
    let named = ["parity", "--mapping", mapping.to_str().unwrap(), "--reference", set.to_str().unwrap()];
    xtask(&[&named, arguments].concat()).assert()
}

type MappingEdit = fn(String) -> String;

#[test]
fn a_mapping_that_asks_for_less_is_told() {
    let cases: [(&str, MappingEdit, &str, &str); 4] = [
        (
            "no minimum",
            |text| text.replace("min_layers = 10", "min_layers = 0"),
            "f32",
            "does not say how many layers",
        ),
        (
            "a loose factor",
            |text| {
                let mine = "[profile.mine]\ndescription = \"mine\"\ntimes_floor = { rel_l2 = 90, rel_linf = 8 }\nlimits = { rel_l2 = 1e-4 }\n\n";
                text.replace("[profile.f32]", &format!("{mine}[profile.f32]"))
            },
            "mine",
            "exceed 64 times the noise floor",
        ),
        (
            "a looser limit than the shipped mapping's",
            |text| text.replace("rel_l2 = 5e-3, rel_linf = 1.5e-2", "rel_l2 = 6e-3, rel_linf = 1.5e-2"),
            "f16-weights",
            "6.0e-3, there 5.0e-3",
        ),
        (
            "a rule that became an ignore",
            |text| {
                let (before, rule) = text.split_once("[[rule]]\nname = \"fusion output\"").unwrap();
                let (_, after) = rule.split_once("[[rule]]").unwrap();
                let drop = "\"timm_model_msfa_norm_drop\",";
                format!("{before}[[rule]]{after}").replace(drop, &format!("{drop} \"timm_model_msfa\","))
            },
            "f32",
            "is left out: timm_model_msfa",
        ),
    ];
    for (case, edit, profile, said) in cases {
        let run = by_own_mapping(edit, &["--profile", profile]);
        let output = format!("{:?}", run.get_output());
        let output = output.replace("\\n", " ");
        let line = output.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(line.contains(said), "{case}: {output}");
        let strict = by_own_mapping(edit, &["--profile", profile, "--strict"]);
        match run.get_output().status.code() {
            Some(0) => strict.code(2).stderr(contains("proves little")).stderr(contains(said)),
            // What fails is told as what it is.
            _ => strict.code(3).stdout(contains(said)),
        };
    }
}
