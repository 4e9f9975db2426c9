//! Every name of both sides ends in exactly one list.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;

use harness::mapping::order::{ExecutionOrder, UnknownOrder};
use harness::mapping::pairing::{AmbiguityCause, Pairing, UnmappedHint, WantedBy, pair};
use harness::mapping::{Mapping, MappingWarning};
use harness::reference::ReferenceNames;
use harness::side::Side;
use proptest::prelude::*;

/// A residual network: the runtime counts units over all stages.
const MAPPING: &str = r#"schema_version = 1
name = "residual"

[candidate]
files = "dump_{name}.npy"
layout = "b c h w"

[reference]
files = "ref_{name}.npy"
layout = "b c h w"

[placeholders.unit]
flatten = ["stage", "index"]
lengths_from = "layers_{stage}_{index}"

[[rule]]
name = "stem"
candidate = "input_layer"
reference = "net_stem"

[[rule]]
name = "norm"
candidate = "unit_{unit}_norm"
reference = "layers_{stage}_{index}_norm"
may_be_unused = true

[[rule]]
name = "gain"
candidate = "unit_{unit}_gain"
reference = "layers_{stage}_{index}_gain"
may_be_unused = true
alias.candidate = ["unit_{unit}_sum", "unit_{unit}_out"]
alias.when_identical_to = "layers_{stage}_{index}"

[[rule]]
name = "unit output"
candidate = ["unit_{unit}_plain", "unit_{unit}_sum", "unit_{unit}_out"]
reference = "layers_{stage}_{index}"

[[rule]]
name = "pooling input"
candidate = "pool_in"
reference = "pool_input"
reference_optional = true
may_be_unused = true

[[ignore]]
side = "candidate"
names = "* (*)"
reason = "a view of a tensor that is compared under its own name"

[[ignore]]
side = "reference"
names = "layers_{stage}_{index}_inner*"
reason = "inside a unit, whose output is compared"

[[ignore]]
side = "reference"
names = "layers_{stage}_{index}_gain"
when_identical_to = ["layers_{stage}_{index}_branch"]
reason = "an identity in the place of a gain"

[profile.f32]
description = "f32"
limits = { rel_l2 = 1e-6 }
"#;

