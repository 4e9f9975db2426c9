//! Reports that other programs show: their text, their limits, and that no name from a file breaks out of its place.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod small;

use harness::compare::comparison::{Comparison, Layer, Run};
use harness::report::difference::difference;
use harness::report::document::ReportDocument;
use harness::report::{Format, annotations, json};
use small::{compare_anonymously, folders, run_of};

fn small_run() -> ReportDocument {
    let next = vec!["look at `layer_1`".to_string()];
    ReportDocument::of(&Run { next, ..run_of([compare_anonymously(&folders())]) })
}

fn rendered(format: Format) -> String {
    format.render(&small_run()).unwrap()
}

#[test]
fn as_markdown() {
    insta::assert_snapshot!(rendered(Format::Markdown));
}

#[test]
fn as_junit() {
    insta::assert_snapshot!(rendered(Format::Junit));
}

#[test]
fn as_sarif() {
    insta::with_settings!({ filters => vec![(r#""version": "\d+\.\d+\.\d+","#, r#""version": "VERSION","#)] }, {
        insta::assert_snapshot!(rendered(Format::Sarif));
    });
}

#[test]
fn as_annotations() {
    insta::assert_snapshot!(annotations::lines(&small_run()).join("\n"));
}

#[test]
fn what_is_written_as_json_is_read_back() {
    let document = small_run();
    let text = Format::Json.render(&document).unwrap();
    assert_eq!(json::parse(&text).unwrap(), document);
    assert!(json::parse(&text.replace("\"schema_version\": 2", "\"schema_version\": 1")).is_err());
    assert!(json::parse("{}").is_err());
}

/// A run with that many failing layers of that name.
fn failing(count: usize, name: &str) -> ReportDocument {
    let comparison = compare_anonymously(&folders());
    let layer = comparison.first_failure().unwrap();
    let named = |order| Layer { name: format!("{name}{order}"), order, ..layer.clone() };
    let layers: Vec<Layer> = (0..count).map(named).collect();
    ReportDocument::of(&run_of([Comparison { layers, ..comparison }]))
}

#[test]
fn five_hundred_failing_layers_are_within_every_limit() {
    let document = failing(500, "a_layer_of_a_large_model/with_a_long_name.");
    let markdown = Format::Markdown.render(&document).unwrap();
    assert!(markdown.len() < 64 << 10, "{}", markdown.len());
    assert!(markdown.contains("450 more"), "{markdown}");
    let annotations = annotations::lines(&document);
    assert_eq!(annotations.len(), 10);
    assert!(annotations[9].contains("495 more"), "{annotations:?}");
    // Names as long as a path may be.
    let markdown = Format::Markdown.render(&failing(500, &"|".repeat(4000))).unwrap();
    assert!(markdown.len() < 1 << 20, "{}", markdown.len());
    // What does not fit is left out, and counted.
    let next = vec!["|".repeat(4000); 1000];
    let markdown = Format::Markdown.render(&ReportDocument { next, ..failing(1, "a") }).unwrap();
    assert!(markdown.len() < 1 << 20 && markdown.contains(" lines left out"), "{}", markdown.len());
}

/// What a name may hold that means something to a reader of some format.
const HOSTILE: &str = "x|`*_[a](http://b)<b>&amp;</script><!--]]>--><img src=x onerror=1>\u{202e}\u{1b}[31m\u{0}\r\n::error::, %0A#";

#[test]
fn names_stay_in_their_places() {
    let document = failing(2, HOSTILE);
    let markdown = Format::Markdown.render(&document).unwrap();
    assert!(!markdown.contains("<b>") && !markdown.contains("](http") && !markdown.contains("<img"));
    let junit = Format::Junit.render(&document).unwrap();
    assert!(!junit.contains("<b>") && !junit.contains("]]>") && !junit.contains("<img"));
    let sarif: serde_json::Value = serde_json::from_str(&Format::Sarif.render(&document).unwrap()).unwrap();
    let result = sarif["runs"][0]["results"][0]["message"]["text"].as_str().unwrap();
    assert!(result.starts_with("x|`*_[a](http://b)"), "{result}");
    for line in annotations::lines(&document).iter().take(2) {
        assert!(line.starts_with("::error file=small.toml,line=") && !line.contains('\n'), "{line}");
        assert!(line.contains("%3A%3Aerror%3A%3A%2C %250A#"), "{line}");
    }
    let kept = [("markdown", markdown), ("junit", junit), ("sarif", result.to_string())];
    for (format, text) in kept {
        let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(steers), "{format}: {text:?}");
    }
}

#[test]
fn a_page_keeps_what_a_name_says_in_its_data() {
    let page = Format::Html.render(&failing(2, HOSTILE)).unwrap();
    assert!(!page.contains("<b>") && !page.contains("<img") && !page.contains("--><"));
    assert_eq!(page.matches("</script>").count(), 2);
    let (_, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    let data: serde_json::Value = serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap();
    assert_eq!(data["document"]["layers"][1]["name"], format!("{HOSTILE}1"));
}

#[test]
fn what_got_worse_is_told_first() {
    let before = ReportDocument::of(&run_of([compare_anonymously(&folders())]));
    let root = folders();
    let mut comparison = compare_anonymously(&root);
    comparison.layers.retain(|layer| layer.name != "tokens");
    if let (Some(passing), Some(failing)) = (
        comparison.layers.iter().position(|layer| layer.name == "layer_0"),
        comparison.layers.iter().position(|layer| layer.name == "layer_1"),
    ) {
        let outcome = comparison.layers[failing].outcome.clone();
        comparison.layers[failing].outcome = comparison.layers[passing].outcome.clone();
        comparison.layers[passing].outcome = outcome;
    }
    let found = difference(&before, &ReportDocument::of(&run_of([comparison])));
    assert!(found.is_worse());
    insta::assert_snapshot!(found.render(), @r"
    worse: 1
      layer_0                                rel_l2        0 ->   5.9e-2     0 % ->   125x  reference
    gone: 1
      tokens                                 rel_l2   2.0e-2 ->        -     42x ->      -  reference
    better: 1
      layer_1                                rel_l2   5.9e-2 ->        0    125x ->    0 %  reference
    the same: 5
    ");
    assert!(!difference(&before, &before).is_worse());
}
