//! An error that only the outermost pixels have.

use super::aligned::AlignedPair;
use crate::compare::value_change::{MapEdge, ValueChange};

/// Pixels that an edge is wide at the most.
const WIDEST: usize = 3;

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
    let edges = edges.into_iter().filter(|(_, _, indices)| *indices > 0);
    let named = |(at, last, indices): (usize, bool, usize)| MapEdge {
        axis: pair.axes[at].name.clone(),
        last,
        indices,
    };
    Some((ValueChange::Border { edges: edges.map(named).collect() }, after))
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
