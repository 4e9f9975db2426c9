//! Left-hand sides packed in the order in which the micro-kernels read them.

use std::ops::Range;
use std::slice::ChunksExact;

use super::bf16::{pairs_of_row, terms_of_row};
use super::rhs::{depth_blocks, packed_length, pairs};
use super::source::Lhs;
use crate::precision::{Operands, SplitTerms};
use crate::simd::aligned_buffer::Line;
use crate::simd::tile::CACHE_LINE;
use crate::simd::{MAX_LANES, PairLayout, Simd};

/// Some rows of a matrix, over a part of the depth.
#[derive(Clone)]
pub(crate) struct Region {
    pub(crate) rows: Range<usize>,
    pub(crate) depth: Range<usize>,
}

/// Panels of left-hand rows, with scratch memory; reused by neighbouring tasks.
#[derive(Default)]
pub(crate) struct LhsPanels {
    lines: Vec<Line>,
    scratch: LhsScratch,
    /// Words of a panel, and how many panels there are.
    panel: usize,
    count: usize,
}

impl LhsPanels {
    /// Packs a region into panels of `mr` rows; rows past the last are zeros.
    ///
    /// A panel is `[depth, mr]` of f32; of operands in terms `[terms, pairs, mr]`, `[terms, mr, pairs]`, or
    /// `[terms, 2 * pairs, mr]` of f32, as `S` wants it.
    #[inline(always)]
    pub(crate) fn pack<S: Simd, L: Lhs>(&mut self, simd: S, lhs: &L, part: Region, operands: Operands) {
        let (mr, form, row_first) = match (operands, S::PAIRS.layout) {
            (Operands::F32, _) => (S::MR, Form::F32, None),
            (Operands::Bf16(terms), PairLayout::DepthFirst) => (S::PAIRS.mr, Form::Pairs(terms), None),
            (Operands::Bf16(terms), PairLayout::Widened) => (S::PAIRS.mr, Form::Widened(terms), None),
            (Operands::Bf16(terms), PairLayout::RowFirst) => (S::PAIRS.mr, Form::Pairs(terms), Some(terms)),
        };
        self.panel = form.packed_length(part.depth.len()) * mr;
        self.count = part.rows.len().div_ceil(mr);
        // A transposed vector may reach past its row, and so past the last panel.
        let needed = (self.count * self.panel + S::LANES).div_ceil(CACHE_LINE);
        if self.lines.len() < needed {
            self.lines.resize(needed, Line::default());
        }
        let out: &mut [u32] = bytemuck::cast_slice_mut(&mut self.lines);
        for index in 0..self.count {
            let out = &mut out[index * self.panel..];
            let first = part.rows.start + index * mr;
            let part = Region { rows: first..part.rows.end.min(first + mr), depth: part.depth.clone() };
            match row_first {
                None => {
                    let out = &mut out[..self.panel + S::LANES];
                    self.scratch.depth_first(simd, lhs, part, form, mr, out);
                }
                Some(terms) => {
                    let out = &mut out[..self.panel];
                    self.scratch.row_first(simd, lhs, part, terms, mr, out);
                }
            }
        }
    }

    /// The panels that were packed last.
    #[inline(always)]
    pub(crate) fn panels(&self) -> ChunksExact<'_, u32> {
        bytemuck::cast_slice(&self.lines)[..self.count * self.panel].chunks_exact(self.panel.max(1))
    }
}

/// A left-hand side packed as a whole, to be used more than once.
pub(crate) struct PackedLhs {
    rows: usize,
    operands: Operands,
    /// By block of depth.
    blocks: Vec<(Range<usize>, LhsPanels)>,
}

