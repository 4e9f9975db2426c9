//! `cargo xtask baseline`, and what a baseline does to the gate.

use predicates::prelude::PredicateBooleanExt;

use crate::checkout::*;
use crate::support::*;

/// The instruction set is one that was measured everywhere: of others less is known.
const PARITY: [&str; 3] = ["parity", "--isa", "portable"];

/// Whether the portable kernels were measured on this architecture: elsewhere they are other instructions. A test that is
/// skipped says so, and fails where skips are forbidden.
fn measured_here() -> bool {
    let measured = cfg!(all(target_arch = "x86_64", not(target_feature = "fma")));
    if !measured {
        skipped("the portable kernels were not measured on this architecture");
    }
    measured
}

#[test]
fn a_layer_that_worsens_under_its_tolerance_in_either_metric_fails() {
    for metric in ["rel_l2", "rel_linf"] {
        if !measured_here() {
            return;
        }
        let checkout = Checkout::of("symmetric");
        checkout.three_times_smaller(LAYER, metric);
        checkout.three_times_smaller("msfa_concat_norm", metric);
        checkout
            .run(&PARITY)
            .code(1)
            .stdout(contains(&format!("first failing layer: {LAYER}")))
            .stdout(contains("is 3.00 times its known error"))
            .stdout(contains("worse than their known errors: 2 layers, old -> new"));
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
    if !measured_here() {
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
        .stdout(contains("better than their known errors: 30 layers, old -> new"))
        .stdout(contains("and 20 more"));
}

#[test]
fn nothing_is_written_where_ci_is_set() {
    let checkout = Checkout::measured("symmetric");
    checkout.three_times_smaller(LAYER, "rel_l2");
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
fn errors_of_an_unknown_instruction_set_are_refused() {
    for unknown in
        ["x86_64 avx3", "avx2", "x86_64 avx2 with luck", "x86_64 avx2 with fma", "x86_64  avx2", "- amx"]
    {
        let checkout = Checkout::of("symmetric");
        checkout.edit_layer(ERRORS, LAYER, |layer| {
            let errors = layer["errors"].as_object_mut().unwrap();
            let error = errors.values().next().unwrap().clone();
            errors.insert(unknown.into(), error);
        });
        checkout
            .run(&["parity"])
            .code(2)
            .stderr(contains(&format!("`{LAYER}`: expected an architecture and an instruction set")))
            .stderr(contains(&format!("avx512bf16, amx), found `{unknown}`")));
    }
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
fn layers_that_were_not_measured_on_an_instruction_set_are_counted() {
    let checkout = Checkout::of("symmetric");
    checkout.edit_layer(ERRORS, LAYER, |layer| {
        let errors = layer["errors"].as_object_mut().unwrap();
        let error = errors.values().next().unwrap().clone();
        *errors = [("riscv64 portable".to_string(), error)].into_iter().collect();
    });
    checkout
        .run(&["parity", "--isa", "portable"])
        .code(0)
        .stdout(contains("1 layer without a known error on"))
        .stdout(contains("another runtime environment"));
}

#[test]
fn a_set_that_is_gone_is_missed() {
    let checkout = Checkout::of("symmetric");
    checkout.add("variants");
    std::fs::remove_dir_all(checkout.folder.path().join("fixtures/variants")).unwrap();
    for command in [&["parity"][..], &["baseline"], &["fixtures", "check"]] {
        checkout
            .run(command)
            .code(3)
            .stderr(contains("variants: figures of a set that is not in"))
            .stderr(contains("help: git restore fixtures baselines"));
    }
    // What waits for a review, and what else lies there, is no figure of a set.
    let folder = checkout.folder.path().join("baselines");
    std::fs::remove_dir_all(folder.join("variants")).unwrap();
    std::fs::create_dir(folder.join("gone")).unwrap();
    std::fs::write(folder.join("gone").join(PENDING), "{}").unwrap();
    std::fs::create_dir(folder.join(".idea")).unwrap();
    checkout.run(&["baseline", "review", "--accept-coverage"]).code(0);
    checkout.run(&["parity"]).code(0);
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

#[test]
fn every_precision_passes_on_every_instruction_set() {
    for isa in encoder::Isa::ALL {
        if !isa.is_available() {
            skipped(&format!("{isa} is not supported by this CPU"));
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
