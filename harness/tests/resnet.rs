//! A set of a model that the project knows nothing of: passes and fails where it should.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod folders;

use std::path::{Path, PathBuf};

use harness::compare::comparison::{Comparison, Run};
use harness::compare::terms::Terms;
use harness::compare::verdict::Diagnosis;
use harness::exit_code;
use harness::mapping::Mapping;
use harness::mapping::order::ExecutionOrder;
use harness::provenance::{Dump, RecordDifferenceKind};
use harness::reference::Reference;
use harness::report::document::ReportDocument;
use harness::report::terminal::{self, Detail, Options};
use harness::report::{Format, mistakes};
use harness::side::Side;
use harness::store::{ReadAs, read_npy, write_npy};
use harness::tensor::Tensor;
use tempfile::TempDir;

use folders::copy;

fn set() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the package when it runs tests");
    Path::new(&package).join("tests/resnet")
}

/// A copy of the set, to be damaged.
fn copied() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&set(), folder.path());
    folder
}

fn compare(set: &Path) -> Comparison {
    compare_with(set, set)
}

fn compare_with(set: &Path, reference: &Path) -> Comparison {
    let mapping = Mapping::read(&set.join("mapping.toml"))
        .unwrap_or_else(|error| panic!("{}", mistakes::mapping(&error, false)));
    let reference = Reference::open(reference, &mapping.reference.naming, ReadAs::default()).unwrap();
    let (port, _) = Dump::open(&set.join("port"), &mapping.candidate.naming, ReadAs::default()).unwrap();
    let profile = mapping.profile("f32").unwrap();
    let terms = Terms {
        mapping: &mapping,
        profile,
        reference: &reference,
        tolerances: None,
        input: None,
        known: None,
    };
    let mut comparison = terms.compare_dump(&port);
    comparison.not_as_recorded = reference.dump().differences(Side::Reference);
    comparison
}

/// Rewrites a tensor of the port or of the reference.
fn edit(path: &Path, change: impl FnOnce(&mut Vec<f32>)) {
    let tensor = read_npy(path, None).unwrap();
    let mut values: Vec<f32> = tensor.to_f32().iter().copied().collect();
    change(&mut values);
    write_npy(path, &Tensor::from_f32(tensor.shape().to_vec(), values).unwrap()).unwrap();
}

#[test]
fn the_port_passes_and_every_tensor_is_accounted_for() {
    let comparison = compare(&set());
    let summary = comparison.summary();
    assert_eq!((comparison.exit_code(), summary.compared, summary.passed), (exit_code::PASSED, 11, 11));
    assert_eq!((summary.ignored, summary.missing, summary.unmapped), (5, 0, 0));
    assert_eq!(comparison.order, ExecutionOrder::Manifest);
    assert_eq!(comparison.bases(), (true, false));
}

#[test]
fn a_wrong_value_fails_in_its_layer() {
    for (file, layer) in [
        ("dump_input_layer.npy", "input_layer"),
        ("dump_unit_1_branch.npy", "unit_1_branch"),
        ("dump_unit_2_out.npy", "unit_2_out"),
        ("dump_logits.npy", "logits"),
    ] {
        let copied = copied();
        edit(&copied.path().join("port").join(file), |values| values[3] += 1e-2);
        let comparison = compare(copied.path());
        assert_eq!(comparison.exit_code(), exit_code::NUMBERS);
        assert_eq!(comparison.first_failure().unwrap().name, layer);
        assert_eq!(comparison.summary().failed, 1);
    }
}

#[test]
fn what_the_figures_prove_is_said() {
    let copied = copied();
    edit(&copied.path().join("port/dump_unit_3_out.npy"), |values| {
        values.iter_mut().for_each(|x| *x *= 2.0);
    });
    let comparison = compare(copied.path());
    let Some(Diagnosis::Factor(factor)) =
        comparison.first_failure().unwrap().compared().unwrap().judgement.diagnosis
    else {
        panic!("expected a factor")
    };
    assert!((factor - 2.0).abs() < 1e-6);
}

#[test]
fn a_missing_tensor_is_a_matter_of_coverage() {
    let copied = copied();
    std::fs::remove_file(copied.path().join("port/dump_unit_2_out.npy")).unwrap();
    let comparison = compare(copied.path());
    assert_eq!(comparison.exit_code(), exit_code::COVERAGE);
    assert_eq!(comparison.missing[0].expected, ["unit_2_out"]);
}

