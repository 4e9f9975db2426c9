#![forbid(unsafe_code)]
//! Compares dumped tensors with their references, layer by layer; knows nothing of any model.
//!
//! A tensor is read ([`npy`], [`folder`]), paired by an explicit [`mapping`] ([`pairing`]), brought to its reference's
//! [`layout`], compared ([`metrics`]), judged ([`verdict`] under a [`tolerance`]) and reported ([`report`]). [`run`]
//! joins these steps; each is usable alone.

pub mod atomic;
pub mod baseline;
pub mod comparison;
pub mod exit_code;
pub mod figures;
pub mod folder;
pub mod gap;
pub mod layout;
mod lines;
pub mod manifest;
pub mod mapping;
pub mod metrics;
pub mod nearest;
pub mod npy;
pub mod pairing;
pub mod probe;
pub mod provenance;
pub mod recorded;
pub mod reference;
pub mod report;
pub mod run;
pub mod subject;
pub mod template;
pub mod tensor;
pub mod tolerance;
pub mod tolerances;
pub mod verdict;
pub mod versioned;
pub mod waiver;
