//! A log that prints a few values of each tensor is judged by those and by its sums, and never taken for more.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fmt::Write;
use std::path::{Path, PathBuf};

use harness::compare::comparison::{Comparison, Run, Seen};
use harness::compare::remark::RemarkKind;
use harness::compare::terms::Terms;
use harness::compare::verdict::CriterionKind;
use harness::exit_code;
use harness::mapping::{Mapping, MinimumCoverage};
use harness::provenance::Dump;
use harness::reference::Reference;
use harness::report::terminal::{self, Detail, Options};
use harness::store::{Naming, ReadAs, open, read_npy};

fn set() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the package when it runs tests");
    Path::new(&package).join("tests/resnet")
}

/// Indices of an axis that are printed, and where dots stand between them.
fn shown(extent: usize) -> Vec<Option<usize>> {
    match extent > 6 {
        false => (0..extent).map(Some).collect(),
        true => (0..3).map(Some).chain([None]).chain((extent - 3..extent).map(Some)).collect(),
    }
}

/// A tensor as such programs print it: four extents, the fastest first.
fn print(name: &str, shape: &[usize], values: &[f32], old_sum: bool) -> String {
    let mut ne = vec![1; 4 - shape.len()];
    ne.extend(shape);
    let [n0, n1, n2, n3] = *ne.as_slice() else { panic!("four extents") };
    let mut text = format!(
        "debug_eval: {name:>24} = (f32)    MUL_MAT(a{{1, 1, 1, 1}}, }}) = {{{n3}, {n2}, {n1}, {n0}}}\n"
    );
    let mut of_printed = 0.0f32;
    let mut rows = String::new();
    for i0 in 0..n0 {
        rows += "    [\n";
        for i1 in shown(n1) {
            let Some(i1) = i1 else {
                rows += "        ..., \n";
                continue;
            };
            rows += "        [\n";
            for i2 in shown(n2) {
                let Some(i2) = i2 else {
                    rows += "            ..., \n";
                    continue;
                };
                let row: Vec<String> = shown(n3)
                    .into_iter()
                    .map(|i3| match i3 {
                        Some(i3) => {
                            let value = values[((i0 * n1 + i1) * n2 + i2) * n3 + i3];
                            of_printed += value;
                            format!("{value:12.4}")
                        }
                        None => "   ...".to_string(),
                    })
                    .collect();
                writeln!(rows, "            [{}  ],", row.join(", ")).unwrap();
            }
            rows += "        ],\n";
        }
        let sum = if old_sum { of_printed } else { values.iter().sum() };
        writeln!(rows, "    ]\n    sum = {sum:.6}").unwrap();
    }
    text += &rows;
    text
}

/// Compares the port's tensors, as a log prints them, with the set.
fn compare(old_sum: bool, change: impl Fn(&str, &mut Vec<f32>)) -> Comparison {
    let mut log = "build: 1\nloading the model\n".to_string();
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(set().join("port")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let tensor = read_npy(&file, None).unwrap();
        let name = file.file_stem().unwrap().to_string_lossy().replace("dump_", "");
        let mut values: Vec<f32> = tensor.to_f32().iter().copied().collect();
        change(&name, &mut values);
        log += &print(&name, tensor.shape(), &values, old_sum);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.txt");
    std::fs::write(&path, log).unwrap();
    let mut mapping = Mapping::read(&set().join("mapping.toml")).unwrap();
    // What is printed is less than the mapping asks for.
    mapping.coverage = MinimumCoverage::default();
    let reference = Reference::open(&set(), &mapping.reference.naming, ReadAs::default()).unwrap();
    let (port, _) = Dump::open(&path, &mapping.candidate.naming, ReadAs::default()).unwrap();
    let profile = mapping.profile("f32").unwrap();
    let terms = Terms {
        mapping: &mapping,
        profile,
        reference: &reference,
        tolerances: None,
        known: None,
        input: None,
    };
    terms.compare_dump(&port)
}

fn told(comparison: Comparison, detail: Detail) -> String {
    let run = Run { comparisons: vec![comparison], ..Run::default() };
    let options = Options { detail, ..Options::default() };
    terminal::comparison(&run.comparisons[0], options) + &terminal::summary(&run, options)
}

#[test]
fn a_right_port_passes_in_part_and_is_said_to() {
    for old_sum in [false, true] {
        let comparison = compare(old_sum, |_, _| {});
        assert_eq!(comparison.exit_code(), exit_code::PASSED, "{}", told(comparison, Detail::Normal));
        let summary = comparison.summary();
        assert_eq!((summary.compared, summary.passed, summary.partly_seen), (11, 11, 11));
        let partly = |remark: &harness::compare::remark::Remark| matches!(remark.kind, RemarkKind::PartlySeen { layers: 11, elements, of } if elements < of);
        assert!(comparison.remarks.iter().any(partly));
        let text = told(comparison, Detail::Verbose);
        assert!(text.contains("11 seen in part only") && text.contains("ok, partly seen ("), "{text}");
    }
}

#[test]
fn a_printed_value_that_is_wrong_fails_by_more_than_its_printing() {
    let of = |by: f32| {
        compare(false, move |name, values| {
            if name == "unit_2_out" {
                values[0] += by;
            }
        })
    };
    assert_eq!(of(4e-5).exit_code(), exit_code::PASSED, "it may be printed as the right value is");
    let wrong = of(1e-2);
    assert_eq!(wrong.exit_code(), exit_code::NUMBERS);
    assert_eq!(wrong.summary().failed, 1);
    assert_eq!(wrong.first_failure().unwrap().name, "unit_2_out");
    let compared = wrong.first_failure().unwrap().compared().unwrap();
    assert_eq!(compared.worst.as_ref().unwrap().index.iter().sum::<usize>(), 0);
    assert!(matches!(compared.seen, Some(Seen { elements, of }) if elements < of));
}

#[test]
fn a_value_that_is_not_printed_shows_in_the_sum_alone() {
    let change = |name: &str, values: &mut Vec<f32>| {
        if name == "input_layer" {
            let middle = values.len() / 2 + 4;
            values[middle] += 1e3;
        }
    };
    let comparison = compare(false, change);
    let failed = comparison.first_failure().unwrap();
    assert_eq!(failed.name, "input_layer");
    let broken = failed.compared().unwrap().judgement.criteria.iter().filter(|criterion| !criterion.passed);
    assert_eq!(broken.map(|criterion| criterion.kind).collect::<Vec<_>>(), [CriterionKind::PrintedSum]);
    assert_eq!(compare(true, change).exit_code(), exit_code::PASSED, "an older log has no sum of it");
}

#[test]
fn values_that_are_not_finite_fail() {
    let comparison = compare(false, |name, values| {
        if name == "logits" {
            values[0] = f32::NAN;
        }
    });
    assert_eq!(comparison.exit_code(), exit_code::NUMBERS);
}

#[test]
fn a_log_is_no_reference_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.txt");
    std::fs::write(&path, print("a", &[2, 3], &[0.0; 6], false)).unwrap();
    let store = open(&path, &Naming::by_pattern("{name}"), ReadAs::default()).unwrap();
    let message = store.open("a").unwrap_err().to_string();
    let message = message.replace(&path.display().to_string(), "LOG");
    insta::assert_snapshot!(message, @"LOG: `a`: expected a whole tensor, found a text log of printed tensors, in which most values are left out; dump the tensor to a file");
}
