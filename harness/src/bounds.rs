//! How much a reader takes of what somebody else wrote. Each bound is far above what real files have; what is beyond one is
//! refused, with the bound and what was found.

/// Bytes of a text that people or this program write: a mapping, a manifest, a record, a baseline.
pub const TEXT_BYTES: u64 = 1 << 26;
/// Rules of a mapping.
pub const RULES: usize = 20_000;
/// Ignores of a mapping.
pub const IGNORES: usize = 2_000;
/// Names that one rule or one ignore lists.
pub const NAMES: usize = 10_000;
/// Mistakes that are told of one file.
pub const MISTAKES: usize = 50;
/// Names that are told where one is not known.
pub const KNOWN_NAMES: usize = 30;
/// Bytes of an `.npy` header, padding included.
pub const NPY_HEADER: u64 = 1 << 16;
/// Bytes of an `.npy` header without its padding.
pub const NPY_DECLARATION: usize = 1 << 13;
/// Levels of brackets in an `.npy` header; its parser takes time exponential in their number.
pub const NPY_NESTING: usize = 3;
/// Axes of a tensor.
pub const RANK: usize = 32;
/// Characters of a text out of a file that a message quotes.
pub const QUOTED: usize = 120;
