//! Left-hand sides of the GEMM, and their rows in the order in which the micro-kernel reads them.

use super::packing::{Block, Line, block_depth, pairs, words};
use super::split::{pair, round_to_bf16, split};
use crate::precision::Operands;
use crate::simd::{MAX_LANES, PairOrder, Simd};

/// A left-hand side (`[rows, depth]`, usually activations) that can be read row by row.
pub(crate) trait Lhs: Sync {
    fn rows(&self) -> usize;
    fn depth(&self) -> usize;
    /// Elements `start..start + scratch.len()` of a row, either in place or written to `scratch`.
    fn row<'a>(&'a self, row: usize, start: usize, scratch: &'a mut [f32]) -> &'a [f32];
}

/// A dense row-major matrix.
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    depth: usize,
}

impl<'a> Matrix<'a> {
    /// `data` is `[rows, depth]`.
    pub(crate) fn new(data: &'a [f32], depth: usize) -> Self {
        assert!(
            depth > 0 && data.len().is_multiple_of(depth),
            "{} elements are no rows of {depth}",
            data.len()
        );
        Matrix { data, depth }
    }
}

impl Lhs for Matrix<'_> {
    fn rows(&self) -> usize {
        self.data.len() / self.depth
    }

    fn depth(&self) -> usize {
        self.depth
    }

    #[inline(always)]
    fn row<'a>(&'a self, row: usize, start: usize, scratch: &'a mut [f32]) -> &'a [f32] {
        &self.data[row * self.depth + start..][..scratch.len()]
    }
}

/// Panels of left-hand rows, and what it takes to make them; kept over the tasks of a thread.
#[derive(Default)]
pub(crate) struct LhsPanels {
    lines: Vec<Line>,
    /// The rows of one panel, as words.
    rows: Vec<u32>,
    /// One row before it is cut into pieces, and one piece.
    values: Vec<f32>,
}

impl LhsPanels {
    /// Packs `rows` rows from `first` on, the depth of `block`, into panels of `mr` rows; rows past the last are zeros.
    ///
    /// A panel is `[depth, mr]` of f32, or of pairs `[pieces, pairs, mr]` or `[pieces, mr, pairs]` as `S` wants it.
    #[inline(always)]
    pub(crate) fn pack<S: Simd, L: Lhs>(
        &mut self,
        simd: S,
        lhs: &L,
        (first, rows): (usize, usize),
        block: Block,
        operands: Operands,
    ) -> std::slice::ChunksExact<'_, u32> {
        let (mr, order) = match operands {
            Operands::F32 => (S::MR, PairOrder::DepthFirst),
            Operands::Bf16(_) => (S::PAIRS.mr, S::PAIRS.order),
        };
        let length = words(operands, block.depth);
        let (panel, panels) = (length * mr, rows.div_ceil(mr));
        // A transposed vector may reach past its row, and so past the last panel.
        let needed = (panels * panel + S::LANES).div_ceil(16);
        if self.lines.len() < needed {
            self.lines.resize(needed, Line::default());
        }
        self.rows.resize(mr * length, 0);
        self.values.resize(2 * block_depth(operands), 0.0);
        let out: &mut [u32] = bytemuck::cast_slice_mut(&mut self.lines);
        for index in 0..panels {
            let out = &mut out[index * panel..];
            let (start, present) = (first + index * mr, mr.min(rows - index * mr));
            let mut sources: [&[u32]; MAX_LANES] = [&[]; MAX_LANES];
            for (lane, scratch) in self.rows.chunks_exact_mut(length).take(present).enumerate() {
                let row = start + lane;
                let source = match operands {
                    Operands::F32 => {
                        bytemuck::cast_slice(lhs.row(row, block.start, bytemuck::cast_slice_mut(scratch)))
                    }
                    Operands::Bf16(pieces) => {
                        let depth = (block.start, block.depth);
                        to_pairs(lhs, row, depth, pieces.count(), &mut self.values, scratch);
                        &*scratch
                    }
                };
                match order {
                    PairOrder::DepthFirst => sources[lane] = source,
                    PairOrder::RowFirst => {
                        let pairs = pairs(block.depth);
                        for (piece, source) in source.chunks_exact(pairs).enumerate() {
                            out[(piece * mr + lane) * pairs..][..pairs].copy_from_slice(source);
                        }
                    }
                }
            }
            match order {
                PairOrder::DepthFirst => {
                    transpose(simd, &sources[..present], mr, &mut out[..panel + S::LANES])
                }
                PairOrder::RowFirst => {
                    let pairs = pairs(block.depth);
                    for piece in out[..panel].chunks_exact_mut(mr * pairs) {
                        piece[present * pairs..].fill(0);
                    }
                }
            }
        }
        bytemuck::cast_slice(&self.lines)[..panels * panel].chunks_exact(panel)
    }
}

/// `[rows, length]` to `[length, mr]`, `rows <= mr <= S::LANES`, columns without a row zero. `out` has `S::LANES` words
/// more than that, of any content afterwards.
#[inline(always)]
fn transpose<S: Simd>(simd: S, rows: &[&[u32]], mr: usize, out: &mut [u32]) {
    assert!(rows.len() <= mr && mr <= S::LANES, "rows of a transposition");
    let length = rows[0].len();
    for start in (0..length).step_by(S::LANES) {
        let count = S::LANES.min(length - start);
        let mut vectors = [simd.splat(0.0); MAX_LANES];
        for (vector, row) in vectors.iter_mut().zip(rows) {
            // Words are moved only, whatever they would be as numbers.
            *vector = simd.load_partial(bytemuck::cast_slice(&row[start..start + count]));
        }
        let columns = simd.transpose(vectors);
        // In this order: what a vector has too much is overwritten by the next one.
        for (column, vector) in columns.iter().enumerate().take(count) {
            simd.store(*vector, bytemuck::cast_slice_mut(&mut out[(start + column) * mr..][..S::LANES]));
        }
    }
}

/// Depth `start..start + depth` of a row as `[pieces, pairs]`; `values` is of twice the depth of a block.
#[inline(always)]
fn to_pairs<L: Lhs>(
    lhs: &L,
    row: usize,
    (start, depth): (usize, usize),
    pieces: usize,
    values: &mut [f32],
    out: &mut [u32],
) {
    let (values, piece) = values.split_at_mut(values.len() / 2);
    let source = lhs.row(row, start, &mut piece[..depth]);
    if pieces == 1 {
        return round_to_pairs(source, out);
    }
    let values = &mut values[..2 * pairs(depth)];
    values[depth..].fill(0.0);
    // Cutting a row up overwrites it.
    values[..depth].copy_from_slice(source);
    split(values, piece, pieces, |index, piece| {
        let out = &mut out[index * pairs(depth)..][..pairs(depth)];
        for (out, two) in out.iter_mut().zip(piece.as_chunks::<2>().0) {
            *out = pair(two[0], two[1]);
        }
    });
}

/// Elements rounded to bf16, in pairs; zeros behind them.
#[inline(always)]
fn round_to_pairs(source: &[f32], out: &mut [u32]) {
    let (twos, last) = source.as_chunks::<2>();
    let (front, behind) = out.split_at_mut(twos.len());
    for (out, two) in front.iter_mut().zip(twos) {
        *out = pair(round_to_bf16(two[0]), round_to_bf16(two[1]));
    }
    behind.fill(0);
    if let (Some(out), Some(last)) = (behind.first_mut(), last.first()) {
        *out = pair(round_to_bf16(*last), 0.0);
    }
}
