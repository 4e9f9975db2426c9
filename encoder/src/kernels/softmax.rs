//! Softmax of columns.

use super::math::{TOGETHER, exp};
use crate::simd::{MAX_LANES, Simd};

/// The largest number of vectors in a row.
pub(super) const MAX_VECTORS: usize = 2;
/// Turns in a summation block, whose sums are added up before they join those of the other blocks: rounding errors grow with
/// the length of a running sum.
const BLOCK: usize = 16;
/// The largest product of the scale and an element whose rounding error, which all weights of a column share, is small.
const LARGE: f32 = 1e5;

/// `exp(scale * (x - max))` of each column of `columns` (`[rows, width]`, at least one row) in place, with the column's own
/// maximum; and one over each column's sum, in vectors from the first column on. `scale` is positive, `width` one or two
/// vectors.
#[inline(always)]
pub(super) fn exponentials<S: Simd>(
    simd: S,
    scale: f32,
    width: usize,
    columns: &mut [f32],
) -> [S::V; MAX_VECTORS] {
    let vectors = width / S::LANES;
    assert!(
        vectors * S::LANES == width && matches!(vectors, 1 | MAX_VECTORS),
        "{width} columns in vectors of {}",
        S::LANES
    );
    assert!(!columns.is_empty() && columns.len().is_multiple_of(width), "rows of {width} columns");
    // Element `i` of what follows belongs to vector `i % vectors` of a row: a whole number of rows are handled together.
    let mut shift = largest(simd, vectors, columns);
    subtract_large(simd, scale, &mut shift, columns);
    let scale = simd.splat(scale);
    for shift in &mut shift {
        *shift = simd.mul(*shift, simd.mul(scale, simd.splat(-1.0)));
    }
    let mut totals = [simd.splat(0.0); TOGETHER];
    for block in columns.chunks_mut(BLOCK * TOGETHER * S::LANES) {
        let mut sums = [simd.splat(0.0); TOGETHER];
        let mut turns = block.chunks_exact_mut(TOGETHER * S::LANES);
        for turn in &mut turns {
            // Not a closure: if it were not inlined, it would be compiled without the instruction set.
            let mut x = shift;
            for (x, part) in x.iter_mut().zip(turn.chunks_exact(S::LANES)) {
                *x = simd.mul_add(simd.load(part), scale, *x);
            }
            let e = exp::<S, TOGETHER>(simd, x);
            for i in 0..TOGETHER {
                sums[i] = simd.add(sums[i], e[i]);
                simd.store(e[i], &mut turn[i * S::LANES..]);
            }
        }
        for (i, rest) in turns.into_remainder().chunks_exact_mut(S::LANES).enumerate() {
            let [e] = exp(simd, [simd.mul_add(simd.load(rest), scale, shift[i])]);
            sums[i] = simd.add(sums[i], e);
            simd.store(e, rest);
        }
        for (total, sum) in totals.iter_mut().zip(sums) {
            *total = simd.add(*total, sum);
        }
    }
    let mut sums = of_columns(vectors, totals, |a, b| simd.add(a, b));
    for sum in &mut sums {
        *sum = simd.div(simd.splat(1.0), *sum);
    }
    sums
}

/// The largest element of each column, as [`TOGETHER`] vectors that repeat after `vectors`. It may lose a NaN, which its own
/// exponential brings back into the sum.
#[inline(always)]
fn largest<S: Simd>(simd: S, vectors: usize, columns: &[f32]) -> [S::V; TOGETHER] {
    let mut largest = [simd.splat(f32::NEG_INFINITY); TOGETHER];
    let turns = columns.chunks_exact(TOGETHER * S::LANES);
    let rest = turns.remainder();
    for turn in turns {
        for (i, largest) in largest.iter_mut().enumerate() {
            *largest = simd.max(*largest, simd.load(&turn[i * S::LANES..]));
        }
    }
    for (largest, rest) in largest.iter_mut().zip(rest.chunks_exact(S::LANES)) {
        *largest = simd.max(*largest, simd.load(rest));
    }
    let largest = of_columns(vectors, largest, |a, b| simd.max(a, b));
    let mut repeated = [largest[0]; TOGETHER];
    for (i, repeated) in repeated.iter_mut().enumerate() {
        *repeated = largest[i % vectors];
    }
    repeated
}

/// Subtracts the largest element from the columns where it is so large that `scale * x - scale * largest` would not be near
/// zero for the largest itself: that of a fused multiply-add is the rounding error of `scale * largest`. What is left to
/// subtract there is zero.
#[inline(always)]
fn subtract_large<S: Simd>(simd: S, scale: f32, largest: &mut [S::V; TOGETHER], columns: &mut [f32]) {
    let mut subtracted = [simd.splat(0.0); TOGETHER];
    let mut any = false;
    for (largest, subtracted) in largest.iter_mut().zip(&mut subtracted) {
        let (mut left, mut now) = (simd.lanes(*largest), [0.0; MAX_LANES]);
        for (left, now) in left.iter_mut().zip(&mut now).take(S::LANES) {
            if (*left * scale).abs() > LARGE {
                (*now, *left) = (*left, 0.0);
                any = true;
            }
        }
        (*largest, *subtracted) = (simd.load(&left), simd.load(&now));
    }
    if any {
        for part in columns.chunks_mut(TOGETHER * S::LANES) {
            for (part, subtracted) in part.chunks_exact_mut(S::LANES).zip(&subtracted) {
                simd.store(simd.sub(simd.load(part), *subtracted), part);
            }
        }
    }
}

