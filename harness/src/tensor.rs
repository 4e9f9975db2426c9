//! A tensor in memory: a shape and its elements in row-major order.

/// The type that a tensor was stored in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dtype {
    /// bfloat16: 8 bits of precision.
    Bf16,
    /// IEEE half: 11 bits.
    F16,
    /// IEEE single: 24 bits.
    F32,
    /// IEEE double: 53 bits.
    F64,
}

impl Dtype {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Dtype::Bf16 | Dtype::F16 => 2,
            Dtype::F32 => 4,
            Dtype::F64 => 8,
        }
    }

    /// The type with fewer bits of precision.
    pub fn narrower(self, other: Dtype) -> Dtype {
        self.min(other)
    }
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Dtype::Bf16 => "bf16",
            Dtype::F16 => "f16",
            Dtype::F32 => "f32",
            Dtype::F64 => "f64",
        })
    }
}

/// Elements; f16 and bf16 are widened exactly to f32.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// f16, bf16 and f32.
    F32(Vec<f32>),
    /// f64.
    F64(Vec<f64>),
}

impl Values {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Values::F32(values) => values.len(),
            Values::F64(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element `i`, exactly.
    #[inline]
    pub fn get(&self, i: usize) -> f64 {
        match self {
            Values::F32(values) => f64::from(values[i]),
            Values::F64(values) => values[i],
        }
    }

    /// The elements at `indices`, in that order.
    pub(crate) fn gather(&self, indices: impl Iterator<Item = usize>) -> Values {
        match self {
            Values::F32(values) => Values::F32(indices.map(|i| values[i]).collect()),
            Values::F64(values) => Values::F64(indices.map(|i| values[i]).collect()),
        }
    }
}

/// A dense tensor in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    dtype: Dtype,
    values: Values,
}

impl Tensor {
    /// A tensor of f32; `None` when the shape does not hold the number of elements.
    pub fn from_f32(shape: Vec<usize>, values: Vec<f32>) -> Option<Tensor> {
        Tensor::new(shape, Dtype::F32, Values::F32(values))
    }

    /// `None` when the shape does not hold the number of elements.
    pub fn new(shape: Vec<usize>, dtype: Dtype, values: Values) -> Option<Tensor> {
        (element_count(&shape) == Some(values.len())).then_some(Tensor { shape, dtype, values })
    }

    /// Whether shape and values are equal; NaN equals nothing, -0 equals +0.
    pub fn same_values(&self, other: &Tensor) -> bool {
        self.shape == other.shape && self.values == other.values
    }

    /// Extents, slowest first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The type that the elements were stored in.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The elements in row-major order.
    pub fn values(&self) -> &Values {
        &self.values
    }
}

/// Elements of a shape, `None` when they are too many to count.
pub fn element_count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |count, extent| count.checked_mul(*extent))
}

/// The index in each axis of element `flat` in row-major order.
pub fn unravel(mut flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|extent| {
            let extent = (*extent).max(1);
            let i = flat % extent;
            flat /= extent;
            i
        })
        .collect();
    index.reverse();
    index
}
