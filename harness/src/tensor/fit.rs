//! Shapes as files have them, brought to the shapes that the layouts declare: a batch axis of extent 1 may be absent, and a
//! header may say something else than how elements lie in memory.

use super::element_count;
use super::layout::{LaidOut, Layout, MismatchCause, ShapeMismatch, check_shapes};
use crate::side::Side;

/// Names of the axis that counts pictures.
const BATCH: [&str; 3] = ["b", "n", "batch"];

/// How the tensors of a pair should be laid out.
#[derive(Clone, Copy, Debug)]
pub struct DeclaredLayouts<'a> {
    /// The candidate's.
    pub candidate: &'a Layout,
    /// In which order the candidate's elements lie in memory, where its header does not say it.
    pub memory: Option<&'a Layout>,
    /// The reference's.
    pub reference: &'a Layout,
}

/// Shapes that fit their layouts and each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// The candidate's extents, slowest first.
    pub candidate: Vec<usize>,
    /// Its layout: as declared, or that of its memory.
    pub from: Layout,
    /// The reference's extents, slowest first.
    pub reference: Vec<usize>,
    /// The sides whose files lack the batch axis.
    pub without_batch: Vec<Side>,
}

impl Fit {
    /// Holds two shapes as found against their layouts.
    ///
    /// # Errors
    /// When the extents of any axis differ.
    pub fn of(
        declared: DeclaredLayouts<'_>,
        candidate: &[usize],
        reference: &[usize],
    ) -> Result<Fit, Box<ShapeMismatch>> {
        let mut without_batch = Vec::new();
        let mut complete = |side, layout: &Layout, shape: &[usize]| match layout.with_batch(shape) {
            Some(completed) => {
                without_batch.push(side);
                completed
            }
            None => shape.to_vec(),
        };
        let reference_shape = complete(Side::Reference, declared.reference, reference);
        if let Some(memory) = declared.memory {
            let shape = memory.shape_of(declared.reference, &reference_shape);
            return match shape.filter(|shape| element_count(shape) == element_count(candidate)) {
                Some(shape) => Ok(Fit {
                    candidate: shape,
                    from: memory.clone(),
                    reference: reference_shape,
                    without_batch,
                }),
                None => Err(mismatch(declared, candidate, reference, MismatchCause::Extents)),
            };
        }
        let candidate_shape = complete(Side::Candidate, declared.candidate, candidate);
        check_shapes(declared.candidate, &candidate_shape, declared.reference, &reference_shape)
            .map_err(|found| mismatch(declared, candidate, reference, found.cause))?;
        let from = declared.candidate.clone();
        Ok(Fit { candidate: candidate_shape, from, reference: reference_shape, without_batch })
    }

    /// The index in a side's file of an element that the completed shape has at `index`.
    pub fn index_in_file(
        &self,
        side: Side,
        declared: &Layout,
        mut index: Vec<usize>,
        rank: usize,
    ) -> Vec<usize> {
        if self.without_batch.contains(&side) {
            let at = declared.batch().unwrap_or(0);
            index.drain(at..at + index.len().saturating_sub(rank));
        }
        index
    }
}

fn mismatch(
    declared: DeclaredLayouts<'_>,
    candidate: &[usize],
    reference: &[usize],
    cause: MismatchCause,
) -> Box<ShapeMismatch> {
    let laid_out =
        |layout: &Layout, shape: &[usize]| LaidOut { layout: layout.clone(), shape: shape.to_vec() };
    Box::new(ShapeMismatch {
        candidate: laid_out(declared.memory.unwrap_or(declared.candidate), candidate),
        reference: laid_out(declared.reference, reference),
        cause,
    })
}

/// A shape with the batch axis that it lacks, where it lacks one; else as it is.
pub(crate) fn with_batch_of(layout: &Layout, shape: &[usize]) -> Vec<usize> {
    layout.with_batch(shape).unwrap_or_else(|| shape.to_vec())
}

