//! Sets made from two runs, in f64 and in f32.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use harness::making::{SetSource, make};
use harness::provenance::sha256::hash_file;
use harness::provenance::{DumpRecord, RecordedTensor, SCHEMA_VERSION};
use harness::reference::Reference;
use harness::store::{Algorithm, Naming, ReadAs, open_npy, write_npy};
use harness::tensor::Tensor;

/// Tensors whose order of execution is not that of their names.
const NAMES: [&str; 3] = ["stem", "layers.0", "head"];

fn values(name: &str) -> Vec<f64> {
    (0..24).map(|i| ((i * 7 + name.len()) % 11) as f64 / 3.0 - 1.5).collect()
}

/// A run as a capture writes it, each element of which is off by `noise`.
fn run(root: &Path, folder: &str, exact: bool, noise: f64, names: &[&str]) {
    let path = root.join(folder);
    std::fs::create_dir(&path).unwrap();
    let mut tensors = Vec::new();
    for name in names {
        let values: Vec<f64> = values(name).iter().map(|x| x * (1.0 + noise)).collect();
        let tensor = match exact {
            true => Tensor::from_f64(vec![2, 3, 4], values),
            false => Tensor::from_f32(vec![2, 3, 4], values.iter().map(|x| *x as f32).collect()),
        };
        let file = format!("{name}.npy");
        write_npy(&path.join(&file), &tensor.unwrap()).unwrap();
        let fingerprint = open_npy(&path.join(&file), None).unwrap().fingerprint(Algorithm::ElementsXxh3);
        tensors.push(RecordedTensor { key: file, fingerprint: fingerprint.unwrap() });
    }
    let record = DumpRecord {
        schema_version: SCHEMA_VERSION,
        program: "torch 2.15.0".into(),
        settings: BTreeMap::new(),
        facts: BTreeMap::new(),
        weights: Some(hash_file(&root.join("model.bin")).unwrap()),
        weight_tensors: None,
        input: Some(hash_file(&root.join("input.npy")).unwrap()),
        input_tensor: None,
        tensors,
    };
    record.write(&path).unwrap();
}

/// A folder with weights, an input, and the run in f64.
fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("model.bin"), "weights").unwrap();
    std::fs::write(root.path().join("input.npy"), "input").unwrap();
    run(root.path(), "f64", true, 0.0, &NAMES);
    root
}

fn made(root: &Path, rounded: &str) -> Result<(usize, String), String> {
    let [exact, rounded, weights, input, out] =
        ["f64", rounded, "model.bin", "input.npy", "set"].map(|name| root.join(name));
    let source = SetSource {
        name: "small",
        exact: &exact,
        rounded: &rounded,
        weights: &weights,
        input: &input,
        without: &[],
    };
    make(&source, &out).map(|made| (made.tensors, made.noisiest.0)).map_err(|error| error.to_string())
}

#[test]
fn a_set_has_the_order_the_floors_and_the_hashes_of_its_runs() {
    let root = root();
    run(root.path(), "f32", false, 1e-7, &NAMES);
    let (tensors, _) = made(root.path(), "f32").unwrap();
    assert_eq!(tensors, 3);
    let naming = Naming::by_pattern("{name}.npy");
    let reference = Reference::open(&root.path().join("set"), &naming, ReadAs::default()).unwrap();
    let manifest = reference.manifest().unwrap();
    assert_eq!(manifest.tensors.iter().map(|tensor| tensor.name.as_str()).collect::<Vec<_>>(), NAMES);
    assert_eq!((manifest.set.as_str(), manifest.generator.tool.as_deref()), ("small", Some("torch")));
    for tensor in &manifest.tensors {
        let floor = tensor.noise_floor.figures.rel_l2;
        assert!((5e-8..3e-7).contains(&floor), "{}: {floor:e}", tensor.name);
        let stored = reference.dump().open_tensor(&tensor.name).unwrap();
        let fingerprint = stored.fingerprint(Algorithm::ElementsXxh3).unwrap();
        assert_eq!(fingerprint, tensor.recorded.fingerprint);
    }
    assert_eq!(hash_file(&reference.weights().unwrap()).unwrap().sha256, manifest.weights.sha256);
    // Its folder is for whoever may read the one that it is in.
    #[cfg(unix)]
    {
        let mode = |path: &Path| {
            std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions())
        };
        assert_eq!(mode(&root.path().join("set")), mode(&root.path().join("f32")));
    }
    // Not over a set that is there.
    assert!(made(root.path(), "f32").unwrap_err().contains("nothing is yet"));
}

#[test]
fn runs_that_do_not_belong_together_make_no_set() {
    let root = root();
    let path = root.path();
    let refused = |folder: &str, expected: &str| {
        let error = made(path, folder).unwrap_err();
        assert!(error.contains(expected), "{error}");
        let left: Vec<String> = std::fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with('.') || name == "set")
            .collect();
        assert!(left.is_empty(), "{left:?}");
    };
    run(path, "chance", false, 1e-2, &NAMES);
    refused("chance", "stem: f32 is off by rel_l2 1.0e-2");
    run(path, "shorter", false, 1e-7, &NAMES[..2]);
    refused("shorter", "lacks a tensor that the other run has: head");
    refused("f64", "stem: expected f32 in the run in f32, found f64");
    run(path, "changed", false, 1e-7, &NAMES);
    std::fs::copy(path.join("changed/layers.0.npy"), path.join("changed/head.npy")).unwrap();
    refused("changed", "head.npy is not the tensor that its dump.json recorded");
    run(path, "twice", false, 1e-7, &["stem", "stem"]);
    refused("twice", "stem.npy stands in its dump.json twice");
    run(path, "bare", false, 1e-7, &NAMES);
    std::fs::remove_file(path.join("bare/dump.json")).unwrap();
    refused("bare", "expected a dump.json beside the tensors");
    run(path, "f32", false, 1e-7, &NAMES);
    std::fs::write(path.join("input.npy"), "another").unwrap();
    refused("f32", "not the input that the runs recorded");
    run(path, "other", false, 1e-7, &NAMES);
    refused("other", "the two runs are not of the same input");
}
