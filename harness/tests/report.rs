//! Reports as people and programs read them, on a small comparison with one of everything.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod small;

use std::path::Path;

use harness::compare::comparison::Origin;
use harness::compare::terms::Terms;
use harness::exit_code;
use harness::files::atomic;
use harness::mapping::Mapping;
use harness::reference::Reference;
use harness::report::json;
use harness::report::terminal::{self, Detail, Options};
use harness::store::ReadAs;
use harness::tensor::Tensor;

use small::{MAPPING, anonymous, compare, compare_anonymously, counting, folders, run_of};

#[test]
fn on_a_terminal() {
    let root = folders();
    let comparison = compare_anonymously(&root);
    assert_eq!(comparison.exit_code(), exit_code::UNREADABLE);
    let text = terminal::comparison(&comparison, Options::default());
    insta::assert_snapshot!("terminal", text);
    let verbose =
        terminal::comparison(&comparison, Options { detail: Detail::Verbose, ..Options::default() });
    insta::assert_snapshot!("terminal_verbose", verbose);
    let quiet = terminal::comparison(&comparison, Options { detail: Detail::Quiet, ..Options::default() });
    insta::assert_snapshot!("terminal_quiet", quiet);
    insta::assert_snapshot!(
        "terminal_summary",
        terminal::summary(&run_of([comparison.clone(), comparison]), Options::default())
    );
}

#[test]
fn colours_are_the_only_difference_that_they_make() {
    let root = folders();
    let comparison = compare(&root);
    let plain = terminal::comparison(&comparison, Options::default());
    let coloured = terminal::comparison(&comparison, Options { colours: true, ..Options::default() });
    assert!(coloured.contains("\u{1b}[") && !plain.contains('\u{1b}'));
    let mut stripped = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, behind)) = rest.split_once('\u{1b}') {
        stripped.push_str(before);
        rest = behind.split_once('m').unwrap().1;
    }
    stripped.push_str(rest);
    assert_eq!(stripped, plain);
}

#[test]
fn as_json() {
    let root = folders();
    let comparison = compare(&root);
    let text = json::render(&run_of([comparison])).unwrap();
    insta::with_settings!({ filters => vec![(r"harness \d+\.\d+\.\d+", "harness VERSION")] }, {
        insta::assert_snapshot!(anonymous(&text, &root));
    });
}

#[test]
fn json_says_in_which_comparison_the_first_failure_is() {
    let root = folders();
    let mut passing = compare(&root);
    passing.layers.retain(|layer| layer.name == "layer_0");
    let first_of = |comparisons| {
        let report: serde_json::Value =
            serde_json::from_str(&json::render(&run_of(comparisons)).unwrap()).unwrap();
        report["summary"]["first_failure_comparison"].as_u64()
    };
    assert_eq!(first_of(vec![passing.clone()]), None);
    assert_eq!(first_of(vec![passing, compare(&root)]), Some(1));
}

#[test]
fn a_tensor_that_never_arrives_is_no_pass() {
    let root = folders();
    let mapping = Mapping::parse(Path::new("small.toml"), MAPPING.to_string()).unwrap();
    let reference =
        Reference::open(&root.path().join("reference"), &mapping.reference.naming, ReadAs::default())
            .unwrap();
    let profile = mapping.profile("f32").unwrap();
    let terms = Terms {
        mapping: &mapping,
        profile,
        reference: &reference,
        tolerances: None,
        input: None,
        known: None,
    };
    let names: Vec<String> = (0..8).map(|i| format!("layer_{i}")).chain(["tokens".to_string()]).collect();
    let mut session = terms.session(&names);
    for name in names.iter().filter(|name| *name != "layer_5") {
        assert!(session.wants(name));
        let values = if name == "layer_6" { vec![0.0; 12] } else { counting(12) };
        let shape = if name == "tokens" { vec![1, 6, 2] } else { vec![1, 2, 2, 3] };
        session.record(name, Tensor::from_f32(shape, values).unwrap());
    }
    let comparison = session.finish(Origin::default());
    assert_eq!(comparison.exit_code(), exit_code::UNREADABLE);
    assert_eq!(comparison.first_failure().unwrap().name, "layer_5");
    assert_eq!(comparison.summary().unreadable, 1);
}

#[test]
fn a_report_is_written_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("report.json");
    std::fs::create_dir(&target).unwrap();
    assert!(atomic::write(&target, |out| out.write_all(b"{}")).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_passes_takes_a_few_lines() {
    let root = folders();
    let mut comparison = compare(&root);
    comparison.layers.retain(|layer| layer.exit_code() == exit_code::PASSED);
    comparison.missing.clear();
    comparison.unmapped.clear();
    comparison.warnings.clear();
    comparison.remarks.clear();
    comparison.candidate.title = "candidate".to_string();
    comparison.reference.title = "set small, tool 1.2 in float64".to_string();
    assert_eq!(comparison.exit_code(), exit_code::PASSED);
    let shown = |options| {
        let run = run_of([comparison.clone()]);
        terminal::comparison(&comparison, options) + "---\n" + &terminal::summary(&run, options)
    };
    insta::assert_snapshot!("passed", shown(Options::default()));
    insta::assert_snapshot!("passed_of_several", shown(Options { several: true, ..Options::default() }));
}
