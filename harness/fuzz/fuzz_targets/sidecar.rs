//! What stands beside raw elements: `.json`, or `.shape` where the first byte is odd.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((kind, text)) = bytes.split_first() else { return };
    let sidecar = if kind % 2 == 0 { "a.json" } else { "a.shape" };
    harness_fuzz::read(&[("a.f32", &[0; 24]), (sidecar, text)]);
});
