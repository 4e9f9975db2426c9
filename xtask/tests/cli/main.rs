//! The command line as its users meet it: exit codes and what is printed.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod baseline;
mod bench;
mod bisect;
mod brought;
mod cases;
mod chain;
mod checkout;
mod coverage;
mod encode;
mod fixtures;
#[path = "../../../harness/tests/folders/mod.rs"]
mod folders;
#[path = "../../../encoder/tests/gguf_file/mod.rs"]
mod gguf_file;
mod hostile;
mod house;
mod inner;
mod local;
mod mapping;
mod overwrite;
mod parity;
mod port_baseline;
mod profiles;
mod provenance;
mod report;
mod repro;
mod resources;
mod review;
mod selftest;
mod snapshot;
mod spoiled;
mod suggest;
mod support;
mod tolerances;
mod values;
mod weights;
mod worked_examples;
