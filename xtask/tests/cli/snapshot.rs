//! `cargo xtask encode` on a snapshot that transformers saved: `fixtures/generate/snapshot.py` makes it.

use std::collections::BTreeSet;
use std::path::Path;

use harness::store::read_npy;
use predicates::prelude::PredicateBooleanExt;

use crate::support::*;

const DATA: &str = "xtask/tests/cli/data";
/// What the snapshot's configuration says to timm, and weights do not show.
const RESOLUTION: &str = "3x4";

fn encode(snapshot: &Path, out: &Path) -> assert_cmd::assert::Assert {
    let (snapshot, out) = (snapshot.to_str().unwrap(), out.to_str().unwrap());
    let files = ["--weights", snapshot, "--input", "fixtures/pictures/420.jpg", "--out", out];
    xtask(&[&["encode", "--output-resolution", RESOLUTION], &files[..]].concat()).assert()
}

fn values(path: &Path) -> Vec<f64> {
    read_npy(path, None).unwrap().to_f32().iter().map(|x| f64::from(*x)).collect()
}

/// The error against `expected`, in the two metrics of the gate.
fn errors(found: &[f64], expected: &[f64]) -> [f64; 2] {
    assert_eq!(found.len(), expected.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, |most: f64, x| most.max(x.abs()));
    let differences = || found.iter().zip(expected).map(|(found, expected)| found - expected);
    let expected = || expected.iter().copied();
    [norm(&mut differences()) / norm(&mut expected()), most(&mut differences()) / most(&mut expected())]
}

/// Shards by whether they hold a tensor of the vision path.
fn shards(snapshot: &Path) -> [BTreeSet<String>; 2] {
    let index = std::fs::read(snapshot.join("model.safetensors.index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let (mut vision, mut others) = (BTreeSet::new(), BTreeSet::new());
    for (name, shard) in index["weight_map"].as_object().unwrap() {
        let is_vision = ["model.vision_tower.", "model.embed_vision."].iter().any(|p| name.starts_with(p));
        let shards = if is_vision { &mut vision } else { &mut others };
        shards.insert(shard.as_str().unwrap().to_string());
    }
    let others = others.difference(&vision).cloned().collect();
    [vision, others]
}

#[test]
fn a_snapshot_gives_the_image_features_of_transformers_without_its_language_shards_too() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = folder.path().join("snapshot");
    copy(&root().join(DATA).join("snapshot"), &snapshot);
    let [vision, others] = shards(&snapshot);
    assert!(vision.len() > 1 && others.len() > 1, "{vision:?}, {others:?}");

    let whole = folder.path().join("whole.npy");
    encode(&snapshot, &whole)
        .code(0)
        .stderr(contains("[1, 12, 16]"))
        .stderr(contains("resized 23x31 to 96x128"));
    let at = |name: &str| values(&root().join(DATA).join(name));
    let expected = at("snapshot-features-f64.npy");
    let (floor, found) =
        (errors(&at("snapshot-features-f32.npy"), &expected), errors(&values(&whole), &expected));
    // The limits of the profile f32.
    assert!(found[0] <= 4.0 * floor[0] && found[1] <= 8.0 * floor[1], "{found:?} where timm has {floor:?}");

    for shard in &others {
        std::fs::remove_file(snapshot.join(shard)).unwrap();
    }
    let without = folder.path().join("without.npy");
    encode(&snapshot, &without).code(0);
    assert!(std::fs::read(&whole).unwrap() == std::fs::read(&without).unwrap(), "without language shards");

    let needed = vision.first().unwrap();
    std::fs::remove_file(snapshot.join(needed)).unwrap();
    let nothing = folder.path().join("nothing.npy");
    encode(&snapshot, &nothing).code(5).stderr(contains(needed).and(contains("No such file")));
    assert!(!nothing.exists());
}
