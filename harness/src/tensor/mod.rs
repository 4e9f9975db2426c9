//! A tensor in memory: a shape, elements in row-major order, and the type that they were stored in.

mod axes;
mod dtype;
pub mod fit;
pub mod layout;
pub mod movement;

pub use axes::NamedAxis;
pub use dtype::Dtype;
use ndarray::{ArcArray, ArrayD, IxDyn, ShapeBuilder};

/// Elements in row-major order, shared: a clone copies nothing.
pub type Elements<T> = ArcArray<T, IxDyn>;

/// Elements of a tensor; f16 and bf16 are widened exactly to f32.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// f16, bf16 and f32.
    F32(Elements<f32>),
    /// f64.
    F64(Elements<f64>),
}

impl Values {
    /// Extents, slowest first.
    pub fn shape(&self) -> &[usize] {
        match self {
            Values::F32(values) => values.shape(),
            Values::F64(values) => values.shape(),
        }
    }

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
}

/// A dense tensor in row-major order. A clone shares its elements.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    dtype: Dtype,
    values: Values,
}

impl Tensor {
    /// A tensor of f32; `None` when the shape does not hold the number of elements.
    pub fn from_f32(shape: Vec<usize>, values: Vec<f32>) -> Option<Tensor> {
        Some(Tensor { dtype: Dtype::F32, values: Values::F32(row_major(shape, values)?) })
    }

    /// A tensor of f64; `None` when the shape does not hold the number of elements.
    pub fn from_f64(shape: Vec<usize>, values: Vec<f64>) -> Option<Tensor> {
        Some(Tensor { dtype: Dtype::F64, values: Values::F64(row_major(shape, values)?) })
    }

    /// A tensor of values that were stored as `dtype`, brought to row-major order.
    pub fn new(dtype: Dtype, values: Values) -> Tensor {
        let values = match values {
            Values::F32(values) => Values::F32(standard(values)),
            Values::F64(values) => Values::F64(standard(values)),
        };
        Tensor { dtype, values }
    }

    /// Extents, slowest first.
    pub fn shape(&self) -> &[usize] {
        self.values.shape()
    }

    /// The type that the elements were stored in.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The elements.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements in row-major order, exactly.
    pub fn iter(&self) -> Box<dyn Iterator<Item = f64> + '_> {
        match &self.values {
            Values::F32(values) => Box::new(values.iter().map(|x| f64::from(*x))),
            Values::F64(values) => Box::new(values.iter().copied()),
        }
    }

    /// Element `flat` in row-major order, exactly.
    ///
    /// # Panics
    /// When there is no such element.
    pub fn get(&self, flat: usize) -> f64 {
        let index = IxDyn(&unravel(flat, self.shape()));
        match &self.values {
            Values::F32(values) => f64::from(values[index]),
            Values::F64(values) => values[index],
        }
    }

    /// The same elements under another shape, where it holds their number; else the tensor as it is.
    #[must_use]
    pub(crate) fn reshaped(self, shape: &[usize]) -> Tensor {
        if self.shape() == shape || element_count(shape) != Some(self.len()) {
            return self;
        }
        let dtype = self.dtype;
        let values = match self.values {
            Values::F32(values) => values.into_shape_with_order(IxDyn(shape)).map(Values::F32),
            Values::F64(values) => values.into_shape_with_order(IxDyn(shape)).map(Values::F64),
        };
        match values {
            Ok(values) => Tensor { dtype, values },
            Err(_) => unreachable!("row-major elements take any shape of their number"),
        }
    }

    /// Element `flat` in row-major order, exactly and without looking for its index; NaN where there is none.
    pub(crate) fn flat(&self, flat: usize) -> f64 {
        // Tensors are in row-major order: their elements are one slice.
        let found = match &self.values {
            Values::F32(values) => values.as_slice().and_then(|all| all.get(flat)).map(|x| f64::from(*x)),
            Values::F64(values) => values.as_slice().and_then(|all| all.get(flat)).copied(),
        };
        found.unwrap_or(f64::NAN)
    }

    /// The elements rounded to f32.
    pub fn to_f32(&self) -> Elements<f32> {
        match &self.values {
            Values::F32(values) => values.clone(),
            Values::F64(values) => values.mapv(|x| x as f32).into_shared(),
        }
    }
}

