//! Weights in any container: GGUF, safetensors, an index.
#![no_main]

use encoder::{Architecture, Checkpoint, Settings};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(folder) = tempfile::tempdir() else { return };
    let path = folder.path().join("weights");
    if std::fs::write(&path, bytes).is_err() {
        return;
    }
    let Ok(checkpoint) = Checkpoint::open(&path) else { return };
    for name in checkpoint.names() {
        let shape = checkpoint.shape(name).unwrap_or_default();
        // What does not fit is told; what is told is no panic.
        let _ = checkpoint.load(name, shape);
        let _ = checkpoint.values_and_rounding(name);
    }
    let _ = Architecture::read(&checkpoint, &Settings::default());
    let _ = Architecture::missing_tensors(&checkpoint);
});
