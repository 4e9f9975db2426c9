//! Changes that are planted in random tensors with noise under them, and what is said of them.

use std::path::Path;

use harness::compare::comparison::Comparison;
use harness::compare::terms::Terms;
use harness::diagnosis::{self, Background};
use harness::exit_code;
use harness::mapping::Mapping;
use harness::provenance::Dump;
use harness::reference::Reference;
use harness::report::words;
use harness::store::{ReadAs, write_npy};
use harness::tensor::{Tensor, unravel};

/// What rounding in another order makes of a right port, relative to its values.
pub(crate) const NOISE: f64 = 3e-6;

pub(crate) fn mapping(layout: &str) -> Mapping {
    let text = format!(
        r#"schema_version = 1
name = "small"
candidate = {{ files = "{{name}}.npy", layout = "{layout}" }}
reference = {{ files = "{{name}}.npy", layout = "{layout}" }}
coverage = {{ min_layers = 1 }}

[[rule]]
name = "layer"
candidate = "layer_{{i}}"
reference = "layer_{{i}}"

[profile.f32]
description = "f32"
limits = {{ rel_l2 = 1e-4, rel_linf = 2e-4 }}
"#
    );
    Mapping::parse(Path::new("small.toml"), text).unwrap()
}

/// Numbers around 0 that look random, the same each time.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> f64 {
        let uniform = |state: &mut u64| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (*state >> 11) as f64 / (1u64 << 53) as f64
        };
        // A sum of uniform numbers is near a normal one.
        (0..6).map(|_| uniform(&mut self.0)).sum::<f64>() - 3.0
    }
}

pub(crate) fn tensor(shape: &[usize], values: Vec<f64>) -> Tensor {
    Tensor::from_f32(shape.to_vec(), values.into_iter().map(|x| x as f32).collect()).unwrap()
}

pub(crate) fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut numbers = Numbers(seed);
    tensor(shape, (0..shape.iter().product::<usize>()).map(|_| numbers.next()).collect())
}

/// The tensor with noise of this size, relative to its values.
pub(crate) fn noisy(of: &Tensor, size: f64, seed: u64) -> Tensor {
    let mut numbers = Numbers(seed);
    tensor(of.shape(), of.iter().map(|x| x + size * numbers.next()).collect())
}

/// The tensor that has at each index what a function makes of the index.
pub(crate) fn made(shape: &[usize], value: impl Fn(&[usize]) -> f64) -> Tensor {
    let n = shape.iter().product();
    tensor(shape, (0..n).map(|flat| value(&unravel(flat, shape))).collect())
}

/// The element at an index; 0 outside.
pub(crate) fn at(of: &Tensor, index: &[isize]) -> f64 {
    let inside = index.iter().zip(of.shape()).all(|(i, extent)| (0..*extent as isize).contains(i));
    let flat = || index.iter().zip(of.shape()).fold(0, |flat, (i, extent)| flat * extent + *i as usize);
    if inside { of.get(flat()) } else { 0.0 }
}

/// The tensor with its indices along an axis taken from others.
pub(crate) fn reordered(of: &Tensor, axis: usize, from: impl Fn(usize) -> usize) -> Tensor {
    made(of.shape(), |index| {
        let mut index: Vec<isize> = index.iter().map(|i| *i as isize).collect();
        index[axis] = from(index[axis] as usize) as isize;
        at(of, &index)
    })
}

/// Compares layers of both sides, and looks for what explains those that fail.
pub(crate) fn compared(layout: &str, layers: &[(Tensor, Tensor)], background: &Background<'_>) -> Comparison {
    let root = tempfile::tempdir().unwrap();
    for side in ["candidate", "reference"] {
        std::fs::create_dir(root.path().join(side)).unwrap();
    }
    for (i, (candidate, reference)) in layers.iter().enumerate() {
        let path = |side: &str| root.path().join(side).join(format!("layer_{i}.npy"));
        write_npy(&path("candidate"), candidate).unwrap();
        write_npy(&path("reference"), reference).unwrap();
    }
    let mapping = mapping(layout);
    let read_as = ReadAs::default();
    let reference = root.path().join("reference");
    let reference = Reference::open(&reference, &mapping.reference.naming, read_as).unwrap();
    let candidate = root.path().join("candidate");
    let (candidate, _) = Dump::open(&candidate, &mapping.candidate.naming, read_as).unwrap();
    let terms = Terms {
        mapping: &mapping,
        profile: mapping.profile("f32").unwrap(),
        reference: &reference,
        tolerances: None,
        input: None,
        known: None,
    };
    let mut comparison = terms.compare_dump(&candidate);
    diagnosis::explain(&terms, &candidate, background, &mut comparison);
    comparison.candidate.title = "candidate".to_string();
    comparison.reference.title = "reference".to_string();
    comparison
}

/// What is said of the first layer that fails: its causes and where its error is.
pub(crate) fn said(comparison: &Comparison) -> String {
    assert_eq!(comparison.exit_code(), exit_code::NUMBERS);
    let causes = comparison.explanations.iter().map(words::explanation);
    let places =
        comparison.error_shapes.iter().filter_map(|shape| shape.place.as_ref()).map(words::error_place);
    causes.chain(places).collect::<Vec<_>>().join(" | ")
}

/// A change that is planted, and what is to be said of it.
pub(crate) struct PlantedChange {
    pub(crate) what: &'static str,
    pub(crate) layout: &'static str,
    pub(crate) shape: &'static [usize],
    pub(crate) plant: fn(&Tensor) -> Tensor,
    pub(crate) says: &'static [&'static str],
}

pub(crate) const MAPS: (&str, &[usize]) = ("b c h w", &[1, 24, 13, 18]);

pub(crate) const TOKENS: (&str, &[usize]) = ("b t d", &[1, 37, 48]);

pub(crate) fn planted(
    what: &'static str,
    (layout, shape): (&'static str, &'static [usize]),
    plant: fn(&Tensor) -> Tensor,
    says: &'static [&'static str],
) -> PlantedChange {
    PlantedChange { what, layout, shape, plant, says }
}

/// Every planted change whose causes are not the one that is to be said.
pub(crate) fn not_said(cases: &[PlantedChange]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (seed, PlantedChange { what, layout, shape, plant, says }) in cases.iter().enumerate() {
        let reference = random(shape, 77 + seed as u64);
        let candidate = noisy(&plant(&reference), NOISE, 1234 + seed as u64);
        let comparison = compared(layout, &[(candidate, reference)], &Background::default());
        let said = said(&comparison);
        let missing: Vec<_> = says.iter().filter(|text| !said.contains(**text)).collect();
        if !missing.is_empty() || comparison.explanations.len() != 1 {
            wrong.push(format!("{what}: expected {missing:?} in one cause, found: {said}"));
        }
    }
    wrong
}

pub(crate) fn moved(of: &Tensor, h: isize, w: isize) -> Tensor {
    made(of.shape(), |i| at(of, &[0, i[1] as isize, i[2] as isize - h, i[3] as isize - w]))
}
