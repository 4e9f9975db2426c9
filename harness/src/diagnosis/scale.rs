//! A factor and something added: of all elements, or for each index of an axis.

use super::aligned::{AlignedPair, Flat, LEFT};
use super::background::Background;
use crate::compare::value_change::{EqualWeight, ValueChange, WeightRelation};
use crate::tensor::NamedAxis;

/// Elements that an index of an axis must have for each number that is fitted to it.
const MIN_ELEMENTS: usize = 8;
/// Indices that are named.
const NAMED: usize = 4;
/// How far a weight may be from what it equals, of what that varies by.
const EQUAL: f64 = 0.02;
/// How far an index's factor is from the usual one, of the farthest, for it to be one of those that differ.
const DIFFERS: f64 = 0.1;

/// Sums over some elements, of which lines are fitted.
#[derive(Clone, Copy, Default)]
struct LineSums {
    n: f64,
    a: f64,
    b: f64,
    ab: f64,
    bb: f64,
}

/// What is fitted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LineKind {
    Factor,
    Shift,
    Both,
}

impl LineSums {
    fn add(&mut self, a: f64, b: f64) {
        self.n += 1.0;
        self.a += a;
        self.b += b;
        self.ab += a * b;
        self.bb += b * b;
    }

    /// Factor and shift by least squares.
    fn line(&self, fitted: LineKind) -> (f64, f64) {
        let LineSums { n, a, b, ab, bb } = *self;
        let defined = |factor: f64| if factor.is_finite() { factor } else { 1.0 };
        match fitted {
            LineKind::Factor => (defined(ab / bb), 0.0),
            LineKind::Shift => (1.0, (a - b) / n),
            LineKind::Both => {
                let factor = defined((n * ab - a * b) / (n * bb - b * b));
                (factor, (a - factor * b) / n)
            }
        }
    }
}

/// The lines that explain a pair, with what they leave; those of fewer numbers first, and none of more where one of fewer
/// does.
pub(super) fn explain(pair: &AlignedPair<'_>, background: &Background<'_>) -> Option<(ValueChange, f64)> {
    let (a, b) = pair.flat()?;
    let fits = [LineKind::Factor, LineKind::Shift, LineKind::Both];
    let whole = |_: usize| 0;
    for fitted in fits {
        let lines = lines(a, b, 1, whole, fitted);
        if a.len() >= 2 * MIN_ELEMENTS
            && let Some(after) = left(pair, &lines, whole)
        {
            let (factor, shift) = lines[0];
            let change = ValueChange::Scaled {
                factor: (fitted != LineKind::Shift).then_some(factor),
                shift: (fitted != LineKind::Factor).then_some(shift),
            };
            return Some((change, after));
        }
    }
    for fitted in fits {
        let numbers = if fitted == LineKind::Both { 2 } else { 1 };
        let axes = pair.axes.iter().filter(|axis| axis.extent > 1);
        for axis in axes.filter(|axis| a.len() / axis.extent >= numbers * MIN_ELEMENTS) {
            let index = |flat: usize| axis.index(flat);
            let lines = lines(a, b, axis.extent, index, fitted);
            if let Some(after) = left(pair, &lines, index) {
                return Some((by_index(axis, &lines, fitted, background), after));
            }
        }
    }
    None
}

/// The line of each index.
fn lines(
    a: Flat<'_>,
    b: Flat<'_>,
    extent: usize,
    index: impl Fn(usize) -> usize,
    fitted: LineKind,
) -> Vec<(f64, f64)> {
    let mut sums = vec![LineSums::default(); extent];
    (0..a.len()).for_each(|flat| sums[index(flat)].add(a.at(flat), b.at(flat)));
    sums.iter().map(|sums| sums.line(fitted)).collect()
}

/// What lines leave, where they explain the pair.
fn left(pair: &AlignedPair<'_>, lines: &[(f64, f64)], index: impl Fn(usize) -> usize) -> Option<f64> {
    let (a, b) = pair.flat()?;
    let changed = |flat: usize| {
        let (factor, shift) = lines[index(flat)];
        factor * b.at(flat) + shift
    };
    let (mut found, mut size) = (0.0, 0.0);
    for flat in 0..a.len() {
        let x = changed(flat);
        found += (a.at(flat) - x).powi(2);
        size += x * x;
    }
    if found > (LEFT * pair.before).powi(2) * size {
        return None;
    }
    pair.left((0..a.len()).map(changed).collect())
}

fn by_index(
    axis: &NamedAxis,
    lines: &[(f64, f64)],
    fitted: LineKind,
    background: &Background<'_>,
) -> ValueChange {
    let factors: Vec<f64> = lines.iter().map(|(factor, _)| *factor).collect();
    let shifts: Vec<f64> = lines.iter().map(|(_, shift)| *shift).collect();
    let farthest = |of: &[f64], usual: f64| of.iter().fold(0.0, |most: f64, x| most.max((x - usual).abs()));
    let (most_factor, most_shift) = (farthest(&factors, 1.0), farthest(&shifts, 0.0));
    let differs = |(factor, shift): &(f64, f64)| {
        (factor - 1.0).abs() > DIFFERS * most_factor || shift.abs() > DIFFERS * most_shift
    };
    let only: Vec<usize> = (0..lines.len()).filter(|at| differs(&lines[*at])).collect();
    let weight = match fitted {
        LineKind::Factor => equal_weight(background, &factors, &WeightRelation::OF_FACTORS),
        LineKind::Shift => equal_weight(background, &shifts, &WeightRelation::OF_SHIFTS),
        LineKind::Both => None,
    };
    ValueChange::ScaledByIndex {
        axis: axis.name.clone(),
        extent: axis.extent,
        only: if only.len() <= NAMED { only } else { Vec::new() },
        factors: (fitted != LineKind::Shift).then(|| bounds(&factors)),
        shifts: (fitted != LineKind::Factor).then(|| bounds(&shifts)),
        weight,
    }
}

fn bounds(of: &[f64]) -> (f64, f64) {
    (of.iter().copied().fold(f64::INFINITY, f64::min), of.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}

/// The weight that numbers equal, the nearest of several.
fn equal_weight(
    background: &Background<'_>,
    numbers: &[f64],
    relations: &[WeightRelation],
) -> Option<EqualWeight> {
    let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
    let varies = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
    let distance = |relation: WeightRelation, weight: &[f64]| {
        weight.iter().zip(numbers).map(|(w, x)| (relation.of(*w) - x).powi(2)).sum::<f64>()
    };
    let weights = background.weights(numbers.len());
    let mut equal: Vec<(f64, &str, WeightRelation)> = Vec::new();
    for weight in &weights {
        let nearest = relations.iter().map(|relation| (distance(*relation, &weight.values), *relation));
        let nearest = nearest.min_by(|(a, _), (b, _)| a.total_cmp(b));
        equal.extend(
            nearest
                .filter(|(left, _)| *left <= EQUAL * EQUAL * varies)
                .map(|(left, relation)| (left, weight.name.as_str(), relation)),
        );
    }
    equal.sort_by(|(a, ..), (b, ..)| a.total_cmp(b));
    let others = equal.len().saturating_sub(1);
    equal.first().map(|(_, name, relation)| EqualWeight {
        name: name.to_string(),
        relation: *relation,
        others,
    })
}
