//! A small comparison with one of everything.

use std::path::Path;
use std::sync::Arc;

use harness::compare::comparison::{Comparison, Origin, Outcome, Run, Unreadable};
use harness::compare::terms::Terms;
use harness::mapping::Mapping;
use harness::provenance::Dump;
use harness::reference::Reference;
use harness::store::{Place, ReadAs, StoreError, write_npy};
use harness::tensor::Tensor;
use tempfile::TempDir;

pub(crate) const MAPPING: &str = r#"schema_version = 1
name = "small"
candidate = { files = "debug_{name}.npy", layout = "b c h w" }
reference = { files = "ref_{name}.npy", layout = "b c h w" }
coverage = { min_layers = 1 }

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

pub(crate) fn counting(n: usize) -> Vec<f32> {
    (1..=n).map(|i| i as f32).collect()
}

/// Folders `candidate` and `reference`.
pub(crate) fn folders() -> TempDir {
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

pub(crate) fn compare(root: &TempDir) -> Comparison {
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

pub(crate) fn run_of(comparisons: impl IntoIterator<Item = Comparison>) -> Run {
    Run { comparisons: comparisons.into_iter().collect(), ..Run::default() }
}

pub(crate) fn anonymous(text: &str, root: &TempDir) -> String {
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

/// A comparison without the paths of this machine.
pub(crate) fn compare_anonymously(root: &TempDir) -> Comparison {
    let mut comparison = compare(root);
    comparison.candidate = Origin { title: "candidate".to_string(), ..Origin::default() };
    comparison.reference = Origin { title: "reference".to_string(), ..Origin::default() };
    for layer in &mut comparison.layers {
        if let Outcome::Unreadable { cause: Unreadable::Store(error), .. } = &mut layer.outcome
            && let Some(StoreError { place: Place { path, .. }, .. }) = Arc::get_mut(error)
        {
            *path = anonymous(&path.display().to_string(), root).into();
        }
    }
    comparison
}
