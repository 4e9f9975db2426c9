//! What the checkout keeps: reference sets, and the derived tolerances and known errors of each.

pub(crate) mod conditions;
pub(crate) mod figures;
pub(crate) mod set;
