//! Which elements count as outliers.

/// Which elements are outliers: those that break |d| <= atol + rtol |b|.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ElementRule {
    /// The absolute part.
    pub atol: f64,
    /// The part relative to |b|.
    pub rtol: f64,
}
