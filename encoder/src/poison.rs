//! Memory that a kernel is about to write is filled with NaN, so that an element left unwritten shows in the tests and in
//! the self-test of the gate.

/// Whether memory is filled with NaN before it is written.
pub(crate) const FILL_WITH_NAN: bool = cfg!(any(debug_assertions, feature = "faults"));
