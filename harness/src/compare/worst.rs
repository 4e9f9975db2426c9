//! Elements with large errors.

/// An element with a large error.
#[derive(Clone, Debug, PartialEq)]
pub struct Worst {
    /// Its index in the reference.
    pub index: Vec<usize>,
    /// Its index in the candidate.
    pub candidate_index: Vec<usize>,
    /// The candidate's value.
    pub candidate: f64,
    /// The reference's value.
    pub reference: f64,
}
