//! Derived tolerances and known errors of the committed sets: where they are kept, how they are measured and accepted.

pub(crate) mod conditions;
pub(crate) mod files;
pub(crate) mod measure;
pub(crate) mod review;
