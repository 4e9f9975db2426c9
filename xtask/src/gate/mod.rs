//! One comparison from its arguments to its verdict: what both sides are, what they are judged by, what to do next.

mod background;
pub(crate) mod compare;
pub(crate) mod files_read;
pub(crate) mod limits;
pub(crate) mod local;
pub(crate) mod next_steps;
pub(crate) mod origins;
mod trials;
