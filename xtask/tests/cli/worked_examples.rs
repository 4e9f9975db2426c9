//! The worked examples, from two runs of a reference to a gated port: each command of theirs that needs no Python.

use std::path::{Path, PathBuf};

use crate::support::*;

/// A mistake, and the layer that fails first.
type PlantedMistake = (&'static str, &'static str);

struct WorkedExample {
    name: &'static str,
    layers: usize,
    mistakes: [PlantedMistake; 3],
}

const EXAMPLES: [WorkedExample; 2] = [
    WorkedExample {
        name: "vit",
        layers: 28,
        mistakes: [("gelu", "gelu"), ("scale", "view_4"), ("epsilon", "layer_norm_3")],
    },
    WorkedExample {
        name: "residual",
        layers: 38,
        mistakes: [
            ("epsilon", "stage1_block0_norm2"),
            ("relu", "stage1_block1_out"),
            ("padding", "stage2_block0_conv1"),
        ],
    },
];

impl WorkedExample {
    fn file(&self, name: &str) -> String {
        format!("examples/{}/{name}", self.name)
    }

    /// Makes the set; its folder.
    fn set_in(&self, folder: &Path) -> PathBuf {
        let set = folder.join("set");
        let [f64, f32] = ["captured/f64", "captured/f32"].map(|name| self.file(name));
        let (weights, input) = (self.file("weights.safetensors"), self.file("input.npy"));
        let sources = ["set", "make", "--f64", &f64, "--f32", &f32, "--weights", &weights, "--input", &input];
        // Outside of CI, which writes nothing.
        let mut make = xtask(&[&sources[..], &["--out", set.to_str().unwrap()]].concat());
        make.env_remove("CI").assert().code(0);
        set
    }

    fn parity(&self, candidate: &str, set: &Path, mapping: &str) -> assert_cmd::assert::Assert {
        let candidate = self.file(candidate);
        let sides = ["parity", "--candidate", &candidate, "--reference", set.to_str().unwrap()];
        let assert = xtask(&[&sides[..], &["--mapping", mapping]].concat()).assert();
        let output = assert.get_output();
        let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).to_lowercase();
        for foreign in ["mobilenet", "gemma"] {
            assert!(!said.contains(foreign), "{said}");
        }
        assert
    }
}

#[test]
fn right_ports_pass_and_each_mistake_fails_where_it_is() {
    for example in EXAMPLES {
        let folder = tempfile::tempdir().unwrap();
        let set = example.set_in(folder.path());
        let mapping = example.file("mapping.toml");
        let passed = format!("PASS  {0} compared, {0} passed", example.layers);
        example.parity("port.npz", &set, &mapping).code(0).stdout(contains(&passed));
        for (mistake, layer) in example.mistakes {
            let candidate = format!("bugs/{mistake}.npz");
            let first = format!("first failing layer: {layer}\n");
            example.parity(&candidate, &set, &mapping).code(1).stdout(predicates::str::contains(first));
        }
    }
}

/// The mappings are what `mapping suggest` writes, but for what the README says was added.
#[test]
fn the_mappings_are_those_that_are_suggested() {
    for example in EXAMPLES {
        let folder = tempfile::tempdir().unwrap();
        let set = example.set_in(folder.path());
        let out = folder.path().join("mapping.toml");
        let candidate = example.file("port.npz");
        let sides = ["mapping", "suggest", "--candidate", &candidate, "--reference", set.to_str().unwrap()];
        xtask(&[&sides[..], &["--out", out.to_str().unwrap()]].concat()).assert().code(0);
        let rules = |path: &Path| {
            let text = std::fs::read_to_string(path).unwrap();
            let is_of_rules =
                |line: &&str| line.starts_with("candidate = ") || line.starts_with("reference = ");
            text.lines().filter(is_of_rules).map(str::to_string).collect::<Vec<_>>()
        };
        assert_eq!(rules(&out), rules(&root().join(example.file("mapping.toml"))), "{}", example.name);
    }
}
