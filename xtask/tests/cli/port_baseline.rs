//! The known errors of a user's own port, from the first measurement to a regression within the limits.

use std::path::Path;

use harness::tensor::Tensor;

use crate::brought::*;
use crate::support::*;

/// The set of [`RightPort::encoded`].
const REFERENCE: &str = "fixtures/ggml-small";
const LAYER: &str = "mobilenet_block_8_inverted_residual";

/// A port's dump, its set's file of known errors, and the commands on them.
struct KnownPort {
    folder: tempfile::TempDir,
    file: String,
}

impl KnownPort {
    fn new() -> KnownPort {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("known.json").to_str().unwrap().to_string();
        KnownPort { folder, file }
    }

    fn measure(&self, dump: &Path, options: &[&str]) -> assert_cmd::assert::Assert {
        let dump = dump.to_str().unwrap();
        let measure =
            ["baseline", "measure", "--file", &self.file, "--candidate", dump, "--reference", REFERENCE];
        xtask(&[&measure[..], options].concat()).env_remove("CI").assert()
    }

    fn review(&self, options: &[&str]) -> assert_cmd::assert::Assert {
        xtask(&[&["baseline", "review", "--file", &self.file], options].concat()).env_remove("CI").assert()
    }

    fn parity(&self, dump: &Path, options: &[&str]) -> assert_cmd::assert::Assert {
        let dump = dump.to_str().unwrap();
        let parity = ["parity", "--candidate", dump, "--reference", REFERENCE, "--baseline", &self.file];
        xtask(&[&parity[..], options].concat()).assert()
    }
}

/// A port with one tensor moved by up to so many millionths of its values: one is within the limit.
fn with_more_error(port: &BroughtTensors, times: f32) -> BroughtTensors {
    let mut tensors = port.clone();
    let tensor: &Tensor = &port[LAYER];
    let noise = |at: usize| ((at.wrapping_mul(2_654_435_761) >> 11) % 1000) as f32 / 500.0 - 1.0;
    let mut at = 0..;
    let changed = std::cell::RefCell::new(&mut at);
    let tensor = mapped(tensor, |x| {
        let at = changed.borrow_mut().next().unwrap_or(0);
        x * (1.0 + times * 1e-6 * noise(at))
    });
    tensors.insert(LAYER.to_string(), tensor);
    tensors
}

#[test]
fn a_port_that_gets_worse_within_its_limits_fails() {
    let kept = KnownPort::new();
    let port = RightPort::encoded().tensors;
    let dump = dumped(&port);
    let dump = dump.path();
    kept.parity(dump, &[])
        .code(2)
        .stderr(contains("no such file"))
        .stderr(contains("baseline measure --file"));
    kept.measure(dump, &["--conditions", "cpu 1 thread"]).code(0).stdout(contains("layers wait"));
    kept.review(&[]).code(1).stdout(contains(LAYER)).stdout(contains("--accept-all"));
    let page = kept.folder.path().join("review.html");
    kept.review(&["--html", page.to_str().unwrap()])
        .code(1)
        .stdout(contains("old and new beside each other"));
    assert!(std::fs::read_to_string(&page).unwrap().contains(LAYER));
    kept.review(&["--html", &format!("{}.new", kept.file)]).code(2);
    kept.review(&["--accept-all"]).code(0).stdout(contains("next: commit"));
    kept.parity(dump, &["--conditions", "cpu 1 thread"]).code(0).stdout(contains("PASS"));
    kept.measure(dump, &["--conditions", "cpu 1 thread"])
        .code(0)
        .stdout(contains("every error is the one that is known"));

    // Within its limit, and passed by a comparison that knows nothing of earlier runs.
    let worse = dumped(&with_more_error(&port, 1.0));
    let path = worse.path();
    xtask(&["parity", "--candidate", path.to_str().unwrap(), "--reference", REFERENCE]).assert().code(0);
    kept.parity(path, &["--conditions", "cpu 1 thread"])
        .code(1)
        .stdout(contains(LAYER))
        .stdout(contains("WORSE"))
        .stdout(contains("baseline measure --file"));
    // Under conditions that were not measured, or not declared, errors may be farther apart.
    kept.parity(dump, &["--conditions", "cuda"]).code(0).stdout(contains("another runtime environment"));
    kept.parity(dump, &[]).code(0);

    // A tensor that is dumped no more is missed, and a new one is not known.
    let mut fewer = port.clone();
    fewer.remove(LAYER);
    kept.parity(dumped(&fewer).path(), &["--conditions", "cpu 1 thread"]).code(3).stdout(contains(LAYER));

    // Accepted on purpose, layer by layer.
    kept.measure(path, &["--conditions", "cpu 1 thread"]).code(0).stdout(contains("1 of"));
    kept.review(&["--accept", LAYER]).code(0).stdout(contains("1 accepted"));
    kept.parity(path, &["--conditions", "cpu 1 thread"]).code(0);
    assert!(!kept.folder.path().join("known.json.new").exists());
}

#[test]
fn known_errors_of_a_port_are_not_taken_from_anything() {
    let kept = KnownPort::new();
    let port = RightPort::encoded().tensors;
    let right = dumped(&port);
    // A port that is wrong has nothing to keep.
    let wrong = dumped(&with_more_error(&port, 1e4));
    kept.measure(wrong.path(), &[]).code(2).stderr(contains("does not pass")).stderr(contains(LAYER));
    // A folder of dumps is not told from another.
    let reference = root().join("fixtures/ggml-small/reference");
    let (dump, reference) = (right.path().to_str().unwrap(), reference.to_str().unwrap());
    let measure = ["baseline", "measure", "--file", &kept.file, "--candidate", dump, "--reference"];
    let copied = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(reference).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copied.path().join(path.file_name().unwrap())).unwrap();
    }
    xtask(&[&measure[..], &[copied.path().to_str().unwrap()]].concat())
        .env_remove("CI")
        .assert()
        .code(2)
        .stderr(contains("set make"));
    // Not in CI, not without its sources, not of another set.
    xtask(&[&measure[..], &[REFERENCE]].concat())
        .env("CI", "true")
        .assert()
        .code(2)
        .stderr(contains("CI is set"));
    xtask(&["baseline", "measure", "--file", &kept.file])
        .env_remove("CI")
        .assert()
        .code(2)
        .stderr(contains("--candidate DIR"));
    xtask(&["baseline", "derive", "--file", &kept.file]).assert().code(2);
    kept.review(&[]).code(0).stdout(contains("nothing waits"));
    kept.measure(right.path(), &[]).code(0);
    kept.review(&["--accept-all"]).code(0);
    let other = RightPort::of("symmetric", &["--padding", "symmetric"]).tensors;
    let other = dumped(&other);
    let parity =
        ["parity", "--candidate", other.path().to_str().unwrap(), "--reference", "fixtures/symmetric"];
    xtask(&[&parity[..], &["--baseline", &kept.file]].concat())
        .assert()
        .code(2)
        .stderr(contains("expected figures of"));
    // A broken file, and one of impossible figures.
    std::fs::write(&kept.file, "{").unwrap();
    kept.parity(right.path(), &[]).code(2).stderr(contains("known.json"));
}
