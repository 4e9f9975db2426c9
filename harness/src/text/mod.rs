//! Text: names that were nearly right, and JSON that people read line by line.

pub mod document;
pub mod facts;
pub(crate) mod lines;
pub mod nearest;
