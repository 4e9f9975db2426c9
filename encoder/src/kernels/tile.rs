//! The GEMM micro-kernel: one register tile of `MR x NR` results.

use crate::simd::Simd;

/// One tile of work: `out (+)= a * b` over `depth` products.
pub(crate) struct Tile<'a> {
    /// `[depth, MR]`: a panel of the left side, rows past the matrix zero.
    pub(crate) a: &'a [f32],
    /// `[depth, NR]`: a panel of the right side, columns past the matrix zero.
    pub(crate) b: &'a [f32],
    /// Rows of the output, each `stride` apart, from the tile's first element on.
    pub(crate) out: &'a mut [f32],
    pub(crate) stride: usize,
    /// Rows and columns of the tile that exist in the output, at most `MR` and `NR`.
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Add to the output instead of overwriting it.
    pub(crate) accumulate: bool,
}

/// The micro-kernel for a tile of `MR` rows and `NV` vectors of columns.
#[inline(always)]
pub(crate) fn multiply<S: Simd, const MR: usize, const NV: usize>(simd: S, tile: Tile<'_>) {
    let zero = simd.splat(0.0);
    let mut sums = [[zero; NV]; MR];
    for (a, b) in tile.a.chunks_exact(MR).zip(tile.b.chunks_exact(NV * S::LANES)) {
        let mut vectors = [zero; NV];
        for (j, v) in vectors.iter_mut().enumerate() {
            *v = simd.load(&b[j * S::LANES..(j + 1) * S::LANES]);
        }
        for i in 0..MR {
            let factor = simd.splat(a[i]);
            for j in 0..NV {
                sums[i][j] = simd.mul_add(factor, vectors[j], sums[i][j]);
            }
        }
    }
    let full = tile.columns == NV * S::LANES;
    for (i, sums) in sums.iter().enumerate().take(tile.rows) {
        let row = &mut tile.out[i * tile.stride..][..tile.columns];
        for (j, sum) in sums.iter().enumerate() {
            if full {
                let out = &mut row[j * S::LANES..(j + 1) * S::LANES];
                let sum = if tile.accumulate { simd.add(simd.load(out), *sum) } else { *sum };
                simd.store(sum, out);
            } else if j * S::LANES < tile.columns {
                let end = tile.columns.min((j + 1) * S::LANES);
                let out = &mut row[j * S::LANES..end];
                let sum = if tile.accumulate { simd.add(simd.load_partial(out), *sum) } else { *sum };
                simd.store_partial(sum, out);
            }
        }
    }
}