/// A tensor of `shape` whose element at each index is the one that `position` names in another tensor's row-major order.
pub(crate) fn moved(tensor: &Tensor, shape: &[usize], position: impl Fn(&[usize]) -> usize) -> Tensor {
    let len = element_count(shape).unwrap_or(0);
    let at = |flat: usize| position(&unravel(flat, shape));
    let values = match &tensor.values {
        Values::F32(_) => {
            row_major(shape.to_vec(), (0..len).map(|flat| tensor.flat(at(flat)) as f32).collect())
                .map(Values::F32)
        }
        Values::F64(_) => {
            row_major(shape.to_vec(), (0..len).map(|flat| tensor.flat(at(flat))).collect()).map(Values::F64)
        }
    };
    match values {
        Some(values) => Tensor { dtype: tensor.dtype, values },
        None => tensor.clone(),
    }
}

/// Elements of that shape; `None` when it does not hold their number.
pub(crate) fn row_major<T: Clone>(shape: Vec<usize>, values: Vec<T>) -> Option<Elements<T>> {
    ArrayD::from_shape_vec(IxDyn(&shape), values).ok().map(ArrayD::into_shared)
}

/// Elements that are stored first axis fastest; `None` when the shape does not hold their number.
pub(crate) fn column_major<T: Clone>(shape: Vec<usize>, values: Vec<T>) -> Option<Elements<T>> {
    let array = ArrayD::from_shape_vec(IxDyn(&shape).f(), values).ok()?;
    Some(standard(array.into_shared()))
}

/// The same elements in row-major order, copied only where they are not.
pub(crate) fn standard<T: Clone>(values: Elements<T>) -> Elements<T> {
    match values.is_standard_layout() {
        true => values,
        false => values.as_standard_layout().into_owned().into_shared(),
    }
}

/// Elements of a shape, `None` when they are too many to count.
pub fn element_count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |count, extent| count.checked_mul(*extent))
}

/// The index in each axis of element `flat` in row-major order.
pub fn unravel(mut flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (i, extent) in index.iter_mut().zip(shape).rev() {
        let extent = (*extent).max(1);
        (*i, flat) = (flat % extent, flat / extent);
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_holds_its_elements_and_no_other_number() {
        assert!(Tensor::from_f32(vec![2, 3], vec![0.0; 6]).is_some());
        assert!(Tensor::from_f32(vec![2, 3], vec![0.0; 5]).is_none());
        assert!(Tensor::from_f32(vec![], vec![0.0]).is_some());
        assert!(Tensor::from_f32(vec![usize::MAX, 2], vec![0.0; 2]).is_none());
    }

    #[test]
    fn elements_are_in_row_major_order_however_they_are_stored() {
        let columns = column_major(vec![2, 3], vec![0.0f32, 3.0, 1.0, 4.0, 2.0, 5.0]).unwrap();
        let tensor = Tensor::new(Dtype::F32, Values::F32(columns));
        assert_eq!(tensor.iter().collect::<Vec<_>>(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!((tensor.get(4), unravel(4, &[2, 3])), (4.0, vec![1, 1]));
    }

    #[test]
    fn a_clone_shares_its_elements() {
        let tensor = Tensor::from_f64(vec![1], vec![0.1]).unwrap();
        let (Values::F64(a), Values::F64(b)) = (tensor.values(), tensor.clone().values().clone()) else {
            panic!("expected f64")
        };
        assert_eq!(a.as_ptr(), b.as_ptr());
    }
}
