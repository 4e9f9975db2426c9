//! Mappings suggested for dumps of a small made-up network.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use harness::mapping::Mapping;
use harness::mapping::pairing;
use harness::provenance::Dump;
use harness::reference::Reference;
use harness::store::{Naming, ReadAs, write_npy};
use harness::suggest::{Base, Confidence, LeftoverReason, PairedBy, SuggestError, Suggestion, suggest};
use harness::tensor::Tensor;
use tempfile::TempDir;

const BASE: &str = r#"schema_version = 1
name = "base"

[candidate]
files = "{name}.npy"
layout = "b c h w"

[reference]
files = "{name}.npy"
layout = "b c h w"

[[rule]]
name = "stem" # kept
candidate = "stem_out"
reference = "stem"

# f32 everywhere
[profile.f32]
description = "f32"
limits = { rel_l2 = 1e-3 }
"#;

/// Tensors by name.
type Dumped = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Numbers that look random and are the same in every run.
fn noise(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..len).map(|_| (0..4).map(|_| next()).sum()).collect()
}

fn with(a: &[f32], b: &[f32], share: f32) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + share * b).collect()
}

const LENGTHS: [usize; 3] = [2, 3, 2];

/// A residual network: `blocks.{stage}.{index}`, its `norm`, its `scale`; `share` is how much a block adds.
fn reference(share: f32) -> Dumped {
    let shape = vec![1, 4, 6, 6];
    let mut x = noise(1, 144);
    let mut dumped = Dumped::from([("stem".to_string(), (shape.clone(), x.clone()))]);
    for (stage, length) in LENGTHS.into_iter().enumerate() {
        for index in 0..length {
            let seed = 10 * stage as u64 + index as u64 + 100;
            let scale = noise(seed, 144);
            let norm = with(&noise(seed + 1000, 144), &x, 0.2);
            x = with(&x, &scale, share);
            for (name, values) in [("", &x), (".norm", &norm), (".scale", &scale)] {
                dumped.insert(format!("blocks.{stage}.{index}{name}"), (shape.clone(), values.clone()));
            }
        }
    }
    dumped.insert("tokens".into(), (vec![1, 12, 5], noise(7, 60)));
    dumped
}

/// The port under names of its own, with errors of about `error`.
fn port(reference: &Dumped, error: f32) -> Dumped {
    let renamed = |name: &str| {
        let mut parts = name.split('.');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some("blocks"), Some(stage), Some(index), what) => {
                let before: usize = LENGTHS.iter().take(stage.parse().unwrap()).sum();
                let block = before + index.parse::<usize>().unwrap();
                format!("net_block_{block}_{}", what.unwrap_or("out"))
            }
            _ => format!("{name}_out"),
        }
    };
    let noisy = |i: usize, values: &[f32]| with(values, &noise(5000 + i as u64, values.len()), error);
    let tensors = reference.iter().enumerate();
    tensors.map(|(i, (name, (shape, values)))| (renamed(name), (shape.clone(), noisy(i, values)))).collect()
}

fn written(dumped: &Dumped) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, (shape, values)) in dumped {
        let tensor = Tensor::from_f32(shape.clone(), values.clone()).unwrap();
        write_npy(&folder.path().join(format!("{name}.npy")), &tensor).unwrap();
    }
    folder
}

fn suggested(
    base: &str,
    extend: bool,
    candidate: &Dumped,
    reference: &Dumped,
) -> Result<Suggestion, SuggestError> {
    let mapping = Mapping::parse(Path::new("base.toml"), base.to_string()).unwrap();
    let naming = Naming::by_pattern("{name}.npy");
    let (candidate, reference) = (written(candidate), written(reference));
    let (dump, _) = Dump::open(candidate.path(), &naming, ReadAs::default()).unwrap();
    let reference = Reference::open(reference.path(), &naming, ReadAs::default()).unwrap();
    suggest(&dump, &reference, Base { mapping: &mapping, files: [None, None], extend })
}

fn new(candidate: &Dumped, reference: &Dumped) -> Suggestion {
    suggested(BASE, false, candidate, reference).unwrap()
}

/// Candidate by reference, as the port has it.
fn truth(reference: &Dumped) -> BTreeMap<String, String> {
    reference
        .keys()
        .cloned()
        .zip(reference.keys().map(|name| {
            port(&Dumped::from([(name.clone(), (vec![1], vec![0.0]))]), 0.0).into_keys().next().unwrap()
        }))
        .collect()
}

/// How many pairs are right, and that none is wrong and sure.
fn right(found: &Suggestion, truth: &BTreeMap<String, String>) -> usize {
    for pair in &found.pairs {
        assert!(
            truth.get(&pair.reference) == Some(&pair.candidate) || pair.confidence < Confidence::High,
            "wrong and sure: {pair:?}"
        );
    }
    found.pairs.iter().filter(|pair| truth.get(&pair.reference) == Some(&pair.candidate)).count()
}

fn rules(text: &str) -> Vec<(String, String)> {
    let mapping = Mapping::parse(Path::new("suggested.toml"), text.to_string()).unwrap();
    let shown = |rule: &harness::mapping::Rule| {
        let candidates: Vec<String> = rule.candidates.iter().map(ToString::to_string).collect();
        (candidates.join(" "), rule.reference.to_string())
    };
    mapping.rules.iter().map(shown).collect()
}

