//! The one tensor type of the crate's interface.

/// A dense tensor in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseTensor<T> {
    /// Extents, slowest first.
    pub shape: Vec<usize>,
    /// Elements in row-major order.
    pub data: Vec<T>,
}

impl From<&DenseTensor<f32>> for DenseTensor<f64> {
    /// Widens every element, exactly.
    fn from(tensor: &DenseTensor<f32>) -> Self {
        DenseTensor { shape: tensor.shape.clone(), data: tensor.data.iter().map(|x| f64::from(*x)).collect() }
    }
}
