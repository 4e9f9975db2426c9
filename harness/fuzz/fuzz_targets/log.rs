//! Text logs of llama.cpp.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| harness_fuzz::read(&[("a.log", bytes)]));
