//! Comparing two sides: figures of every pair, verdicts, and what became of every tensor.

mod block;
pub mod cause;
pub mod comparison;
mod element;
pub mod element_rule;
pub mod gap;
mod lanes;
pub mod metrics;
pub mod obstacle;
mod operand;
pub mod remark;
pub mod session;
mod small;
mod sums;
mod ulp;
pub mod verdict;