impl PackedLhs {
    #[inline(always)]
    pub(crate) fn new<S: Simd, L: Lhs>(simd: S, lhs: &L, operands: Operands) -> Self {
        let rows = lhs.rows();
        let mut blocks = Vec::new();
        for depth in depth_blocks(operands, lhs.depth()) {
            let mut panels = LhsPanels::default();
            panels.pack(simd, lhs, Region { rows: 0..rows, depth: depth.clone() }, operands);
            blocks.push((depth, panels));
        }
        PackedLhs { rows, operands, blocks }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The operands that it is packed as.
    pub(crate) fn operands(&self) -> Operands {
        self.operands
    }

    /// Each block of depth with its panels.
    #[inline(always)]
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (Range<usize>, ChunksExact<'_, u32>)> {
        self.blocks.iter().map(|(depth, panels)| (depth.clone(), panels.panels()))
    }
}

/// A panel of right-hand columns, which are rows of a matrix.
#[derive(Default)]
pub(crate) struct RhsPanel {
    lines: Vec<Line>,
    scratch: LhsScratch,
}

impl RhsPanel {
    /// Packs a part of `matrix` as a panel of `nr` columns (a multiple of `S::LANES`): `[depth, nr]` of f32, or of pairs
    /// `[terms, pairs, nr]`; columns past the last are zeros.
    #[inline(always)]
    pub(crate) fn pack<S: Simd, L: Lhs>(
        &mut self,
        simd: S,
        matrix: &L,
        part: Region,
        operands: Operands,
        nr: usize,
    ) -> &[u32] {
        let form = match operands {
            Operands::F32 => Form::F32,
            Operands::Bf16(terms) => Form::Pairs(terms),
        };
        let panel = form.packed_length(part.depth.len()) * nr;
        self.lines.resize((panel + S::LANES).div_ceil(CACHE_LINE), Line::default());
        let out: &mut [u32] = bytemuck::cast_slice_mut(&mut self.lines);
        self.scratch.depth_first(simd, matrix, part, form, nr, &mut out[..panel + S::LANES]);
        &bytemuck::cast_slice(&self.lines)[..panel]
    }
}

/// What the words of a row are.
#[derive(Clone, Copy)]
enum Form {
    /// f32, `[depth]`.
    F32,
    /// `[terms, pairs]`.
    Pairs(SplitTerms),
    /// f32, `[terms, 2 * pairs]`.
    Widened(SplitTerms),
}

impl Form {
    /// Words of a row of `depth` elements.
    fn packed_length(self, depth: usize) -> usize {
        match self {
            Form::F32 => packed_length(Operands::F32, depth),
            Form::Pairs(terms) => packed_length(Operands::Bf16(terms), depth),
            Form::Widened(terms) => 2 * packed_length(Operands::Bf16(terms), depth),
        }
    }
}

/// Scratch memory for packing rows.
#[derive(Default)]
struct LhsScratch {
    /// Some rows, as words.
    rows: Vec<u32>,
    /// One row before it is split into terms.
    values: Vec<f32>,
}

impl LhsScratch {
    /// The rows as the columns of a panel of `width`, which is at most `S::LANES` or a multiple of it; columns without a row
    /// are zero. `out` has `S::LANES` words more than the panel; their content afterwards is unspecified.
    #[inline(always)]
    fn depth_first<S: Simd, L: Lhs>(
        &mut self,
        simd: S,
        lhs: &L,
        Region { rows, depth }: Region,
        form: Form,
        width: usize,
        out: &mut [u32],
    ) {
        assert!(width <= S::LANES || width.is_multiple_of(S::LANES), "a panel of {width} columns");
        let length = form.packed_length(depth.len());
        self.rows.resize(S::LANES * length, 0);
        self.values.resize(depth.len(), 0.0);
        for column in (0..width).step_by(S::LANES) {
            let start = rows.end.min(rows.start + column);
            let present = S::LANES.min(rows.end - start).min(width - column);
            let mut sources: [&[u32]; MAX_LANES] = [&[]; MAX_LANES];
            let places = self.rows.chunks_exact_mut(length).take(present);
            for (lane, (source, place)) in sources.iter_mut().zip(places).enumerate() {
                *source = source_of(simd, lhs, start + lane, depth.clone(), form, &mut self.values, place);
            }
            transpose(simd, &sources[..present], length, width, &mut out[column..]);
        }
    }

