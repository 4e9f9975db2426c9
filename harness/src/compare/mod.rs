//! Comparing two sides: figures of every pair, verdicts, and what became of every tensor.

mod block;
pub mod budget;
pub mod cause;
pub mod comparison;
mod element;
pub mod element_rule;
pub mod error_shape;
mod evidence;
pub mod explanation;
pub mod gap;
pub(crate) mod input;
mod lanes;
pub mod metrics;
pub mod obstacle;
mod operand;
mod pair_comparison;
mod printed;
pub mod remark;
mod scaled;
pub mod session;
mod small;
mod sums;
pub mod terms;
mod ulp;
pub mod value_change;
pub mod verdict;
