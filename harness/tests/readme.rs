//! The examples of mappings/README.md are mappings.

use std::path::Path;

use harness::mapping::Mapping;
use toml::{Table, Value};

/// What an example leaves out.
const REST: &str = r#"
schema_version = 1
name = "example"
[candidate]
files = "debug_{name}.npy"
layout = "b c h w"
[reference]
files = "debug_activation_{name}.npy"
layout = "b c h w"
[[rule]]
name = "stem"
candidate = "stem_{block}"
reference = "blocks_{stage}_{index}"
[placeholders.block]
flatten = ["stage", "index"]
lengths = [3, 5]
[profile.f32]
description = "f32"
limits = { rel_l2 = 1e-6 }
"#;

/// An example with what it leaves out; of what it has, it keeps all.
fn completed(example: &Table) -> Table {
    let mut whole: Table = REST.parse().unwrap_or_else(|error| panic!("{error}"));
    for (key, value) in example {
        match (whole.get_mut(key), value) {
            (Some(Value::Table(whole)), Value::Table(own)) => whole.extend(own.clone()),
            _ => {
                whole.insert(key.clone(), value.clone());
            }
        }
    }
    whole
}

#[test]
fn every_example_of_the_readme_is_a_mapping() {
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../mappings/README.md")).unwrap();
    let examples: Vec<&str> =
        readme.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() >= 7, "found {} examples", examples.len());
    for example in examples {
        let table: Table = example.parse().unwrap_or_else(|error| panic!("{error}\n{example}"));
        let text = toml::to_string(&completed(&table)).unwrap();
        if let Err(error) = Mapping::parse(Path::new("README.md"), text) {
            panic!("{error:?}\n{example}");
        }
    }
}

#[test]
fn every_key_of_a_side_that_the_readme_lists_is_read() {
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../mappings/README.md")).unwrap();
    let table = readme.split("| key of a side | what it says |").nth(1).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut tried = 0;
    for row in rows {
        let cell = row.split('|').nth(1).unwrap();
        // `a = 1` and `b = 2` with `c = 3`: those that are whole lines of TOML.
        let lines: Vec<&str> =
            cell.split('`').skip(1).step_by(2).filter(|text| text.contains(" = ")).collect();
        let options: Vec<String> = match cell.contains(" with ") {
            true => vec![lines.join("\n")],
            false => lines.iter().map(ToString::to_string).collect(),
        };
        for option in options {
            let own: Table = option.parse().unwrap_or_else(|error| panic!("{error}\n{option}"));
            let example = Table::from_iter([("candidate".to_string(), Value::Table(own))]);
            let text = toml::to_string(&completed(&example)).unwrap();
            if let Err(error) = Mapping::parse(Path::new("README.md"), text) {
                panic!("{error:?}\n{option}");
            }
            tried += 1;
        }
    }
    assert!(tried >= 8, "tried {tried}");
}
