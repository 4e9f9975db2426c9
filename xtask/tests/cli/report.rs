//! Reports of `cargo xtask parity`, and `cargo xtask report`.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::mapping::against;
use crate::support::*;

/// A dump with a wrong tensor, compared: each report beside the dump.
fn reports(formats: &[&str]) -> (TempDir, assert_cmd::assert::Assert) {
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("dump");
    copy(&root().join(DUMP), &dump);
    edit(&dump.join("debug_mobilenet_block_7_attn_norm.npy"), |_, values| values[17] += 1.0);
    let mut arguments = vec!["parity".to_string(), "--quiet".to_string()];
    arguments.extend(["--candidate".to_string(), dump.display().to_string()]);
    arguments.extend(["--reference", "fixtures/ggml-small", "--profile", "f16-weights"].map(String::from));
    for format in formats {
        let path = folder.path().join(format);
        arguments.extend(["--report".to_string(), format!("{format}={}", path.display())]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let run = xtask(&arguments).env_remove("GITHUB_ACTIONS").assert().code(1);
    (folder, run)
}

fn text(folder: &TempDir, name: &str) -> String {
    std::fs::read_to_string(folder.path().join(name)).unwrap()
}

fn schema() -> Value {
    serde_json::from_slice(&xtask(&["report", "schema"]).output().unwrap().stdout).unwrap()
}

#[test]
fn every_format_of_one_run_tells_of_the_same_layer() {
    let formats = ["html", "json", "jsonl", "junit", "markdown", "sarif"];
    let (folder, _) = reports(&[&formats[..], &["model-explorer"]].concat());
    for format in formats {
        assert!(text(&folder, format).contains("mobilenet_block_7_attn_norm"), "{format}");
    }
    let nodes: Value = serde_json::from_str(&text(&folder, "model-explorer")).unwrap();
    assert!(nodes["results"]["timm_model_blocks_2_3_norm"]["value"].as_f64().unwrap() > 1.0);
    let document: Value = serde_json::from_str(&text(&folder, "json")).unwrap();
    assert_eq!(against(&schema(), &schema(), &document, ""), [""; 0]);
    let mut wrong = document.clone();
    wrong["layers"][0]["verdict"] = "perhaps".into();
    wrong["summary"]["passed"] = "many".into();
    assert_eq!(against(&schema(), &schema(), &wrong, "").len(), 2);
    let lines: Vec<Value> =
        text(&folder, "jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let layers = lines.iter().filter(|line| line["kind"] == "layer").count();
    assert_eq!(layers, document["layers"].as_array().unwrap().len());
    assert_eq!(lines.last().unwrap()["exit_code"], 1);
    let sarif: Value = serde_json::from_str(&text(&folder, "sarif")).unwrap();
    let place = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "mappings/gemma3n.toml");
    let mapping = std::fs::read_to_string(root().join("mappings/gemma3n.toml")).unwrap();
    let line = place["region"]["startLine"].as_u64().unwrap() as usize;
    assert!(mapping.lines().nth(line - 1).unwrap().contains("attention norm"), "line {line}");
}

#[test]
fn a_page_has_maps_of_what_fails_and_asks_no_network() {
    let (folder, _) = reports(&["html"]);
    let page = text(&folder, "html");
    assert!(page.len() < 5 << 20, "{}", page.len());
    assert!(page.contains("\"difference\":\""));
    for outside in ["http:", "https:", "src=", "@import", "url("] {
        // The name space of SVG is no address.
        let rest = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!rest.contains(outside), "{outside}");
    }
}

#[test]
fn json_lines_have_the_standard_output_to_themselves() {
    let parity = ["parity", "--reference", "fixtures/symmetric", "--report", "jsonl=-"];
    let output = xtask(&parity).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let kinds: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].as_str().unwrap().to_string())
        .collect();
    assert_eq!((kinds[0].as_str(), kinds.last().unwrap().as_str()), ("comparison", "summary"));
    assert!(String::from_utf8(output.stderr).unwrap().contains("PASS"));
    let twice = ["parity", "--report", "jsonl=-", "--report", "json=-"];
    xtask(&twice).assert().code(2).stderr(contains("2 reports to the standard output"));
}

#[test]
fn github_is_told_where_it_reads() {
    let parity = ["parity", "--candidate", DUMP, "--reference", "fixtures/ggml-small"];
    let output = xtask(&parity).env("GITHUB_ACTIONS", "true").output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let annotations =
        told.lines().filter(|line| line.starts_with("::error file=mappings/gemma3n.toml,line="));
    assert_eq!(annotations.count(), 10, "{told}");
}

#[test]
fn a_report_is_shown_in_another_format() {
    let (folder, _) = reports(&["json", "junit", "markdown"]);
    let json = folder.path().join("json").display().to_string();
    for format in ["junit", "markdown", "json"] {
        let shown = xtask(&["report", "show", &json, "--as", format]).output().unwrap().stdout;
        assert_eq!(String::from_utf8(shown).unwrap(), text(&folder, format), "{format}");
    }
    xtask(&["report", "show", &json, "--as", "yaml"])
        .assert()
        .code(2)
        .stderr(contains("expected one of json"));
    xtask(&["report", "show", "Cargo.toml", "--as", "json"])
        .assert()
        .code(5)
        .stderr(contains("expected a JSON report"));
}

#[test]
fn a_difference_names_what_got_worse() {
    let (folder, _) = reports(&["json"]);
    let after = folder.path().join("json").display().to_string();
    let before = folder.path().join("before.json").display().to_string();
    let parity = ["parity", "--quiet", "--candidate", DUMP, "--reference", "fixtures/ggml-small"];
    xtask(&parity).args(["--profile", "f16-weights", "--report", &format!("json={before}")]).assert().code(0);
    xtask(&["report", "diff", &before, &after])
        .assert()
        .code(1)
        .stdout(contains("worse: 1 mobilenet_block_7_attn_norm"));
    xtask(&["report", "diff", &after, &before]).assert().code(0).stdout(contains("better: 1"));
    xtask(&["report", "diff", &before, &before]).assert().code(0).stdout(contains("the same: "));
}

/// The schema that programs check reports by is that of this program.
#[test]
fn the_schema_of_reports_is_up_to_date() {
    let output = xtask(&["report", "schema"]).output().unwrap().stdout;
    let file = std::fs::read(root().join(Path::new("docs/report.schema.json"))).unwrap_or_default();
    assert!(
        output == file,
        "another schema: run `cargo xtask report schema > docs/report.schema.json` and commit it"
    );
}
