//! Other ways to read a candidate's elements: every order of axes, and each axis in the other direction, held against the
//! values.

use std::collections::BTreeMap;

use super::held::HeldPair;
use crate::compare::comparison::{Compared, Comparison, Layer};
use crate::compare::explanation::{Explanation, ExplanationKind, MappingPlace};
use crate::compare::terms::Terms;
use crate::exit_code;
use crate::mapping::Rule;
use crate::tensor::fit::with_batch_of;
use crate::tensor::layout::Layout;
use crate::tensor::{Tensor, moved};

/// Elements that readings are told apart by, before the best are held against all.
const SAMPLE: usize = 2048;
/// Axes longer than 1 that are put in every order: 120 of them.
const MAX_MOVABLE: usize = 5;
/// Readings that are held against all elements.
const VERIFIED: usize = 4;
/// ‖d‖ / ‖b‖ of a sample above which a reading is not worth that.
const PLAUSIBLE: f64 = 0.2;

/// One way to read a candidate's elements.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Reading {
    /// The reference's axes in the order in which the candidate's memory has them, slowest first.
    order: Vec<usize>,
    /// The axis that runs the other way.
    flipped: Option<usize>,
    /// The axis whose tokens are those of a square map, column by column.
    transposed: Option<usize>,
}

/// What explains failures by another reading, the one that explains most first.
pub(super) fn explain(
    terms: &Terms<'_>,
    held: &mut Vec<HeldPair>,
    comparison: &Comparison,
) -> Vec<Explanation> {
    let mut open: BTreeMap<usize, Vec<Told>> = BTreeMap::new();
    let mut orders = 0;
    for (at, pair) in held.iter().enumerate() {
        let tried = ReadingTrial::of(terms, pair);
        orders = orders.max(tried.orders);
        let mut found = tried.found;
        // What was computed has the axes that it is said to have.
        let is_of_candidate = |told: &Told| !matches!(told, Told::ReferenceLayout { .. });
        found.retain(|told| terms.reference.as_computed().is_none() || is_of_candidate(told));
        open.insert(at, found);
    }
    let mut explanations = Vec::new();
    let mut explained = vec![false; held.len()];
    while let Some(told) = most_frequent(&open) {
        let of: Vec<usize> =
            open.iter().filter(|(_, found)| found.contains(&told)).map(|(at, _)| *at).collect();
        let all_of = |other: &&Told| of.iter().all(|at| open[at].contains(other));
        let ties: Vec<String> =
            open[&of[0]].iter().filter(|other| **other != told).filter(all_of).map(Told::text).collect();
        let rules = of.iter().map(|at| held[*at].pair.rule);
        let explains = of.iter().map(|at| name(comparison, &held[*at])).collect();
        let kind = told.kind(terms, rules, comparison);
        let tried = held.iter().filter(|pair| told.is_for(terms, pair)).count();
        explanations.push(Explanation { kind, explains, tried, ties });
        for at in of {
            explained[at] = true;
            open.remove(&at);
        }
    }
    let misfits: Vec<&HeldPair> = held
        .iter()
        .enumerate()
        .filter(|(at, pair)| !explained[*at] && pair.misfit && pair.candidate.len() == pair.reference.len())
        .map(|(_, pair)| pair)
        .collect();
    if !misfits.is_empty() && orders > 0 {
        let explains = misfits.iter().map(|pair| name(comparison, pair)).collect();
        let (kind, tried) = (ExplanationKind::NoReading { orders }, misfits.len());
        explanations.push(Explanation { kind, explains, tried, ties: Vec::new() });
    }
    let mut at = 0;
    held.retain(|_| {
        at += 1;
        !explained[at - 1]
    });
    explanations
}

/// Where a line about the axes of tensors of these rules belongs, given which tensors are right as they are.
fn place(terms: &Terms<'_>, rules: &[&Rule], comparison: &Comparison) -> MappingPlace {
    let is_right = |layer: &&Layer| {
        let has_order = |compared: &Compared| compared.shape.iter().filter(|extent| **extent > 1).count() > 1;
        layer.exit_code() == exit_code::PASSED && layer.compared().is_some_and(has_order)
    };
    let right: Vec<&str> = comparison.computed().filter(is_right).map(|layer| layer.rule.as_str()).collect();
    let of_side = |rule: &&Rule| !rule.own_layout && right.contains(&rule.name.as_str());
    let named = || rules.iter().map(|rule| rule.name.clone()).collect();
    match rules {
        _ if rules.iter().any(|rule| right.contains(&rule.name.as_str())) => MappingPlace::Nowhere,
        _ if rules.iter().any(|rule| rule.own_layout) => MappingPlace::Rules(named()),
        _ if terms.mapping.rules.iter().any(|rule| of_side(&rule)) => MappingPlace::Rules(named()),
        _ => MappingPlace::Side,
    }
}

