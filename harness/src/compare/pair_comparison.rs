//! One pair: opened, laid out alike, measured and judged.

use super::comparison::Compared;
use super::maps::{LayerMaps, MappedPair};
use super::metrics::Metrics;
use super::operand::Operand;
use super::terms::Terms;
use super::verdict::judge;
use super::worst::Worst;
use crate::limits::tolerance::Resolved;
use crate::mapping::pairing::Pair;
use crate::provenance::Dump;
use crate::side::{PerSide, Side};
use crate::store::{StoreError, StoredTensor};
use crate::tensor::fit::{DeclaredLayouts, Fit};
use crate::tensor::layout::{Layout, ShapeMismatch, align, candidate_index};
use crate::tensor::{Dtype, NamedAxis, Tensor, unravel};

/// Why a pair could not be compared.
pub(super) enum Failed {
    Shape(Box<ShapeMismatch>),
    Read(Side, StoreError),
}

/// A tensor whose shape and type are known, whether its elements are read yet or not.
pub(super) trait Described {
    /// Extents, slowest first.
    fn extents(&self) -> &[usize];
    /// The type that it is stored in.
    fn stored_as(&self) -> Dtype;
}

impl Described for Tensor {
    fn extents(&self) -> &[usize] {
        self.shape()
    }

    fn stored_as(&self) -> Dtype {
        self.dtype()
    }
}

impl Described for StoredTensor {
    fn extents(&self) -> &[usize] {
        self.shape()
    }

    fn stored_as(&self) -> Dtype {
        self.dtype()
    }
}

/// What is known of a pair before its elements are read.
pub(super) struct PairFacts {
    fit: Fit,
    /// The number of axes that the candidate's and the reference's files have.
    ranks: [usize; 2],
    dtypes: PerSide<Dtype>,
}

impl PairFacts {
    /// Holds the shapes of a pair against their layouts.
    pub(super) fn of(
        layouts: DeclaredLayouts<'_>,
        candidate: &impl Described,
        reference: &impl Described,
    ) -> Result<PairFacts, Box<ShapeMismatch>> {
        Ok(PairFacts {
            fit: Fit::of(layouts, candidate.extents(), reference.extents())?,
            ranks: [candidate.extents().len(), reference.extents().len()],
            dtypes: PerSide { candidate: candidate.stored_as(), reference: reference.stored_as() },
        })
    }

    /// Compares and judges the pair in memory.
    pub(super) fn compared(
        self,
        candidate: Tensor,
        reference: &Tensor,
        layouts: DeclaredLayouts<'_>,
        resolved: &Resolved,
    ) -> Result<Compared, Box<ShapeMismatch>> {
        let candidate = self.aligned(candidate, layouts.reference)?;
        let metrics = Metrics::with_rule(&candidate, reference, resolved.element_rule());
        let values = |flat: usize| (candidate.flat(flat), reference.flat(flat));
        Ok(self.judged(layouts, metrics, resolved, values))
    }

    /// The verdict on a measured pair; `values` gives the values of an element on both sides.
    pub(super) fn judged(
        self,
        layouts: DeclaredLayouts<'_>,
        metrics: Metrics,
        resolved: &Resolved,
        values: impl Fn(usize) -> (f64, f64),
    ) -> Compared {
        let judgement = judge(&metrics, resolved, self.dtypes);
        let worst = metrics.worst.map(|flat| self.element(flat, layouts, values(flat)));
        let Fit { reference: shape, without_batch, .. } = self.fit;
        Compared {
            shape,
            dtypes: self.dtypes,
            without_batch,
            metrics,
            worst,
            judgement,
            trend: None,
            seen: None,
            in_run: None,
        }
    }

    /// The candidate in the reference's layout.
    fn aligned(&self, candidate: Tensor, to: &Layout) -> Result<Tensor, Box<ShapeMismatch>> {
        let Fit { candidate: shape, from, reference, .. } = &self.fit;
        align(candidate.reshaped(shape), from, reference, to)
    }

    /// An element with its index in both files.
    fn element(
        &self,
        flat: usize,
        layouts: DeclaredLayouts<'_>,
        (candidate, reference): (f64, f64),
    ) -> Worst {
        let [candidate_index, index] = self.indices(flat, layouts);
        Worst { index, candidate_index, candidate, reference }
    }

    /// The axes of each extent of a side's file; a product stays one where its parts are not among the known axes.
    fn file_axes(&self, side: Side, layout: &Layout, axes: &[NamedAxis]) -> Vec<Vec<String>> {
        let known = |name: &String| axes.iter().any(|axis| axis.name == *name);
        let group = |(parts, whole): (&Vec<String>, String)| match parts.iter().all(known) {
            true => parts.clone(),
            false => vec![whole],
        };
        let mut groups: Vec<Vec<String>> =
            layout.groups().iter().zip(layout.group_names()).map(group).collect();
        if self.fit.without_batch.contains(&side) {
            groups.remove(layout.batch().unwrap_or(0));
        }
        groups
    }

