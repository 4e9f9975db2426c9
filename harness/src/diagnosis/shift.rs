//! A map that is moved by a pixel or two.

use super::aligned::{AlignedPair, LEFT};
use crate::compare::value_change::{Filling, ValueChange};

/// Indices that a map is moved by at the most.
const MOST: isize = 2;
/// The widest ring of pixels that a convolution after the move makes others of.
const RINGS: usize = 2;
/// Elements that moves are told apart by.
const SAMPLE: usize = 4096;
/// ‖d‖² / ‖b‖² up to which what was filled in is taken for what it looks like.
const ALIKE: f64 = 1e-4;

/// The moves that explain a pair, with what they leave; the shortest first.
pub(super) fn explain(pair: &AlignedPair<'_>) -> Vec<(ValueChange, f64)> {
    let spatial = pair.spatial();
    let mut moves: Vec<Vec<(usize, isize)>> = vec![Vec::new()];
    for axis in spatial {
        let most = MOST.min(pair.axes[axis].extent as isize / 4);
        let steps = -most..=most;
        moves = moves
            .iter()
            .flat_map(|others| {
                steps.clone().map(|by| {
                    let step = (by != 0).then_some((axis, by));
                    others.iter().copied().chain(step).collect()
                })
            })
            .collect();
    }
    moves.retain(|by| !by.is_empty());
    moves.sort_by_key(|by| by.iter().map(|(_, by)| by.unsigned_abs()).sum::<usize>());
    moves.into_iter().filter(|by| is_plausible(pair, by)).filter_map(|by| tried(pair, &by)).collect()
}

/// Whether a sample of the elements has less than the whole error after a move.
fn is_plausible(pair: &AlignedPair<'_>, by: &[(usize, isize)]) -> bool {
    let Some((a, b)) = pair.flat() else { return false };
    let step = (a.len() / SAMPLE).max(1) | 1;
    let (mut found, mut size, mut seen) = (0.0, 0.0, 0usize);
    for flat in (0..a.len()).step_by(step) {
        let Some(from) = source(pair, flat, by, RINGS) else { continue };
        found += (a.at(flat) - b.at(from)).powi(2);
        size += b.at(from).powi(2);
        seen += 1;
    }
    seen > 0 && found <= (LEFT * pair.before).powi(2) * size * 4.0
}

/// The element of the reference that a move brings to a place; `None` at the border, a ring of pixels with it.
fn source(pair: &AlignedPair<'_>, flat: usize, by: &[(usize, isize)], ring: usize) -> Option<usize> {
    let mut from = flat;
    for at in pair.spatial() {
        let axis = &pair.axes[at];
        let step = by.iter().find(|(moved, _)| *moved == at).map_or(0, |(_, by)| *by);
        let index = axis.index(flat);
        let index_from = index.checked_add_signed(-step)?;
        let inner = ring..axis.extent.saturating_sub(ring);
        if !(inner.contains(&index) && inner.contains(&index_from)) {
            return None;
        }
        from = from + index_from * axis.stride - index * axis.stride;
    }
    Some(from)
}

/// A move held against all elements, with as narrow a ring as will do.
fn tried(pair: &AlignedPair<'_>, by: &[(usize, isize)]) -> Option<(ValueChange, f64)> {
    let (_, b) = pair.flat()?;
    for ring in 0..=RINGS {
        let mut ranges = pair.whole();
        for at in pair.spatial() {
            let step = by.iter().find(|(moved, _)| *moved == at).map_or(0, |(_, by)| *by);
            let extent = pair.axes[at].extent as isize;
            let ring = ring as isize;
            let (from, to) = ((ring + step.max(0)).max(0), extent - ring + step.min(0));
            if to <= from {
                return None;
            }
            ranges[at] = from as usize..to as usize;
        }
        let (cropped, _) = pair.cropped(&ranges)?;
        if 2 * cropped.len() < pair.candidate.len() {
            return None;
        }
        let sources = pair.within(&ranges).into_iter().map(|flat| source(pair, flat, by, 0));
        let moved: Option<Vec<f64>> = sources.map(|from| Some(b.at(from?))).collect();
        let moved = super::aligned::like(&pair.reference, cropped.shape(), moved?)?;
        if let Some(after) = pair.left_of_part(&cropped, &moved) {
            let named = by.iter().map(|(axis, by)| (pair.axes[*axis].name.clone(), *by)).collect();
            let filled = if ring == 0 { filled(pair, by) } else { Filling::Other };
            return Some((ValueChange::Shifted { by: named, filled, ring }, after));
        }
    }
    None
}

/// What stands where nothing was moved to.
fn filled(pair: &AlignedPair<'_>, by: &[(usize, isize)]) -> Filling {
    let Some((a, b)) = pair.flat() else { return Filling::Other };
    let (mut zeros, mut repeated, mut kept, mut wrapped) = (0.0, 0.0, 0.0, 0.0);
    let mut size = 0.0;
    for flat in 0..a.len() {
        if source(pair, flat, by, 0).is_some() {
            continue;
        }
        let (mut nearest, mut around) = (flat, flat);
        for (at, step) in by {
            let axis = &pair.axes[*at];
            let index = axis.index(flat);
            let from = index as isize - step;
            let base = |flat: usize| flat - index * axis.stride;
            nearest = base(nearest) + from.clamp(0, axis.extent as isize - 1) as usize * axis.stride;
            around = base(around) + from.rem_euclid(axis.extent as isize) as usize * axis.stride;
        }
        let x = a.at(flat);
        size += b.at(flat).powi(2);
        zeros += x * x;
        repeated += (x - b.at(nearest)).powi(2);
        kept += (x - b.at(flat)).powi(2);
        wrapped += (x - b.at(around)).powi(2);
    }
    let found = [
        (Filling::Zeros, zeros),
        (Filling::Repeated, repeated),
        (Filling::Repeated, kept),
        (Filling::Wrapped, wrapped),
    ];
    let alike = found.into_iter().find(|(_, left)| *left <= ALIKE * size);
    alike.map_or(Filling::Other, |(filling, _)| filling)
}