impl Layout {
    /// The position of the batch axis among the extents.
    pub fn batch(&self) -> Option<usize> {
        self.groups()
            .iter()
            .position(|group| matches!(group.as_slice(), [name] if BATCH.contains(&name.as_str())))
    }

    /// A shape with the batch axis that it lacks, of extent 1; with other leading extents of 1 too, where the batch axis is
    /// the first: some programs do not count them. `None` where nothing is lacking, or something else than that.
    fn with_batch(&self, shape: &[usize]) -> Option<Vec<usize>> {
        let lacking = self.groups().len().checked_sub(shape.len()).filter(|lacking| *lacking > 0)?;
        let at = self.batch().filter(|at| (lacking == 1 || *at == 0) && !shape.is_empty())?;
        let mut completed = shape.to_vec();
        completed.splice(at..at, std::iter::repeat_n(1, lacking));
        Some(completed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(text: &str) -> Layout {
        Layout::parse(text).unwrap()
    }

    fn fit(candidate: (&str, &[usize]), reference: (&str, &[usize])) -> Option<(Vec<usize>, Vec<Side>)> {
        let (from, to) = (layout(candidate.0), layout(reference.0));
        let declared = DeclaredLayouts { candidate: &from, memory: None, reference: &to };
        let fit = Fit::of(declared, candidate.1, reference.1).ok()?;
        Some((fit.candidate, fit.without_batch))
    }

    #[test]
    fn a_batch_axis_of_one_may_be_absent_on_either_side() {
        let (map, tokens) = ("b c h w", "b (h w) c");
        assert_eq!(
            fit((map, &[8, 4, 6]), (map, &[1, 8, 4, 6])),
            Some((vec![1, 8, 4, 6], vec![Side::Candidate]))
        );
        assert_eq!(
            fit((map, &[1, 8, 4, 6]), (map, &[8, 4, 6])),
            Some((vec![1, 8, 4, 6], vec![Side::Reference]))
        );
        assert_eq!(
            fit((tokens, &[24, 8]), (map, &[1, 8, 4, 6])),
            Some((vec![1, 24, 8], vec![Side::Candidate]))
        );
        assert_eq!(
            fit(("c n h w", &[8, 4, 6]), (map.replace('b', "n").as_str(), &[1, 8, 4, 6])).unwrap().0,
            [8, 1, 4, 6]
        );
    }

    #[test]
    fn other_leading_ones_may_be_absent_with_it() {
        assert_eq!(fit(("b c h w", &[4, 6]), ("b c h w", &[1, 1, 4, 6])).unwrap().0, [1, 1, 4, 6]);
    }

    #[test]
    fn nothing_else_may() {
        assert_eq!(fit(("b c h w", &[8, 4, 6]), ("b c h w", &[2, 8, 4, 6])), None);
        assert_eq!(fit(("b c h w", &[4, 6]), ("b c h w", &[1, 8, 4, 6])), None);
        assert_eq!(fit(("c h w", &[4, 6]), ("c h w", &[1, 4, 6])), None, "no axis is called a batch");
        assert_eq!(fit(("n", &[]), ("n", &[1])), None);
    }

    #[test]
    fn memory_says_how_elements_lie_whatever_the_header_says() {
        let (map, memory) = (layout("b c h w"), layout("b h w c"));
        let declared = DeclaredLayouts { candidate: &map, memory: Some(&memory), reference: &map };
        for header in [vec![6, 4, 8, 1], vec![192], vec![1, 8, 4, 6]] {
            let fit = Fit::of(declared, &header, &[1, 8, 4, 6]).unwrap();
            assert_eq!((fit.candidate, fit.from), (vec![1, 4, 6, 8], memory.clone()), "{header:?}");
        }
        assert!(Fit::of(declared, &[191], &[1, 8, 4, 6]).is_err());
    }
}
