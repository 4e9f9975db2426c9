//! The names of the reference's tensors.

/// The names of the reference's tensors.
#[derive(Clone, Debug, Default)]
pub struct ReferenceNames {
    /// Those that are there.
    pub present: Vec<String>,
    /// Those that a manifest lists and that are not there.
    pub gone: Vec<String>,
    /// Others that the model has, of which no tensor is asked for.
    pub counted: Vec<String>,
    /// Whether `present` is in the order of execution.
    pub in_order: bool,
}
