//! The smallest part of a layer that holds nearly all of its error, where that is far more than an even spread would put
//! there.

use super::energies::Energies;
use crate::compare::error_shape::{ErrorPlace, LayerPart};
use crate::tensor::{NamedAxis, unravel};

/// The share of the error that a part must hold.
const NEARLY_ALL: f64 = 0.9;
/// How many times the odds of an even spread, over elements or over the reference's own squares, it must hold it by.
const TIMES_EVEN: f64 = 9.0;
/// The share of the error that rounding alone may leave in everything else.
const REST: f64 = 1e-6;
/// Pixels that an edge is wide at the most.
const WIDEST: usize = 3;
/// Elements without which no part is told from chance.
const MIN_ELEMENTS: usize = 64;
/// Elements of an index from which the sums of indices vary little by chance.
const STEADY: usize = 8;
/// An index belongs to those before it, by their sums, where it has this part of the last one's.
const NO_GAP: f64 = 0.25;

/// Shares of a part: of Σ d², of Σ b², and of the elements.
#[derive(Clone, Copy, Debug, Default)]
struct PartShares {
    error: f64,
    size: f64,
    elements: f64,
}

impl PartShares {
    fn holds(self) -> bool {
        let odds = |share: f64| share / (1.0 - share).max(1e-15);
        let even = odds(self.elements).max(odds(self.size));
        self.error >= NEARLY_ALL && odds(self.error) >= TIMES_EVEN * even
    }
}

/// The smallest part that holds nearly all of the error.
pub(super) fn smallest(energies: &Energies) -> Option<ErrorPlace> {
    if energies.elements < MIN_ELEMENTS || energies.error <= 0.0 {
        return None;
    }
    let mut parts: Vec<(LayerPart, PartShares)> = single_elements(energies).into_iter().collect();
    parts.extend(edges(energies));
    for at in 0..energies.axes.len() {
        parts.extend(indices(energies, at));
        parts.extend(every_second(energies, at));
    }
    parts.extend(every_second_of_map(energies));
    let mut best: Option<(LayerPart, PartShares)> = None;
    for (part, shares) in parts.into_iter().filter(|(_, shares)| shares.holds()) {
        if best.as_ref().is_none_or(|(_, best)| shares.elements < best.elements * (1.0 - 1e-9)) {
            best = Some((part, shares));
        }
    }
    best.map(|(part, PartShares { error, elements, .. })| ErrorPlace { part, share: error, elements })
}

fn single_elements(energies: &Energies) -> Option<(LayerPart, PartShares)> {
    let mut error = 0.0;
    let enough = energies.largest.iter().position(|(_, square)| {
        error += square;
        error >= NEARLY_ALL * energies.error
    })?;
    let count = enough + 1;
    // So few of the largest have little of even a very uneven error by chance.
    if count * 128 > energies.elements {
        return None;
    }
    let shape: Vec<usize> = energies.axes.iter().map(|axis| axis.extent).collect();
    let first = unravel(energies.largest[0].0, &shape);
    let size: f64 = energies.largest[..count].iter().map(|(at, _)| energies.square_of_reference(*at)).sum();
    let shares = PartShares {
        error: error / energies.error,
        size: size / energies.size,
        elements: count as f64 / energies.elements as f64,
    };
    Some((LayerPart::Elements { count, first }, shares))
}

/// Shares of some indices of an axis.
fn shares(energies: &Energies, at: usize, indices: &[usize]) -> PartShares {
    let by_index = &energies.by_index[at];
    let sum = |of: fn(&(f64, f64)) -> f64| indices.iter().map(|index| of(&by_index[*index])).sum::<f64>();
    PartShares {
        error: sum(|(error, _)| *error) / energies.error,
        size: sum(|(_, size)| *size) / energies.size,
        elements: indices.len() as f64 / by_index.len() as f64,
    }
}

