//! `cargo xtask baseline`, and what a baseline does to the gate.

use std::path::PathBuf;

use assert_cmd::assert::Assert;
use predicates::prelude::PredicateBooleanExt;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::*;

/// A copy of what the command reads, with one set.
struct Checkout {
    folder: TempDir,
    set: &'static str,
}

impl Checkout {
    fn of(set: &'static str) -> Checkout {
        let folder = tempfile::tempdir().unwrap();
        for part in ["baselines", "mappings", &format!("fixtures/{set}")] {
            copy(&root().join(part), &folder.path().join(part));
        }
        Checkout { folder, set }
    }

    /// With errors of every instruction set that this machine has, of which the committed ones may lack some.
    fn measured(set: &'static str) -> Checkout {
        let checkout = Checkout::of(set);
        checkout.run(&["baseline", "measure"]).code(0);
        checkout.run(&["baseline", "review", "--accept-all"]).code(0);
        checkout
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join("baselines").join(self.set).join(file)
    }

    fn run(&self, arguments: &[&str]) -> Assert {
        self.run_with(arguments, "")
    }

    fn run_with(&self, arguments: &[&str], ci: &str) -> Assert {
        xtask(arguments).env("PARITY_ROOT", self.folder.path()).env("CI", ci).assert()
    }

    fn read(&self, file: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.path(file)).unwrap()).unwrap()
    }

    fn edit(&self, file: &str, change: impl FnOnce(&mut Value)) {
        let mut value = self.read(file);
        change(&mut value);
        std::fs::write(self.path(file), value.to_string()).unwrap();
    }

    /// Changes the entry of a layer.
    fn edit_layer(&self, file: &str, name: &str, change: impl FnOnce(&mut Value)) {
        self.edit(file, |value| {
            let mut layers = value["layers"].as_array_mut().unwrap().iter_mut();
            change(layers.find(|layer| layer["name"] == name).unwrap());
        });
    }
}

const LAYER: &str = "mobilenet_block_3_inverted_residual";
const ERRORS: &str = "f32.errors.json";
const PENDING: &str = "f32.errors.json.new";
const TOLERANCES: &str = "f32.tolerances.json";

fn multiply(figure: &mut Value, factor: f64) {
    *figure = (figure.as_f64().unwrap() * factor).into();
}

/// As if one metric of a layer had been 3 times smaller, on every instruction set.
fn three_times_smaller(checkout: &Checkout, layer: &str, metric: &str) {
    checkout.edit_layer(ERRORS, layer, |layer| {
        let errors = layer["errors"].as_object_mut().unwrap();
        errors.values_mut().for_each(|error| multiply(&mut error[metric], 1.0 / 3.0));
    });
}

/// The instruction set is one that was measured everywhere: of others less is known.
const PARITY: [&str; 3] = ["parity", "--isa", "portable"];
/// Elsewhere the portable kernels are other instructions, of which less is known.
const MEASURED_HERE: bool = cfg!(all(target_arch = "x86_64", not(target_feature = "fma")));

#[test]
fn a_layer_that_worsens_under_its_tolerance_in_either_metric_fails() {
    for metric in ["rel_l2", "rel_linf"] {
        if !MEASURED_HERE {
            eprintln!("SKIPPED: the portable kernels were not measured on this architecture");
            return;
        }
        let checkout = Checkout::of("symmetric");
        three_times_smaller(&checkout, LAYER, metric);
        three_times_smaller(&checkout, "msfa_concat_norm", metric);
        checkout
            .run(&PARITY)
            .code(1)
            .stdout(contains(&format!("first failing layer: {LAYER}")))
            .stdout(contains("is 3.00 times its baseline"))
            .stdout(contains("worse than the baseline: 2 layers, old -> new"));
        let mut quiet = PARITY.to_vec();
        quiet.push("--quiet");
        let output = checkout.run(&quiet).code(1).get_output().stdout.clone();
        let text = String::from_utf8(output).unwrap();
        let named = text.lines().filter(|line| line.contains(metric) && line.contains(" -> "));
        assert_eq!(named.count(), 2, "{text}");
    }
}

