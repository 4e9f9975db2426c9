//! Dense products `[rows, depth] x [depth, columns]` with an epilogue on each finished row.

use rayon::prelude::*;

use super::packing::{DEPTH, Lhs, PackedRhs, pack_lhs};
use super::rows::RowOps;
use super::tile::Tile;
use crate::simd::{Kernel, Simd};

/// Register tiles of rows in one task: the packed left block stays in the second-level cache.
const TILES: usize = 8;

/// Buffers of one thread, kept over its tasks.
#[derive(Default)]
pub(crate) struct Scratch {
    row: Vec<f32>,
    panels: Vec<f32>,
}

impl Scratch {
    fn reserve(&mut self, mr: usize, rows: usize) {
        self.row.resize(DEPTH, 0.0);
        let needed = rows.div_ceil(mr) * mr * DEPTH;
        if self.panels.len() < needed {
            self.panels.resize(needed, 0.0);
        }
    }
}

/// Rows that one task of an operation on `isa` computes.
pub(crate) fn rows_per_task(rhs: &PackedRhs) -> usize {
    rhs.isa().tile_shape().0 * TILES
}

/// `out = epilogue(lhs * rhs)`, `out` is `[lhs.rows(), rhs.columns()]`; parallel over blocks of rows.
pub(crate) fn gemm<L: Lhs>(lhs: &L, rhs: &PackedRhs, epilogue: &RowOps<'_>, out: &mut [f32]) {
    assert_eq!(lhs.depth(), rhs.depth(), "the two sides of a product differ in depth");
    assert_eq!(out.len(), lhs.rows() * rhs.columns(), "output elements");
    let rows = rows_per_task(rhs);
    out.par_chunks_mut(rows * rhs.columns()).enumerate().for_each_init(
        Scratch::default,
        |scratch, (task, out)| {
            rhs.isa().run(Task { lhs, rhs, epilogue, first: task * rows, scratch, out });
        },
    );
}

struct Task<'a, 'b, L> {
    lhs: &'a L,
    rhs: &'a PackedRhs,
    epilogue: &'a RowOps<'b>,
    first: usize,
    scratch: &'a mut Scratch,
    out: &'a mut [f32],
}

impl<L: Lhs> Kernel for Task<'_, '_, L> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        gemm_block(simd, self.lhs, self.first, self.rhs, self.scratch, self.out);
        self.epilogue.apply(simd, self.first, self.rhs.columns(), self.out);
    }
}

/// Rows `first..` of the product, as many as `out` (`[rows, columns]`) holds, on the calling thread.
#[inline(always)]
pub(crate) fn gemm_block<S: Simd, L: Lhs>(
    simd: S,
    lhs: &L,
    first: usize,
    rhs: &PackedRhs,
    scratch: &mut Scratch,
    out: &mut [f32],
) {
    let columns = rhs.columns();
    let rows = out.len() / columns;
    scratch.reserve(S::MR, rows);
    for (start, depth) in rhs.blocks() {
        pack_lhs(lhs, (first, rows), (start, depth), S::MR, &mut scratch.row, &mut scratch.panels);
        for (column, width, b) in rhs.panels(start, depth) {
            for (tile, a) in scratch.panels.chunks_exact(S::MR * depth).take(rows.div_ceil(S::MR)).enumerate()
            {
                let row = tile * S::MR;
                simd.tile(Tile {
                    a,
                    b,
                    out: &mut out[row * columns + column..],
                    stride: columns,
                    rows: S::MR.min(rows - row),
                    columns: width,
                    accumulate: start > 0,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::packing::Matrix;
    use super::*;
    use crate::kernels::rows::Norm;
    use crate::testing::{available_isas, values};

    /// Sizes below, at and above an edge.
    fn around(edge: usize) -> [usize; 3] {
        [edge - 1, edge, edge + 1]
    }

    #[test]
    fn gemm_agrees_with_f64_around_every_tile_edge() {
        let mut failures = Vec::new();
        for isa in available_isas() {
            let (mr, nr) = isa.tile_shape();
            let rows = [1, 2].into_iter().chain(around(mr)).chain(around(mr * TILES));
            for (rows, columns) in rows.flat_map(|rows| {
                let columns = [1, 7].into_iter().chain(around(nr)).chain(around(2 * nr));
                columns.map(move |columns| (rows, columns))
            }) {
                for depth in [1, 3, DEPTH - 1, DEPTH, DEPTH + 1] {
                    let (a, b) = (values(rows * depth, 1), values(depth * columns, 2));
                    let rhs = PackedRhs::new(isa, depth, columns, |d, c| b[d * columns + c]);
                    let mut out = vec![f32::NAN; rows * columns];
                    gemm(&Matrix::new(&a, depth), &rhs, &RowOps::default(), &mut out);
                    for (i, out) in out.iter().enumerate() {
                        let (row, column) = (i / columns, i % columns);
                        let terms = (0..depth)
                            .map(|d| f64::from(a[row * depth + d]) * f64::from(b[d * columns + column]));
                        let (exact, size) =
                            terms.fold((0.0, 0.0), |(sum, size), t| (sum + t, size + t.abs()));
                        // The a-priori bound of a sum of `depth` products.
                        let bound = (depth + 2) as f64 * f64::from(f32::EPSILON) * size;
                        let error = (f64::from(*out) - exact).abs();
                        if error.is_nan() || error > bound {
                            failures.push(format!(
                                "{isa} {rows}x{columns}x{depth} at {row},{column}: {out} for {exact}"
                            ));
                        }
                    }
                }
            }
        }
        assert!(
            failures.is_empty(),
            "{} wrong, first: {:#?}",
            failures.len(),
            &failures[..failures.len().min(5)]
        );
    }

    #[cfg_attr(not(feature = "faults"), expect(clippy::needless_update, reason = "the feature adds fields"))]
    #[test]
    fn the_epilogue_keeps_its_order() {
        for isa in available_isas() {
            for channels in [1, 5, 16, 33, 70] {
                let (x, skip) = (values(3 * channels, 1), values(3 * channels, 2));
                let (bias, norm, gamma) = (values(channels, 3), values(channels, 4), values(channels, 5));
                let ops = RowOps {
                    bias: Some(&bias),
                    factor: Some(3.0),
                    norm: Norm::Weighted(&norm),
                    gelu: true,
                    layer_scale: Some(&gamma),
                    skip: Some(&skip),
                    ..RowOps::default()
                };
                let mut out = x.clone();
                crate::kernels::rows::apply_rows(isa, &ops, channels, &mut out);
                for (i, out) in out.iter().enumerate() {
                    let (row, c) = (i / channels, i % channels);
                    let scaled = |c: usize| 3.0 * (f64::from(x[row * channels + c]) + f64::from(bias[c]));
                    let mean = (0..channels).map(|c| scaled(c).powi(2)).sum::<f64>() / channels as f64;
                    let normed = scaled(c) / (mean + 1e-6).sqrt() * f64::from(norm[c]);
                    let exact = crate::reference::gelu(normed) * f64::from(gamma[c]) + f64::from(skip[i]);
                    let error = (f64::from(*out) - exact).abs();
                    assert!(error <= 2e-6, "{isa}, {channels} channels, element {i}: {out} for {exact}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "differ in depth")]
    fn sides_of_different_depth_are_refused() {
        let rhs = PackedRhs::new(crate::simd::Isa::Portable, 4, 4, |_, _| 0.0);
        gemm(&Matrix::new(&[0.0; 6], 3), &rhs, &RowOps::default(), &mut [0.0; 8]);
    }
}
