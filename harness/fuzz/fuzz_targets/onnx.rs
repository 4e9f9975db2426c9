//! ONNX tensors.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| harness_fuzz::read(&[("a.pb", bytes)]));