#[test]
fn layers_that_improve_are_named_old_and_new() {
    if !MEASURED_HERE {
        eprintln!("SKIPPED: the portable kernels were not measured on this architecture");
        return;
    }
    let checkout = Checkout::of("symmetric");
    checkout.edit(ERRORS, |value| {
        for layer in value["layers"].as_array_mut().unwrap() {
            for error in layer["errors"].as_object_mut().unwrap().values_mut() {
                multiply(&mut error["rel_l2"], 2.0);
            }
        }
    });
    checkout
        .run(&["parity", "--isa", "portable", "--quiet"])
        .code(0)
        .stdout(contains("better than the baseline: 30 layers, old -> new"))
        .stdout(contains("and 20 more"));
}

#[test]
fn nothing_is_written_where_ci_is_set() {
    let checkout = Checkout::measured("symmetric");
    three_times_smaller(&checkout, LAYER, "rel_l2");
    for command in ["measure", "derive"] {
        checkout
            .run_with(&["baseline", command], "1")
            .code(2)
            .stderr(contains("CI is set: nothing is written"));
    }
    assert!(!checkout.path(PENDING).exists());
    checkout
        .run_with(&["baseline", "measure"], "false")
        .code(0)
        .stdout(contains("next: cargo xtask baseline review"));
    checkout
        .run_with(&["baseline", "review", "--accept-all"], "1")
        .code(2)
        .stderr(contains("nothing is written"));
    assert!(checkout.path(PENDING).exists());
    checkout.run(&["baseline", "review", "--accept", "none"]).code(2).stderr(contains("no such layer waits"));
    checkout.run(&["baseline", "review", "--accept-all"]).code(0).stdout(contains("accepted, 0 rejected"));
    assert!(!checkout.path(PENDING).exists());
    checkout.run(&["parity", "--quiet"]).code(0);
}

#[test]
fn what_is_not_decided_stays_pending() {
    let checkout = Checkout::measured("symmetric");
    for layer in [LAYER, "mobilenet_stem_output", "msfa_concat_norm"] {
        three_times_smaller(&checkout, layer, "rel_l2");
    }
    let old = checkout.read(ERRORS);
    checkout.run(&["baseline", "measure"]).code(0).stdout(contains("3 of 30 layers wait"));
    // Without a terminal nothing is decided.
    checkout.run(&["baseline", "review"]).code(1).stdout(contains("next: cargo xtask baseline review"));
    assert_eq!(checkout.read(ERRORS), old);
    let one = format!("symmetric/{LAYER}");
    checkout.run(&["baseline", "review", "--accept", &format!("blocks/{LAYER}")]).code(2);
    checkout
        .run(&["baseline", "review", "--accept", &one])
        .code(1)
        .stdout(contains("1 accepted, 0 rejected, 2 wait on"));
    assert!(checkout.path(PENDING).exists());
    checkout.run(&["baseline"]).code(0).stdout(contains("symmetric f32 30 30 2")).stdout(contains("review"));
    checkout
        .run(&["baseline", "review", "--accept", "msfa_concat_norm", "--reject-all"])
        .code(0)
        .stdout(contains("1 accepted, 1 rejected, 0 wait on"));
    assert!(!checkout.path(PENDING).exists());
    let (new, name) = (checkout.read(ERRORS), |layer: &Value| layer["name"].as_str().unwrap().to_string());
    let pairs = old["layers"].as_array().unwrap().iter().zip(new["layers"].as_array().unwrap());
    let changed: Vec<String> =
        pairs.filter(|(a, b)| a["errors"] != b["errors"]).map(|(_, b)| name(b)).collect();
    assert_eq!(changed, [LAYER, "msfa_concat_norm"]);
}

#[test]
fn layers_that_are_gone_are_to_be_accepted_too() {
    let checkout = Checkout::measured("symmetric");
    checkout.edit(ERRORS, |value| {
        let mut gone = value["layers"][3].clone();
        gone["name"] = "mobilenet_gone".into();
        value["layers"].as_array_mut().unwrap().push(gone);
    });
    checkout.run(&["parity"]).code(3).stdout(contains("no pair mobilenet_gone"));
    checkout.run(&["baseline", "measure"]).code(0).stdout(contains("1 of 30 layers wait"));
    checkout.run(&["baseline", "review"]).code(1).stdout(contains("mobilenet_gone").and(contains("GONE")));
    checkout.run(&["baseline", "review", "--accept", "mobilenet_gone"]).code(0);
    checkout.run(&["parity", "--quiet"]).code(0);
}

