//! What commands share beside their work: where files are, what is printed, other programs, what a run cost.

pub(crate) mod bisect;
pub(crate) mod ci;
pub(crate) mod console;
pub(crate) mod cost;
pub(crate) mod dates;
pub(crate) mod failure;
pub(crate) mod memory;
pub(crate) mod paths;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod progress;
pub(crate) mod python;
pub(crate) mod signals;
