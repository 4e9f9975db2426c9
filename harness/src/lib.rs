#![forbid(unsafe_code)]
//! Compares dumped tensors with their references, layer by layer.
