//! Layers whose values are the reference's after one simple change, and where the error of the others is.

use super::aligned::AlignedPair;
use super::background::Background;
use super::beginnings::beginnings;
use super::energies::Energies;
use super::held::HeldPair;
use super::{border, error_place, permutation, rounding, scale, shift, stale};
use crate::compare::comparison::Comparison;
use crate::compare::error_shape::ErrorShape;
use crate::compare::explanation::{Explanation, ExplanationKind};
use crate::compare::terms::Terms;
use crate::compare::value_change::ValueChange;
use crate::provenance::Dump;

/// Layers that changes are tried on.
const MAX_LAYERS: usize = 8;
/// Elements of a layer that changes are tried on: 128 MiB in f64.
const MAX_ELEMENTS: usize = 1 << 24;
/// A change of more numbers is told first only where one of fewer leaves so many times more.
const CLEARLY: f64 = 4.0;
/// Changes that leave errors within this factor explain a layer alike.
const ALIKE: f64 = 1.5;

/// What was found of the values of failing layers.
#[derive(Default)]
pub(super) struct FoundInValues {
    pub(super) explanations: Vec<Explanation>,
    pub(super) shapes: Vec<ErrorShape>,
}

/// Looks at the layers in which an error begins and that nothing explains as a whole yet.
pub(super) fn explain(
    terms: &Terms<'_>,
    dump: &Dump,
    background: &Background<'_>,
    held: &[HeldPair],
    comparison: &Comparison,
    explained: &[Explanation],
) -> FoundInValues {
    let beginnings = beginnings(comparison);
    let name = |pair: &HeldPair| comparison.layers[pair.layer].pair_name().to_string();
    let is_open = |pair: &&HeldPair| {
        let final_ones = explained.iter().filter(|found| found.kind.is_final());
        beginnings.contains(&pair.layer)
            && !pair.misfit
            && !final_ones.into_iter().any(|found| found.explains.contains(&name(pair)))
    };
    let mut found = FoundInValues::default();
    for pair in held.iter().filter(is_open).take(MAX_LAYERS) {
        let Some(aligned) = AlignedPair::of(terms, pair) else { continue };
        let name = name(pair);
        found.shapes.extend(
            Energies::of(&aligned).map(|energies| energies.shape(&name, error_place::smallest(&energies))),
        );
        let before = aligned.before;
        let stale = stale::explain(background, dump, comparison, pair.layer).map(|change| (change, 0.0));
        let changes = stale.map(|stale| vec![stale]).unwrap_or_else(|| tried(&aligned, background));
        if let Some((change, after, ties)) = best(changes) {
            let kind = ExplanationKind::Values { change, before, after, isolated: false };
            add(&mut found.explanations, Explanation { kind, explains: vec![name], tried: 1, ties });
        }
    }
    found
}

/// Every change that explains a pair, with what it leaves; those of the fewest numbers first.
fn tried(pair: &AlignedPair<'_>, background: &Background<'_>) -> Vec<(ValueChange, f64)> {
    if pair.candidate.len() > MAX_ELEMENTS {
        return Vec::new();
    }
    let (mut whole, mut by_index) = (Vec::new(), Vec::new());
    match scale::explain(pair, background) {
        Some(found @ (ValueChange::Scaled { .. }, _)) => whole.push(found),
        found => by_index.extend(found),
    }
    whole
        .into_iter()
        .chain(shift::explain(pair))
        .chain(permutation::explain(pair))
        .chain(rounding::explain(pair))
        .chain(border::explain(pair))
        .chain(by_index)
        .collect()
}

/// The change that explains best, what it leaves, and those that explain as well.
fn best(changes: Vec<(ValueChange, f64)>) -> Option<(ValueChange, f64, Vec<String>)> {
    let least = changes.iter().map(|(_, after)| *after).min_by(f64::total_cmp)?;
    let at = changes.iter().position(|(_, after)| *after <= CLEARLY * least)?;
    let (change, after) = changes[at].clone();
    let others =
        changes.iter().enumerate().filter(|(other, (_, left))| *other != at && *left <= ALIKE * after);
    let ties = others.map(|(_, (change, _))| in_short(change)).collect();
    Some((change, after, ties))
}

/// Adds an explanation to those of the same change.
fn add(explanations: &mut Vec<Explanation>, new: Explanation) {
    let same = |found: &&mut Explanation| match (&found.kind, &new.kind) {
        (ExplanationKind::Values { change: a, .. }, ExplanationKind::Values { change: b, .. }) => {
            a == b && found.ties == new.ties
        }
        _ => false,
    };
    match explanations.iter_mut().find(same) {
        Some(known) => {
            known.explains.extend(new.explains);
            known.tried += 1;
            if let (
                ExplanationKind::Values { before, after, .. },
                ExplanationKind::Values { before: of_new, after: left, .. },
            ) = (&mut known.kind, new.kind)
            {
                (*before, *after) = (before.max(of_new), after.max(left));
            }
        }
        None => explanations.push(new),
    }
}

/// A change in a word or two.
fn in_short(change: &ValueChange) -> String {
    match change {
        ValueChange::Shifted { by, .. } => {
            let by: Vec<String> = by.iter().map(|(axis, by)| format!("{by} along {axis}")).collect();
            format!("a move by {}", by.join(" and "))
        }
        ValueChange::Border { .. } => "another border".to_string(),
        ValueChange::Permuted { axis, .. } => format!("`{axis}` in another order"),
        ValueChange::Scaled { .. } => "a factor".to_string(),
        ValueChange::ScaledByIndex { axis, .. } => format!("a factor for each index of {axis}"),
        ValueChange::RoundedTo { dtype } => format!("rounding to {dtype}"),
        ValueChange::RoundedToSteps { .. } => "rounding to 256 steps".to_string(),
        ValueChange::Stale { .. } => "an earlier dump".to_string(),
    }
}
