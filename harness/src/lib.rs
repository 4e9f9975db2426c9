#![forbid(unsafe_code)]
//! Compares dumped tensors with their references, layer by layer; knows no model.
//!
//! Data goes one way. Tensors lie in a [`store`], are paired by an explicit [`mapping`], brought to their reference's
//! [`layout`](tensor::layout), measured and judged against [`limits`] ([`compare`]), and reported ([`report`]). A
//! [`reference`] is a store with what made it, and [`provenance`] says whether two sides belong together. Findings are data
//! all the way; only [`report`] puts them into words.

pub mod bounds;
pub mod compare;
pub mod diagnosis;
pub mod exit_code;
pub mod files;
pub mod limits;
pub mod making;
pub mod mapping;
pub mod provenance;
pub mod reference;
pub mod report;
pub mod side;
pub mod store;
pub mod suggest;
pub mod tensor;
pub mod text;
