//! `.npy` files.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| harness_fuzz::read(&[("debug_a.npy", bytes), ("notes.txt", b"")]));
