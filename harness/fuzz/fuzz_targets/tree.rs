//! The tree of modules that lies beside a dump of transformers.
#![no_main]

const TENSOR: &[u8] = b"\x40\0\0\0\0\0\0\0{\"data\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}       \0\0\0\0\0\0\0\0";

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    harness_fuzz::read(&[
        ("Net_debug_tree_FULL_TENSORS.json", bytes),
        ("Net.stem_outputs.safetensors", TENSOR),
        ("Net.blocks.0_outputs_0.safetensors", TENSOR),
    ]);
});
