//! One file for each subcommand.

pub(crate) mod baseline;
pub(crate) mod bench;
pub(crate) mod ci;
mod compare_weights;
pub(crate) mod completions;
pub(crate) mod encode;
pub(crate) mod fixtures;
pub(crate) mod fuzz;
pub(crate) mod inspect;
pub(crate) mod lint;
pub(crate) mod mapping;
pub(crate) mod parity;
mod port_baseline;
pub(crate) mod report;
pub(crate) mod repro;
mod requested_reports;
mod review_decisions;
pub(crate) mod selftest;
mod selftest_ports;
pub(crate) mod set;
pub(crate) mod test;