fn name(comparison: &Comparison, pair: &HeldPair) -> String {
    comparison.layers[pair.layer].pair_name().to_string()
}

/// A reading that holds, in the mapping's terms.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Layout { order: Vec<String>, exchanged: Option<(String, String)> },
    ReferenceLayout { order: Vec<String> },
    ReversedExtents,
    Memory { order: Vec<String> },
    Flipped { axis: String },
    TransposedTokens { axis: String },
}

impl Told {
    fn text(&self) -> String {
        match self {
            Told::Layout { order, .. } => format!("`{}`", order.join(" ")),
            Told::ReferenceLayout { order } => format!("`{}` in the reference", order.join(" ")),
            Told::ReversedExtents => "reversed extents".to_string(),
            Told::Memory { order } => format!("`{}` in memory", order.join(" ")),
            Told::Flipped { axis } => format!("`{axis}` reversed"),
            Told::TransposedTokens { axis } => format!("`{axis}` by columns"),
        }
    }

    fn kind(
        &self,
        terms: &Terms<'_>,
        rules: impl Iterator<Item = usize>,
        comparison: &Comparison,
    ) -> ExplanationKind {
        let mut rules: Vec<usize> = rules.collect();
        rules.sort_unstable();
        rules.dedup();
        let rules: Vec<&Rule> = rules.into_iter().map(|rule| &terms.mapping.rules[rule]).collect();
        let place = place(terms, &rules, comparison);
        let layout = |order: &[String]| Layout::parse(&order.join(" ")).ok();
        match self {
            Told::Layout { order, exchanged } => match layout(order) {
                Some(layout) => ExplanationKind::Layout { layout, place, exchanged: exchanged.clone() },
                None => ExplanationKind::ReversedExtents,
            },
            Told::ReferenceLayout { order } => match layout(order) {
                Some(layout) => ExplanationKind::ReferenceLayout { layout },
                None => ExplanationKind::ReversedExtents,
            },
            Told::Memory { order } => match layout(order) {
                Some(layout) => ExplanationKind::Memory { layout, place },
                None => ExplanationKind::ReversedExtents,
            },
            Told::ReversedExtents => ExplanationKind::ReversedExtents,
            Told::Flipped { axis } => ExplanationKind::Flipped { axis: axis.clone() },
            Told::TransposedTokens { axis } => ExplanationKind::TransposedTokens { axis: axis.clone() },
        }
    }

    /// Whether it could be of a pair at all: its axes are the pair's.
    fn is_for(&self, terms: &Terms<'_>, pair: &HeldPair) -> bool {
        let axes = terms.mapping.rules[pair.pair.rule].reference_layout.group_names();
        match self {
            Told::Layout { order, .. } | Told::Memory { order } | Told::ReferenceLayout { order } => {
                order.iter().all(|axis| axes.contains(axis))
            }
            Told::Flipped { axis } | Told::TransposedTokens { axis } => axes.contains(axis),
            Told::ReversedExtents => true,
        }
    }
}

/// The reading that most pairs have in common; of several the first.
fn most_frequent(open: &BTreeMap<usize, Vec<Told>>) -> Option<Told> {
    let mut counts: BTreeMap<&Told, usize> = BTreeMap::new();
    open.values().flatten().for_each(|told| *counts.entry(told).or_default() += 1);
    let most = counts.values().copied().max()?;
    counts.into_iter().find(|(_, count)| *count == most).map(|(told, _)| told.clone())
}

/// What was tried on one pair.
struct ReadingTrial {
    /// Orders of axes that were tried.
    orders: usize,
    /// The readings that hold.
    found: Vec<Told>,
}

