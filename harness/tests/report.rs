//! Reports as people and programs read them, on a small comparison with one of everything.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;
use std::sync::Arc;

use harness::compare::comparison::{Comparison, Origin, Outcome, Run, Unreadable};
use harness::compare::terms::Terms;
use harness::exit_code;
use harness::mapping::Mapping;
use harness::provenance::Dump;
use harness::reference::Reference;
use harness::report::terminal::{self, Detail, Options};
use harness::report::{Format, json};
use harness::store::{Place, ReadAs, StoreError, write_npy};
use harness::tensor::Tensor;
use tempfile::TempDir;

const MAPPING: &str = r#"schema_version = 1
name = "small"
candidate = { files = "debug_{name}.npy", layout = "b c h w" }
reference = { files = "ref_{name}.npy", layout = "b c h w" }

[[rule]]
name = "layer"
candidate = "layer_{i}"
reference = "layers.{i}"

[[rule]]
name = "tokens"
candidate = "tokens"
reference = "tokens"
candidate_layout = "b (h w) c"

[[rule]]
name = "seldom"
candidate = "seldom"
reference = "seldom"
reference_optional = true

[[rule]]
name = "never"
candidate = "never"
reference = "never"

[[ignore]]
side = "candidate"
names = "* (*)"
reason = "views"

[profile.f32]
description = "f32"
limits = { rel_l2 = 1e-3, rel_linf = 1e-3 }
"#;

fn write(folder: &Path, name: &str, shape: &[usize], values: &[f32]) {
    let tensor = Tensor::from_f32(shape.to_vec(), values.to_vec()).unwrap();
    write_npy(&folder.join(format!("{name}.npy")), &tensor).unwrap();
}

fn counting(n: usize) -> Vec<f32> {
    (1..=n).map(|i| i as f32).collect()
}

/// Folders `candidate` and `reference`.
fn folders() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let (candidate, reference) = (root.path().join("candidate"), root.path().join("reference"));
    std::fs::create_dir(&candidate).unwrap();
    std::fs::create_dir(&reference).unwrap();
    let shape = [1, 2, 2, 3];
    let changed = |at: usize, to: f32| {
        let mut values = counting(12);
        values[at] = to;
        values
    };
    for i in 0..=7 {
        write(&reference, &format!("ref_layers.{i}"), &shape, &counting(12));
    }
    write(&reference, "ref_layers.6", &shape, &[0.0; 12]);
    write(&candidate, "debug_layer_0", &shape, &counting(12));
    write(&candidate, "debug_layer_1", &shape, &changed(7, 9.5));
    write(&candidate, "debug_layer_2", &shape, &changed(0, f32::NAN));
    write(&candidate, "debug_layer_3", &[1, 2, 3, 2], &counting(12));
    write(&candidate, "debug_layer_4", &shape, &counting(12).iter().map(|x| 2.0 * x).collect::<Vec<_>>());
    std::fs::write(candidate.join("debug_layer_5.npy"), b"\x93NUMPY").unwrap();
    write(&candidate, "debug_layer_6", &shape, &[0.0; 12]);
    write(&candidate, "debug_layer_8", &shape, &counting(12));
    write(&candidate, "debug_layer_1 (view)", &[12], &counting(12));
    write(&candidate, "debug_lyer_7", &shape, &counting(12));
    write(&candidate, "debug_seldom", &shape, &counting(12));
    write(&candidate, "stranger", &shape, &counting(12));
    // [b, c, h, w] counts 1 to 12; as tokens the channels are last.
    write(&reference, "ref_tokens", &shape, &counting(12));
    let tokens = [1., 7., 2., 8., 3., 9., 4., 10., 5.5, 11., 6., 12.];
    write(&candidate, "debug_tokens", &[1, 6, 2], &tokens);
    root
}

fn compare(root: &TempDir) -> Comparison {
    let mapping = Mapping::parse(Path::new("small.toml"), MAPPING.to_string()).unwrap();
    let reference =
        Reference::open(&root.path().join("reference"), &mapping.reference.naming, ReadAs::default())
            .unwrap();
    let (candidate, _) =
        Dump::open(&root.path().join("candidate"), &mapping.candidate.naming, ReadAs::default()).unwrap();
    Terms {
        mapping: &mapping,
        profile: mapping.profile("f32").unwrap(),
        reference: &reference,
        tolerances: None,
        input: None,
        known: None,
    }
    .compare_dump(&candidate)
}

fn run_of(comparisons: impl IntoIterator<Item = Comparison>) -> Run {
    Run { comparisons: comparisons.into_iter().collect(), ..Run::default() }
}

fn anonymous(text: &str, root: &TempDir) -> String {
    // Both as it is and as JSON writes it: paths hold backslashes on Windows.
    let path = root.path().display().to_string();
    let text = text.replace(&path.replace('\\', "\\\\"), "ROOT").replace(&path, "ROOT");
    ["candidate", "reference", "small"]
        .iter()
        .fold(text, |text, name| {
            text.replace(&format!("\\\\{name}"), &format!("/{name}"))
                .replace(&format!("\\{name}"), &format!("/{name}"))
        })
        .replace("candidate\\\\debug", "candidate/debug")
        .replace("candidate\\debug", "candidate/debug")
}

#[test]
fn on_a_terminal() {
    let root = folders();
    let mut comparison = compare(&root);
    // How long the path is decides where lines are broken.
    comparison.candidate.title = "candidate".to_string();
    comparison.reference.title = "reference".to_string();
    for layer in &mut comparison.layers {
        if let Outcome::Unreadable { cause: Unreadable::Store(error), .. } = &mut layer.outcome
            && let Some(StoreError { place: Place { path, .. }, .. }) = Arc::get_mut(error)
        {
            *path = anonymous(&path.display().to_string(), &root).into();
        }
    }
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
    assert!(Format::Json.write(&target, &Run::default()).is_err());
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
