//! Multi-query attention: `softmax(q k^T / sqrt(d_k)) v` with one set of keys and values for all heads.
//!
//! Both products are computed transposed, `k q^T` and `v^T p^T`: the scores of some queries then have the layout of a
//! right-hand panel, `[positions, queries]`, so that nothing has to be transposed between the products (bf16 only pairs
//! neighbouring rows), and the softmax is one of columns.

use rayon::prelude::*;

use super::gemm::bf16::pairs_of_rows;
use super::gemm::lhs::{PackedLhs, Region, RhsPanel};
use super::gemm::micro::{MicroKernel, OfF32, OfPairs};
use super::gemm::rhs::packed_length;
use super::gemm::source::{Lhs, Matrix, TransposedValues};
use super::gemm::task_rows;
use super::softmax::{MAX_VECTORS, exponentials};
use crate::poison::FILL_WITH_NAN;
use crate::precision::Operands;
use crate::simd::aligned_buffer::AlignedBuffer;
use crate::simd::summation::SummationBlock;
use crate::simd::tile::TileOut;
use crate::simd::tuning::Tuning;
use crate::simd::{Isa, Kernel, MAX_LANES, Simd};

/// The heads of a query are contiguous in its row, so queries are a matrix `[pixels * heads, key_dim]`,
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
    let (keys, values) = rayon::join(
        || isa.run(Pack(&Matrix::new(keys, key_dim), operands)),
        || isa.run(Pack(&TransposedValues::new(values, value_dim), operands)),
    );
    let queries = Matrix::new(queries, key_dim);
    let scale = (1.0 / (key_dim as f64).sqrt()) as f32;
    let max_rows = Tuning::COMMON.task_rows;
    let rows = task_rows(isa.tile_columns(operands), queries.rows(), max_rows, rayon::current_num_threads());
    out.par_chunks_mut(rows * value_dim).enumerate().for_each_init(
        AttentionScratch::default,
        |scratch, (task, out)| {
            let first = task * rows;
            isa.run(AttentionTask {
                queries: &queries,
                keys: &keys,
                values: &values,
                scale,
                first,
                scratch,
                out,
            });
        },
    );
}

struct Pack<'a, L>(&'a L, Operands);

impl<L: Lhs> Kernel for Pack<'_, L> {
    type Output = PackedLhs;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> PackedLhs {
        PackedLhs::new(simd, self.0, self.1)
    }
}

/// Scratch memory of a task; reused by neighbouring tasks.
#[derive(Default)]
struct AttentionScratch {
    queries: RhsPanel,
    /// `[positions, NR]`
    scores: AlignedBuffer,
    /// The scores of a block of positions in pairs, `[terms, pairs, NR]`.
    pairs: Vec<u32>,
    /// `[value_dim, NR]`
    result: AlignedBuffer,
}

struct AttentionTask<'a> {
    queries: &'a Matrix<'a>,
    keys: &'a PackedLhs,
    /// Transposed: a row for each output.
    values: &'a PackedLhs,
    scale: f32,
    /// Its first query.
    first: usize,
    scratch: &'a mut AttentionScratch,
    out: &'a mut [f32],
}

impl Kernel for AttentionTask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        const { assert!(S::NR / S::LANES <= MAX_VECTORS && S::PAIRS.nr / S::LANES <= MAX_VECTORS) };
        match self.keys.operands() {
            Operands::F32 => {
                let (key_dim, positions) = (self.queries.depth(), self.keys.rows());
                let (of_scores, of_outputs) =
                    (SummationBlock::of_scores(key_dim), SummationBlock::of(positions));
                let kernels = (&OfF32::new(simd, of_scores), &OfF32::new(simd, of_outputs));
                self.queries_by_panels(simd, S::NR, kernels);
            }
            Operands::Bf16(terms) => {
                let kernel = OfPairs::new(simd, terms);
                self.queries_by_panels(simd, S::PAIRS.nr, (&kernel, &kernel));
            }
        }
    }
}

impl AttentionTask<'_> {
    /// With a kernel for the scores and one for the outputs.
    #[inline(always)]
    fn queries_by_panels<S: Simd, M: MicroKernel>(
        self,
        simd: S,
        nr: usize,
        (for_scores, for_outputs): (&M, &M),
    ) {
        let AttentionTask { queries, keys, values, scale, first, scratch, out } = self;
        let operands = keys.operands();
        assert_eq!(operands, values.operands(), "keys and values are packed alike");
        let (positions, value_dim) = (keys.rows(), values.rows());
        scratch.scores.resize(positions * nr);
        scratch.result.resize(value_dim * nr);
        for (panel, out) in out.chunks_mut(nr * value_dim).enumerate() {
            let start = first + panel * nr;
            let rows = start..start + out.len() / value_dim;
            let AttentionScratch { queries: packed, scores, pairs, result } = &mut *scratch;
            if FILL_WITH_NAN {
                scores.fill(f32::NAN);
                result.fill(f32::NAN);
            }
            for (depth, left) in keys.blocks() {
                let right = packed.pack(
                    simd,
                    queries,
                    Region { rows: rows.clone(), depth: depth.clone() },
                    operands,
                    nr,
                );
                let accumulate = depth.start > 0;
                let out = TileOut { data: scores, stride: nr, rows: positions, columns: nr, accumulate };
                for_scores.multiply(depth.len(), left, right, out);
            }
            let inverse_sums = exponentials(simd, scale, nr, scores);
            for (depth, left) in values.blocks() {
                let weights = &scores[depth.start * nr..depth.end * nr];
                let right: &[u32] = match operands {
                    Operands::F32 => bytemuck::cast_slice(weights),
                    Operands::Bf16(terms) => {
                        pairs.resize(packed_length(operands, depth.len()) * nr, 0);
                        pairs_of_rows(simd, weights, nr, terms, pairs);
                        pairs
                    }
                };
                let accumulate = depth.start > 0;
                let out = TileOut { data: result, stride: nr, rows: value_dim, columns: nr, accumulate };
                for_outputs.multiply(depth.len(), left, right, out);
            }
            let groups = out.chunks_mut(S::LANES * value_dim).zip(inverse_sums);
            for (group, (out, inverse)) in groups.enumerate() {
                columns_to_rows(simd, (&result[group * S::LANES..], nr), inverse, out, value_dim);
            }
        }
    }
}

