//! Text: names that were nearly right, JSON that people read line by line, and what may reach a terminal.

pub mod document;
pub mod facts;
pub(crate) mod lines;
pub mod nearest;
pub mod shown;
