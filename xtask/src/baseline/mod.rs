//! How derived tolerances and known errors are measured and accepted.

pub(crate) mod measure;
pub(crate) mod review;
