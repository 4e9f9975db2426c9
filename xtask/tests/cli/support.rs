//! Running the command, and damaging copies of the committed sets.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use harness::store::{read_npy, write_npy};
use harness::tensor::Tensor;
use predicates::Predicate;
use tempfile::TempDir;

pub(crate) use crate::folders::copy;

/// The checkout, as it is found when the tests run: one that was copied with its compiled tests is tested itself.
pub(crate) fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the package when it runs tests");
    Path::new(&package).parent().unwrap().to_path_buf()
}

/// The command that was built with these tests, beside which it lies.
pub(crate) fn binary() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.parent().unwrap().parent().unwrap().join(format!("xtask{}", std::env::consts::EXE_SUFFIX))
}

pub(crate) fn xtask(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.current_dir(root()).args(arguments).env_remove("ENCODER_MAX_ISA");
    command
}

/// Says that a test is skipped, which fails where that is forbidden.
pub(crate) fn skipped(why: &str) {
    assert!(
        std::env::var_os("ENCODER_REQUIRE_ALL_ISAS").is_none(),
        "{why}, and ENCODER_REQUIRE_ALL_ISAS is set"
    );
    eprintln!("SKIPPED: {why}");
}

/// A copy of a committed set, to be damaged.
pub(crate) struct DamagedSet {
    pub(crate) folder: TempDir,
}

impl DamagedSet {
    pub(crate) fn of(name: &str) -> DamagedSet {
        let folder = tempfile::tempdir().unwrap();
        copy(&root().join("fixtures").join(name), folder.path());
        DamagedSet { folder }
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
    let tensor = read_npy(path, None).unwrap();
    let (mut shape, mut values) = (tensor.shape().to_vec(), tensor.to_f32().iter().copied().collect());
    change(&mut shape, &mut values);
    write_npy(path, &Tensor::from_f32(shape, values).unwrap()).unwrap();
}

pub(crate) const DUMP: &str = "fixtures/ggml-small/candidate/debug_ggml_output";