#[test]
fn a_known_error_over_its_tolerance_is_refused() {
    let checkout = Checkout::of("symmetric");
    checkout.edit_layer(ERRORS, LAYER, |layer| {
        let errors = layer["errors"].as_object_mut().unwrap();
        errors.values_mut().for_each(|error| error["rel_l2"] = 0.3.into());
    });
    checkout
        .run(&["parity"])
        .code(2)
        .stderr(contains(&format!("`{LAYER}`: expected known errors within the tolerance")))
        .stderr(contains("help: git restore baselines"));
}

#[test]
fn a_bound_does_not_vanish_unseen() {
    for (file, of) in [(ERRORS, "known errors"), (TOLERANCES, "derived tolerances")] {
        let checkout = Checkout::of("symmetric");
        checkout.edit(file, |value| {
            value["layers"].as_array_mut().unwrap().retain(|layer| layer["name"] != LAYER);
        });
        checkout
            .run(&["parity", "--quiet"])
            .code(3)
            .stdout(contains(&format!("no entry {LAYER}")))
            .stdout(contains(of))
            .stdout(contains("1 without entry or pair"));
        std::fs::remove_file(checkout.path(file)).unwrap();
        checkout
            .run(&["parity", "--quiet"])
            .code(3)
            .stdout(contains(&format!("note: there are no {of} of set symmetric under profile f32")))
            .stdout(contains("30 without entry or pair"));
        std::fs::create_dir(checkout.path(file)).unwrap();
        checkout.run(&["parity"]).code(2).stderr(contains("expected a file or nothing, found a folder"));
        #[cfg(unix)]
        {
            std::fs::remove_dir(checkout.path(file)).unwrap();
            std::os::unix::fs::symlink("nowhere", checkout.path(file)).unwrap();
            checkout.run(&["parity"]).code(2).stderr(contains("found a link that leads nowhere"));
        }
    }
}

#[test]
fn files_that_are_of_something_else_are_refused() {
    for (file, again) in [(ERRORS, "measure"), (TOLERANCES, "derive")] {
        let checkout = Checkout::of("symmetric");
        let good = std::fs::read(checkout.path(file)).unwrap();
        let refused = |message: &str| {
            let next =
                format!("help: git restore baselines, mend the entry, or cargo xtask baseline {again}");
            checkout.run(&["parity"]).code(2).stderr(contains(message)).stderr(contains(&next));
            std::fs::write(checkout.path(file), &good).unwrap();
        };
        checkout.edit(file, |value| value["subject"]["set"] = "blocks".into());
        refused("expected figures of set `symmetric`, found those of `blocks`");
        checkout.edit(file, |value| value["subject"]["profile"] = "bf16".into());
        refused("expected figures of profile `f32`, found those of `bf16`");
        checkout.edit(file, |value| value["subject"]["manifest_sha256"] = "12ab".into());
        refused("expected figures of a manifest of sha256");
        checkout.edit(file, |value| {
            let twice = value["layers"][0].clone();
            value["layers"].as_array_mut().unwrap().push(twice);
        });
        refused("expected one entry for each pair");
        std::fs::write(checkout.path(file), "").unwrap();
        refused("found EOF");
    }
}

#[test]
fn a_pending_file_is_not_trusted() {
    let checkout = Checkout::of("symmetric");
    std::fs::copy(checkout.path(ERRORS), checkout.path(PENDING)).unwrap();
    checkout.edit_layer(PENDING, LAYER, |layer| {
        layer["errors"]
            .as_object_mut()
            .unwrap()
            .values_mut()
            .for_each(|error| error["rel_l2"] = 1e300.into());
    });
    let accept = ["baseline", "review", "--accept-all"];
    checkout.run(&accept).code(2).stderr(contains("expected figures from 0 to 1, found 1e300"));
    std::fs::copy(checkout.path(ERRORS), checkout.path(PENDING)).unwrap();
    checkout.edit(PENDING, |value| value["subject"]["set"] = "blocks".into());
    checkout.run(&accept).code(2).stderr(contains("help: remove it, then cargo xtask baseline measure"));
    std::fs::write(checkout.path(PENDING), "{").unwrap();
    checkout.run(&accept).code(2).stderr(contains("expected known errors, found EOF"));
}

