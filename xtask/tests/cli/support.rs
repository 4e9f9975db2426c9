//! Running the command, and damaging copies of the committed sets.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use harness::npy;
use harness::tensor::{Tensor, Values};
use predicates::Predicate;
use tempfile::TempDir;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

pub(crate) fn xtask(arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("xtask"));
    command.current_dir(root()).args(arguments).env_remove("ENCODER_MAX_ISA");
    command
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A copy of a committed set, to be damaged.
pub(crate) struct Set {
    pub(crate) folder: TempDir,
}

impl Set {
    pub(crate) fn of(name: &str) -> Set {
        let folder = tempfile::tempdir().unwrap();
        copy(&root().join("fixtures").join(name), folder.path());
        Set { folder }
    }

    pub(crate) fn path(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    pub(crate) fn reference(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("reference/debug_activation_{name}.npy"))
    }

    pub(crate) fn parity(&self) -> Command {
        xtask(&["parity", "--quiet", "--reference", self.path()])
    }
}

/// Whether an output has this text, wherever its lines are broken.
pub(crate) fn contains(text: &str) -> impl Predicate<[u8]> + use<> {
    let unbroken = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let wanted = unbroken(text);
    predicates::function::function(move |output: &[u8]| {
        unbroken(&String::from_utf8_lossy(output)).contains(&wanted)
    })
}

/// Rewrites a tensor.
pub(crate) fn edit(path: &Path, change: impl FnOnce(&mut Vec<usize>, &mut Vec<f32>)) {
    let tensor = npy::read(path, None).unwrap();
    let Values::F32(mut values) = tensor.values().clone() else { panic!("expected f32") };
    let mut shape = tensor.shape().to_vec();
    change(&mut shape, &mut values);
    npy::write(path, &Tensor::from_f32(shape, values).unwrap()).unwrap();
}

pub(crate) const DUMP: &str = "fixtures/ggml-small/candidate/debug_ggml_output";
