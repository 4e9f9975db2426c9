//! Dense products `[rows, depth] x [depth, columns]` with an epilogue on each finished row.

pub(crate) mod bf16;
pub(crate) mod lhs;
pub(crate) mod micro;
pub(crate) mod rhs;
pub(crate) mod source;

use rayon::prelude::*;

use super::epilogue::Epilogue;
use crate::precision::Operands;
use crate::simd::aligned_buffer::AlignedBuffer;
use crate::simd::summation::SummationBlock;
use crate::simd::tile::TileOut;
use crate::simd::{Kernel, Simd};
use lhs::{LhsPanels, Region};
use micro::{MicroKernel, OfF32, OfPairs};
use rhs::{DepthBlock, PackedRhs};
use source::{Lhs, Matrix};

/// The least number of tasks for each thread, if there are enough rows: the wait for the last task should be short.
const TASKS_PER_THREAD: usize = 2;

/// Rows that one task of an operation on `rows` rows computes with `rhs`: whole tiles, shared evenly among whole rounds of
/// tasks, so that the threads end together. No bit of the result depends on it.
pub(crate) fn rows_per_task(rhs: &PackedRhs, rows: usize) -> usize {
    let tile = rhs.isa().tile_rows(rhs.operands());
    task_rows(tile, rows, rhs.tuning().task_rows, rayon::current_num_threads())
}

/// The same for tiles of `tile` rows, or columns where a product is computed transposed, at most `max_rows` in a task, on `threads`
/// threads.
pub(super) fn task_rows(tile: usize, rows: usize, max_rows: usize, threads: usize) -> usize {
    let tiles = rows.div_ceil(tile);
    let rounds = tiles.div_ceil(max_rows / tile * threads).max(TASKS_PER_THREAD);
    tiles.div_ceil(rounds * threads).max(1) * tile
}

/// `out = epilogue(lhs * rhs)`, `out` is `[lhs.rows(), rhs.columns()]`; parallel over blocks of rows.
pub(crate) fn gemm<L: Lhs>(lhs: &L, rhs: &PackedRhs, epilogue: &Epilogue<'_>, out: &mut [f32]) {
    assert_eq!(lhs.depth(), rhs.depth(), "the two sides of a product differ in depth");
    assert_eq!(out.len(), lhs.rows() * rhs.columns(), "output elements");
    let rows = rows_per_task(rhs, lhs.rows());
    out.par_chunks_mut(rows * rhs.columns()).enumerate().for_each_init(
        LhsPanels::default,
        |panels, (task, out)| {
            let first = task * rows;
            rhs.isa().run(GemmTask { lhs, rhs, epilogue, lhs_first: first, first, panels, out });
        },
    );
}

struct GemmTask<'a, 'b, L> {
    lhs: &'a L,
    rhs: &'a PackedRhs,
    epilogue: &'a Epilogue<'b>,
    /// First row of the left side.
    lhs_first: usize,
    /// First row of the whole product, for the epilogue.
    first: usize,
    panels: &'a mut LhsPanels,
    out: &'a mut [f32],
}

impl<L: Lhs> Kernel for GemmTask<'_, '_, L> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        gemm_block(simd, self.lhs, self.lhs_first, self.rhs, self.panels, self.out);
        self.epilogue.apply(simd, self.first, self.rhs.columns(), self.out);
    }
}

