//! Operands of the GEMM in the order in which the micro-kernel reads them.

use rayon::prelude::*;

use crate::simd::Isa;

/// Depth of a block: a `[DEPTH, NR]` panel of the right side stays in the first-level cache.
pub(crate) const DEPTH: usize = 256;

/// A right-hand side (`[depth, columns]`, usually weights) packed for one instruction set's tile.
///
/// Layout: blocks of [`DEPTH`] rows; in a block, panels of `NR` columns; in a panel, row after row. Columns past the
/// matrix are zero.
pub(crate) struct PackedRhs {
    isa: Isa,
    depth: usize,
    columns: usize,
    nr: usize,
    data: Vec<f32>,
}

impl PackedRhs {
    /// Packs a matrix given by its elements: `element(depth index, column)`.
    pub(crate) fn new(
        isa: Isa,
        depth: usize,
        columns: usize,
        element: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Self {
        let (_, nr) = isa.tile_shape();
        let panels = columns.div_ceil(nr);
        let mut data = vec![0.0; depth * panels * nr];
        // A block of `depth` rows takes `depth * panels * nr` elements, whole blocks first.
        data.par_chunks_mut((DEPTH * panels * nr).max(1)).enumerate().for_each(|(block, data)| {
            let rows = data.len() / (panels * nr);
            for (panel, data) in data.chunks_mut(rows * nr).enumerate() {
                let width = nr.min(columns - panel * nr);
                for (row, data) in data.chunks_mut(nr).enumerate() {
                    for (column, out) in data[..width].iter_mut().enumerate() {
                        *out = element(block * DEPTH + row, panel * nr + column);
                    }
                }
            }
        });
        PackedRhs { isa, depth, columns, nr, data }
    }

    /// The instruction set it is packed for.
    pub(crate) fn isa(&self) -> Isa {
        self.isa
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// The first depth index and the depth of each block.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let depth = self.depth;
        (0..depth).step_by(DEPTH).map(move |start| (start, DEPTH.min(depth - start)))
    }

    /// The panels of the block that starts at `start`: (first column, columns, data `[block depth, NR]`).
    #[inline(always)]
    pub(crate) fn panels(&self, start: usize, depth: usize) -> impl Iterator<Item = (usize, usize, &[f32])> {
        let width = self.columns.div_ceil(self.nr) * self.nr;
        let block = &self.data[start * width..(start + depth) * width];
        let (nr, columns) = (self.nr, self.columns);
        block
            .chunks(depth * nr)
            .enumerate()
            .map(move |(panel, data)| (panel * nr, nr.min(columns - panel * nr), data))
    }
}

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

/// Packs rows `first..first + rows` and depth `start..start + depth` into `[depth, MR]` panels in `out`, rows past the
/// last as zeros. `scratch` holds at least `depth` elements.
#[inline(always)]
pub(crate) fn pack_lhs<L: Lhs>(
    lhs: &L,
    (first, rows): (usize, usize),
    (start, depth): (usize, usize),
    mr: usize,
    scratch: &mut [f32],
    out: &mut [f32],
) {
    for (panel, out) in out[..rows.div_ceil(mr) * mr * depth].chunks_exact_mut(mr * depth).enumerate() {
        for i in 0..mr {
            let row = panel * mr + i;
            if row < rows {
                let values = lhs.row(first + row, start, &mut scratch[..depth]);
                for (out, value) in out[i..].iter_mut().step_by(mr).zip(values) {
                    *out = *value;
                }
            } else {
                for out in out[i..].iter_mut().step_by(mr) {
                    *out = 0.0;
                }
            }
        }
    }
}
