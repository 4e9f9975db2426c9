//! Multi-query attention: `softmax(q k^T / sqrt(d_k)) v` with one set of keys and values for all heads.

use rayon::prelude::*;

use super::gemm::{gemm_block, rows_per_task};
use super::lhs::{Lhs, LhsPanels, Matrix};
use super::math;
use super::packing::PackedRhs;
use crate::precision::Operands;
use crate::simd::{Isa, Kernel, Simd};

/// The heads of a query stand one behind the other in its row, so queries are a matrix `[pixels * heads, key_dim]`,
/// and so is the output, `[pixels * heads, value_dim]`.
///
/// `keys` is `[positions, key_dim]`, `values` `[positions, value_dim]`: one image at a time, parallel over query rows.
pub(crate) fn attention(
    (isa, operands): (Isa, Operands),
    queries: &[f32],
    keys: &[f32],
    values: &[f32],
    (key_dim, value_dim): (usize, usize),
    out: &mut [f32],
) {
    let positions = keys.len() / key_dim;
    assert_eq!(values.len() / value_dim, positions, "keys and values");
    assert_eq!(queries.len() / key_dim, out.len() / value_dim, "queries and outputs");
    let keys = PackedRhs::new(isa, operands, (key_dim, positions), |position, start, out| {
        out.copy_from_slice(&keys[position * key_dim + start..][..out.len()]);
    });
    let values = PackedRhs::new(isa, operands, (positions, value_dim), |d, start, out| {
        for (out, row) in out.iter_mut().zip(values[start * value_dim..].chunks_exact(value_dim)) {
            *out = row[d];
        }
    });
    let queries = Matrix::new(queries, key_dim);
    let scale = (1.0 / (key_dim as f64).sqrt()) as f32;
    let rows = rows_per_task(&keys, queries.rows());
    out.par_chunks_mut(rows * value_dim).enumerate().for_each_init(
        || (LhsPanels::default(), Vec::new(), Vec::new()),
        |(panels, scores, inverse_sums), (task, out)| {
            scores.resize(out.len() / value_dim * positions, 0.0);
            isa.run(Task {
                queries: &queries,
                keys: &keys,
                values: &values,
                scale,
                first: task * rows,
                panels,
                scores,
                inverse_sums,
                out,
            });
        },
    );
}

struct Task<'a> {
    queries: &'a Matrix<'a>,
    keys: &'a PackedRhs,
    values: &'a PackedRhs,
    scale: f32,
    first: usize,
    panels: &'a mut LhsPanels,
    /// `[rows, positions]`
    scores: &'a mut [f32],
    /// One over the sum of each row's weights.
    inverse_sums: &'a mut Vec<f32>,
    out: &'a mut [f32],
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (positions, value_dim) = (self.keys.columns(), self.values.columns());
        gemm_block(simd, self.queries, self.first, self.keys, self.panels, self.scores);
        self.inverse_sums.clear();
        for row in self.scores.chunks_exact_mut(positions) {
            self.inverse_sums.push(exponentials(simd, self.scale, row));
        }
        let scores = Matrix::new(self.scores, positions);
        gemm_block(simd, &scores, 0, self.values, self.panels, self.out);
        // Dividing the few outputs by the sum instead of the many weights.
        for (row, inverse) in self.out.chunks_exact_mut(value_dim).zip(&*self.inverse_sums) {
            row.iter_mut().for_each(|x| *x *= inverse);
        }
    }
}

/// `exp(scale * (row - max(row)))` in place, and 1 over its sum; `scale` is positive.
#[inline(always)]
fn exponentials<S: Simd>(simd: S, scale: f32, row: &mut [f32]) -> f32 {
    let largest = largest(simd, row);
    let sum = math::exp_row(simd, scale, -largest * scale, row);
    (1.0 / sum) as f32
}

/// The largest element, of at least one.
#[inline(always)]
fn largest<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let chunks = row.chunks_exact(S::LANES);
    let rest = chunks.remainder();
    let mut largest = simd.splat(row[0]);
    for chunk in chunks {
        largest = simd.max(largest, simd.load(chunk));
    }
    let lanes = &simd.lanes(largest)[..S::LANES];
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::packing::DEPTH;
    use crate::testing::{available_isas, values};

    fn naive(queries: &[f32], keys: &[f32], v: &[f32], (key_dim, value_dim): (usize, usize)) -> Vec<f64> {
        let dot =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let mut out = Vec::new();
        for query in queries.chunks_exact(key_dim) {
            let scores = keys.chunks_exact(key_dim).map(|key| dot(query, key) / (key_dim as f64).sqrt());
            let weights: Vec<f64> = scores.map(f64::exp).collect();
            let sum: f64 = weights.iter().sum();
            out.extend((0..value_dim).map(|d| {
                let weighted =
                    weights.iter().zip(v.chunks_exact(value_dim)).map(|(w, v)| w * f64::from(v[d]));
                weighted.sum::<f64>() / sum
            }));
        }
        out
    }

    #[test]
    fn agrees_with_the_naive_one_around_every_edge() {
        for (isa, operands) in
            available_isas().into_iter().flat_map(|isa| Operands::ALL.map(|operands| (isa, operands)))
        {
            for positions in [1, 2, 15, 16, 17, DEPTH - 1, DEPTH, DEPTH + 1, 2 * DEPTH + 3] {
                for (rows, dims) in [(1, (1, 1)), (7, (8, 5)), (33, (17, 16))] {
                    let queries = values(rows * dims.0, 1);
                    let (keys, v) = (values(positions * dims.0, 2), values(positions * dims.1, 3));
                    let mut out = vec![f32::NAN; rows * dims.1];
                    attention((isa, operands), &queries, &keys, &v, dims, &mut out);
                    let exact = naive(&queries, &keys, &v, dims);
                    // Rounding moves the weights and the values, and through the exponential the scores.
                    let bound = 1e-6 + operands.rounding() * (2.0 + (dims.0 as f64).sqrt());
                    for (i, (out, exact)) in out.iter().zip(&exact).enumerate() {
                        let error = (f64::from(*out) - exact).abs();
                        assert!(
                            error <= bound,
                            "{isa} {operands:?}, {positions} positions, {rows} rows, element {i}: {out} for {exact}"
                        );
                    }
                }
            }
        }
    }
}
