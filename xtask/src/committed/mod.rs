//! What the checkout keeps: reference sets, the derived tolerances and known errors of each, and the list of what must be
//! compared.

pub(crate) mod conditions;
pub(crate) mod coverage;
pub(crate) mod figures;
pub(crate) mod port_baseline;
pub(crate) mod set;
