//! Checkpoints themselves: what one is, and how far two are apart.

pub(crate) mod fault;
pub(crate) mod inspection;
pub(crate) mod parity;
mod sides;
pub(crate) mod text;
