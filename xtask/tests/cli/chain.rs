//! `cargo xtask fixtures chain` on a small set. Tests have no Python: a script stands in for it, and hands over weights that
//! were converted here.
#![cfg(unix)]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use encoder::Checkpoint;
use predicates::prelude::PredicateBooleanExt;

use crate::checkout::Checkout;
use crate::gguf_file::{F16, GgufTensor, gguf_bytes, gguf_tensor};
use crate::support::*;

const PRESET: &str = "ggml-small";

/// A checkout with the set, and its weights in F16 beside it.
struct Chain {
    checkout: Checkout,
}

impl Chain {
    /// `change` changes a weight, by its name, before it is converted.
    fn of(change: impl Fn(&str, &mut Vec<f32>)) -> Chain {
        let checkout = Checkout::of(PRESET);
        let set = checkout.folder.path().join("fixtures").join(PRESET);
        let weights = Checkpoint::open(&set.join("model.safetensors")).unwrap();
        let converted = |name: &str| -> GgufTensor {
            let shape = weights.shape(name).unwrap();
            let mut values = weights.load(name, shape).unwrap();
            change(name, &mut values);
            gguf_tensor(name, shape, &values, F16).0
        };
        let tensors: Vec<GgufTensor> = weights.names().map(converted).collect();
        let chain = Chain { checkout };
        std::fs::write(chain.file("converted.gguf"), gguf_bytes("clip", &tensors)).unwrap();
        chain
    }

    fn file(&self, name: &str) -> PathBuf {
        self.checkout.folder.path().join(name)
    }

    /// Runs the chain with a script of these lines in the place of Python. `$5` is where the GGUF file is to be.
    fn run(&self, lines: &str) -> assert_cmd::assert::Assert {
        let script = self.file("python");
        std::fs::write(&script, format!("#!/bin/sh\n{lines}\n")).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let python = script.to_str().unwrap();
        self.checkout.run(&["fixtures", "chain", "--preset", PRESET, "--python", python])
    }

    fn convert(&self) -> assert_cmd::assert::Assert {
        self.run(&format!(
            "test \"$2$4\" = --weights--out && cp '{}' \"$5\"",
            self.file("converted.gguf").display()
        ))
    }
}

#[test]
fn the_chain_compares_the_weights_and_the_encoder_on_either_file() {
    let chain = Chain::of(|_, _| {});
    chain
        .convert()
        .code(0)
        .stdout(contains("gguf_weights.py --weights"))
        .stdout(contains("GGUF 3"))
        .stdout(contains("$ cargo xtask parity --compare-weights"))
        .stdout(contains("$ cargo xtask parity --reference").and(contains("encoder in f32")))
        .stdout(contains("$ cargo xtask parity --profile f16-weights --reference"))
        .stdout(contains("FAIL").not());
    assert!(chain.file("fixtures/large/ggml-small-mmproj-f16.gguf").is_file());
}

#[test]
fn the_chain_stops_at_the_step_that_fails_and_has_its_exit_code() {
    let lost = Chain::of(|name, values| {
        if name == "blocks.0.0.conv_exp.weight" {
            values.iter_mut().for_each(|x| *x *= 1.5);
        }
    });
    lost.convert()
        .code(1)
        .stdout(contains("FAIL blocks.0.0.conv_exp.weight"))
        .stdout(contains("$ cargo xtask parity --reference").not());
    lost.run("exit 7").code(7).stdout(contains("$ cargo xtask inspect").not());
}