#[test]
fn a_sets_name_is_its_folders() {
    for (name, message) in [
        ("../../../x", "expected letters, digits"),
        ("", "expected letters, digits"),
        ("blocks", "expected the folder's name `symmetric`, found `blocks`"),
    ] {
        let checkout = Checkout::of("symmetric");
        let path = checkout.folder.path().join("fixtures/symmetric/manifest.json");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"set\": \"symmetric\"", &format!("\"set\": \"{name}\"")))
            .unwrap();
        for command in [&["parity"][..], &["baseline", "measure"], &["baseline", "derive"], &["baseline"]] {
            checkout.run(command).code(5).stderr(contains(message));
        }
        assert!(!checkout.folder.path().join("baselines/x").exists());
    }
}

fn in_days(days: i64) -> String {
    let date = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    date.checked_add(jiff::Span::new().days(days)).unwrap().to_string()
}

/// Twice the tolerance of one metric, with a waiver.
fn waive(checkout: &Checkout, layer: &str, expires: &str, times: f64) {
    checkout.edit_layer(TOLERANCES, layer, |layer| {
        multiply(&mut layer["tolerance"]["rel_linf"], times);
        layer["waivers"]["rel_linf"] = serde_json::json!({"reason": "a table in f16", "expires": expires});
    });
}

#[test]
fn a_waiver_is_seen_bounded_and_kept() {
    let checkout = Checkout::of("symmetric");
    let day = in_days(30);
    waive(&checkout, LAYER, &day, 2.0);
    let report = checkout.folder.path().join("parity.json");
    let report_argument = format!("json={}", report.display());
    let seen = format!("{LAYER}: rel_linf is judged by a waiver until {day}: a table in f16");
    checkout.run(&["parity", "--quiet", "--report", &report_argument]).code(0).stdout(contains(&seen));
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    let layers = report["layers"].as_array().unwrap();
    let layer = layers.iter().find(|layer| layer["name"] == LAYER).unwrap();
    let criteria = layer["tolerance"]["criteria"].as_array().unwrap();
    let waived: Vec<&Value> = criteria.iter().filter(|criterion| !criterion["waiver"].is_null()).collect();
    assert_eq!(waived.len(), 1);
    assert_eq!((&waived[0]["metric"], &waived[0]["waiver"]["expires"]), (&"rel_linf".into(), &day.into()));
    // A second one of a layer that is gone, and a third that is no looser than what is derived.
    waive(&checkout, "msfa_concat_norm", &in_days(30), 0.5);
    checkout.edit(TOLERANCES, |value| {
        let mut gone = value["layers"].as_array().unwrap().last().unwrap().clone();
        gone["name"] = "mobilenet_gone".into();
        value["layers"].as_array_mut().unwrap().push(gone);
    });
    waive(&checkout, "mobilenet_gone", &in_days(30), 2.0);
    let before = checkout.read(TOLERANCES);
    checkout
        .run(&["baseline", "derive"])
        .code(0)
        .stdout(contains(&format!("kept until {}: waiver of rel_linf of {LAYER}", in_days(30))))
        .stdout(contains(
            "dropped: waiver of rel_linf of mobilenet_gone (a table in f16): there is no such layer",
        ))
        .stdout(contains("dropped: waiver of rel_linf of msfa_concat_norm (a table in f16): the derived"));
    let after = checkout.read(TOLERANCES);
    let entry = |value: &Value| {
        value["layers"].as_array().unwrap().iter().find(|layer| layer["name"] == LAYER).unwrap()["waivers"]
            .clone()
    };
    assert_eq!(entry(&before), entry(&after));
    checkout.run(&["parity", "--quiet"]).code(0).stdout(contains(&seen));
}

