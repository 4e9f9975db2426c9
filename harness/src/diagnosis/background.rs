//! What is known beside the two sides of a comparison.

use crate::provenance::Dump;

/// A weight of one axis.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightVector {
    /// Its name.
    pub name: String,
    /// Its values.
    pub values: Vec<f64>,
}

/// Gives the weights of one axis that have so many elements.
pub type WeightsOfExtent<'a> = dyn Fn(usize) -> Vec<WeightVector> + Sync + 'a;

/// What is known beside the two sides of a comparison.
#[derive(Clone, Copy, Default)]
pub struct Background<'a> {
    /// A dump of the same port that was made earlier.
    pub earlier: Option<&'a Dump>,
    /// Weights of either side.
    pub weights: Option<&'a WeightsOfExtent<'a>>,
}

impl Background<'_> {
    /// The weights of one axis that have so many elements; none where none are known.
    pub(super) fn weights(&self, extent: usize) -> Vec<WeightVector> {
        let of_extent = self.weights.map(|weights| weights(extent)).unwrap_or_default();
        of_extent.into_iter().filter(|weight| weight.values.len() == extent).collect()
    }
}
