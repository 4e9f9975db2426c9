//! Indices of an axis, such as channels, in another order: those that have a name first, then any, matched by values.

use super::aligned::{AlignedPair, Flat, LEFT};
use crate::compare::value_change::{IndexOrder, ValueChange};
use crate::tensor::NamedAxis;

/// Indices of an axis that are put in another order.
const MAX_EXTENT: usize = 8192;
/// Indices that orders are told apart by.
const INDICES: usize = 96;
/// Elements of an index that orders are told apart by.
const POSITIONS: usize = 32;
/// Products that are spent on matching indices by their values.
const PRODUCTS: usize = 1 << 28;
/// Elements that an index must have to be matched by its values: fewer are alike by chance.
const MIN_POSITIONS: usize = 4;
/// (‖a - b‖ / ‖b‖)² of an index above which it stands in another place.
const MOVED: f64 = 0.01;

/// The orders that explain a pair, with what they leave; at most one of an axis.
pub(super) fn explain(pair: &AlignedPair<'_>) -> Vec<(ValueChange, f64)> {
    let spatial = pair.spatial();
    let is_ordered = |at: &usize| {
        let axis = &pair.axes[*at];
        let is_map = spatial.contains(at) && !axis.is_tokens();
        !is_map && (2..=MAX_EXTENT).contains(&axis.extent)
    };
    let axes = (0..pair.axes.len()).filter(is_ordered);
    axes.filter_map(|at| AxisOrder::of(pair, &pair.axes[at])?.explained()).collect()
}

/// One axis with the places in which its indices are held against each other.
struct AxisOrder<'a> {
    pair: &'a AlignedPair<'a>,
    axis: &'a NamedAxis,
    a: Flat<'a>,
    b: Flat<'a>,
    /// The element of index 0 at each sampled position.
    positions: Vec<usize>,
    /// Elements of an index.
    per_index: usize,
}

impl<'a> AxisOrder<'a> {
    fn of(pair: &'a AlignedPair<'a>, axis: &'a NamedAxis) -> Option<AxisOrder<'a>> {
        let (a, b) = pair.flat()?;
        let per_index = a.len() / axis.extent;
        let step = (per_index / POSITIONS).max(1);
        let at =
            |position: usize| position / axis.stride * axis.stride * axis.extent + position % axis.stride;
        let positions = (0..per_index).step_by(step).take(POSITIONS).map(at).collect();
        Some(AxisOrder { pair, axis, a, b, positions, per_index })
    }

    /// ‖a - b‖² between an index of the candidate and one of the reference, at the sampled positions.
    fn distance(&self, index: usize, from: usize) -> f64 {
        let stride = self.axis.stride;
        let difference =
            |at: &usize| (self.a.at(at + index * stride) - self.b.at(at + from * stride)).powi(2);
        self.positions.iter().map(difference).sum()
    }

    fn size(&self, index: usize) -> f64 {
        self.positions.iter().map(|at| self.b.at(at + index * self.axis.stride).powi(2)).sum()
    }

    fn explained(&self) -> Option<(ValueChange, f64)> {
        let sample = self.sample();
        let found: f64 = sample.iter().map(|index| self.distance(*index, *index)).sum();
        let is_plausible = |order: &Vec<usize>| {
            let left: f64 = sample.iter().map(|index| self.distance(*index, order[*index])).sum();
            left <= LEFT * LEFT * found && sample.iter().any(|index| order[*index] != *index)
        };
        let named = named_orders(self.axis.extent).into_iter().find_map(|name| {
            let order = name.indices(self.axis.extent).filter(is_plausible)?;
            Some((name, self.left(&order)?))
        });
        let (order, after) = named.or_else(|| self.matched())?;
        let (axis, extent) = (self.axis.name.clone(), self.axis.extent);
        Some((ValueChange::Permuted { axis, extent, order }, after))
    }

    /// The indices that orders are told apart by: spread over the axis, with those at its ends.
    fn sample(&self) -> Vec<usize> {
        let step = self.axis.extent.div_ceil(INDICES) | 1;
        let mut sample: Vec<usize> = (0..self.axis.extent).step_by(step).collect();
        sample.push(self.axis.extent - 1);
        sample.dedup();
        sample
    }

    /// What an order leaves, where it explains the pair.
    fn left(&self, order: &[usize]) -> Option<f64> {
        let NamedAxis { stride, .. } = *self.axis;
        let from = |flat: usize| {
            let index = self.axis.index(flat);
            self.b.at(flat - index * stride + order[index] * stride)
        };
        self.pair.left((0..self.a.len()).map(from).collect())
    }

    /// The order in which each index of the candidate that moved stands where the reference has its values.
    fn matched(&self) -> Option<(IndexOrder, f64)> {
        if self.per_index < MIN_POSITIONS {
            return None;
        }
        let extent = self.axis.extent;
        let moved: Vec<usize> =
            (0..extent).filter(|index| self.distance(*index, *index) > MOVED * self.size(*index)).collect();
        let products = moved.len().saturating_mul(moved.len()).saturating_mul(self.positions.len());
        if moved.len() < 2 || products > PRODUCTS {
            return None;
        }
        let mut order: Vec<usize> = (0..extent).collect();
        let mut taken = vec![false; moved.len()];
        for index in &moved {
            let free = (0..moved.len()).filter(|at| !taken[*at]);
            let at = free.min_by(|x, y| {
                self.distance(*index, moved[*x]).total_cmp(&self.distance(*index, moved[*y]))
            })?;
            // One that has no like in the reference is in no other place.
            if self.distance(*index, moved[at]) > LEFT * LEFT * self.distance(*index, *index) {
                return None;
            }
            taken[at] = true;
            order[*index] = moved[at];
        }
        let after = self.left(&order)?;
        let name = match moved.as_slice() {
            [a, b] => IndexOrder::Exchanged(*a, *b),
            moved => IndexOrder::Moved(moved.len()),
        };
        Some((name, after))
    }
}

/// Every order that has a name, the plainest first; each once.
fn named_orders(extent: usize) -> Vec<IndexOrder> {
    let divisors: Vec<usize> = (2..extent).filter(|size| extent.is_multiple_of(*size)).collect();
    let interleaved = |extent: usize| {
        let outer = (2..extent).filter(move |outer| extent.is_multiple_of(*outer));
        outer.map(move |outer| IndexOrder::Interleaved(outer, extent / outer))
    };
    let mut orders = vec![IndexOrder::Reversed];
    if extent.is_multiple_of(2) {
        orders.push(IndexOrder::Rotated(extent / 2));
    }
    orders.extend(interleaved(extent));
    for size in &divisors {
        let in_groups = |order| IndexOrder::InGroups(*size, Box::new(order));
        orders.push(in_groups(IndexOrder::Reversed));
        if size.is_multiple_of(2) && *size > 2 {
            orders.push(in_groups(IndexOrder::Rotated(size / 2)));
        }
        // As rotary embeddings have it: halves, or pairs.
        let pairs = [2, size / 2].into_iter().filter(|outer| *outer > 1 && size.is_multiple_of(2));
        orders.extend(pairs.map(|outer| in_groups(IndexOrder::Interleaved(outer, size / outer))));
    }
    orders.extend((1..extent).map(IndexOrder::Rotated));
    orders
}
