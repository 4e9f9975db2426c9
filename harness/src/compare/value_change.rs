//! How the values of a layer differ from the reference's, where one simple change of the reference makes them.

use std::path::PathBuf;

use crate::tensor::Dtype;

/// A change of the reference's values that makes the candidate's.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueChange {
    /// Moved along axes: by how many indices along each, towards higher ones where positive.
    Shifted {
        /// The axes, with how far.
        by: Vec<(String, isize)>,
        /// What stands where nothing was moved to.
        filled: Filling,
        /// The outermost pixels that differ besides.
        ring: usize,
    },
    /// Only the outermost indices differ.
    Border {
        /// The edges that do.
        edges: Vec<MapEdge>,
    },
    /// The indices of an axis stand in another order.
    Permuted {
        /// The axis.
        axis: String,
        /// How many indices it has.
        extent: usize,
        /// The order.
        order: IndexOrder,
    },
    /// A factor and something added, of all elements.
    Scaled {
        /// The factor.
        factor: Option<f64>,
        /// What is added after it.
        shift: Option<f64>,
    },
    /// A factor, or something added, for each index of an axis.
    ScaledByIndex {
        /// The axis.
        axis: String,
        /// How many indices it has.
        extent: usize,
        /// The indices whose own are not the same as without the change, where they are few.
        only: Vec<usize>,
        /// The least and the greatest factor.
        factors: Option<(f64, f64)>,
        /// The least and the greatest number that is added.
        shifts: Option<(f64, f64)>,
        /// The weight that it equals.
        weight: Option<EqualWeight>,
    },
    /// Rounded to the numbers of a type.
    RoundedTo {
        /// The type.
        dtype: Dtype,
    },
    /// Rounded to 256 steps, as many as integers of one byte have.
    RoundedToSteps {
        /// The axis whose every index has steps of its own.
        axis: Option<String>,
    },
    /// The values of an earlier dump, in which layers before it differ.
    Stale {
        /// The earlier dump.
        earlier: PathBuf,
        /// Layers before it that differ.
        before: usize,
    },
}

/// What stands where nothing was moved to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filling {
    /// Zeros.
    Zeros,
    /// What stood there before, or the nearest that is there.
    Repeated,
    /// What was moved out at the other end.
    Wrapped,
    /// Anything else.
    Other,
}

/// An end of an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapEdge {
    /// The axis.
    pub axis: String,
    /// Whether it is its last indices, and not its first.
    pub last: bool,
    /// How many indices.
    pub indices: usize,
}

/// An order of the indices of an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexOrder {
    /// The last first.
    Reversed,
    /// Each index so many further, those at the end first.
    Rotated(usize),
    /// The reference's axis is two in one, of these extents; the candidate's has them the other way round.
    Interleaved(usize, usize),
    /// The same in every group of so many indices.
    InGroups(usize, Box<IndexOrder>),
    /// Two indices are exchanged.
    Exchanged(usize, usize),
    /// So many indices are in other places.
    Moved(usize),
}

/// A weight that equals factors, or what is added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EqualWeight {
    /// The weight's name.
    pub name: String,
    /// How it equals them.
    pub relation: WeightRelation,
    /// How many more weights do.
    pub others: usize,
}

/// How a weight w equals factors, or what is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightRelation {
    /// w.
    Itself,
    /// 1 / w.
    Inverse,
    /// 1 + w.
    OnePlus,
    /// 1 / (1 + w).
    InverseOnePlus,
    /// (1 + w) / w.
    OnePlusForItself,
    /// w / (1 + w).
    ItselfForOnePlus,
    /// -w.
    Negative,
}

impl WeightRelation {
    /// How factors may equal a weight.
    pub const OF_FACTORS: [WeightRelation; 6] = [
        WeightRelation::Itself,
        WeightRelation::Inverse,
        WeightRelation::OnePlus,
        WeightRelation::InverseOnePlus,
        WeightRelation::OnePlusForItself,
        WeightRelation::ItselfForOnePlus,
    ];
    /// How what is added may equal a weight.
    pub const OF_SHIFTS: [WeightRelation; 2] = [WeightRelation::Itself, WeightRelation::Negative];

    /// What a weight makes.
    pub fn of(self, w: f64) -> f64 {
        match self {
            WeightRelation::Itself => w,
            WeightRelation::Inverse => 1.0 / w,
            WeightRelation::OnePlus => 1.0 + w,
            WeightRelation::InverseOnePlus => 1.0 / (1.0 + w),
            WeightRelation::OnePlusForItself => (1.0 + w) / w,
            WeightRelation::ItselfForOnePlus => w / (1.0 + w),
            WeightRelation::Negative => -w,
        }
    }
}

impl IndexOrder {
    /// The reference's index at each of the candidate's; `None` where so many indices cannot be ordered so, or the order is
    /// not known from its name.
    pub fn indices(&self, extent: usize) -> Option<Vec<usize>> {
        match self {
            IndexOrder::Reversed => Some((0..extent).rev().collect()),
            IndexOrder::Rotated(by) => {
                (*by < extent).then(|| (0..extent).map(|i| (i + extent - by) % extent).collect())
            }
            IndexOrder::Interleaved(outer, inner) => (outer * inner == extent)
                .then(|| (0..extent).map(|i| i % outer * inner + i / outer).collect()),
            IndexOrder::InGroups(size, order) => {
                let within = order.indices(*size).filter(|_| *size > 0 && extent.is_multiple_of(*size))?;
                Some((0..extent).map(|i| i / size * size + within[i % size]).collect())
            }
            IndexOrder::Exchanged(a, b) => (*a < extent && *b < extent).then(|| {
                let mut indices: Vec<usize> = (0..extent).collect();
                indices.swap(*a, *b);
                indices
            }),
            IndexOrder::Moved(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_by_hand() {
        let of = |order: IndexOrder, extent| order.indices(extent);
        assert_eq!(of(IndexOrder::Rotated(1), 3), Some(vec![2, 0, 1]));
        // [h, d] = [2, 3] flattened as [d, h]: h0d0 h1d0 h0d1 h1d1 h0d2 h1d2.
        assert_eq!(of(IndexOrder::Interleaved(2, 3), 6), Some(vec![0, 3, 1, 4, 2, 5]));
        let halves = IndexOrder::InGroups(4, Box::new(IndexOrder::Rotated(2)));
        assert_eq!(of(halves, 8), Some(vec![2, 3, 0, 1, 6, 7, 4, 5]));
        assert_eq!(of(IndexOrder::Exchanged(0, 2), 3), Some(vec![2, 1, 0]));
        assert_eq!(of(IndexOrder::Interleaved(2, 3), 7), None);
        assert_eq!(of(IndexOrder::Rotated(9), 3), None);
    }
}
