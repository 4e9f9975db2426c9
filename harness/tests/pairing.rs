//! Every name of both sides ends in exactly one list.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;

use harness::mapping::{Mapping, Side};
use harness::pairing::{Pairing, ReferenceNames, WantedBy, pair};
use proptest::prelude::*;

fn gemma3n() -> Mapping {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../mappings/gemma3n.toml");
    Mapping::read(&path).unwrap()
}

fn paired(candidates: &[&str], references: &[&str], identical: bool) -> Pairing {
    let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let references = ReferenceNames { present: owned(references), ..ReferenceNames::default() };
    pair(&gemma3n(), &owned(candidates), &references, &|_, _| identical)
}

fn pairs(pairing: &Pairing) -> Vec<(&str, &str)> {
    pairing.pairs.iter().map(|pair| (pair.candidate.as_str(), pair.reference.as_str())).collect()
}

#[test]
fn blocks_are_counted_over_the_stages_before() {
    let references =
        ["timm_model_blocks_0_0", "timm_model_blocks_0_1", "timm_model_blocks_1_0", "timm_model_conv_stem"];
    let candidates = [
        "mobilenet_block_2_inverted_residual",
        "mobilenet_block_0_edge_residual",
        "mobilenet_block_1_edge_residual",
        "mobilenet_stem_output",
    ];
    let pairing = paired(&candidates, &references, false);
    assert_eq!(
        pairs(&pairing),
        [
            ("mobilenet_stem_output", "timm_model_conv_stem"),
            ("mobilenet_block_0_edge_residual", "timm_model_blocks_0_0"),
            ("mobilenet_block_1_edge_residual", "timm_model_blocks_0_1"),
            ("mobilenet_block_2_inverted_residual", "timm_model_blocks_1_0"),
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
    let pairing = paired(
        &["mobilenet_block_10_edge_residual", "mobilenet_stem_output2"],
        &["timm_model_blocks_0_0", "timm_model_blocks_0_1", "timm_model_conv_stem"],
        false,
    );
    assert!(pairing.pairs.is_empty());
    let missing: Vec<_> = pairing.missing.iter().map(|missing| missing.side).collect();
    assert_eq!(missing, [Side::Candidate; 3]);
    assert_eq!(pairing.unmapped.len(), 2);
    let hint = pairing.unmapped[0].hint.as_deref().unwrap();
    assert!(hint.contains("beyond what the reference has: `block` has lengths [2]"), "{hint}");
}

#[test]
fn a_renamed_tensor_is_missing_and_unmapped_with_a_hint() {
    let pairing = paired(&["mobilenet_stem_output"], &["timm_model_conv_stm"], false);
    assert_eq!(pairing.missing[0].expected, ["timm_model_conv_stem"]);
    assert_eq!(pairing.missing[0].wanted_by, WantedBy::Partner("mobilenet_stem_output".into()));
    assert_eq!(pairing.unmapped[0].hint.as_deref(), Some("`timm_model_conv_stem` is missing: is this it?"));
}

#[test]
fn what_a_manifest_lists_and_is_gone_is_missing() {
    let references = ReferenceNames { gone: vec!["timm_model_msfa".into()], ..ReferenceNames::default() };
    let pairing = pair(&gemma3n(), &[], &references, &|_, _| false);
    assert_eq!(pairing.missing[0].wanted_by, WantedBy::Manifest);
}

#[test]
fn two_outputs_of_one_block_are_ambiguous() {
    let pairing = paired(
        &["mobilenet_block_0_edge_residual", "mobilenet_block_0_attn_output"],
        &["timm_model_blocks_0_0"],
        false,
    );
    assert!(pairing.pairs.is_empty());
    assert_eq!(pairing.ambiguous[0].names.len(), 2);
    assert_eq!(pairing.ambiguous[1].names, ["timm_model_blocks_0_0"]);
}

#[test]
fn a_block_output_stands_for_the_layer_scale_only_where_both_are_the_same() {
    let (candidates, references) = (
        ["mobilenet_block_0_inverted_residual"],
        ["timm_model_blocks_0_0", "timm_model_blocks_0_0_layer_scale"],
    );
    let pairing = paired(&candidates, &references, true);
    assert_eq!(pairing.pairs[0].stands_for.as_deref(), Some("mobilenet_block_0_layer_scale"));
    assert_eq!(pairs(&pairing)[1], ("mobilenet_block_0_inverted_residual", "timm_model_blocks_0_0"));
    let pairing = paired(&candidates, &references, false);
    assert_eq!(pairing.missing[0].expected, ["mobilenet_block_0_layer_scale"]);
}

#[test]
fn an_identity_layer_scale_is_ignored_with_a_reason() {
    let references =
        ["timm_model_blocks_0_0", "timm_model_blocks_0_0_dw_end", "timm_model_blocks_0_0_layer_scale"];
    let pairing = paired(&[], &references, true);
    let ignored = pairing.ignored.iter().find(|i| i.name.ends_with("layer_scale")).unwrap();
    assert_eq!(ignored.reason, "an identity in the place of a layer scale");
}

#[test]
fn what_output_hooks_cannot_see_is_absent_not_missing() {
    let pairing = paired(&["msfa_concat"], &[], false);
    assert_eq!((pairing.absent.len(), pairing.missing.len()), (1, 0));
    assert_eq!(pairs(&paired(&["msfa_concat"], &["timm_model_msfa_ffn_input"], false)).len(), 1);
}

#[test]
fn views_are_ignored_with_a_reason() {
    let pairing = paired(&["mobilenet_block_1_edge_residual (reshaped)"], &[], false);
    assert_eq!(pairing.ignored[0].reason, "a view of a tensor that is compared under its own name");
}

#[test]
fn a_rule_that_takes_nothing_is_a_warning() {
    let pairing = paired(&["mobilenet_stem_output"], &["timm_model_conv_stem"], false);
    let messages: Vec<&str> = pairing.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert!(messages.contains(&"rule `block output` takes nothing"), "{messages:?}");
    assert!(!messages.iter().any(|message| message.contains("stem")), "{messages:?}");
}

proptest! {
    #[test]
    fn every_name_is_in_exactly_one_list(
        candidates in prop::collection::btree_set("(mobilenet_block_[0-3]_(edge_residual|attn_output|layer_scale|attn_norm)|msfa_[a-z]{3}|mobilenet_block_99999999999_x)( \\(view\\))?", 0..12),
        references in prop::collection::btree_set("timm_model_blocks_[0-2]_[0-2](_norm|_layer_scale|_pw_exp|_x)?", 0..12),
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
                    + p.absent.iter().filter(|x| side == Side::Candidate && own(&x.candidate)).count()
                    + p.missing.iter().filter(|x| x.side != side && x.wanted_by == WantedBy::Partner(name.to_string())).count();
                prop_assert_eq!(places, 1, "{} {}", side, name);
            }
        }
    }
}