    /// The index in the candidate's file and in the reference's of element `flat` of the reference.
    fn indices(&self, flat: usize, layouts: DeclaredLayouts<'_>) -> [Vec<usize>; 2] {
        let Fit { candidate: shape, from, reference, .. } = &self.fit;
        let index = unravel(flat, reference);
        let moved = candidate_index(&index, from, shape, layouts.reference, reference);
        let moved = moved.unwrap_or_else(|| index.clone());
        let in_file = |side, layout, index, rank| self.fit.index_in_file(side, layout, index, rank);
        [
            in_file(Side::Candidate, from, moved, self.ranks[0]),
            in_file(Side::Reference, layouts.reference, index, self.ranks[1]),
        ]
    }
}

impl Terms<'_> {
    /// Compares and judges a pair of tensors in memory.
    ///
    /// # Errors
    /// Extents that do not fit each other.
    pub fn compare(
        &self,
        pair: &Pair,
        candidate: Tensor,
        reference: &Tensor,
    ) -> Result<Compared, Box<ShapeMismatch>> {
        let layouts = self.rule(pair).layouts();
        let facts = PairFacts::of(layouts, &candidate, reference)?;
        let compared = facts.compared(candidate, reference, layouts, &self.resolve(pair))?;
        Ok(Compared { trend: self.trend(pair, &compared.metrics), ..compared })
    }

    /// Compares a tensor in memory with the reference's.
    pub(super) fn compare_held(&self, pair: &Pair, candidate: Tensor) -> Result<Compared, Failed> {
        let read = |error| Failed::Read(Side::Reference, error);
        let reference = self.reference.dump().open_tensor(&pair.reference).map_err(read)?;
        let layouts = self.rule(pair).layouts();
        let facts = PairFacts::of(layouts, &candidate, &reference).map_err(Failed::Shape)?;
        let candidate = facts.aligned(candidate, layouts.reference).map_err(Failed::Shape)?;
        self.against_stored(pair, facts, &mut Operand::held(&candidate), &reference)
    }

    /// Compares a tensor on disk with the reference's.
    pub(super) fn compare_stored(
        &self,
        pair: &Pair,
        dump: &Dump,
        candidate: &StoredTensor,
    ) -> Result<Compared, Failed> {
        let reference = self.reference.dump().open_tensor(&pair.reference);
        let reference = reference.map_err(|error| Failed::Read(Side::Reference, error))?;
        let layouts = self.rule(pair).layouts();
        let facts = PairFacts::of(layouts, candidate, &reference).map_err(Failed::Shape)?;
        let read = |error| Failed::Read(Side::Candidate, error);
        let wanted = dump.wanted_fingerprint(&pair.candidate);
        if facts.fit.from == *layouts.reference {
            let mut a = Operand::stored(candidate, wanted);
            let compared = self.against_stored(pair, facts, &mut a, &reference)?;
            if let Some(fingerprint) = a.fingerprint() {
                dump.keep_fingerprint(&pair.candidate, fingerprint);
            }
            return Ok(compared);
        }
        // Axes move: that takes the tensor as a whole.
        let tensor = match wanted {
            None => candidate.read().map_err(read)?,
            Some(algorithm) => {
                let (tensor, fingerprint) = candidate.read_fingerprinted(algorithm).map_err(read)?;
                dump.keep_fingerprint(&pair.candidate, fingerprint);
                tensor
            }
        };
        let aligned = facts.aligned(tensor, layouts.reference).map_err(Failed::Shape)?;
        self.against_stored(pair, facts, &mut Operand::held(&aligned), &reference)
    }

    /// Compares an operand that is laid out as the reference is with the reference's tensor on disk.
    fn against_stored(
        &self,
        pair: &Pair,
        facts: PairFacts,
        candidate: &mut Operand<'_>,
        reference: &StoredTensor,
    ) -> Result<Compared, Failed> {
        let dump = self.reference.dump();
        let resolved = self.resolve(pair);
        let mut b = Operand::stored(reference, dump.wanted_fingerprint(&pair.reference));
        let metrics = Metrics::measure(candidate, &mut b, resolved.element_rule())
            .map_err(|(side, error)| Failed::Read(side, error))?;
        let worst = metrics.worst.map(|flat| -> Result<(f64, f64), Failed> {
            let value = |side, operand: &mut Operand<'_>| {
                operand.get(flat).map_err(|error| Failed::Read(side, error))
            };
            Ok((value(Side::Candidate, candidate)?, value(Side::Reference, &mut b)?))
        });
        let worst = worst.transpose()?.unwrap_or((f64::NAN, f64::NAN));
        if let Some(fingerprint) = b.fingerprint() {
            dump.keep_fingerprint(&pair.reference, fingerprint);
        }
        let layouts = self.rule(pair).layouts();
        let compared = facts.judged(layouts, metrics, &resolved, |_| worst);
        Ok(Compared { trend: self.trend(pair, &compared.metrics), ..compared })
    }

    /// How two shapes fit under a pair's layouts.
    pub(super) fn fit(
        &self,
        pair: &Pair,
        candidate: &[usize],
        reference: &[usize],
    ) -> Result<Fit, Box<ShapeMismatch>> {
        Fit::of(self.rule(pair).layouts(), candidate, reference)
    }

    /// What is known of a pair whose candidate is printed, and the marks of what is printed, laid out as the reference is.
    pub(super) fn facts_of_printed(
        &self,
        pair: &Pair,
        marks: Tensor,
        dtype: Dtype,
        reference: &Tensor,
    ) -> Result<(PairFacts, Tensor), Failed> {
        let facts = PairFacts {
            fit: self.fit(pair, marks.shape(), reference.shape()).map_err(Failed::Shape)?,
            ranks: [marks.shape().len(), reference.shape().len()],
            dtypes: PerSide { candidate: dtype, reference: reference.dtype() },
        };
        let marks = facts.aligned(marks, self.rule(pair).layouts().reference).map_err(Failed::Shape)?;
        Ok((facts, marks))
    }

    /// A pair in memory laid out as the reference is, with its axes; `None` where extents do not fit.
    pub(crate) fn aligned(
        &self,
        pair: &Pair,
        candidate: Tensor,
        reference: Tensor,
    ) -> Option<(Tensor, Tensor, Vec<NamedAxis>)> {
        let layouts = self.rule(pair).layouts();
        let facts = PairFacts::of(layouts, &candidate, &reference).ok()?;
        let aligned = facts.aligned(candidate, layouts.reference).ok()?;
        let Fit { candidate: shape, from, reference: extents, .. } = &facts.fit;
        let axes = layouts.reference.named_axes(extents, (from, shape))?;
        Some((aligned.reshaped(extents), reference.reshaped(extents), axes))
    }

    /// Both sides of a pair in memory as maps; `None` where extents do not fit, or there are no two axes.
    pub(super) fn maps(&self, pair: &Pair, candidate: Tensor, reference: &Tensor) -> Option<LayerMaps> {
        let layouts = self.rule(pair).layouts();
        let facts = PairFacts::of(layouts, &candidate, reference).ok()?;
        let candidate = facts.aligned(candidate, layouts.reference).ok()?;
        let Fit { candidate: shape, from, reference: extents, .. } = &facts.fit;
        let axes = layouts.reference.named_axes(extents, (from, shape))?;
        let of_candidate = |flat| candidate.flat(flat);
        let of_reference = |flat| reference.flat(flat);
        let mapped =
            MappedPair { axes: &axes, candidate: &of_candidate, reference: &of_reference }.mapped()?;
        let layouts_of_files = PerSide {
            candidate: facts.file_axes(Side::Candidate, from, &axes),
            reference: facts.file_axes(Side::Reference, layouts.reference, &axes),
        };
        let element =
            |flat: &usize| facts.element(*flat, layouts, (of_candidate(*flat), of_reference(*flat)));
        Some(LayerMaps {
            layer: pair.name().to_string(),
            layouts: layouts_of_files,
            row_axis: mapped.row_axis,
            column_axis: mapped.column_axis,
            cells: mapped.cells,
            errors: mapped.errors,
            channels: mapped.channels,
            histogram: mapped.histogram,
            worst: mapped.worst.iter().map(element).collect(),
            axes,
        })
    }

    /// ‖a - b‖ / ‖b‖ of two tensors that are laid out alike, and the largest share of a limit of the pair that this uses up;
    /// `None` where it is not defined.
    pub(crate) fn measured(&self, pair: &Pair, a: &Tensor, b: &Tensor) -> Option<(f64, f64)> {
        if a.shape() != b.shape() {
            return None;
        }
        let resolved = self.resolve(pair);
        let dtypes = PerSide { candidate: a.dtype(), reference: b.dtype() };
        let metrics = Metrics::with_rule(a, b, resolved.element_rule());
        Some((metrics.rel_l2?, judge(&metrics, &resolved, dtypes).used()))
    }

    /// How far a tensor that was moved is from itself, in multiples of the pair's tolerance: it shows above 1. Infinite
    /// where the shape changed. Both are laid out as the reference is: the layout of the candidate does not matter.
    pub fn distance(&self, pair: &Pair, moved: &Tensor, reference: &Tensor) -> f64 {
        if moved.shape() != reference.shape() {
            return f64::INFINITY;
        }
        let resolved = self.resolve(pair);
        let dtypes = PerSide { candidate: moved.dtype(), reference: reference.dtype() };
        judge(&Metrics::with_rule(moved, reference, resolved.element_rule()), &resolved, dtypes).used()
    }
}