    /// The rows one after the other, term by term: `[terms, height, pairs]`; rows past the last are zeros.
    #[inline(always)]
    fn row_first<S: Simd, L: Lhs>(
        &mut self,
        simd: S,
        lhs: &L,
        Region { rows, depth }: Region,
        terms: SplitTerms,
        height: usize,
        out: &mut [u32],
    ) {
        let pairs = pairs(depth.len());
        self.values.resize(depth.len(), 0.0);
        let present = rows.len();
        for (place, row) in rows.enumerate() {
            let row = lhs.row(row, depth.start, &mut self.values);
            pairs_of_row(simd, row, terms, pairs, height * pairs, &mut out[place * pairs..]);
        }
        for term in out.chunks_exact_mut(height * pairs) {
            term[present * pairs..].fill(0);
        }
    }
}

/// A part of a row as words, in place or written to `place`.
#[inline(always)]
fn source_of<'a, S: Simd, L: Lhs>(
    simd: S,
    lhs: &'a L,
    row: usize,
    depth: Range<usize>,
    form: Form,
    values: &mut [f32],
    place: &'a mut [u32],
) -> &'a [u32] {
    let pairs = pairs(depth.len());
    let values = &mut values[..depth.len()];
    match form {
        Form::F32 => {
            return bytemuck::cast_slice(lhs.row(row, depth.start, bytemuck::cast_slice_mut(place)));
        }
        Form::Pairs(terms) => {
            pairs_of_row(simd, lhs.row(row, depth.start, values), terms, pairs, pairs, place);
        }
        Form::Widened(terms) => {
            let place = bytemuck::cast_slice_mut(place);
            terms_of_row(simd, lhs.row(row, depth.start, values), terms, 2 * pairs, place);
        }
    }
    place
}