#[test]
fn a_reference_that_was_changed_is_not_green() {
    let copied = copied();
    edit(&copied.path().join("reference/ref_layers.0.1.npy"), |values| values[0] = values[0].next_up());
    let comparison = compare(copied.path());
    assert_eq!(comparison.exit_code(), exit_code::UNREADABLE);
    let changed = &comparison.not_as_recorded[0];
    assert_eq!(
        (changed.kind, changed.files.as_slice()),
        (RecordDifferenceKind::Changed, &["ref_layers.0.1.npy".to_string()][..])
    );
    // Elements are fingerprinted, not the file: another header changes nothing.
    let same = read_npy(&copied.path().join("reference/ref_pool.npy"), None).unwrap();
    write_npy(&copied.path().join("reference/ref_pool.npy"), &same).unwrap();
    assert_eq!(compare(copied.path()).not_as_recorded[0].files.len(), 1);
    // The same elements in another shape are not what was recorded.
    let flat = Tensor::from_f32(vec![same.len()], same.iter().map(|x| x as f32).collect()).unwrap();
    write_npy(&copied.path().join("reference/ref_pool.npy"), &flat).unwrap();
    let changed = compare(copied.path()).not_as_recorded.remove(0).files;
    assert_eq!(changed, ["ref_layers.0.1.npy", "ref_pool.npy"]);
}

/// The manifest's name of a tensor holds, whatever its file is called; the tensor is there once.
#[test]
fn a_manifest_may_name_a_tensor_otherwise_than_its_file() {
    let copied = copied();
    for (file, from, to) in [
        ("manifest.json", "\"name\": \"pool\"", "\"name\": \"pooled\""),
        ("mapping.toml", "reference = \"pool\"", "reference = \"pooled\""),
    ] {
        let path = copied.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
    }
    let comparison = compare(copied.path());
    assert_eq!(comparison.exit_code(), exit_code::PASSED, "{:?}", comparison.unmapped);
}

/// Without a manifest the mapping says the order, and a fault in a late stage is not blamed on an earlier one.
#[test]
fn without_a_manifest_layers_are_in_the_order_of_their_numbers() {
    for (outer, inner) in [("stage", "index"), ("b_stage", "a_index")] {
        let copied = copied();
        let bare = copied.path().join("bare");
        copy(&copied.path().join("reference"), &bare);
        let mapping = copied.path().join("mapping.toml");
        let text = std::fs::read_to_string(&mapping).unwrap();
        let renamed = text
            .replace("{stage}", &format!("{{{outer}}}"))
            .replace("{index}", &format!("{{{inner}}}"))
            .replace("[\"stage\", \"index\"]", &format!("[\"{outer}\", \"{inner}\"]"));
        std::fs::write(&mapping, renamed).unwrap();
        for unit in [1, 2] {
            let file = format!("port/dump_unit_{unit}_out.npy");
            edit(&copied.path().join(file), |values| values[0] += 1.0);
        }
        let comparison = compare_with(copied.path(), &bare);
        assert_eq!(comparison.order, ExecutionOrder::Mapping);
        let names: Vec<&str> = comparison.layers.iter().map(|layer| layer.reference.as_str()).collect();
        let blocks = ["0.0", "0.1", "1.0", "1.1"].map(|block| format!("layers.{block}"));
        let expected: Vec<String> = std::iter::once("stem".to_string())
            .chain(blocks.iter().flat_map(|block| [format!("{block}.conv2"), block.clone()]))
            .chain(["pool".to_string(), "head".to_string()])
            .collect();
        assert_eq!(names, expected, "{outer} {inner}");
        assert_eq!(comparison.first_failure().unwrap().reference, "layers.0.1");
    }
}

/// Of this model nothing is said that belongs to another.
#[test]
fn reports_speak_of_no_other_model() {
    let copied = copied();
    edit(&copied.path().join("port/dump_unit_2_out.npy"), |values| values[0] += 1.0);
    std::fs::remove_file(copied.path().join("port/dump_logits.npy")).unwrap();
    let comparison = compare(copied.path());
    let run = Run { comparisons: vec![comparison.clone()], ..Run::default() };
    let mut text = Format::Json.render(&ReportDocument::of(&run)).unwrap();
    for detail in [Detail::Quiet, Detail::Normal, Detail::Verbose] {
        let options = Options { detail, ..Options::default() };
        text += &terminal::comparison(&comparison, options);
        text += &terminal::summary(&run, options);
    }
    assert!(text.contains("set resnet, torch 2."), "{text}");
    let lower = text.to_lowercase();
    for word in ["mobilenet", "timm", "gemma", "ggml", "llama", "cargo xtask", "skip"] {
        assert!(!lower.contains(word), "`{word}` in\n{text}");
    }
}