#[test]
fn a_waiver_that_does_not_hold_is_refused() {
    let cases = [
        (in_days(-1), 2.0, "it expired on"),
        ("9999-99-99".to_string(), 2.0, "expected a date"),
        (in_days(400), 2.0, "expected a last day within 366 days"),
        (in_days(30), 1e300, "which no waiver allows"),
        (in_days(30), 100.0, "which no waiver allows"),
    ];
    for (day, times, message) in cases {
        let checkout = Checkout::of("symmetric");
        waive(&checkout, LAYER, &day, times);
        checkout.run(&["parity"]).code(2).stderr(contains(message)).stderr(contains(LAYER));
    }
}

#[test]
fn derive_writes_all_sets_or_none() {
    let checkout = Checkout::of("symmetric");
    copy(&root().join("fixtures/variants"), &checkout.folder.path().join("fixtures/variants"));
    let variants = checkout.folder.path().join("baselines/variants").join(TOLERANCES);
    let before = std::fs::read(checkout.path(TOLERANCES)).unwrap();
    // What was waived in the second set is more than its floors, once it is carried over, allow.
    let mut value: Value = serde_json::from_slice(&std::fs::read(&variants).unwrap()).unwrap();
    value["layers"][0]["tolerance"]["rel_linf"] = 1.0.into();
    value["layers"][0]["waivers"]["rel_linf"] = serde_json::json!({"reason": "r", "expires": in_days(30)});
    std::fs::write(&variants, value.to_string()).unwrap();
    checkout.run(&["baseline", "derive", "--k-rel-l2", "5"]).code(2).stderr(contains("nothing was written"));
    assert_eq!(std::fs::read(checkout.path(TOLERANCES)).unwrap(), before);
    for k in ["0.5", "NaN", "17", "-4"] {
        let argument = format!("--k-rel-l2={k}");
        checkout.run(&["baseline", "derive", &argument]).code(2).stderr(contains("expected a number from 1"));
    }
}

#[test]
fn baselines_are_of_the_encoders_precisions() {
    let checkout = Checkout::of("symmetric");
    for action in ["derive", "measure", "review"] {
        for profile in ["f16-weights", "typo"] {
            checkout
                .run(&["baseline", action, "--profile", profile])
                .code(2)
                .stderr(contains("is no precision of the encoder"))
                .stderr(contains("--profile one of f32, bf16x3, bf16"));
        }
    }
}

/// What is committed is what the commands make: floors of every precision among them, which no manifest holds.
#[test]
fn the_floors_of_every_precision_are_those_of_the_reference() {
    for profile in ["f32", "bf16x3", "bf16"] {
        let checkout = Checkout::of("symmetric");
        let file = format!("{profile}.tolerances.json");
        let committed = checkout.read(&file);
        checkout.run(&["baseline", "derive", "--profile", profile]).code(0);
        let derived = checkout.read(&file);
        let pairs = committed["layers"].as_array().unwrap().iter().zip(derived["layers"].as_array().unwrap());
        for (old, new) in pairs {
            for metric in ["rel_l2", "rel_linf"] {
                let floor = |layer: &Value| layer["noise_floor"][metric].as_f64().unwrap();
                // The reference is plain f64, with the square roots and exponentials of the platform.
                assert!((floor(old) / floor(new) - 1.0).abs() < 1e-3, "{profile}: {old} and {new}");
            }
        }
        assert_eq!(committed["k"], derived["k"]);
    }
}

#[test]
fn every_precision_passes_on_every_instruction_set() {
    for isa in encoder::Isa::ALL {
        if !isa.is_available() {
            eprintln!("SKIPPED: this CPU has no {isa}");
            continue;
        }
        for precision in ["bf16x3", "bf16"] {
            let profile = format!("profile {precision}: limits are multiples of a measured noise floor");
            xtask(&["parity", "--precision", precision, "--isa", isa.name()])
                .assert()
                .code(0)
                .stdout(contains(&profile))
                .stdout(contains("note:").not());
        }
    }
}

/// bf16 is no f32: the gate of each precision sees the next coarser one.
#[test]
fn a_coarser_precision_is_seen() {
    for (precision, profile) in [("bf16", "bf16x3"), ("bf16x3", "f32")] {
        xtask(&["parity", "--quiet", "--precision", precision, "--profile", profile]).assert().code(1);
    }
}
