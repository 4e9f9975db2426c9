//! Products of matrices.
//!
//! Every sum goes through the depth in order, [`DEPTH`] products at a time, each fused with its sum: its bits depend neither on
//! how the work is shared out nor on the CPU.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Rows of a tile: with [`VECTORS`] each, 24 of the 32 registers of AVX-512.
const ROWS: usize = 8;
/// Rows of a tile on CPUs with 16 registers: 12 of them.
const FEW_ROWS: usize = 4;
/// Vectors of columns of a tile.
const VECTORS: usize = 3;
/// Products that are summed in a register before the sum is put aside: as many rows of a strip of columns (36 KiB with AVX-512)
/// stay in the first-level cache.
const DEPTH: usize = 192;
/// Rows whose panels (768 KiB of one [`DEPTH`]) stay in the second-level cache.
const ROWS_AT_ONCE: usize = 512;
/// Columns of a task: a multiple of every tile's.
const COLUMNS: usize = 192;
/// So many tasks keep all threads busy to the end.
const TASKS: usize = 64;
/// Fewer rows are not worth reading the columns for.
const ROWS_OF_TASK: usize = 64;

/// The left side of a product, `[rows, depth]`, in panels of [`ROWS`] rows: those of one depth lie side by side.
pub(super) struct Panels {
    rows: usize,
    depth: usize,
    data: Vec<f64>,
}

impl Panels {
    /// Panels of values by row and depth.
    pub(super) fn from_fn(rows: usize, depth: usize, value: impl Fn(usize, usize) -> f64 + Sync) -> Panels {
        let mut data = vec![0.0; rows.next_multiple_of(ROWS) * depth];
        data.par_chunks_mut((ROWS * depth).max(1)).enumerate().for_each(|(number, panel)| {
            let first = number * ROWS;
            for row in first..rows.min(first + ROWS) {
                let elements = panel.iter_mut().skip(row - first).step_by(ROWS);
                elements.enumerate().for_each(|(k, element)| *element = value(row, k));
            }
        });
        Panels { rows, depth, data }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The product with a matrix `[depth, columns]`, `[rows, columns]`, in `out`. `read(k, first, row)` fills `row` with what
    /// row `k` of the matrix has from column `first` on.
    pub(super) fn times(
        &self,
        columns: usize,
        read: impl Fn(usize, usize, &mut [f64]) + Sync,
        out: &mut [f64],
    ) {
        assert_eq!(out.len(), self.rows * columns, "{} rows of {columns} columns", self.rows);
        if self.depth == 0 || out.is_empty() {
            return out.fill(0.0);
        }
        let arch = Arch::new();
        let product = |task| arch.dispatch(Product { panels: self, read: &read, task });
        self.tasks(columns, out).into_par_iter().for_each(product);
    }

    /// Tasks of up to [`COLUMNS`] columns each; where these are few, of fewer rows too.
    fn tasks<'a>(&self, columns: usize, out: &'a mut [f64]) -> Vec<Task<'a>> {
        let pieces = columns.div_ceil(COLUMNS);
        let groups = TASKS.div_ceil(pieces).min(self.rows.div_ceil(ROWS_OF_TASK));
        let rows = self.rows.div_ceil(groups).next_multiple_of(ROWS);
        let mut tasks: Vec<Task<'a>> = Vec::new();
        for (group, out) in out.chunks_mut(rows * columns).enumerate() {
            let first = tasks.len();
            let new =
                |piece| Task { first_row: group * rows, first_column: piece * COLUMNS, out: Vec::new() };
            tasks.extend((0..pieces).map(new));
            for row in out.chunks_mut(columns) {
                let pieces = tasks[first..].iter_mut().zip(row.chunks_mut(COLUMNS));
                pieces.for_each(|(task, piece)| task.out.push(piece));
            }
        }
        tasks
    }
}

/// A rectangle of a product: pieces of its rows.
struct Task<'a> {
    /// A multiple of [`ROWS`].
    first_row: usize,
    first_column: usize,
    out: Vec<&'a mut [f64]>,
}

/// A task and what it takes.
struct Product<'a, F> {
    panels: &'a Panels,
    read: &'a F,
    task: Task<'a>,
}

