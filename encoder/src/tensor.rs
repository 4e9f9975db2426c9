//! The one tensor type of the crate's interface.

/// A dense tensor in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor<T> {
    /// Extents, slowest first.
    pub shape: Vec<usize>,
    /// Elements in row-major order.
    pub data: Vec<T>,
}

impl From<&Tensor<f32>> for Tensor<f64> {
    /// Widens every element, exactly.
    fn from(tensor: &Tensor<f32>) -> Self {
        Tensor { shape: tensor.shape.clone(), data: tensor.data.iter().map(|x| f64::from(*x)).collect() }
    }
}