/// The few indices of an axis with the largest sums.
fn indices(energies: &Energies, at: usize) -> Option<(LayerPart, PartShares)> {
    let NamedAxis { name, extent, .. } = &energies.axes[at];
    let by_index = &energies.by_index[at];
    let mut sorted: Vec<usize> = (0..*extent).collect();
    sorted.sort_by(|x, y| by_index[*y].0.total_cmp(&by_index[*x].0));
    let mut error = 0.0;
    let enough = sorted.iter().position(|index| {
        error += by_index[*index].0;
        error >= NEARLY_ALL * energies.error
    })?;
    let mut count = enough + 1;
    while count < *extent && by_index[sorted[count]].0 >= NO_GAP * by_index[sorted[count - 1]].0 {
        count += 1;
    }
    let mut found = sorted[..count].to_vec();
    found.sort_unstable();
    let steady = energies.elements / extent >= STEADY;
    let follow_each_other = found.windows(2).all(|pair| pair[1] == pair[0] + 1);
    // Where the rest is as right as can be, more than half of them is a place too.
    let is_all = error >= (1.0 - REST) * energies.error;
    let most = match (steady, follow_each_other) {
        (true, true) if is_all => extent - 1,
        (true, true) => extent / 2,
        (true, false) => (extent / 4).max(1),
        (false, _) => extent / 16,
    };
    if count > most {
        return None;
    }
    let shares = shares(energies, at, &found);
    Some((LayerPart::Indices { axis: name.clone(), extent: *extent, indices: found }, shares))
}

/// Every second index of an axis.
fn every_second(energies: &Energies, at: usize) -> Vec<(LayerPart, PartShares)> {
    let NamedAxis { name, extent, .. } = &energies.axes[at];
    if *extent < 4 {
        return Vec::new();
    }
    let of = |phase: usize| {
        let indices: Vec<usize> = (phase..*extent).step_by(2).collect();
        (LayerPart::EverySecond(vec![(name.clone(), phase)]), shares(energies, at, &indices))
    };
    [0, 1].map(of).into()
}

/// Every second row and column.
fn every_second_of_map(energies: &Energies) -> Vec<(LayerPart, PartShares)> {
    let Some(map) = energies.map.as_ref().filter(|map| map.rows >= 4 && map.columns >= 4) else {
        return Vec::new();
    };
    let of = |(y, x): (usize, usize)| {
        let part = LayerPart::EverySecond(vec![
            (energies.axes[map.row_axis].name.clone(), y),
            (energies.axes[map.column_axis].name.clone(), x),
        ]);
        (part, map.shares(energies, |row, column| row % 2 == y && column % 2 == x))
    };
    [(0, 0), (0, 1), (1, 0), (1, 1)].map(of).into()
}

/// The edges that have far more of the error than what is within them, for each width.
fn edges(energies: &Energies) -> Vec<(LayerPart, PartShares)> {
    let Some(map) = &energies.map else { return Vec::new() };
    let (rows, columns) = (map.rows, map.columns);
    let widths = (1..=WIDEST).filter(|pixels| 2 * pixels < rows.min(columns));
    let of_width = |pixels: usize| {
        let inner = |at: usize, extent: usize| (pixels..extent - pixels).contains(&at);
        let mean = |part: &dyn Fn(usize, usize) -> bool| {
            let PartShares { error, elements, .. } = map.shares(energies, part);
            if elements > 0.0 { error / elements } else { 0.0 }
        };
        let inside = mean(&|row, column| inner(row, rows) && inner(column, columns));
        // Without the corners, which two edges have.
        let of_edges = [
            mean(&|row, column| row < pixels && inner(column, columns)),
            mean(&|row, column| row >= rows - pixels && inner(column, columns)),
            mean(&|row, column| column < pixels && inner(row, rows)),
            mean(&|row, column| column >= columns - pixels && inner(row, rows)),
        ];
        let edges = of_edges.map(|mean| mean > TIMES_EVEN * inside && mean > 0.0);
        let is_of = |row: usize, column: usize| {
            (edges[0] && row < pixels)
                || (edges[1] && row >= rows - pixels)
                || (edges[2] && column < pixels)
                || (edges[3] && column >= columns - pixels)
        };
        (LayerPart::Edges { pixels, edges }, map.shares(energies, is_of))
    };
    widths.map(of_width).collect()
}

impl super::energies::MapEnergies {
    /// Shares of the pixels of a map for which something holds.
    fn shares(&self, energies: &Energies, holds: impl Fn(usize, usize) -> bool) -> PartShares {
        let mut sums = PartShares::default();
        for (at, (error, size)) in self.pixels.iter().enumerate() {
            if holds(at / self.columns, at % self.columns) {
                sums.error += error;
                sums.size += size;
                sums.elements += 1.0;
            }
        }
        PartShares {
            error: sums.error / energies.error,
            size: sums.size / energies.size,
            elements: sums.elements / self.pixels.len() as f64,
        }
    }
}
