//! A mapping for dumps whose names nobody has written down.
//!
//! Tensors are paired by their values: figures that do not depend on the layout say which ones can be partners
//! (`signature`), a sample held against them in every order of the axes that fits says how near they are (`closeness`). What
//! is near, and nearer than anything else, is a pair (`matching`, `confidence`). The numbers in the names of the pairs show
//! how the sides count (`relation`), which makes templates of names (`generalise`) and rules of pairs (`draft`). What has no
//! partner is ignored with a reason (`leftover`). The mapping is then used on the names that it came from, and rules that do
//! not give the pairs back are written name by name (`proof`).

mod arrangement;
mod catalogue;
mod closeness;
mod confidence;
mod document;
mod draft;
mod generalise;
mod leftover;
mod matching;
mod names;
mod numbered;
mod proof;
mod relation;
mod rule_order;
mod signature;
mod suggestion;

pub use closeness::Closeness;
pub use confidence::Confidence;
pub use draft::SuggestedPair;
pub use leftover::{Leftover, LeftoverReason};
pub use matching::PairedBy;
pub use suggestion::{Base, SuggestError, Suggestion, suggest};
