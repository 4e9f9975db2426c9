//! Mistakes in mappings, as people see them.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;

use harness::mapping::{Mapping, MappingError};

const GOOD: &str = r#"schema_version = 1
name = "test"

[candidate]
files = "debug_{name}.npy"
layout = "b c h w"

[reference]
files = "debug_activation_{name}.npy"
layout = "b c h w"

[placeholders.block]
flatten = ["stage", "index"]
lengths_from = "blocks_{stage}_{index}"

[[rule]]
name = "stem"
candidate = "stem_output"
reference = "conv_stem"

[[rule]]
name = "block output"
candidate = ["block_{block}_residual", "block_{block}_output"]
reference = "blocks_{stage}_{index}"
limits.f32.rel_l2 = 1e-5

[[ignore]]
side = "candidate"
names = "* (*)"
reason = "views"

[profile.f32]
description = "f32"
times_floor = { rel_l2 = 4 }
limits = { rel_l2 = 1e-6 }
"#;

/// What is printed about a mapping with the first `from` replaced by `to`.
fn findings(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    let error = Mapping::parse(Path::new("test.toml"), GOOD.replacen(from, to, 1)).unwrap_err();
    error.render(false)
}

#[test]
fn the_mapping_that_the_others_are_made_from_is_good() {
    let mapping = Mapping::parse(Path::new("test.toml"), GOOD.to_string()).unwrap();
    assert_eq!((mapping.rules.len(), mapping.ignores.len()), (2, 1));
}

#[test]
fn the_committed_mapping_is_good() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../mappings/gemma3n.toml");
    if let Err(error) = Mapping::read(&path) {
        panic!("{}", error.render(false));
    }
}

#[test]
fn an_unknown_key() {
    insta::assert_snapshot!(findings("reference = \"conv_stem\"", "refrence = \"conv_stem\""));
}

#[test]
fn a_missing_key() {
    insta::assert_snapshot!(findings("reason = \"views\"\n", ""));
}

#[test]
fn broken_toml() {
    insta::assert_snapshot!(findings("candidate = \"stem_output\"", "candidate = \"stem_output"));
}

#[test]
fn a_misspelt_placeholder() {
    insta::assert_snapshot!(findings("block_{block}_output", "block_{blok}_output"));
}

#[test]
fn a_misspelt_placeholder_that_another_one_begins_with() {
    insta::assert_snapshot!(findings("block_{block}_output", "block_{block}_output_{b}"));
}

#[test]
fn an_unbalanced_brace() {
    insta::assert_snapshot!(findings(
        "\"blocks_{stage}_{index}\"\nlimits",
        "\"blocks_{stage}_{index\"\nlimits"
    ));
}

#[test]
fn a_star_in_a_rule() {
    insta::assert_snapshot!(findings("reference = \"conv_stem\"", "reference = \"conv_*\""));
}

#[test]
fn two_rules_that_take_one_name() {
    insta::assert_snapshot!(findings("candidate = \"stem_output\"", "candidate = \"block_7_output\""));
}

#[test]
fn two_rules_of_one_name() {
    insta::assert_snapshot!(findings("name = \"block output\"", "name = \"stem\""));
}

#[test]
fn a_rule_and_an_ignore_that_take_one_name() {
    insta::assert_snapshot!(findings("names = \"* (*)\"", "names = [\"* (*)\", \"block_*\"]"));
}

#[test]
fn a_bad_layout() {
    insta::assert_snapshot!(findings("\"conv_stem\"", "\"conv_stem\"\nlayout = \"b (h w c\""));
}

#[test]
fn layouts_of_different_axes() {
    insta::assert_snapshot!(findings("\"conv_stem\"", "\"conv_stem\"\ncandidate_layout = \"b t c\""));
}

#[test]
fn limits_of_an_unknown_profile() {
    insta::assert_snapshot!(findings("limits.f32.rel_l2", "limits.f23.rel_l2"));
}

#[test]
fn a_limit_that_is_none() {
    insta::assert_snapshot!(findings("limits = { rel_l2 = 1e-6 }", "limits = { rel_l2 = nan }"));
}

#[test]
fn an_unknown_limit() {
    insta::assert_snapshot!(findings("limits = { rel_l2 = 1e-6 }", "limits = { rel_12 = 1e-6 }"));
}

#[test]
fn a_reason_that_is_none() {
    insta::assert_snapshot!(findings("reason = \"views\"", "reason = \" \""));
}

#[test]
fn an_unknown_profile_is_named_with_those_that_are_known() {
    let mapping = Mapping::parse(Path::new("test.toml"), GOOD.to_string()).unwrap();
    let message = mapping.profile("f23").unwrap_err().to_string();
    assert_eq!(message, "test.toml: no profile `f23`; did you mean `f32`?");
}

#[test]
fn findings_say_line_and_column() {
    let text = GOOD.replace("block_{block}_output", "block_{blok}_output");
    let Err(MappingError::Invalid { findings, text, .. }) = Mapping::parse(Path::new("test.toml"), text)
    else {
        panic!("expected findings");
    };
    assert_eq!(findings[0].position(&text), (23, 47));
}

#[test]
fn every_mistake_is_named_at_once() {
    let text =
        GOOD.replace("conv_stem", "conv_*").replace("\"views\"", "\"\"").replace("f32.rel_l2", "f33.rel_l2");
    let Err(MappingError::Invalid { findings, .. }) = Mapping::parse(Path::new("test.toml"), text) else {
        panic!("expected findings");
    };
    assert_eq!(findings.len(), 3);
}
