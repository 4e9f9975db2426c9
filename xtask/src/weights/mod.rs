//! Checkpoints themselves: what one is, and how far two are apart.

pub(crate) mod inspection;