#[test]
fn names_become_rules_with_placeholders() {
    let reference = reference(0.5);
    let found = new(&port(&reference, 1e-4), &reference);
    assert_eq!(right(&found, &truth(&reference)), reference.len());
    assert!(found.pairs.iter().all(|pair| pair.confidence == Confidence::High), "{}", found.text);
    insta::assert_snapshot!(found.text);
}

#[test]
fn opaque_names_are_paired_by_values() {
    let reference = reference(0.5);
    let truth = truth(&reference);
    let opaque = |i: usize| format!("{:x}z", noise(i as u64 + 1, 1)[0].to_bits());
    let names: BTreeMap<&String, String> =
        reference.keys().enumerate().map(|(i, name)| (name, opaque(i))).collect();
    let scrambled: Dumped =
        reference.iter().map(|(name, tensor)| (names[name].clone(), tensor.clone())).collect();
    let found = new(&port(&reference, 1e-4), &scrambled);
    let truth =
        truth.iter().map(|(reference, candidate)| (names[reference].clone(), candidate.clone())).collect();
    assert_eq!(right(&found, &truth), reference.len());
}

#[test]
fn other_layouts_are_found() {
    let reference = reference(0.5);
    let mut candidate = port(&reference, 1e-4);
    for (shape, values) in candidate.values_mut().filter(|(shape, _)| shape.len() == 4) {
        let moved = (0..6).flat_map(|h| (0..6).flat_map(move |w| (0..4).map(move |c| c * 36 + h * 6 + w)));
        *values = moved.map(|at| values[at]).collect();
        *shape = vec![36, 4];
    }
    let found = new(&candidate, &reference);
    assert_eq!(right(&found, &truth(&reference)), reference.len());
    let mapping = Mapping::parse(Path::new("suggested.toml"), found.text.clone()).unwrap();
    let norm = mapping.rules.iter().find(|rule| rule.reference.to_string().ends_with("norm")).unwrap();
    assert_eq!(
        [norm.candidate_layout.to_string(), norm.reference_layout.to_string()],
        ["b (h w) c", "b c h w"],
        "{}",
        found.text
    );
}

/// Blocks that add little: neighbours are near to each other, and a missing partner's neighbour looks like one.
#[test]
fn the_neighbour_of_a_missing_partner_is_never_sure() {
    for share in [1e-5, 1e-3, 1e-2, 0.1] {
        for error in [0.0, 1e-6, 1e-3] {
            let reference = reference(share);
            let mut candidate = port(&reference, error);
            candidate.remove("net_block_3_out").unwrap();
            let mut less = reference.clone();
            less.remove("blocks.1.0").unwrap();
            let found = new(&candidate, &less);
            right(&found, &truth(&reference));
        }
    }
}

/// From a block on the port is wrong: names that are known from before go on.
#[test]
fn a_faulty_port_is_paired_by_its_names_where_values_fail() {
    let reference = reference(0.5);
    let mut candidate = port(&reference, 1e-4);
    for block in 4..7 {
        for what in ["out", "norm", "scale"] {
            let (_, values) = candidate.get_mut(&format!("net_block_{block}_{what}")).unwrap();
            *values = noise(block * 7 + what.len() as u64 + 9000, 144);
        }
    }
    let found = new(&candidate, &reference);
    assert_eq!(right(&found, &truth(&reference)), reference.len(), "{}", found.text);
    let by_name = found.pairs.iter().filter(|pair| pair.paired_by == PairedBy::Names);
    assert_eq!(by_name.filter(|pair| pair.confidence == Confidence::Low).count(), 9, "{}", found.text);
}

#[test]
fn a_tensor_in_another_unit_is_a_pair_but_not_a_sure_one() {
    let reference = reference(0.5);
    let mut candidate = port(&reference, 1e-4);
    candidate.get_mut("tokens_out").unwrap().1.iter_mut().for_each(|x| *x = *x * 8.0 + 1.0);
    let found = new(&candidate, &reference);
    let tokens = found.pairs.iter().find(|pair| pair.reference == "tokens").unwrap();
    assert_eq!((tokens.candidate.as_str(), tokens.confidence), ("tokens_out", Confidence::Medium));
}

#[test]
fn what_is_missing_or_inserted_is_told() {
    let reference = reference(0.5);
    let mut candidate = port(&reference, 1e-4);
    candidate.remove("net_block_3_norm").unwrap();
    candidate.insert("extra".into(), (vec![1, 4, 6, 6], noise(77, 144)));
    let found = new(&candidate, &reference);
    let shown: Vec<(&str, bool)> =
        found.leftovers.iter().map(|leftover| (leftover.name.as_str(), leftover.missing)).collect();
    assert_eq!(shown, [("extra", false), ("blocks.1.1.norm", true)], "{}", found.text);
    assert!(found.text.contains("missing in the candidate, partners of: blocks.1.1.norm"), "{}", found.text);
    assert!(found.text.contains("without a partner: extra of the candidate (nearest"), "{}", found.text);
}

