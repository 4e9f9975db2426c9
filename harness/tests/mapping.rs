//! Mistakes in mappings, as people see them.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;

use harness::mapping::{Mapping, MappingError, position};
use harness::report::mistakes;

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
    mistakes::mapping(&error, false)
}

#[test]
fn the_mapping_that_the_others_are_made_from_is_good() {
    let mapping = Mapping::parse(Path::new("test.toml"), GOOD.to_string()).unwrap();
    assert_eq!((mapping.rules.len(), mapping.ignores.len()), (2, 1));
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
fn an_invalid_limit() {
    insta::assert_snapshot!(findings("limits = { rel_l2 = 1e-6 }", "limits = { rel_l2 = nan }"));
}

#[test]
fn an_unknown_limit() {
    insta::assert_snapshot!(findings("limits = { rel_l2 = 1e-6 }", "limits = { rel_12 = 1e-6 }"));
}

#[test]
fn an_empty_reason() {
    insta::assert_snapshot!(findings("reason = \"views\"", "reason = \" \""));
}

#[test]
fn an_unknown_profile_is_named_with_those_that_are_known() {
    let mapping = Mapping::parse(Path::new("test.toml"), GOOD.to_string()).unwrap();
    let message = mistakes::mapping(&mapping.profile("f23").unwrap_err(), false);
    assert_eq!(message, "test.toml: no profile `f23`; did you mean `f32`?\n");
}

#[test]
fn mistakes_say_line_and_column() {
    let text = GOOD.replace("block_{block}_output", "block_{blok}_output");
    let Err(MappingError::Invalid { mistakes, text, .. }) = Mapping::parse(Path::new("test.toml"), text)
    else {
        panic!("expected mistakes");
    };
    assert_eq!(position(&text, mistakes[0].place.start), (23, 47));
}

#[test]
fn every_mistake_is_named_at_once() {
    let text =
        GOOD.replace("conv_stem", "conv_*").replace("\"views\"", "\"\"").replace("f32.rel_l2", "f33.rel_l2");
    let Err(MappingError::Invalid { mistakes, .. }) = Mapping::parse(Path::new("test.toml"), text) else {
        panic!("expected mistakes");
    };
    assert_eq!(mistakes.len(), 3);
}

#[test]
fn an_order_of_an_unknown_number() {
    insta::assert_snapshot!(findings(
        "limits.f32.rel_l2",
        "order = [\"stge\", \"index\"]\nlimits.f32.rel_l2"
    ));
}

/// One finding for each ignore, however many rules and lines there are, with the names as the file has them.
#[test]
fn rules_and_an_ignore_far_apart_are_told_in_a_few_lines() {
    let rules: String = (0..12)
        .map(|i| {
            format!(
                "[[rule]]\nname = \"part {i}\"\ncandidate = \"block_{{block}}_part{i}\"\nreference = \"blocks_{{stage}}_{{index}}_part{i}\"\n{}",
                "# a comment\n".repeat(40)
            )
        })
        .collect();
    let ignore = "[[ignore]]\nside = \"reference\"\nnames = \"blocks_{stage}_{index}_part*\"\nreason = \"parts\"\n\n[profile.f32]";
    let text = GOOD
        .replace("[[ignore]]\nside = \"candidate\"", &format!("{rules}\n[[ignore]]\nside = \"candidate\""));
    let text = text.replace("[profile.f32]", ignore);
    let error = Mapping::parse(Path::new("test.toml"), text).unwrap_err();
    let shown = mistakes::mapping(&error, false);
    assert!(shown.lines().count() < 20, "{shown}");
    insta::assert_snapshot!(shown);
}

#[test]
fn a_word_that_is_a_number_elsewhere() {
    insta::assert_snapshot!(findings(
        r#"reference = "blocks_{stage}_{index}""#,
        r#"reference = "blocks_{stage:word}_{index}""#
    ));
}

#[test]
fn a_word_beside_a_letter() {
    insta::assert_snapshot!(findings("stem_output", "{what:word}_stem{what:word}"));
}
