//! Manifests that people write by hand: every mistake at once, each with its place.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;

use harness::reference::manifest::{Manifest, ManifestError};
use harness::report::mistakes;

const GOOD: &str = r#"{
  "schema_version": 2,
  "set": "small",
  "settings": {"mode": "zeros", "size": [24, 32]},
  "weights": {"file": "w.npz", "sha256": "0000000000000000000000000000000000000000000000000000000000000000"},
  "input": {"file": "i.npy", "sha256": "1111111111111111111111111111111111111111111111111111111111111111"},
  "reference": {"folder": "reference"},
  "tensors": [
    {"name": "a", "file": "ref_a.npy", "shape": [1, 2], "xxh3_128": "00000000000000000000000000000000",
     "noise_floor": {"rel_l2": 1e-7, "rel_linf": 1e-7, "max_abs": 1e-6}},
    {"name": "b", "file": "ref_b.npy", "shape": [3], "sha256": "2222222222222222222222222222222222222222222222222222222222222222",
     "noise_floor": {"rel_l2": 1e-7, "rel_linf": 1e-7, "max_abs": 1e-6}}
  ]
}
"#;

fn parse(text: String) -> Result<Manifest, ManifestError> {
    Manifest::parse(Path::new("manifest.json"), text)
}

fn refused(text: String) -> String {
    mistakes::manifest(&parse(text).unwrap_err(), false)
}

#[test]
fn what_need_not_be_given_is_left_out() {
    let manifest = parse(GOOD.to_string()).unwrap();
    assert_eq!((manifest.tensors.len(), manifest.settings.len()), (2, 2));
    assert_eq!(manifest.tensor("b").unwrap().shape, [3]);
    assert_eq!(manifest.title(None), "set small");
}

#[test]
fn every_mistake_is_told_at_once() {
    let text = GOOD
        .replace("\"set\": \"small\",\n", "\"sett\": \"small\",\n")
        .replace("\"file\": \"i.npy\"", "\"file\": \"../i.npy\"")
        .replace("\"1111", "\"x111")
        .replace("\"shape\": [3]", "\"shape\": [3, -1]")
        .replace("{\"name\": \"b\"", "{\"name\": \"a\"")
        .replacen("\"rel_linf\": 1e-7", "\"rel_linf\": 1e-2", 1);
    insta::assert_snapshot!(refused(text));
}

#[test]
fn text_that_is_not_json_says_where() {
    insta::assert_snapshot!(refused(GOOD.replace("\"set\": \"small\",", "\"set\": \"small\"")));
}

#[test]
fn another_version_is_all_that_is_told() {
    let error =
        refused(GOOD.replace("\"schema_version\": 2", "\"schema_version\": 3").replace("\"set\"", "\"x\""));
    assert!(error.contains("expected schema_version 1 or 2") && !error.contains("unknown key"), "{error}");
}

#[test]
fn hostile_documents_are_refused() {
    for text in [
        String::new(),
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        "[]".into(),
        "null".into(),
        "{}".into(),
        GOOD.replace("\"tensors\": [", "\"tensors\": 3, \"x\": ["),
        GOOD.replace("small", "\u{fffd}é"),
    ] {
        let _ = parse(text);
    }
    assert!(parse("{}".into()).is_err());
}
