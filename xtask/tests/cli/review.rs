//! `cargo xtask baseline review`: what waits, and what comes of it.

use predicates::prelude::PredicateBooleanExt;
use serde_json::Value;

use crate::checkout::*;
use crate::support::*;

#[test]
fn what_is_not_decided_stays_pending() {
    let checkout = Checkout::measured("symmetric");
    for layer in [LAYER, "mobilenet_stem_output", "msfa_concat_norm"] {
        checkout.three_times_smaller(layer, "rel_l2");
    }
    let old = checkout.read(ERRORS);
    checkout.run(&["baseline", "measure"]).code(0).stdout(contains("3 of 30 layers wait"));
    // Without a terminal nothing is decided.
    checkout.run(&["baseline", "review"]).code(1).stdout(contains("next: cargo xtask baseline review"));
    assert_eq!(checkout.read(ERRORS), old);
    let one = format!("symmetric/{LAYER}");
    checkout.run(&["baseline", "review", "--accept", &format!("blocks/{LAYER}")]).code(2);
    checkout
        .run(&["baseline", "review", "--accept", &one, "--reject", LAYER])
        .code(2)
        .stderr(contains("both accepted and rejected"));
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
    // It is on the list of what must be compared by now, and comes off it by itself no more than a set does.
    let review = ["baseline", "review", "--accept", "mobilenet_gone"];
    checkout.run(&review).code(3).stdout(contains("GONE set symmetric: layer mobilenet_gone"));
    checkout.run(&["baseline", "review", "--accept-coverage"]).code(0);
    checkout.run(&["parity", "--quiet"]).code(0);
}

/// Known errors are no longer those that a pending file was measured beside: it would take what came since away.
#[test]
fn a_pending_file_is_of_one_accepted_file() {
    let checkout = Checkout::measured("symmetric");
    let worsen = |checkout: &Checkout, factor| {
        checkout.edit_layer(ERRORS, LAYER, |layer| {
            let errors = layer["errors"].as_object_mut().unwrap();
            errors.values_mut().for_each(|error| multiply(&mut error["rel_l2"], factor));
        });
    };
    worsen(&checkout, 0.5);
    checkout.run(&["baseline", "measure"]).code(0);
    worsen(&checkout, 0.9);
    let before = std::fs::read(checkout.path(ERRORS)).unwrap();
    for command in [&["baseline", "review"][..], &["baseline", "review", "--accept-all"]] {
        checkout
            .run(command)
            .code(2)
            .stderr(contains("f32.errors.json.new: it was not measured beside the"))
            .stderr(contains("help: cargo xtask baseline measure --set symmetric"));
    }
    assert_eq!(std::fs::read(checkout.path(ERRORS)).unwrap(), before);
    checkout.run(&["baseline", "measure"]).code(0);
    checkout.run(&["baseline", "review", "--accept-all"]).code(0);
    checkout.run(&["parity"]).code(0);
}

#[test]
fn all_sets_are_fit_or_none_is_written() {
    let checkout = Checkout::measured("symmetric");
    checkout.add("blocks");
    let other = |file: &str| checkout.folder.path().join("baselines/blocks").join(file);
    let halve = |path: &std::path::Path, factor: f64| {
        let mut value: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let errors = value["layers"][0]["errors"].as_object_mut().unwrap();
        errors.values_mut().for_each(|error| multiply(&mut error["rel_l2"], factor));
        std::fs::write(path, value.to_string()).unwrap();
    };
    halve(&checkout.path(ERRORS), 0.5);
    halve(&other(ERRORS), 0.5);
    checkout.run(&["baseline", "measure"]).code(0);
    // The second of the two in their order.
    halve(&checkout.path(PENDING), 1e4);
    let files = [checkout.path(ERRORS), checkout.path(PENDING), other(ERRORS), other(PENDING)];
    let before = files.clone().map(|file| std::fs::read(file).unwrap());
    checkout
        .run(&["baseline", "review", "--accept-all"])
        .code(2)
        .stderr(contains("nothing was written"))
        .stderr(contains("cargo xtask baseline review --reject symmetric/LAYER --accept-all"));
    assert_eq!(files.map(|file| std::fs::read(file).unwrap()), before);
    let layer = checkout.read(PENDING)["layers"][0]["name"].as_str().unwrap().to_string();
    checkout
        .run(&["baseline", "review", "--reject", &format!("symmetric/{layer}"), "--accept-all"])
        .code(0)
        .stdout(contains("0 accepted, 1 rejected, 0 wait on"));
    assert!(!other(PENDING).exists() && !checkout.path(PENDING).exists());
}

#[test]
fn what_the_gate_would_refuse_is_not_accepted() {
    let checkout = Checkout::measured("symmetric");
    checkout.edit_layer(ERRORS, LAYER, |layer| {
        let errors = layer["errors"].as_object_mut().unwrap();
        errors.values_mut().for_each(|error| multiply(&mut error["rel_l2"], 0.5));
    });
    checkout.run(&["baseline", "measure"]).code(0);
    checkout.edit_layer(PENDING, LAYER, |layer| {
        layer["errors"].as_object_mut().unwrap().values_mut().for_each(|error| error["rel_l2"] = 0.3.into());
    });
    let before = std::fs::read(checkout.path(ERRORS)).unwrap();
    checkout
        .run(&["baseline", "review", "--accept-all"])
        .code(2)
        .stderr(contains(&format!("`{LAYER}`: expected known errors within the tolerance")))
        .stderr(contains("nothing was written"));
    assert_eq!(std::fs::read(checkout.path(ERRORS)).unwrap(), before);
    assert!(checkout.path(PENDING).exists());
    let before = std::fs::read(checkout.path(TOLERANCES)).unwrap();
    checkout
        .run(&["baseline", "derive", "--k-rel-linf", "1"])
        .code(2)
        .stderr(contains("expected known errors within the tolerance"))
        .stderr(contains("nothing was written"));
    assert_eq!(std::fs::read(checkout.path(TOLERANCES)).unwrap(), before);
    // Nor where nothing is known: this run shows it.
    std::fs::remove_file(checkout.path(ERRORS)).unwrap();
    checkout
        .run(&["baseline", "derive", "--k-rel-linf", "1"])
        .code(2)
        .stderr(contains("nothing was written"));
    std::fs::remove_file(checkout.path(TOLERANCES)).unwrap();
    checkout
        .run(&["baseline", "review", "--accept-all"])
        .code(2)
        .stderr(contains("help: cargo xtask baseline measure --set symmetric"));
    checkout.run(&["baseline", "measure"]).code(0);
    checkout
        .run(&["baseline", "review", "--accept-all"])
        .code(2)
        .stderr(contains("no tolerances to hold errors to; nothing was written"))
        .stderr(contains("help: cargo xtask baseline derive --set symmetric"));
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