/// Joins the vectors that belong to the same columns; with one vector in a row, the second is the first again.
#[inline(always)]
fn of_columns<V: Copy>(vectors: usize, all: [V; TOGETHER], join: impl Fn(V, V) -> V) -> [V; MAX_VECTORS] {
    let halves = [join(all[0], all[2]), join(all[1], all[3])];
    match vectors {
        1 => [join(halves[0], halves[1]); MAX_VECTORS],
        _ => halves,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Isa;
    use crate::simd::Kernel;
    use crate::testing::{Failures, on_each_isa, values};

    on_each_isa!(
        columns_agree_with_f64_at_every_number_of_rows,
        large_scores_weigh_by_their_differences,
        non_finite_scores_make_only_their_own_column_nan
    );

    /// With that many vectors in a row: the weights, the inverse sums, the width.
    struct Columns(usize, Vec<f32>);
    impl Kernel for Columns {
        type Output = (Vec<f32>, Vec<f32>, usize);
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let Columns(vectors, mut data) = self;
            let width = vectors * S::LANES;
            data.truncate(data.len() / 32 * width);
            let inverse = exponentials(simd, 3.0, width, &mut data);
            let inverse = inverse[..vectors].iter().flat_map(|v| simd.lanes(*v)[..S::LANES].to_vec());
            (data, inverse.collect(), width)
        }
    }

    fn columns_agree_with_f64_at_every_number_of_rows(isa: Isa, failures: &mut Failures) {
        for vectors in [1, MAX_VECTORS] {
            for rows in (1..=70).chain([256, 575, 576]) {
                let data: Vec<f32> = values(32 * rows, 1).iter().map(|x| 10.0 * x).collect();
                let (weights, inverse, width) = isa.run(Columns(vectors, data.clone()));
                for column in 0..width {
                    let case = format!("{rows} rows of {vectors} vectors, column {column}");
                    let of = |data: &[f32]| -> Vec<f64> {
                        data.chunks_exact(width).take(rows).map(|row| f64::from(row[column])).collect()
                    };
                    let (x, weights) = (of(&data), of(&weights));
                    let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let exact: Vec<f64> = x.iter().map(|x| (3.0 * (x - largest)).exp()).collect();
                    for (found, exact) in weights.iter().zip(&exact) {
                        // The argument is rounded, and at most 60.
                        failures.check((found - exact).abs() <= 4e-6 * exact, || {
                            format!("{case}: {found} for {exact}")
                        });
                    }
                    let sum: f64 = weights.iter().sum();
                    let found = f64::from(inverse[column]) * sum;
                    failures.check((found - 1.0).abs() <= 4e-7, || {
                        format!("{case}: inverse sum off by {:e}", found - 1.0)
                    });
                }
            }
        }
    }

    /// The products of these scores with the scale are not exact; their weights still follow from their differences.
    fn large_scores_weigh_by_their_differences(isa: Isa, failures: &mut Failures) {
        for (vectors, rows, size) in [1, MAX_VECTORS]
            .into_iter()
            .flat_map(|v| [1, 5, 65].map(|rows| (v, rows)))
            .flat_map(|(v, rows)| [2e4, 4e4, 1e7, 1.3e9, 1e20, 3e38].map(|size| (v, rows, size)))
        {
            let data: Vec<f32> = values(32 * rows, 1).iter().map(|x| size * x).collect();
            let (weights, inverse, width) = isa.run(Columns(vectors, data.clone()));
            for column in 0..width {
                let case = format!("{rows} rows of {vectors} vectors, {size:e}, column {column}");
                let x = |row: usize| f64::from(data[row * width + column]);
                let largest = (0..rows).map(x).fold(f64::NEG_INFINITY, f64::max);
                let exact: Vec<f64> = (0..rows).map(|row| (3.0 * (x(row) - largest)).exp()).collect();
                let sum: f64 = exact.iter().sum();
                for (row, exact) in exact.iter().enumerate() {
                    let found = f64::from(weights[row * width + column]) * f64::from(inverse[column]);
                    // Of sums up to the limit, an argument's rounding error is up to that of the largest.
                    failures.check((found - exact / sum).abs() <= 1e-2, || {
                        format!("{case}: {found} for {}", exact / sum)
                    });
                }
            }
        }
    }

    fn non_finite_scores_make_only_their_own_column_nan(isa: Isa, failures: &mut Failures) {
        for (vectors, rows) in [1, MAX_VECTORS].into_iter().flat_map(|v| [1, 5, 64, 65].map(|rows| (v, rows)))
        {
            let data: Vec<f32> = values(32 * rows, 1);
            let (_, expected, width) = isa.run(Columns(vectors, data.clone()));
            let places =
                [(f32::NAN, 0), (f32::NAN, rows / 2), (f32::NAN, rows - 1), (f32::INFINITY, rows / 2)];
            let mut cases: Vec<(String, Vec<f32>)> = Vec::new();
            let broken = width / 2;
            for (x, row) in places {
                let mut data = data.clone();
                data[row * width + broken] = x;
                cases.push((format!("{x} in row {row}"), data));
            }
            let mut nothing = data.clone();
            nothing.chunks_exact_mut(width).for_each(|row| row[broken] = f32::NEG_INFINITY);
            cases.push(("-inf in all rows".to_string(), nothing));
            for (case, data) in cases {
                let (_, inverse, _) = isa.run(Columns(vectors, data));
                for (column, (found, expected)) in inverse.iter().zip(&expected).enumerate() {
                    let case = format!("{case} of {rows}, column {column} of {width}");
                    match column == broken {
                        true => failures.check(found.is_nan(), || format!("{case}: {found}")),
                        false => failures.equal(found.to_bits(), expected.to_bits(), || case),
                    }
                }
            }
        }
    }
}