impl<F: Fn(usize, usize, &mut [f64])> WithSimd for Product<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Product { panels, read, task: Task { first_row, first_column, mut out } } = self;
        let columns = out[0].len();
        let width = VECTORS * S::F64_LANES;
        let strips = columns.div_ceil(width);
        // What fills up the last strip is zero, and its sums are not taken.
        let mut row = vec![0.0; strips * width];
        let mut right = vec![0.0; strips * width * DEPTH];
        for from in (0..panels.depth).step_by(DEPTH) {
            let depth = DEPTH.min(panels.depth - from);
            for k in 0..depth {
                read(from + k, first_column, &mut row[..columns]);
                let row = S::as_simd_f64s(&row).0.as_chunks::<VECTORS>().0;
                let right = S::as_mut_simd_f64s(&mut right).0.as_chunks_mut::<VECTORS>().0;
                right[k..].iter_mut().step_by(depth).zip(row).for_each(|(to, row)| *to = *row);
            }
            for (part, out) in out.chunks_mut(ROWS_AT_ONCE).enumerate() {
                let first = first_row + part * ROWS_AT_ONCE;
                let left = &panels.data[first * panels.depth..];
                for (strip, right) in right.chunks_exact(width * depth).take(strips).enumerate() {
                    let right = S::as_simd_f64s(right).0.as_chunks().0;
                    let panels = left.chunks_exact(ROWS * panels.depth);
                    for (panel, out) in panels.zip(out.chunks_mut(ROWS)) {
                        let left = panel[from * ROWS..][..depth * ROWS].as_chunks().0;
                        let tile = Tile { left, right, column: strip * width, adds: from > 0 };
                        if S::REGISTER_COUNT >= 32 {
                            tile.sum::<S, ROWS>(simd, 0, out);
                        } else {
                            for (half, out) in out.chunks_mut(FEW_ROWS).enumerate() {
                                tile.sum::<S, FEW_ROWS>(simd, half * FEW_ROWS, out);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A panel of rows and a strip of columns, and where their sums belong.
struct Tile<'a, V> {
    left: &'a [[f64; ROWS]],
    right: &'a [[V; VECTORS]],
    column: usize,
    /// Earlier products of the same sums are there already.
    adds: bool,
}

impl<V: bytemuck::Pod> Tile<'_, V> {
    /// Sums `N` rows from `first` on, into `out`.
    #[inline(always)]
    fn sum<S: Simd<f64s = V>, const N: usize>(&self, simd: S, first: usize, out: &mut [&mut [f64]]) {
        let mut sums = [[simd.splat_f64s(0.0); VECTORS]; N];
        for (left, right) in self.left.iter().zip(self.right) {
            for (i, sums) in sums.iter_mut().enumerate() {
                let left = simd.splat_f64s(left[first + i]);
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum = simd.mul_add_f64s(left, *right, *sum);
                }
            }
        }
        for (out, sums) in out.iter_mut().zip(&sums) {
            let out = &mut out[self.column..];
            let vectors = S::as_mut_simd_f64s(out).0;
            if vectors.len() >= VECTORS {
                for (out, sum) in vectors.iter_mut().zip(sums) {
                    *out = if self.adds { simd.add_f64s(*out, *sum) } else { *sum };
                }
            } else {
                let sums: &[f64] = bytemuck::cast_slice(sums);
                let add = |(out, sum): (&mut f64, &f64)| *out = if self.adds { *out + sum } else { *sum };
                out.iter_mut().zip(sums).for_each(add);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers whose products and sums are exact.
    fn whole(i: usize) -> f64 {
        ((i * 7919) % 17) as f64 - 8.0
    }

    #[test]
    fn products_at_every_edge() {
        let mut wrong = Vec::new();
        for rows in [1, FEW_ROWS - 1, ROWS, ROWS + 1, 2 * ROWS_OF_TASK + 3, ROWS_AT_ONCE + ROWS + 1] {
            for columns in [1, 23, 24, 25, COLUMNS, COLUMNS + 1] {
                for depth in [0, 1, DEPTH, DEPTH + 1] {
                    let right = |k: usize, column: usize| whole(3 * k + column);
                    let panels = Panels::from_fn(rows, depth, |row, k| whole(row + 5 * k));
                    let mut out = vec![f64::NAN; rows * columns];
                    let read = |k: usize, first: usize, row: &mut [f64]| {
                        row.iter_mut().enumerate().for_each(|(i, x)| *x = right(k, first + i));
                    };
                    panels.times(columns, read, &mut out);
                    let sum = |i: usize| -> f64 {
                        let (row, column) = (i / columns, i % columns);
                        (0..depth).map(|k| whole(row + 5 * k) * right(k, column)).sum()
                    };
                    if (0..out.len()).step_by(7).any(|i| out[i] != sum(i)) {
                        wrong.push((rows, columns, depth));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn the_same_bits_whatever_the_vectors() {
        let (rows, columns, depth) = (ROWS + 3, COLUMNS + 5, DEPTH + 7);
        let panels = Panels::from_fn(rows, depth, |row, k| 1.0 / (1 + row + 3 * k) as f64);
        let read = |k: usize, first: usize, row: &mut [f64]| {
            row.iter_mut().enumerate().for_each(|(i, x)| *x = 1.0 / (2 + 5 * k + first + i) as f64);
        };
        let [mut out, mut one_by_one] = [(); 2].map(|()| vec![f64::NAN; rows * columns]);
        panels.times(columns, read, &mut out);
        for task in panels.tasks(columns, &mut one_by_one) {
            Simd::vectorize(pulp::Scalar, Product { panels: &panels, read: &read, task });
        }
        assert!(out == one_by_one);
    }
}
