//! Tensors of which a log prints a few values: held against the reference as far as they are known.
//!
//! A printed value stands for all numbers that are printed so. Of these the one nearest to the reference is judged, and an
//! element that is not printed is taken as the reference's: figures are the least that they can be, and what breaks a limit
//! does so whatever was not seen. Passing says nothing of the elements that were not.

use super::comparison::{Compared, Seen};
use super::metrics::Metrics;
use super::pair_comparison::Failed;
use super::terms::Terms;
use super::verdict::{Criterion, CriterionKind, Diagnosis};
use crate::limits::tolerance::{Basis, Limits};
use crate::mapping::pairing::Pair;
use crate::side::Side;
use crate::store::{PrintedNumber, PrintedTensor};
use crate::tensor::layout::ShapeMismatch;
use crate::tensor::{Dtype, Tensor, element_count};

impl PrintedNumber {
    /// Of the numbers that are printed so, the one nearest to another.
    fn nearest(self, to: f64) -> f64 {
        let (least, most) = (self.value - self.half_unit, self.value + self.half_unit);
        match to {
            to if to < least => least,
            to if to > most => most,
            to if (least..=most).contains(&to) => to,
            _ => self.value,
        }
    }
}

impl Terms<'_> {
    /// Compares the printed values of a tensor with the reference's.
    pub(super) fn compare_printed(&self, pair: &Pair, printed: &PrintedTensor) -> Result<Compared, Failed> {
        let read = |error| Failed::Read(Side::Reference, error);
        let reference = self.reference.dump().read(&pair.reference).map_err(read)?;
        let shape = self.printed_shape(pair, &printed.shape, reference.shape()).map_err(Failed::Shape)?;
        // Which printed value each element is, from 1, goes the way that elements go.
        let count = element_count(&shape).unwrap_or_default();
        let mut marks = vec![0.0; count];
        for (number, (at, _)) in printed.elements.iter().enumerate() {
            if let Some(mark) = marks.get_mut(*at) {
                *mark = (number + 1) as f64;
            }
        }
        let marks = Tensor::from_f64(shape, marks);
        let marks = marks.unwrap_or_else(|| unreachable!("there are as many marks as elements"));
        let (facts, marks) = self.facts_of_printed(pair, marks, printed.dtype, &reference)?;
        let number = |mark: f64| match mark as usize {
            0 => None,
            number => Some(printed.elements[number - 1].1),
        };
        let nearest = |(mark, b)| number(mark).map_or(b, |number| number.nearest(b));
        let values = marks.iter().zip(reference.iter()).map(nearest).collect();
        let candidate = Tensor::from_f64(reference.shape().to_vec(), values);
        let candidate = candidate.unwrap_or_else(|| unreachable!("one value for each element"));
        let resolved = self.resolve(pair);
        let metrics = Metrics::with_rule(&candidate, &reference, resolved.element_rule());
        let shown = |flat: usize| {
            let b = reference.get(flat);
            (number(marks.get(flat)).map_or(b, |number| number.value), b)
        };
        let mut compared = facts.judged(self.rule(pair).layouts(), metrics, &resolved, shown);
        let judgement = &mut compared.judgement;
        judgement.criteria.extend(sum(printed, &reference, &resolved.limits));
        judgement.passed = judgement.criteria.iter().all(|criterion| criterion.passed);
        // What most of the elements would show is not known.
        judgement.diagnosis = judgement.diagnosis.filter(|of| matches!(of, Diagnosis::NonFinite(_)));
        compared.trend = None;
        compared.seen = Some(Seen { elements: printed.elements.len(), of: reference.len() });
        Ok(compared)
    }

    /// The shape of a printed tensor without those of its leading extents of 1 that the mapping does not know: logs give
    /// four extents of all tensors.
    fn printed_shape(
        &self,
        pair: &Pair,
        printed: &[usize],
        reference: &[usize],
    ) -> Result<Vec<usize>, Box<ShapeMismatch>> {
        let ones = printed.iter().take_while(|extent| **extent == 1).count();
        let mut mismatch = None;
        for from in 0..=ones {
            let shape = &printed[from..];
            match self.fit(pair, shape, reference) {
                Ok(_) => return Ok(shape.to_vec()),
                // The one of as many axes says most.
                Err(found) if mismatch.is_none() || shape.len() == reference.len() => mismatch = Some(found),
                Err(_) => {}
            }
        }
        Err(mismatch.unwrap_or_else(|| unreachable!("one shape at the least was tried")))
    }
}

/// The printed sum held against the reference's: how far it may be off follows from the limits. `None` where it says nothing
/// or no limit bounds it.
fn sum(printed: &PrintedTensor, reference: &Tensor, limits: &Limits) -> Option<Criterion> {
    let PrintedNumber { value, half_unit } = printed.sum?;
    let n = reference.len() as f64;
    let (mut total, mut absolute, mut square, mut largest) = (0.0, 0.0, 0.0, 0.0f64);
    for b in reference.iter() {
        (total, absolute, square, largest) =
            (total + b, absolute + b.abs(), square + b * b, largest.max(b.abs()));
    }
    // Older programs print the sum of what they print.
    let of_printed: f64 = printed.elements.iter().map(|(_, number)| number.value).sum();
    let rounded: f64 = printed.elements.iter().map(|(_, number)| number.half_unit).sum();
    if printed.elements.len() < reference.len() && (value - of_printed).abs() <= half_unit + 2.0 * rounded {
        return None;
    }
    // Sums are taken in f32, one element after the other, of elements that may have been rounded before.
    let stored = if printed.dtype < Dtype::F32 { printed.dtype.half_ulp() } else { 0.0 };
    let rounding = n * Dtype::F32.half_ulp() + stored;
    let allowed = [
        limits.rel_l2.map(|limit| n.sqrt() * limit * square.sqrt()),
        limits.rel_linf.map(|limit| n * limit * largest),
        limits.max_abs.map(|limit| n * limit),
        limits.mean_abs.map(|limit| n * limit),
    ];
    let allowed = allowed.into_iter().flatten().min_by(f64::total_cmp)?;
    let limit = allowed + half_unit + rounding * absolute;
    let off = (value - total).abs();
    let measured = off.is_finite().then_some(off);
    let passed = off <= limit;
    let used = measured.filter(|_| limit > 0.0).map(|off| off / limit);
    Some(Criterion {
        kind: CriterionKind::PrintedSum,
        measured,
        limit,
        basis: Basis::Mapping,
        waiver: None,
        passed,
        used,
    })
}
