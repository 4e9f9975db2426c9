//! A copy of a checkout with one set, whose baselines are edited.

use std::path::PathBuf;

use assert_cmd::assert::Assert;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::*;

/// A copy of what the command reads, with one set.
pub(crate) struct Checkout {
    pub(crate) folder: TempDir,
    set: &'static str,
}

impl Checkout {
    pub(crate) fn of(set: &'static str) -> Checkout {
        let folder = tempfile::tempdir().unwrap();
        copy(&root().join("mappings"), &folder.path().join("mappings"));
        let checkout = Checkout { folder, set };
        checkout.add(set);
        checkout
    }

    /// Adds a set with its figures.
    pub(crate) fn add(&self, set: &str) {
        for part in ["fixtures", "baselines"] {
            copy(&root().join(part).join(set), &self.folder.path().join(part).join(set));
        }
        self.edit_coverage(|list| {
            let committed: Value =
                serde_json::from_slice(&std::fs::read(root().join("baselines").join(COVERAGE)).unwrap())
                    .unwrap();
            list["schema_version"] = committed["schema_version"].clone();
            list["sets"][set] = committed["sets"][set].clone();
            list["inner"] = serde_json::json!([]);
        });
    }

    /// Changes the list of what must be compared, or makes one.
    pub(crate) fn edit_coverage(&self, change: impl FnOnce(&mut Value)) {
        let path = self.folder.path().join("baselines").join(COVERAGE);
        let text = std::fs::read(&path).unwrap_or_else(|_| b"{}".to_vec());
        let mut list = serde_json::from_slice(&text).unwrap();
        change(&mut list);
        std::fs::write(&path, list.to_string()).unwrap();
    }

    /// With errors of every instruction set that this machine has, of which the committed ones may lack some.
    pub(crate) fn measured(set: &'static str) -> Checkout {
        let checkout = Checkout::of(set);
        checkout.run(&["baseline", "measure"]).code(0);
        checkout.run(&["baseline", "review", "--accept-all"]).code(0);
        checkout
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join("baselines").join(self.set).join(file)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Assert {
        self.run_with(arguments, "")
    }

    pub(crate) fn run_with(&self, arguments: &[&str], ci: &str) -> Assert {
        xtask(arguments).env("PARITY_ROOT", self.folder.path()).env("CI", ci).assert()
    }

    pub(crate) fn read(&self, file: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.path(file)).unwrap()).unwrap()
    }

    pub(crate) fn edit(&self, file: &str, change: impl FnOnce(&mut Value)) {
        let mut value = self.read(file);
        change(&mut value);
        std::fs::write(self.path(file), value.to_string()).unwrap();
    }

    /// Changes the entry of a layer.
    pub(crate) fn edit_layer(&self, file: &str, name: &str, change: impl FnOnce(&mut Value)) {
        self.edit(file, |value| {
            let mut layers = value["layers"].as_array_mut().unwrap().iter_mut();
            change(layers.find(|layer| layer["name"] == name).unwrap());
        });
    }

    /// As if one metric of a layer had been 3 times smaller, on every instruction set.
    pub(crate) fn three_times_smaller(&self, layer: &str, metric: &str) {
        self.edit_layer(ERRORS, layer, |layer| {
            let errors = layer["errors"].as_object_mut().unwrap();
            errors.values_mut().for_each(|error| multiply(&mut error[metric], 1.0 / 3.0));
        });
    }
}

pub(crate) const LAYER: &str = "mobilenet_block_3_inverted_residual";
/// The list of what must be compared, beside the folders of the sets.
pub(crate) const COVERAGE: &str = "coverage.json";
pub(crate) const ERRORS: &str = "f32.errors.json";
pub(crate) const PENDING: &str = "f32.errors.json.new";
pub(crate) const TOLERANCES: &str = "f32.tolerances.json";

pub(crate) fn multiply(figure: &mut Value, factor: f64) {
    *figure = (figure.as_f64().unwrap() * factor).into();
}