impl ReadingTrial {
    fn of(terms: &Terms<'_>, pair: &HeldPair) -> ReadingTrial {
        let none = ReadingTrial { orders: 0, found: Vec::new() };
        let rule = &terms.mapping.rules[pair.pair.rule];
        let axes = rule.reference_layout.group_names();
        let extents = with_batch_of(&rule.reference_layout, pair.reference.shape());
        if pair.candidate.len() != pair.reference.len()
            || extents.len() != axes.len()
            || pair.candidate.is_empty()
        {
            return none;
        }
        let declared = declared_order(&rule.candidate_layout, &axes);
        let readings = readings(&extents, declared.as_deref().filter(|_| !pair.misfit));
        let orders = readings.iter().filter(|reading| reading.flipped.is_none()).count();
        let reference = pair.reference.clone().reshaped(&extents);
        let sample = sample(reference.len());
        let mut scored: Vec<(f64, &Reading)> = readings
            .iter()
            .map(|reading| (reading.distance(&extents, &pair.candidate, &reference, &sample), reading))
            .filter(|(distance, _)| *distance < PLAUSIBLE)
            .collect();
        scored.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let holds = |reading: &&Reading| {
            let read = reading.read(&extents, &pair.candidate);
            terms.distance(&pair.pair, &read, &reference) <= 1.0
        };
        let best = scored.into_iter().take(VERIFIED).map(|(_, reading)| reading).filter(holds);
        let told =
            best.map(|reading| reading.told(&axes, &extents, pair.candidate.shape(), declared.as_deref()));
        ReadingTrial { orders, found: told.collect() }
    }
}

/// The reference's axes in the order that the candidate's layout declares; `None` where one extent holds several of them.
fn declared_order(candidate: &Layout, axes: &[String]) -> Option<Vec<usize>> {
    candidate.group_names().iter().map(|name| axes.iter().position(|axis| axis == name)).collect()
}

/// Every order of axes, and for the declared one each axis the other way; `None` where it does not fit the file. The
/// declared order as it is has failed.
fn readings(extents: &[usize], declared: Option<&[usize]>) -> Vec<Reading> {
    let plain = |order: Vec<usize>| Reading { order, flipped: None, transposed: None };
    let movable: Vec<usize> = (0..extents.len()).filter(|axis| extents[*axis] > 1).collect();
    let mut all = Vec::new();
    if movable.len() <= MAX_MOVABLE {
        for permuted in permutations(&movable) {
            let mut order: Vec<usize> = (0..extents.len()).collect();
            for (place, axis) in movable.iter().zip(permuted) {
                order[*place] = axis;
            }
            if Some(order.as_slice()) != declared {
                all.push(plain(order));
            }
        }
    }
    if let Some(declared) = declared {
        let order = || declared.to_vec();
        for axis in &movable {
            all.push(Reading { flipped: Some(*axis), ..plain(order()) });
            let side = extents[*axis].isqrt();
            if extents.len() <= 3 && side > 1 && side * side == extents[*axis] {
                all.push(Reading { transposed: Some(*axis), ..plain(order()) });
            }
        }
    }
    all
}

fn permutations(items: &[usize]) -> Vec<Vec<usize>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let with_first = |at: usize| {
        let mut rest = items.to_vec();
        let first = rest.remove(at);
        permutations(&rest).into_iter().map(move |rest| [vec![first], rest].concat())
    };
    (0..items.len()).flat_map(with_first).collect()
}

/// Elements spread over a tensor.
fn sample(len: usize) -> Vec<usize> {
    let step = (len / SAMPLE).max(1) | 1;
    (0..len).step_by(step).collect()
}

impl Reading {
    /// The element of the candidate's memory that is at an index of the reference.
    fn position(&self, index: &[usize], extents: &[usize]) -> usize {
        self.order.iter().fold(0, |at, axis| {
            let extent = extents[*axis];
            let i = match (self.flipped == Some(*axis), self.transposed == Some(*axis)) {
                (true, _) => extent - 1 - index[*axis],
                (_, true) => {
                    let side = extent.isqrt();
                    index[*axis] % side * side + index[*axis] / side
                }
                _ => index[*axis],
            };
            at * extent + i
        })
    }

    /// ‖d‖ / ‖b‖ over a sample; NaN where that is undefined.
    fn distance(&self, extents: &[usize], candidate: &Tensor, reference: &Tensor, sample: &[usize]) -> f64 {
        let (mut d, mut b) = (0.0, 0.0);
        for flat in sample {
            let index = crate::tensor::unravel(*flat, extents);
            let expected = reference.flat(*flat);
            d += (candidate.flat(self.position(&index, extents)) - expected).powi(2);
            b += expected.powi(2);
        }
        (d / b).sqrt()
    }

    /// The candidate as the reference has it.
    fn read(&self, extents: &[usize], candidate: &Tensor) -> Tensor {
        moved(candidate, extents, |index| self.position(index, extents))
    }

