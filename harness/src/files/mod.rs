//! Files as such: read only where they are regular, written as a whole, never written over what was read.

pub mod atomic;
pub mod overwrite;
pub mod regular;
pub mod unfinished;
