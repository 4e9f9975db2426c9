//! Derived tolerances and their waivers, on the command line.

use predicates::prelude::PredicateBooleanExt;
use serde_json::Value;

use crate::checkout::*;
use crate::support::*;

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
    checkout.add("variants");
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
fn one_set_is_derived_and_measured_alone() {
    let checkout = Checkout::of("symmetric");
    checkout.add("variants");
    // Measured, it would wait for a review.
    let errors = checkout.folder.path().join("baselines/variants/f32.errors.json");
    let mut known: Value = serde_json::from_slice(&std::fs::read(&errors).unwrap()).unwrap();
    known["layers"][0]["errors"].as_object_mut().unwrap().values_mut().for_each(|e| e["rel_l2"] = 0.0.into());
    std::fs::write(&errors, known.to_string()).unwrap();
    let others = ["variants/f32.tolerances.json", "variants/f32.errors.json"];
    let others = others.map(|file| checkout.folder.path().join("baselines").join(file));
    let before = others.clone().map(|file| std::fs::read(file).unwrap());
    // As if derived on a machine that has more.
    checkout.edit(TOLERANCES, |value| {
        value["measured"]["instruction_sets"].as_array_mut().unwrap().push("riscv64 rvv".into());
    });
    checkout
        .run(&["baseline", "derive", "--set", "symmetric", "--k-rel-l2", "5"])
        .code(0)
        .stdout(contains("symmetric/f32.tolerances.json"))
        .stdout(contains("not measured again on"))
        .stdout(contains("riscv64 rvv: their spread no longer counts"))
        .stdout(contains("variants").not());
    assert_eq!(checkout.read(TOLERANCES)["k"]["rel_l2"], 5.0);
    checkout.run(&["baseline", "measure", "--set", "symmetric"]).code(0).stdout(contains("variants").not());
    assert_eq!(others.map(|file| std::fs::read(file).unwrap()), before);
    assert!(!checkout.folder.path().join("baselines/variants/f32.errors.json.new").exists());
    checkout.run(&["baseline", "measure"]).code(0);
    assert!(checkout.folder.path().join("baselines/variants/f32.errors.json.new").exists());
    for action in ["derive", "measure"] {
        checkout
            .run(&["baseline", action, "--set", "typo"])
            .code(2)
            .stderr(contains("--set typo: no such committed set"))
            .stderr(contains("one of symmetric, variants"));
    }
}