    /// The order of the reference's axes, where the candidate's are as declared and the reference's channels come last: the
    /// usual order on one side is likelier than an unusual one on the other.
    fn of_the_reference(&self, axes: &[String], declared: &[usize]) -> Option<Vec<String>> {
        let names: Vec<&String> = declared.iter().map(|axis| &axes[*axis]).collect();
        let channels_last = |names: &[&String]| -> Vec<String> {
            let mut moved: Vec<String> = names.iter().map(ToString::to_string).collect();
            if moved.len() > 2 {
                let channels = moved.remove(1);
                moved.push(channels);
            }
            moved
        };
        let read: Vec<String> = self.order.iter().map(|axis| axes[*axis].clone()).collect();
        let mut of_reference = vec![String::new(); axes.len()];
        for (place, axis) in self.order.iter().enumerate() {
            of_reference[*axis] = names[place].clone();
        }
        let usual = channels_last(&names);
        (axes.len() > 3 && read != usual && of_reference == usual).then_some(of_reference)
    }

    /// The reading in the mapping's terms.
    fn told(&self, axes: &[String], extents: &[usize], header: &[usize], declared: Option<&[usize]>) -> Told {
        if let Some(axis) = self.flipped {
            return Told::Flipped { axis: axes[axis].clone() };
        }
        if let Some(axis) = self.transposed {
            return Told::TransposedTokens { axis: axes[axis].clone() };
        }
        let without_ones = |shape: &mut dyn Iterator<Item = usize>| -> Vec<usize> {
            shape.filter(|extent| *extent != 1).collect()
        };
        let in_order = |order: &[usize]| without_ones(&mut order.iter().map(|axis| extents[*axis]));
        let header_as_is = without_ones(&mut header.iter().copied());
        let header_reversed = without_ones(&mut header.iter().rev().copied());
        let order: Vec<String> = self.order.iter().map(|axis| axes[*axis].clone()).collect();
        if declared == Some(self.order.as_slice()) && header_reversed == in_order(&self.order) {
            return Told::ReversedExtents;
        }
        match header_as_is == in_order(&self.order) {
            true => {
                if let Some(order) = declared.and_then(|declared| self.of_the_reference(axes, declared)) {
                    return Told::ReferenceLayout { order };
                }
                let fits = |declared: &&[usize]| in_order(declared) == header_as_is;
                let exchanged = declared.filter(fits).and_then(|declared| {
                    let other = |place: &usize| declared[*place] != self.order[*place];
                    let places: Vec<usize> = (0..declared.len()).filter(other).collect();
                    let [a, b] = places.as_slice() else { return None };
                    Some((axes[declared[*a]].clone(), axes[declared[*b]].clone()))
                });
                Told::Layout { order, exchanged }
            }
            false => Told::Memory { order },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_once() {
        assert_eq!(permutations(&[0, 1, 2]).len(), 6);
        let orders: Vec<Vec<usize>> = readings(&[1, 2, 3, 4], None).into_iter().map(|r| r.order).collect();
        assert_eq!(orders.len(), 6);
        assert!(orders.iter().all(|order| order[0] == 0), "an axis of one element stays");
    }

    #[test]
    fn channels_last_of_the_reference_are_told_of_the_reference() {
        let axes = ["b", "c", "h", "w"].map(String::from);
        let told = |order: [usize; 4], header: [usize; 4], extents: [usize; 4]| {
            let reading = Reading { order: order.to_vec(), flipped: None, transposed: None };
            reading.told(&axes, &extents, &header, Some(&[0, 1, 2, 3]))
        };
        let usual = ["b", "h", "w", "c"].map(String::from).to_vec();
        // The candidate is 1 x 8 x 4 x 6; what is declared `b c h w` of the reference is 1 x 4 x 6 x 8.
        let reference = told([0, 3, 1, 2], [1, 8, 4, 6], [1, 4, 6, 8]);
        assert_eq!(reference, Told::ReferenceLayout { order: usual.clone() });
        let candidate = told([0, 2, 3, 1], [1, 4, 6, 8], [1, 8, 4, 6]);
        assert_eq!(candidate, Told::Layout { order: usual, exchanged: None });
    }

    #[test]
    fn positions_are_those_of_the_memory() {
        let reading = |order: &[usize]| Reading { order: order.to_vec(), flipped: None, transposed: None };
        // c h w of 2 x 3 x 4 in memory as h w c.
        assert_eq!(reading(&[1, 2, 0]).position(&[1, 2, 3], &[2, 3, 4]), (2 * 4 + 3) * 2 + 1);
        let flipped = Reading { flipped: Some(0), ..reading(&[0, 1]) };
        assert_eq!(flipped.position(&[0, 1], &[2, 3]), 3 + 1);
        let transposed = Reading { transposed: Some(0), ..reading(&[0, 1]) };
        assert_eq!(transposed.position(&[1, 0], &[4, 2]), 2 * 2);
    }
}