fn parse(text: &str) -> Mapping {
    Mapping::parse(Path::new("residual.toml"), text.to_string()).unwrap()
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn paired_by(mapping: &str, candidates: &[&str], references: &[&str], identical: bool) -> Pairing {
    let references = ReferenceNames { present: owned(references), ..ReferenceNames::default() };
    pair(&parse(mapping), &owned(candidates), &references, &|_, _| identical)
}

fn paired(candidates: &[&str], references: &[&str], identical: bool) -> Pairing {
    paired_by(MAPPING, candidates, references, identical)
}

fn pairs(pairing: &Pairing) -> Vec<(&str, &str)> {
    pairing.pairs.iter().map(|pair| (pair.candidate.as_str(), pair.reference.as_str())).collect()
}

#[test]
fn units_are_counted_over_the_stages_before() {
    let references = ["layers_0_0", "layers_0_1", "layers_1_0", "net_stem"];
    let candidates = ["unit_2_sum", "unit_0_plain", "unit_1_plain", "input_layer"];
    let pairing = paired(&candidates, &references, false);
    assert_eq!(
        pairs(&pairing),
        [
            ("input_layer", "net_stem"),
            ("unit_0_plain", "layers_0_0"),
            ("unit_1_plain", "layers_0_1"),
            ("unit_2_sum", "layers_1_0"),
        ]
    );
    assert!(pairing.missing.is_empty() && pairing.unmapped.is_empty());
}

#[test]
fn trap_01_unrelated_names_pair_with_nothing() {
    let pairing = paired(&["a", "b"], &["c"], true);
    assert!(pairing.pairs.is_empty());
    assert_eq!(pairing.unmapped.len(), 3);
}

#[test]
fn trap_02_nothing_is_paired_by_position_or_part_of_a_name() {
    let pairing =
        paired(&["unit_10_plain", "input_layer2"], &["layers_0_0", "layers_0_1", "net_stem"], false);
    assert!(pairing.pairs.is_empty());
    let missing: Vec<_> = pairing.missing.iter().map(|missing| missing.side).collect();
    assert_eq!(missing, [Side::Candidate; 3]);
    assert_eq!(pairing.unmapped.len(), 2);
    let Some(UnmappedHint::BeyondLengths(counted)) = &pairing.unmapped[0].hint else {
        panic!("{:?}", pairing.unmapped[0])
    };
    assert_eq!((counted[0].placeholder.as_str(), counted[0].lengths.as_slice()), ("unit", &[2][..]));
    assert!(!counted[0].given);
}

#[test]
fn a_renamed_tensor_is_missing_and_unmapped_with_a_hint() {
    let pairing = paired(&["input_layer"], &["net_stm"], false);
    assert_eq!(pairing.missing[0].expected, ["net_stem"]);
    assert_eq!(pairing.missing[0].wanted_by, WantedBy::Partner("input_layer".into()));
    assert_eq!(pairing.unmapped[0].hint, Some(UnmappedHint::NearMissing("net_stem".into())));
}

#[test]
fn what_a_manifest_lists_and_is_gone_is_missing() {
    let references = ReferenceNames { gone: vec!["net_pool".into()], ..ReferenceNames::default() };
    let pairing = pair(&parse(MAPPING), &[], &references, &|_, _| false);
    assert_eq!(pairing.missing[0].wanted_by, WantedBy::Manifest);
}

#[test]
fn two_outputs_of_one_unit_are_ambiguous() {
    let pairing = paired(&["unit_0_plain", "unit_0_out"], &["layers_0_0"], false);
    assert!(pairing.pairs.is_empty());
    assert_eq!(pairing.ambiguous[0].names.len(), 2);
    assert_eq!(pairing.ambiguous[0].cause, AmbiguityCause::SeveralFit { rule: "unit output".into() });
    assert_eq!(pairing.ambiguous[1].names, ["layers_0_0"]);
}

#[test]
fn a_unit_output_stands_for_the_gain_only_where_both_are_the_same() {
    let (candidates, references) = (["unit_0_sum"], ["layers_0_0", "layers_0_0_gain"]);
    let pairing = paired(&candidates, &references, true);
    assert_eq!(pairing.pairs[0].stands_for.as_deref(), Some("unit_0_gain"));
    assert_eq!(pairs(&pairing)[1], ("unit_0_sum", "layers_0_0"));
    let pairing = paired(&candidates, &references, false);
    assert_eq!(pairing.missing[0].expected, ["unit_0_gain"]);
}

#[test]
fn an_identity_gain_is_ignored_with_a_reason() {
    let references = ["layers_0_0", "layers_0_0_branch", "layers_0_0_gain"];
    let pairing = paired(&[], &references, true);
    let ignored = pairing.ignored.iter().find(|i| i.name.ends_with("gain")).unwrap();
    assert_eq!(ignored.reason, "an identity in the place of a gain");
}

#[test]
fn what_output_hooks_cannot_see_is_absent_not_missing() {
    let pairing = paired(&["pool_in"], &[], false);
    assert_eq!((pairing.absent.len(), pairing.missing.len()), (1, 0));
    assert_eq!(pairs(&paired(&["pool_in"], &["pool_input"], false)).len(), 1);
}

#[test]
fn views_are_ignored_with_a_reason() {
    let pairing = paired(&["unit_1_plain (reshaped)"], &[], false);
    assert_eq!(pairing.ignored[0].reason, "a view of a tensor that is compared under its own name");
}

#[test]
fn a_rule_that_takes_nothing_is_a_warning() {
    let pairing = paired(&["input_layer"], &["net_stem"], false);
    let unused = |warning: &MappingWarning| match warning {
        MappingWarning::RuleTakesNothing { rule, .. } => Some(rule.clone()),
        MappingWarning::CountsOverNothing { .. } => None,
    };
    assert_eq!(pairing.warnings.iter().filter_map(unused).collect::<Vec<_>>(), ["unit output"]);
}

/// One rule with two numbers, which its names may count in any order and under any names.
fn two_numbers(outer: &str, inner: &str, candidate: &str, order: &str) -> String {
    format!(
        r#"schema_version = 1
name = "two numbers"
candidate = {{ files = "{{name}}.npy", layout = "n" }}
reference = {{ files = "{{name}}.npy", layout = "n" }}
[[rule]]
name = "block"
candidate = "{candidate}"
reference = "blocks.{{{outer}}}.{{{inner}}}"
{order}
[profile.f32]
description = "f32"
limits = {{ rel_l2 = 1e-6 }}
"#
    )
}

const BLOCKS: [&str; 4] = ["blocks.0.1", "blocks.1.0", "blocks.1.2", "blocks.2.0"];

#[test]
fn numbers_are_in_the_order_of_the_name_whatever_they_are_called() {
    for (outer, inner) in [("stage", "index"), ("a_stage", "b_index"), ("b", "a")] {
        let mapping = two_numbers(outer, inner, &format!("blocks.{{{outer}}}.{{{inner}}}"), "");
        let mut shuffled = BLOCKS;
        shuffled.reverse();
        let pairing = paired_by(&mapping, &shuffled, &shuffled, false);
        let order: Vec<&str> = pairing.pairs.iter().map(|pair| pair.reference.as_str()).collect();
        assert_eq!((order, pairing.order), (BLOCKS.to_vec(), ExecutionOrder::Mapping), "{outer} {inner}");
    }
}

#[test]
fn a_rule_can_say_its_order() {
    let candidates = BLOCKS.map(|name| name.replace("blocks", "layer"));
    let candidates = candidates.each_ref().map(String::as_str);
    let mapping = two_numbers("stage", "index", "layer.{stage}.{index}", r#"order = ["index", "stage"]"#);
    let order = |mapping: &str| {
        let pairing = paired_by(mapping, &candidates, &BLOCKS, false);
        pairing.pairs.into_iter().map(|pair| pair.reference).collect::<Vec<_>>()
    };
    assert_eq!(order(&mapping), ["blocks.1.0", "blocks.2.0", "blocks.0.1", "blocks.1.2"]);
}

#[test]
fn numbers_that_an_order_leaves_out_come_after_it_as_the_name_has_them() {
    for (outer, inner) in [("stage", "index"), ("b", "a")] {
        for order in ["order = [1]".to_string(), format!("order = [\"{outer}\"]")] {
            let mapping = two_numbers(outer, inner, &format!("blocks.{{{outer}}}.{{{inner}}}"), &order);
            let pairing = paired_by(&mapping, &BLOCKS, &BLOCKS, false);
            let found: Vec<&str> = pairing.pairs.iter().map(|pair| pair.reference.as_str()).collect();
            assert_eq!((found, pairing.order), (BLOCKS.to_vec(), ExecutionOrder::Mapping), "{outer} {order}");
        }
    }
}

#[test]
fn names_that_count_in_different_orders_leave_it_unknown() {
    let mapping = |order| two_numbers("stage", "index", "layer{index}_of_stage{stage}", order);
    let candidates = ["layer1_of_stage0", "layer0_of_stage1", "layer2_of_stage1", "layer0_of_stage2"];
    let order = |mapping: &str| paired_by(mapping, &candidates, &BLOCKS, false).order;
    assert_eq!(order(&mapping("")), ExecutionOrder::Unknown(UnknownOrder::Within { rule: "block".into() }));
    assert_eq!(order(&mapping(r#"order = ["stage", "index"]"#)), ExecutionOrder::Mapping);
    // A manifest lists them.
    let references = ReferenceNames { present: owned(&BLOCKS), in_order: true, ..ReferenceNames::default() };
    let pairing = pair(&parse(&mapping("")), &owned(&candidates), &references, &|_, _| false);
    assert_eq!(pairing.order, ExecutionOrder::Manifest);
    // One tensor has one order.
    let pairing = paired_by(&mapping(""), &candidates[..1], &BLOCKS[..1], false);
    assert_eq!(pairing.order, ExecutionOrder::Mapping);
}

#[test]
fn neighbours_that_count_different_numbers_leave_it_unknown() {
    let mapping = |own: &str, first: &str| {
        let downsampling = format!(
            "[[rule]]\nname = \"downsampling\"\ncandidate = \"down.{{stage}}\"\nreference = \"down.{{stage}}\"\n{own}\n[profile"
        );
        two_numbers("stage", "index", "blocks.{stage}.{index}", first).replace("[profile", &downsampling)
    };
    let names = ["blocks.0.0", "blocks.0.1", "blocks.1.0", "down.0", "down.1"];
    let pairing = paired_by(&mapping("", ""), &names, &names, false);
    let (rule, next) = ("block".to_string(), "downsampling".to_string());
    assert_eq!(pairing.order, ExecutionOrder::Unknown(UnknownOrder::Between { rule, next }));
    // One that says its order does not speak for its neighbour.
    let pairing = paired_by(&mapping("", r#"order = ["index"]"#), &names, &names, false);
    assert!(matches!(pairing.order, ExecutionOrder::Unknown(UnknownOrder::Between { .. })));
    let told = mapping(r#"order = ["stage", 0]"#, r#"order = ["stage", 1, "index"]"#);
    let pairing = paired_by(&told, &names, &names, false);
    let order: Vec<&str> = pairing.pairs.iter().map(|pair| pair.reference.as_str()).collect();
    assert_eq!(order, ["down.0", "blocks.0.0", "blocks.0.1", "down.1", "blocks.1.0"]);
    assert_eq!(pairing.order, ExecutionOrder::Mapping);
}

proptest! {
    #[test]
    fn every_name_is_in_exactly_one_list(
        candidates in prop::collection::btree_set("(unit_[0-3]_(plain|out|gain|norm)|pool_[a-z]{3}|unit_99999999999_x)( \\(view\\))?", 0..12),
        references in prop::collection::btree_set("layers_[0-2]_[0-2](_norm|_gain|_pw_exp|_x)?", 0..12),
        identical in any::<bool>(),
    ) {
        let candidates: Vec<&str> = candidates.iter().map(String::as_str).collect();
        let references: Vec<&str> = references.iter().map(String::as_str).collect();
        let p = paired(&candidates, &references, identical);
        for (side, names) in [(Side::Candidate, &candidates), (Side::Reference, &references)] {
            for name in names {
                let own = |n: &str| n == *name;
                let places = p.pairs.iter().filter(|x| x.stands_for.is_none() && side == Side::Candidate && own(&x.candidate)).count()
                    + p.pairs.iter().filter(|x| side == Side::Reference && own(&x.reference)).count()
                    + p.ignored.iter().filter(|x| x.side == side && own(&x.name)).count()
                    + p.unmapped.iter().filter(|x| x.side == side && own(&x.name)).count()
                    + p.ambiguous.iter().filter(|x| x.side == side && x.names.iter().any(|n| own(n))).count()
                    + p.absent.iter().filter(|x| {
                        let there = if side == Side::Candidate { &x.candidate } else { &x.reference };
                        x.lacking == side.other() && own(there)
                    }).count()
                    + p.missing.iter().filter(|x| x.side != side && x.wanted_by == WantedBy::Partner(name.to_string())).count();
                prop_assert_eq!(places, 1, "{} {}", side, name);
            }
        }
    }
}

#[test]
fn a_word_is_the_same_on_both_sides() {
    let rule = r#"[[rule]]
name = "projection"
candidate = "unit_{unit}_{what:word}_proj"
reference = "layers_{stage}_{index}_attn_{what:word}"

[[rule]]
name = "unit output""#;
    let text = MAPPING.replacen("[[rule]]\nname = \"unit output\"", rule, 1);
    let candidates = ["unit_1_query_proj", "unit_1_key_proj", "unit_1_q_k_proj"];
    let references = ["layers_0_0", "layers_1_0_attn_query", "layers_1_0_attn_key"];
    let pairing = paired_by(&text, &candidates, &references, false);
    let mut found = pairs(&pairing);
    found.sort_unstable();
    assert_eq!(
        found,
        [("unit_1_key_proj", "layers_1_0_attn_key"), ("unit_1_query_proj", "layers_1_0_attn_query")]
    );
    assert_eq!(pairing.unmapped.len(), 1);
    let unknown = UnknownOrder::Words { rule: "projection".into() };
    assert_eq!(pairing.order, ExecutionOrder::Unknown(unknown));
}