#[test]
fn equal_tensors_are_told_as_ties() {
    let mut reference = reference(0.5);
    let last = reference["blocks.2.1"].clone();
    reference.insert("blocks".into(), last.clone());
    let mut candidate = port(&reference, 1e-4);
    let output = candidate["net_block_6_out"].clone();
    candidate.remove("blocks_out");
    candidate.insert("net_block_6_out (view)".into(), (vec![6, 6, 4], output.1));
    let found = new(&candidate, &reference);
    let pair = found.pairs.iter().find(|pair| pair.reference == "blocks.2.1").unwrap();
    assert_eq!((pair.candidate.as_str(), pair.confidence), ("net_block_6_out", Confidence::Medium));
    assert_eq!(pair.ties, ["net_block_6_out (view)", "blocks"]);
    let same = |name: &str, of: &str| {
        let reason = LeftoverReason::SameValues { of: of.to_string() };
        found.leftovers.iter().any(|leftover| leftover.name == name && leftover.reason == reason)
    };
    assert!(
        same("blocks", "blocks.2.1") && same("net_block_6_out (view)", "net_block_6_out"),
        "{}",
        found.text
    );
}

#[test]
fn a_mapping_is_extended_and_kept_as_it_is() {
    let reference = reference(0.5);
    let found = suggested(BASE, true, &port(&reference, 1e-4), &reference).unwrap();
    let (before, after) = BASE.split_once("\n# f32 everywhere").unwrap();
    assert!(found.text.starts_with(before), "{}", found.text);
    assert!(found.text.contains(&format!("\n# f32 everywhere{after}")), "{}", found.text);
    assert_eq!(
        rules(&found.text)[..2],
        [
            ("stem_out".to_string(), "stem".to_string()),
            ("net_block_{block}_out".to_string(), "blocks.{stage}.{index}".to_string())
        ],
        "{}",
        found.text
    );
    assert_eq!(found.pairs.len(), reference.len() - 1);
    let again = suggested(&found.text, true, &port(&reference, 1e-4), &reference).unwrap();
    assert_eq!((again.text == found.text, again.pairs.len(), again.rules), (true, 0, 0));
}

#[test]
fn dumps_of_something_else_give_no_mapping() {
    let (mut a, mut b) = (Dumped::new(), Dumped::new());
    for i in 0..5u64 {
        a.insert(format!("a{i}"), (vec![10, 10], noise(i + 1, 100)));
        b.insert(format!("b{i}"), (vec![10, 10], noise(i + 50, 100)));
    }
    let error = suggested(BASE, false, &a, &b).unwrap_err();
    assert!(matches!(error, SuggestError::NoPairs { candidates: 5, references: 5 }), "{error}");
    assert!(error.to_string().starts_with("expected tensors that are near"), "{error}");
}

/// Names with braces, stars, quotes and digits that no template takes.
#[test]
fn any_name_ends_in_a_mapping_that_is_sound() {
    let reference = reference(0.5);
    let mut candidate = port(&reference, 1e-4);
    let tokens = candidate.remove("tokens_out").unwrap();
    candidate.insert("to\"k'en 007".into(), tokens.clone());
    candidate.insert("a{b}*c".into(), tokens);
    candidate.insert("zero".into(), (vec![2, 3], vec![0.0; 6]));
    candidate.insert("scalar".into(), (vec![], vec![3.0]));
    candidate.insert("nan".into(), (vec![1, 4, 6, 6], vec![f32::NAN; 144]));
    let found = new(&candidate, &reference);
    let mapping = Mapping::parse(Path::new("suggested.toml"), found.text.clone()).unwrap();
    let names: Vec<String> = candidate.keys().cloned().collect();
    let references = harness::reference::ReferenceNames {
        present: reference.keys().cloned().collect(),
        ..Default::default()
    };
    let pairing = pairing::pair(&mapping, &names, &references, &|_, _| false);
    assert_eq!(pairing.pairs.len(), reference.len(), "{}", found.text);
    // What the reference has nowhere may be what is wrong with the port: it is not ignored.
    let unmapped: Vec<&str> = pairing.unmapped.iter().map(|unmapped| unmapped.name.as_str()).collect();
    assert_eq!(unmapped, ["nan", "scalar", "zero"]);
    assert!(pairing.ambiguous.is_empty(), "{pairing:?}");
}

#[test]
fn a_tensor_that_is_wrong_is_left_unmapped_and_not_ignored() {
    let reference = reference(0.5);
    let mut candidate = port(&reference, 1e-4);
    let (shape, values) = candidate["tokens_out"].clone();
    candidate.insert("tokens_out".into(), (shape, noise(77, values.len())));
    let found = new(&candidate, &reference);
    let mapping = Mapping::parse(Path::new("suggested.toml"), found.text.clone()).unwrap();
    let ignored = mapping.ignores.iter().filter(|ignore| ignore.side == harness::side::Side::Candidate);
    let mut taken = ignored.flat_map(|ignore| &ignore.names);
    assert!(taken.all(|template| template.matches("tokens_out").is_none()), "{}", found.text);
}