/// `[rows, length]` to `[length, width]`, the first `S::LANES` columns of it at most; columns without a row are zero. A
/// vector that is longer than the rest of its row is overwritten by the next one; the last needs room after it.
#[inline(always)]
fn transpose<S: Simd>(simd: S, rows: &[&[u32]], length: usize, width: usize, out: &mut [u32]) {
    assert!(rows.len() <= S::LANES, "rows of a transposition");
    for start in (0..length).step_by(S::LANES) {
        let count = S::LANES.min(length - start);
        let mut vectors = [simd.splat(0.0); MAX_LANES];
        for (vector, row) in vectors.iter_mut().zip(rows) {
            // Words are only moved, whatever they would be as numbers.
            *vector = simd.load_partial(bytemuck::cast_slice(&row[start..start + count]));
        }
        let columns = simd.transpose(vectors);
        for (column, vector) in columns.iter().enumerate().take(count) {
            let place = &mut out[(start + column) * width..][..S::LANES];
            simd.store(*vector, bytemuck::cast_slice_mut(place));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gemm::source::Matrix;
    use crate::simd::Isa;
    use crate::simd::Kernel;
    use crate::simd::tile::PAIR_DEPTH;
    use crate::testing::{Failures, on_each_isa, values};

    on_each_isa!(panels_hold_every_word_in_its_place_and_zeros_elsewhere);

    /// Panels of some regions, each in the memory of the previous one: all of the left side, and one of the right side.
    struct Packed<'a> {
        matrix: &'a Matrix<'a>,
        parts: &'a [Region],
        operands: Operands,
    }

    impl Kernel for Packed<'_> {
        type Output = (PairLayout, Vec<(Vec<u32>, Vec<u32>)>);

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let nr = if self.operands == Operands::F32 { S::NR } else { S::PAIRS.nr };
            let (mut left, mut right, mut all) = (LhsPanels::default(), RhsPanel::default(), Vec::new());
            for part in self.parts {
                left.pack(simd, self.matrix, part.clone(), self.operands);
                let columns = part.rows.start..part.rows.end.min(part.rows.start + nr);
                let part = Region { rows: columns, depth: part.depth.clone() };
                let right = right.pack(simd, self.matrix, part, self.operands, nr).to_vec();
                all.push((left.panels().flatten().copied().collect(), right));
            }
            (S::PAIRS.layout, all)
        }
    }

    /// The words of a row, `[terms, pairs]`, `[depth]`, or `[terms, 2 * pairs]` where they are `widened`.
    fn words_of_row(row: &[f32], operands: Operands, widened: bool) -> Vec<u32> {
        let Operands::Bf16(terms) = operands else {
            return row.iter().map(|x| x.to_bits()).collect();
        };
        let mut rest = row.to_vec();
        rest.resize(2 * pairs(row.len()), 0.0);
        let term = |_| {
            let nearest: Vec<half::bf16> = rest.iter().map(|x| half::bf16::from_f32(*x)).collect();
            rest.iter_mut().zip(&nearest).for_each(|(x, term)| *x -= term.to_f32());
            if widened {
                return nearest.iter().map(|x| x.to_f32().to_bits()).collect();
            }
            nearest
                .chunks_exact(2)
                .map(|p| u32::from(p[0].to_bits()) | u32::from(p[1].to_bits()) << 16)
                .collect()
        };
        (0..terms.count()).map(term).collect::<Vec<Vec<u32>>>().concat()
    }

    /// `[panels, words, width]`, or row first `[panels, terms, width, pairs]`: a part of a left side, packed in that order, or
    /// of a right side.
    fn naive(
        data: &[f32],
        length: usize,
        part: &Region,
        operands: Operands,
        width: usize,
        left: Option<PairLayout>,
    ) -> Vec<u32> {
        let rows = part.rows.clone().map(|row| {
            words_of_row(
                &data[row * length..][part.depth.clone()],
                operands,
                left == Some(PairLayout::Widened),
            )
        });
        let rows: Vec<Vec<u32>> = rows.collect();
        let count = rows[0].len();
        let mut out = vec![0; rows.len().div_ceil(width) * width * count];
        for (i, row) in rows.into_iter().enumerate() {
            let (panel, place) = (i / width * width * count, i % width);
            for (word, value) in row.into_iter().enumerate() {
                let at = match (operands, left) {
                    (Operands::Bf16(terms), Some(PairLayout::RowFirst)) => {
                        let pairs = count / terms.count();
                        (word / pairs * width + place) * pairs + word % pairs
                    }
                    _ => word * width + place,
                };
                out[panel + at] = value;
            }
        }
        out
    }

    fn panels_hold_every_word_in_its_place_and_zeros_elsewhere(isa: Isa, failures: &mut Failures) {
        for operands in Operands::ALL {
            let (mr, nr) = (isa.tile_rows(operands), isa.tile_columns(operands));
            let (rows, length) = (3 * mr.max(nr) + 1, 2 * PAIR_DEPTH + 11);
            let data = values(rows * length, 1);
            // A large one first, so that the next ones are packed over its remains.
            let parts = [
                Region { rows: 0..rows, depth: 0..length },
                Region { rows: 1..2, depth: 3..4 },
                Region { rows: 2..mr + 1, depth: 0..PAIR_DEPTH + 1 },
                Region { rows: 1..mr + 2, depth: 7..length },
                Region { rows: 1..nr, depth: 0..PAIR_DEPTH },
                Region { rows: 0..2 * mr, depth: 10..PAIR_DEPTH + 9 },
            ];
            let (order, packed) =
                isa.run(Packed { matrix: &Matrix::new(&data, length), parts: &parts, operands });
            for (part, (left, right)) in parts.iter().zip(packed) {
                let case = format!("{operands:?}, rows {:?}, depth {:?}", part.rows, part.depth);
                failures.equal(left, naive(&data, length, part, operands, mr, Some(order)), || {
                    format!("left of {case}")
                });
                let rows = part.rows.start..part.rows.end.min(part.rows.start + nr);
                let one = Region { rows, depth: part.depth.clone() };
                let expected = naive(&data, length, &one, operands, nr, None);
                failures.equal(right, expected, || format!("right of {case}"));
            }
        }
    }
}