/// Writes the first vector of columns of `[length, nr]` times `inverse` as rows of `length`, as many as `out` holds and a
/// vector has lanes. Dividing by the sum here takes fewer divisions than dividing the weights.
#[inline(always)]
fn columns_to_rows<S: Simd>(
    simd: S,
    (columns, nr): (&[f32], usize),
    inverse: S::V,
    out: &mut [f32],
    length: usize,
) {
    for start in (0..length).step_by(S::LANES) {
        let count = S::LANES.min(length - start);
        let mut square = [simd.splat(0.0); MAX_LANES];
        for (row, place) in square.iter_mut().enumerate().take(count) {
            *place = simd.mul(simd.load(&columns[(start + row) * nr..]), inverse);
        }
        let rows = simd.transpose(square);
        for (row, out) in rows.iter().take(S::LANES).zip(out.chunks_exact_mut(length)) {
            simd.store_partial(*row, &mut out[start..start + count]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gemm::rhs::DEPTH;
    use crate::testing::{Failures, around, on_each_isa, values};

    on_each_isa!(
        agrees_with_the_naive_kernel_around_every_edge,
        nan_stays_in_its_query_and_the_bits_do_not_depend_on_the_threads
    );

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

    fn agrees_with_the_naive_kernel_around_every_edge(isa: Isa, failures: &mut Failures) {
        for operands in Operands::ALL {
            let (mr, nr) = (isa.tile_rows(operands), isa.tile_columns(operands));
            let positions = [1, 2, 2 * DEPTH + 3].into_iter().chain(around(mr)).chain(around(DEPTH));
            let shapes = [
                (1, (1, 1)),
                (7, (8, 5)),
                (nr - 1, (17, mr - 1)),
                (nr, (17, mr)),
                (nr + 1, (17, mr + 1)),
                // Several vectors and tiles of values.
                (5 * nr + 1, (5, 2 * mr.max(MAX_LANES) + 1)),
            ];
            for (positions, (rows, dims)) in positions.flat_map(|p| shapes.map(|s| (p, s))) {
                check_agreement(failures, (isa, operands), positions, rows, dims, 1.0);
            }
            // On one thread, which takes several panels in a task.
            let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
            one.install(|| check_agreement(failures, (isa, operands), 17, 5 * nr + 1, (5, 7), 1.0));
            // Keys of more than one block of depth, in any number of terms.
            for positions in [mr - 1, 2 * mr + 1] {
                check_agreement(failures, (isa, operands), positions, nr + 1, (2 * DEPTH + 3, 5), 0.1);
            }
        }
    }

    /// Compares with the naive attention, on queries of at most this size.
    fn check_agreement(
        failures: &mut Failures,
        (isa, operands): (Isa, Operands),
        positions: usize,
        rows: usize,
        dims: (usize, usize),
        size: f32,
    ) {
        let queries: Vec<f32> = values(rows * dims.0, 1).iter().map(|x| x * size).collect();
        let (keys, v) = (values(positions * dims.0, 2), values(positions * dims.1, 3));
        let mut out = vec![f32::NAN; rows * dims.1];
        attention((isa, operands), &queries, &keys, &v, dims, &mut out);
        let exact = naive(&queries, &keys, &v, dims);
        // Rounding moves the weights and the values, and through the exponential the scores.
        let bound = 1e-6 + operands.rounding() * (2.0 + f64::from(size) * (dims.0 as f64).sqrt());
        for (i, (out, exact)) in out.iter().zip(&exact).enumerate() {
            let error = (f64::from(*out) - exact).abs();
            failures.check(error <= bound, || {
                let case = format!("{operands:?}, {positions} positions, {rows} rows of {dims:?}");
                format!("{case}, element {i}: {out} for {exact}")
            });
            assert!(
                error <= bound,
                "{isa} {operands:?}, {positions} positions, {rows} rows of {dims:?}, element {i}: {out} for {exact}"
            );
        }
    }

    fn nan_stays_in_its_query_and_the_bits_do_not_depend_on_the_threads(isa: Isa, failures: &mut Failures) {
        for operands in Operands::ALL {
            let (rows, dims, positions) = (5 * isa.tile_columns(operands) + 3, (9, 7), 37);
            let (mut queries, keys) = (values(rows * dims.0, 1), values(positions * dims.0, 2));
            let v = values(positions * dims.1, 3);
            let run = |queries: &[f32], threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut out = vec![0.0; rows * dims.1];
                pool.install(|| attention((isa, operands), queries, &keys, &v, dims, &mut out));
                out.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
            };
            let expected = run(&queries, 1);
            for threads in [2, 3, 8] {
                failures.check(run(&queries, threads) == expected, || {
                    format!("{operands:?} on {threads} threads")
                });
            }
            let broken = rows / 2;
            queries[broken * dims.0] = f32::NAN;
            for (i, bits) in run(&queries, 2).into_iter().enumerate() {
                let case = format!("{operands:?}, element {i} of query {}", i / dims.1);
                match i / dims.1 == broken {
                    true => failures.check(f32::from_bits(bits).is_nan(), || case),
                    false => failures.equal(bits, expected[i], || case),
                }
            }
        }
    }
}
