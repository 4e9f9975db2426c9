//! `cargo xtask mapping explain` and `schema`.

use std::path::Path;

use serde_json::Value;

use crate::support::*;

#[test]
fn a_name_is_explained_with_its_partner() {
    xtask(&["mapping", "explain", "mobilenet_block_7_attn_norm", "--reference", "fixtures/ggml-small"])
        .assert()
        .code(0)
        .stdout(contains("rule `attention norm` takes `mobilenet_block_7_attn_norm` of the candidate"))
        .stdout(contains("block = 7, index = 3, stage = 2"))
        .stdout(contains("partner in the reference: `timm_model_blocks_2_3_norm`"));
    xtask(&["mapping", "explain", "timm_model_blocks_2_3_norm", "--side", "reference"])
        .assert()
        .code(0)
        .stdout(contains("partner in the candidate: `mobilenet_block_{block}_attn_norm`"))
        .stdout(contains("block follows from the names of the reference, which is not given"));
    xtask(&["mapping", "explain", "msfa_concat (view)"])
        .assert()
        .code(0)
        .stdout(contains("reason: a view of a tensor"));
}

#[test]
fn a_name_that_nothing_takes_is_told_why() {
    xtask(&["mapping", "explain", "mobilenet_block_7_atn_norm", "--side", "candidate"])
        .assert()
        .code(3)
        .stdout(contains("nothing takes `mobilenet_block_7_atn_norm` of the candidate"))
        .stdout(contains("after `mobilenet_block_7_at` expected `tn_norm`, found `n_norm`"));
    xtask(&["mapping", "explain", "x", "--side", "left"])
        .assert()
        .code(2)
        .stderr(contains("expected candidate or reference"));
}

/// What a schema says against a value, for the words that this schema uses.
pub(crate) fn against(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        return against(root, &root["$defs"][name], value, at);
    }
    for choice in ["anyOf", "oneOf"] {
        if let Some(choices) = schema[choice].as_array() {
            let fits = |choice: &&Value| against(root, choice, value, at).is_empty();
            return match choices.iter().filter(fits).count() {
                0 => vec![format!("{at}: fits none of {choice}")],
                _ => Vec::new(),
            };
        }
    }
    let mut wrong = Vec::new();
    let is_type = |name: &str| match name {
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("type {other}"),
    };
    let fits = match &schema["type"] {
        Value::String(name) => is_type(name),
        Value::Array(names) => names.iter().any(|name| is_type(name.as_str().unwrap())),
        _ => true,
    };
    let allowed = schema["enum"].as_array().is_none_or(|values| values.contains(value));
    if !fits || !allowed || schema.get("const").is_some_and(|only| only != value) {
        wrong.push(format!("{at}: {value} against {schema}"));
    }
    for (i, item) in value.as_array().into_iter().flatten().enumerate() {
        wrong.extend(against(root, &schema["items"], item, &format!("{at}[{i}]")));
    }
    if let Some(object) = value.as_object() {
        let required = schema["required"].as_array().into_iter().flatten().map(|key| key.as_str().unwrap());
        wrong.extend(required.filter(|key| !object.contains_key(*key)).map(|key| format!("{at}: no {key}")));
        for (key, inner) in object {
            let known = &schema["properties"][key];
            let known = if known.is_null() { &schema["additionalProperties"] } else { known };
            match known {
                Value::Bool(false) => wrong.push(format!("{at}: unknown {key}")),
                known => wrong.extend(against(root, known, inner, &format!("{at}.{key}"))),
            }
        }
    }
    wrong
}

fn findings(schema: &Value, text: &str) -> Vec<String> {
    let value: Value = toml::from_str(text).unwrap();
    against(schema, schema, &value, "")
}

#[test]
fn the_shipped_mapping_fits_the_schema_and_mistakes_do_not() {
    let output = xtask(&["mapping", "schema"]).output().unwrap().stdout;
    let schema: Value = serde_json::from_slice(&output).unwrap();
    let text = std::fs::read_to_string(root().join("mappings/gemma3n.toml")).unwrap();
    assert_eq!(findings(&schema, &text), [""; 0]);
    for (from, to) in [
        ("may_be_unused", "may_be_unusd"),
        ("schema_version = 1\n", ""),
        ("side = \"candidate\"", "side = \"left\""),
        ("min_layers = 10", "min_layers = \"10\""),
        ("flatten = [\"stage\", \"index\"]", "flatten = 3"),
    ] {
        assert!(text.contains(from), "{from}");
        assert!(!findings(&schema, &text.replacen(from, to, 1)).is_empty(), "{to}");
    }
}

/// The file that editors read is the schema of this program.
#[test]
fn the_schema_file_is_up_to_date() {
    let output = xtask(&["mapping", "schema"]).output().unwrap().stdout;
    let file = std::fs::read(root().join(Path::new("mappings/mapping.schema.json"))).unwrap();
    assert!(
        output == file,
        "another schema: run `cargo xtask mapping schema > mappings/mapping.schema.json` and commit it"
    );
}
