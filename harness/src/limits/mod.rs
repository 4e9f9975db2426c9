//! How far a layer may be from its reference: limits, what they are multiples of, and what a program is known to reach.
//!
//! A [`tolerance`] resolves to limits: a rule's own, those [`derived`] for a layer of a set, multiples of a noise floor, or
//! a profile's. Under them [`known_errors`] are a ratchet: a program that was better may not become worse. Both are kept in
//! files of figures about one [`subject`].

pub mod derived;
pub mod file;
pub mod known_errors;
pub mod metric;
pub mod subject;
pub mod tolerance;
pub mod waiver;