/// `out = second_epilogue(first_epilogue(lhs * first) * second)`, `out` is `[lhs.rows(), second.columns()]`; parallel over
/// blocks of rows. A back-to-back GEMM: the first product of a block never leaves the cache.
///
/// The bits are those of two calls of [`gemm`].
pub(crate) fn fused_gemm<L: Lhs>(
    lhs: &L,
    (first, first_epilogue): (&PackedRhs, &Epilogue<'_>),
    (second, second_epilogue): (&PackedRhs, &Epilogue<'_>),
    out: &mut [f32],
) {
    assert_eq!(lhs.depth(), first.depth(), "the two sides of a product differ in depth");
    assert_eq!(first.columns(), second.depth(), "the two products differ in depth");
    assert_eq!(out.len(), lhs.rows() * second.columns(), "output elements");
    let rows = rows_in_cache(first, lhs.rows());
    out.par_chunks_mut(rows * second.columns()).enumerate().for_each_init(
        <(LhsPanels, AlignedBuffer)>::default,
        |(panels, middle), (task, out)| {
            middle.resize(out.len() / second.columns() * first.columns());
            let start = task * rows;
            first.isa().run(GemmTask {
                lhs,
                rhs: first,
                epilogue: first_epilogue,
                lhs_first: start,
                first: start,
                panels,
                out: middle,
            });
            let lhs = &Matrix::new(middle, first.columns());
            // Its left side has just the task's rows.
            let epilogue = second_epilogue;
            second.isa().run(GemmTask {
                lhs,
                rhs: second,
                epilogue,
                lhs_first: 0,
                first: start,
                panels,
                out,
            });
        },
    );
}

/// Rows of a task whose product with `rhs` stays in the cache.
fn rows_in_cache(rhs: &PackedRhs, rows: usize) -> usize {
    let tile = rhs.isa().tile_rows(rhs.operands());
    let fitting = rhs.tuning().middle_bytes / (rhs.columns() * size_of::<f32>()) / tile * tile;
    fitting.max(tile).min(rows_per_task(rhs, rows))
}

/// Rows `first..` of the product, as many as `out` (`[rows, columns]`) holds, on the calling thread.
#[inline(always)]
pub(crate) fn gemm_block<S: Simd, L: Lhs>(
    simd: S,
    lhs: &L,
    first: usize,
    rhs: &PackedRhs,
    panels: &mut LhsPanels,
    out: &mut [f32],
) {
    let rows = out.len() / rhs.columns();
    for block in rhs.blocks() {
        let part = Region { rows: first..first + rows, depth: block.range() };
        panels.pack(simd, lhs, part, rhs.operands());
        let left = panels.panels();
        match rhs.operands() {
            Operands::F32 => {
                let kernel = OfF32::new(simd, SummationBlock::of(rhs.depth()));
                let kernel = kernel.with_prefetch(rhs.tuning().prefetch);
                macro_kernel(&kernel, left, rhs, block, out)
            }
            Operands::Bf16(terms) => macro_kernel(&OfPairs::new(simd, terms), left, rhs, block, out),
        }
    }
}

/// All tiles of a block: each panel of the right side, while it is in the first-level cache, with every left panel.
#[inline(always)]
fn macro_kernel<M: MicroKernel>(
    kernel: &M,
    left: std::slice::ChunksExact<'_, u32>,
    rhs: &PackedRhs,
    block: DepthBlock,
    out: &mut [f32],
) {
    let stride = rhs.columns();
    let rows = out.len() / stride;
    for right in rhs.panels_of(block) {
        let (data, columns) = (&mut out[right.column..], right.columns);
        let out = TileOut { data, stride, rows, columns, accumulate: block.start > 0 };
        kernel.multiply(block.depth, left.clone(), right.words, out);
    }
}

#[cfg(test)]
mod tests {
    use super::rhs::DEPTH;
    use super::*;
    use crate::kernels::epilogue::Norm;
    use crate::simd::Isa;
    use crate::simd::tile::PAIR_DEPTH;
    use crate::simd::tuning::Tuning;
    use crate::testing::{Failures, around, on_each_isa, values};

    on_each_isa!(
        gemm_agrees_with_f64_around_every_tile_edge,
        the_epilogue_keeps_its_order,
        fused_products_have_the_bits_of_two_products,
        errors_are_those_of_the_summation_blocks,
        no_bit_depends_on_the_tuning
    );

    /// Packs `b`, `[depth, columns]`.
    fn pack(isa: Isa, operands: Operands, b: &[f32], columns: usize) -> PackedRhs {
        PackedRhs::new(isa, operands, (b.len() / columns, columns), |column, start, out| {
            for (d, out) in out.iter_mut().enumerate() {
                *out = b[(start + d) * columns + column];
            }
        })
    }

    /// Sizes below, at and above an edge.
    #[test]
    fn tasks_are_whole_tiles_of_equal_number_for_each_thread() {
        for (tile, max_rows) in
            [4, 6, 12, 14, 32].into_iter().flat_map(|tile| Tuning::ALL.map(|tuning| (tile, tuning.task_rows)))
        {
            for threads in [1, 2, 3, 8, 64] {
                for rows in (1..200).chain([256, 575, 576, 2304, 9216, 147_456]) {
                    let task = task_rows(tile, rows, max_rows, threads);
                    let case = format!(
                        "{rows} rows in tiles of {tile}, at most {max_rows}, on {threads} threads: {task}"
                    );
                    assert!(task > 0 && task.is_multiple_of(tile), "{case}");
                    assert!(task <= max_rows.max(tile), "{case}");
                    let (tiles, tasks) = (rows.div_ceil(tile), rows.div_ceil(task));
                    assert!(tasks >= (TASKS_PER_THREAD * threads).min(tiles).div_ceil(2), "{case}");
                    // No smaller than necessary: each packs its left side and reads all of the right one.
                    let whole = max_rows / tile * tile;
                    assert!(tasks <= TASKS_PER_THREAD * threads || 3 * task >= 2 * whole, "{case}");
                    // No thread does a whole round more than its share.
                    let (most, share) = (tasks.div_ceil(threads) * (task / tile), tiles.div_ceil(threads));
                    assert!(
                        most <= share + tasks.div_ceil(threads),
                        "{case}: {most} tiles for a share of {share}"
                    );
                }
            }
        }
    }

    fn gemm_agrees_with_f64_around_every_tile_edge(isa: Isa, failures: &mut Failures) {
        for operands in Operands::ALL {
            let (mr, nr) = (isa.tile_rows(operands), isa.tile_columns(operands));
            let task_edge = Tuning::of(isa, operands).task_rows;
            let rows = [1, 2].into_iter().chain(around(mr)).chain(around(task_edge.next_multiple_of(mr)));
            for (rows, columns) in rows.flat_map(|rows| {
                let columns = [1, 7].into_iter().chain(around(nr)).chain(around(2 * nr));
                columns.map(move |columns| (rows, columns))
            }) {
                let short = [SummationBlock::Short, SummationBlock::Medium]
                    .map(|block| [block.length(), block.deepest()]);
                let edges = short.into_iter().flatten().chain([PAIR_DEPTH, DEPTH, 2 * DEPTH]);
                let depths = [1, 3].into_iter().chain(edges.flat_map(around));
                for depth in depths {
                    let (a, b) = (values(rows * depth, 1), values(depth * columns, 2));
                    let rhs = pack(isa, operands, &b, columns);
                    let mut out = vec![f32::NAN; rows * columns];
                    gemm(&Matrix::new(&a, depth), &rhs, &Epilogue::default(), &mut out);
                    for (i, out) in out.iter().enumerate() {
                        let (row, column) = (i / columns, i % columns);
                        let terms = (0..depth)
                            .map(|d| f64::from(a[row * depth + d]) * f64::from(b[d * columns + column]));
                        let (exact, size) =
                            terms.fold((0.0, 0.0), |(sum, size), t| (sum + t, size + t.abs()));
                        // The a-priori bound of a sum of `depth` products of operands that are rounded.
                        let terms = (depth + 2) * operands.products();
                        let bound = (terms as f64 * f64::from(f32::EPSILON) + operands.rounding()) * size;
                        let error = (f64::from(*out) - exact).abs();
                        failures.check(error <= bound, || {
                            let shape = format!("{rows}x{columns}x{depth}");
                            format!("{operands:?} {shape} at {row},{column}: {out} for {exact}")
                        });
                    }
                }
            }
        }
    }

    #[cfg_attr(not(feature = "faults"), expect(clippy::needless_update, reason = "the feature adds fields"))]
    fn the_epilogue_keeps_its_order(isa: Isa, failures: &mut Failures) {
        for channels in [1, 5, 16, 33, 70] {
            let (x, skip) = (values(3 * channels, 1), values(3 * channels, 2));
            let (bias, norm, gamma) = (values(channels, 3), values(channels, 4), values(channels, 5));
            let ops = Epilogue {
                bias: Some(&bias),
                factor: Some(3.0),
                norm: Norm::Weighted(&norm),
                gelu: true,
                layer_scale: Some(&gamma),
                skip: Some(&skip),
                ..Epilogue::default()
            };
            let mut out = x.clone();
            crate::kernels::epilogue::apply_rows(isa, &ops, channels, &mut out);
            for (i, out) in out.iter().enumerate() {
                let (row, c) = (i / channels, i % channels);
                let scaled = |c: usize| 3.0 * (f64::from(x[row * channels + c]) + f64::from(bias[c]));
                let mean = (0..channels).map(|c| scaled(c).powi(2)).sum::<f64>() / channels as f64;
                let normed = scaled(c) / (mean + 1e-6).sqrt() * f64::from(norm[c]);
                let exact = crate::reference::gelu(normed) * f64::from(gamma[c]) + f64::from(skip[i]);
                let error = (f64::from(*out) - exact).abs();
                failures
                    .check(error <= 2e-6, || format!("{channels} channels, element {i}: {out} for {exact}"));
            }
        }
    }

    fn fused_products_have_the_bits_of_two_products(isa: Isa, failures: &mut Failures) {
        for operands in Operands::ALL {
            for (rows, depth, middle, columns) in [(1, 3, 5, 2), (50, 40, 300, 33), (131, 64, 1700, 17)] {
                let (a, b, c) =
                    (values(rows * depth, 1), values(depth * middle, 2), values(middle * columns, 3));
                let (lhs, norm) = (Matrix::new(&a, depth), values(middle, 4));
                let (first, second) = (pack(isa, operands, &b, middle), pack(isa, operands, &c, columns));
                let ops = Epilogue { norm: Norm::Weighted(&norm), gelu: true, ..Epilogue::default() };
                let skip = values(rows * columns, 5);
                let last = Epilogue { norm: Norm::Plain, skip: Some(&skip), ..Epilogue::default() };

                let mut expanded = vec![f32::NAN; rows * middle];
                gemm(&lhs, &first, &ops, &mut expanded);
                let mut apart = vec![f32::NAN; rows * columns];
                gemm(&Matrix::new(&expanded, middle), &second, &last, &mut apart);

                let mut fused = vec![f32::NAN; rows * columns];
                fused_gemm(&lhs, (&first, &ops), (&second, &last), &mut fused);
                let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                failures.check(bits(&fused) == bits(&apart), || {
                    format!("{operands:?} {rows}x{depth}x{middle}x{columns}")
                });
            }
        }
    }

    fn no_bit_depends_on_the_tuning(isa: Isa, failures: &mut Failures) {
        // Several panels and blocks of depth; tiles and panels that are not full; more rows than a task has, both of the first
        // product and of what fits the intermediate result.
        let (rows, depth, middle, columns) = (601, DEPTH + 7, 2 * DEPTH + 71, 77);
        let (a, b, c) = (values(rows * depth, 1), values(depth * middle, 2), values(middle * columns, 3));
        let ops = Epilogue::default();
        let run = |tuning: Tuning, threads: usize| {
            let tuned = |b: &[f32], columns| pack(isa, Operands::F32, b, columns).tuned(tuning);
            let (first, second) = (tuned(&b, middle), tuned(&c, columns));
            let mut out = vec![f32::NAN; rows * columns];
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| fused_gemm(&Matrix::new(&a, depth), (&first, &ops), (&second, &ops), &mut out));
            out.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
        };
        let expected = run(Tuning::COMMON, 1);
        // The last one cuts the intermediate result into tasks of a few tiles.
        let small = Tuning { middle_bytes: 1 << 16, ..Tuning::INTEL_2_MIB };
        for (tuning, threads) in
            Tuning::ALL.into_iter().chain([small]).flat_map(|tuning| [1, 2].map(|threads| (tuning, threads)))
        {
            failures.check(run(tuning, threads) == expected, || format!("{tuning:?} on {threads} threads"));
        }
    }

    #[test]
    #[should_panic(expected = "differ in depth")]
    fn sides_of_different_depth_are_refused() {
        let rhs = pack(Isa::Portable, Operands::F32, &[0.0; 16], 4);
        gemm(&Matrix::new(&[0.0; 6], 3), &rhs, &Epilogue::default(), &mut [0.0; 8]);
    }

    /// The root mean square of the errors, in units of f32's epsilon times that of the sums.
    fn errors_are_those_of_the_summation_blocks(isa: Isa, failures: &mut Failures) {
        // Without fused multiply-adds 0.69, 0.88 and 1.35. In blocks of 16 the first is 0.76, in blocks of 64 the second 1.29.
        for (depth, limit) in [(64, 0.72), (192, 0.95), (640, 1.45)] {
            let (rows, columns) = (96, 96);
            let (a, b) = (values(rows * depth, 1), values(depth * columns, 2));
            let rhs = PackedRhs::new(isa, Operands::F32, (depth, columns), |column, start, out| {
                out.copy_from_slice(&b[column * depth + start..][..out.len()]);
            });
            let mut out = vec![f32::NAN; rows * columns];
            gemm(&Matrix::new(&a, depth), &rhs, &Epilogue::default(), &mut out);
            let (mut errors, mut sizes) = (0.0, 0.0);
            for (i, out) in out.iter().enumerate() {
                let (row, column) = (&a[i / columns * depth..][..depth], &b[i % columns * depth..][..depth]);
                let exact: f64 = row.iter().zip(column).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                errors += (f64::from(*out) - exact).powi(2);
                sizes += exact.powi(2);
            }
            let error = (errors / sizes).sqrt() / f64::from(f32::EPSILON);
            failures.check(error <= limit, || format!("depth {depth}: {error:.3}"));
        }
    }
}
