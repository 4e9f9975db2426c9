//! An error that only the outermost pixels have.

use super::aligned::AlignedPair;
use super::energies::Energies;
use crate::compare::value_change::{MapEdge, ValueChange};

/// Pixels that an edge is wide at the most.
const WIDEST: usize = 3;
/// Times the mean d² of the pixels within that pixels of an edge must have.
const FAR_MORE: f64 = 9.0;

/// The edges without which a pair is within its limits, as narrow and as few as will do, and what is left without them.
pub(super) fn explain(pair: &AlignedPair<'_>) -> Option<(ValueChange, f64)> {
    let spatial = pair.spatial();
    // Tokens have no border.
    if spatial.is_empty() || pair.axes[spatial[0]].is_tokens() {
        return None;
    }
    let widest = |at: usize| WIDEST.min(pair.axes[at].extent / 4);
    let mut edges: Vec<(usize, bool, usize)> =
        spatial.iter().flat_map(|at| [(*at, false, widest(*at)), (*at, true, widest(*at))]).collect();
    let mut after = inside(pair, &edges)?;
    for at in 0..edges.len() {
        while edges[at].2 > 0 {
            let mut narrower = edges.clone();
            narrower[at].2 -= 1;
            let Some(left) = inside(pair, &narrower) else { break };
            (edges, after) = (narrower, left);
        }
    }
    edges.retain(|(_, _, indices)| *indices > 0);
    if !are_spread(pair, &edges)? {
        return None;
    }
    let edges = edges.into_iter();
    let named = |(at, last, indices): (usize, bool, usize)| MapEdge {
        axis: pair.axes[at].name.clone(),
        last,
        indices,
    };
    Some((ValueChange::Border { edges: edges.map(named).collect() }, after))
}

/// Whether most pixels along each edge are off by far more than those within: a few wrong elements are no border. `None`
/// where there is no map.
fn are_spread(pair: &AlignedPair<'_>, edges: &[(usize, bool, usize)]) -> Option<bool> {
    let energies = Energies::of(pair)?;
    let map = energies.map?;
    let axes = [(map.row_axis, map.rows), (map.column_axis, map.columns)];
    let width = |at: usize, end: bool| {
        edges.iter().find(|(axis, last, _)| (*axis, *last) == (at, end)).map_or(0, |(_, _, indices)| *indices)
    };
    let [rows, columns] = axes.map(|(at, extent)| width(at, false)..extent - width(at, true));
    let pixel = |row: usize, column: usize| map.pixels[row * map.columns + column].0;
    let inside = rows.clone().flat_map(|row| columns.clone().map(move |column| (row, column)));
    let inside_sum: f64 = inside.map(|(row, column)| pixel(row, column)).sum();
    let mean = inside_sum / (rows.len() * columns.len()) as f64;
    let is_spread = |(at, last, indices): &(usize, bool, usize)| {
        let of_rows = *at == map.row_axis;
        let (extent, along) = if of_rows { (map.rows, columns.clone()) } else { (map.columns, rows.clone()) };
        let across = if *last { extent - indices..extent } else { 0..*indices };
        let off = along.clone().filter(|place| {
            let sum: f64 = across
                .clone()
                .map(|depth| if of_rows { pixel(depth, *place) } else { pixel(*place, depth) })
                .sum();
            sum > FAR_MORE * mean * *indices as f64
        });
        2 * off.count() > along.len()
    };
    Some(edges.iter().all(is_spread))
}

/// What is left without the edges, where that is within the limits.
fn inside(pair: &AlignedPair<'_>, edges: &[(usize, bool, usize)]) -> Option<f64> {
    let mut ranges = pair.whole();
    for (at, last, indices) in edges {
        match last {
            false => ranges[*at].start += indices,
            true => ranges[*at].end -= indices,
        }
    }
    let (a, b) = pair.cropped(&ranges)?;
    if 4 * a.len() < pair.candidate.len() {
        return None;
    }
    pair.left_of_part(&a, &b)
}
