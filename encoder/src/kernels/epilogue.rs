//! What happens to a finished row of channels: bias, RMS norm, GELU, layer scale, skip.

use rayon::prelude::*;

use super::math;
use crate::simd::{Isa, Kernel, Simd};

/// The epsilon of every RMS norm of the model.
pub(crate) const EPSILON: f32 = 1e-6;

/// RMS normalisation over the channels, `x * rsqrt(mean(x^2) + eps) * weight`.
#[derive(Clone, Copy, Default)]
pub(crate) enum Norm<'a> {
    #[default]
    None,
    /// Without a weight.
    Plain,
    Weighted(&'a [f32]),
}

/// Operations on rows of channels, in the order of the fields.
#[derive(Clone, Copy, Default)]
pub(crate) struct Epilogue<'a> {
    /// Added to each row, `[channels]`.
    pub(crate) bias: Option<&'a [f32]>,
    /// Multiplies every element, before the norm.
    pub(crate) factor: Option<f32>,
    pub(crate) norm: Norm<'a>,
    pub(crate) gelu: bool,
    /// Multiplies each row, `[channels]`.
    pub(crate) layer_scale: Option<&'a [f32]>,
    /// Added row by row, `[rows, channels]`.
    pub(crate) skip: Option<&'a [f32]>,
    /// Multiplies the epsilon of the norm.
    #[cfg(feature = "faults")]
    pub(crate) epsilon_times: Option<f32>,
    /// GELU by the error function.
    #[cfg(feature = "faults")]
    pub(crate) erf: bool,
    /// The layer scale a second time.
    #[cfg(feature = "faults")]
    pub(crate) layer_scale_twice: bool,
}

impl Epilogue<'_> {
    #[cfg(not(feature = "faults"))]
    #[inline(always)]
    fn epsilon(&self) -> f32 {
        EPSILON
    }

    #[cfg(feature = "faults")]
    fn epsilon(&self) -> f32 {
        self.epsilon_times.unwrap_or(1.0) * EPSILON
    }

    #[inline(always)]
    fn apply_gelu<S: Simd>(&self, simd: S, row: &mut [f32]) {
        #[cfg(feature = "faults")]
        if self.erf {
            row.iter_mut().for_each(|x| *x = math::erf_gelu(*x));
            return;
        }
        math::gelu_row(simd, row);
    }

    /// Applies the operations to `rows` (`[_, channels]`), starting with row `first` of `skip`.
    #[inline(always)]
    pub(crate) fn apply<S: Simd>(&self, simd: S, first: usize, channels: usize, rows: &mut [f32]) {
        if channels == 0 {
            return;
        }
        for (i, row) in rows.chunks_exact_mut(channels).enumerate() {
            if let Some(bias) = self.bias {
                zip(simd, row, bias, |x, b| simd.add(x, b));
            }
            if let Some(factor) = self.factor {
                let factor = simd.splat(factor);
                map(simd, row, |x| simd.mul(x, factor));
            }
            match self.norm {
                Norm::None => {}
                Norm::Plain => normalise(simd, row, inverse_rms(simd, row, self.epsilon())),
                Norm::Weighted(weight) => {
                    normalise_weighted(simd, row, weight, inverse_rms(simd, row, self.epsilon()));
                }
            }
            if self.gelu {
                self.apply_gelu(simd, row);
            }
            if let Some(gamma) = self.layer_scale {
                zip(simd, row, gamma, |x, g| simd.mul(x, g));
                #[cfg(feature = "faults")]
                if self.layer_scale_twice {
                    zip(simd, row, gamma, |x, g| simd.mul(x, g));
                }
            }
            if let Some(skip) = self.skip {
                zip(simd, row, &skip[(first + i) * channels..][..channels], |x, s| simd.add(x, s));
            }
        }
    }
}

/// Applies `ops` to all rows of `data` (`[rows, channels]`) in place, in parallel.
pub(crate) fn apply_rows(isa: Isa, ops: &Epilogue<'_>, channels: usize, data: &mut [f32]) {
    apply_in_tasks(isa, ops, channels, data, |_, _| {});
}

/// Applies `ops` to all rows of `source` (`[rows, channels]`) and writes them to `out`, in parallel.
pub(crate) fn apply_rows_to(isa: Isa, ops: &Epilogue<'_>, channels: usize, source: &[f32], out: &mut [f32]) {
    assert_eq!(source.len(), out.len(), "rows to read and to write");
    apply_in_tasks(isa, ops, channels, out, |first, out| out.copy_from_slice(&source[first..][..out.len()]));
}

/// `fill` first writes a task's elements, from the given index on, or leaves them.
fn apply_in_tasks(
    isa: Isa,
    ops: &Epilogue<'_>,
    channels: usize,
    data: &mut [f32],
    fill: impl Fn(usize, &mut [f32]) + Sync,
) {
    struct EpilogueTask<'a, 'b>(&'a Epilogue<'b>, usize, usize, &'a mut [f32]);
    impl Kernel for EpilogueTask<'_, '_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            self.0.apply(simd, self.1, self.2, self.3);
        }
    }
    // Rows of about a hundred kilobytes a task.
    let rows = (32_768 / channels.max(1)).max(1);
    data.par_chunks_mut(rows * channels).enumerate().for_each(|(task, data)| {
        fill(task * rows * channels, data);
        isa.run(EpilogueTask(ops, task * rows, channels, data));
    });
}

/// `1 / sqrt(mean(x^2) + eps)` and its rounding error.
#[inline(always)]
fn inverse_rms<S: Simd>(simd: S, row: &[f32], epsilon: f32) -> [f32; 2] {
    let mut sums = [simd.splat(0.0); 4];
    let chunks = row.chunks_exact(4 * S::LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (j, sum) in sums.iter_mut().enumerate() {
            let x = simd.load(&chunk[j * S::LANES..(j + 1) * S::LANES]);
            *sum = simd.mul_add(x, x, *sum);
        }
    }
    for chunk in rest.chunks(S::LANES) {
        let x = simd.load_partial(chunk);
        sums[0] = simd.mul_add(x, x, sums[0]);
    }
    let sum = simd.add(simd.add(sums[0], sums[1]), simd.add(sums[2], sums[3]));
    let sum: f64 = simd.lanes(sum).iter().map(|x| f64::from(*x)).sum();
    let mean = sum / row.len() as f64;
    let inverse = 1.0 / (mean + f64::from(epsilon)).sqrt();
    let high = inverse as f32;
    [high, (inverse - f64::from(high)) as f32]
}

/// `x * (high + low)`. With fused multiply-adds only the result is rounded.
#[inline(always)]
fn times<S: Simd>(simd: S, x: S::V, [high, low]: [S::V; 2]) -> S::V {
    simd.mul_add(x, high, simd.mul(x, low))
}

/// `(high + low) * weight` in two parts again; the second is zero or small if multiply-adds are not fused.
/// `high * weight` must be finite: a weight of 3.4e35 and more can be too large.
#[inline(always)]
fn weighted<S: Simd>(simd: S, [high, low]: [S::V; 2], weight: S::V) -> [S::V; 2] {
    let factor = simd.mul(high, weight);
    let rest = simd.mul_add(high, weight, simd.mul(factor, simd.splat(-1.0)));
    [factor, simd.mul_add(low, weight, rest)]
}

/// Multiplies a row by a factor in two parts. A loop of its own: its closure would be too large for [`map`].
#[inline(always)]
fn normalise<S: Simd>(simd: S, row: &mut [f32], factor: [f32; 2]) {
    let factor = [simd.splat(factor[0]), simd.splat(factor[1])];
    let mut vectors = row.chunks_exact_mut(S::LANES);
    for part in &mut vectors {
        simd.store(times(simd, simd.load(part), factor), part);
    }
    let rest = vectors.into_remainder();
    if !rest.is_empty() {
        simd.store_partial(times(simd, simd.load_partial(rest), factor), rest);
    }
}

/// Multiplies a row by a factor in two parts and by `weight`, `[channels]`. A loop of its own, as above.
#[inline(always)]
fn normalise_weighted<S: Simd>(simd: S, row: &mut [f32], weight: &[f32], factor: [f32; 2]) {
    assert_eq!(row.len(), weight.len(), "channels of a row and of its norm");
    let factor = [simd.splat(factor[0]), simd.splat(factor[1])];
    let mut vectors = row.chunks_exact_mut(S::LANES);
    let mut weights = weight.chunks_exact(S::LANES);
    for (part, weight) in (&mut vectors).zip(&mut weights) {
        let factor = weighted(simd, factor, simd.load(weight));
        simd.store(times(simd, simd.load(part), factor), part);
    }
    let rest = vectors.into_remainder();
    if !rest.is_empty() {
        let factor = weighted(simd, factor, simd.load_partial(weights.remainder()));
        simd.store_partial(times(simd, simd.load_partial(rest), factor), rest);
    }
}

/// For operations of a few instructions: a larger closure is not inlined, and then it is compiled without the
/// instruction set.
#[inline(always)]
fn map<S: Simd>(simd: S, row: &mut [f32], f: impl Fn(S::V) -> S::V) {
    let mut chunks = row.chunks_exact_mut(S::LANES);
    for chunk in &mut chunks {
        let v = f(simd.load(chunk));
        simd.store(v, chunk);
    }
    let rest = chunks.into_remainder();
    if !rest.is_empty() {
        let v = f(simd.load_partial(rest));
        simd.store_partial(v, rest);
    }
}

#[inline(always)]
fn zip<S: Simd>(simd: S, row: &mut [f32], other: &[f32], f: impl Fn(S::V, S::V) -> S::V) {
    assert_eq!(row.len(), other.len(), "channels of a row and of its parameter");
    let mut chunks = row.chunks_exact_mut(S::LANES);
    let mut others = other.chunks_exact(S::LANES);
    for (chunk, other) in (&mut chunks).zip(&mut others) {
        let v = f(simd.load(chunk), simd.load(other));
        simd.store(v, chunk);
    }
    let rest = chunks.into_remainder();
    if !rest.is_empty() {
        let v = f(simd.load_partial(rest), simd.load_partial(others.remainder()));
        simd.store_partial(v, rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::MAX_LANES;
    use crate::testing::{Failures, on_each_isa, values};

    on_each_isa!(a_norm_agrees_with_f64_around_every_number_of_vectors);

    #[test]
    fn rows_written_elsewhere_equal_rows_in_place() {
        // Several tasks, the last one shorter.
        for (channels, rows) in [(1, 3), (40, 2000), (640, 113)] {
            let (x, weight, skip) =
                (values(rows * channels, 1), values(channels, 2), values(rows * channels, 3));
            let ops = Epilogue { norm: Norm::Weighted(&weight), skip: Some(&skip), ..Epilogue::default() };
            let (mut in_place, mut elsewhere) = (x.clone(), vec![f32::NAN; x.len()]);
            apply_rows(Isa::Portable, &ops, channels, &mut in_place);
            apply_rows_to(Isa::Portable, &ops, channels, &x, &mut elsewhere);
            assert_eq!(elsewhere, in_place, "{rows} rows of {channels}");
            // Row by row, with the row's own part of the skip.
            for (row, found) in elsewhere.chunks_exact(channels).enumerate() {
                let of = |data: &[f32]| data[row * channels..][..channels].to_vec();
                let (mut alone, skip) = (of(&x), of(&skip));
                let ops = Epilogue { skip: Some(&skip), ..ops };
                apply_rows(Isa::Portable, &ops, channels, &mut alone);
                assert_eq!(found, alone, "row {row} of {rows} rows of {channels}");
            }
        }
    }

    /// Four vectors are summed at a time, then single ones, then part of one.
    fn a_norm_agrees_with_f64_around_every_number_of_vectors(isa: Isa, failures: &mut Failures) {
        let edges = (1..=MAX_LANES + 1).chain((1..=9).flat_map(|n| {
            let edge = n * MAX_LANES / 2;
            [edge - 1, edge, edge + 1]
        }));
        for channels in edges.chain([8 * MAX_LANES - 1, 8 * MAX_LANES, 8 * MAX_LANES + 1]) {
            let (x, weight) = (values(2 * channels, 1), values(channels, 2));
            for norm in [Norm::Plain, Norm::Weighted(&weight)] {
                let mut out = x.clone();
                apply_rows(isa, &Epilogue { norm, ..Epilogue::default() }, channels, &mut out);
                for (i, out) in out.iter().enumerate() {
                    let (row, c) = (i / channels * channels, i % channels);
                    let squares = x[row..row + channels].iter().map(|x| f64::from(*x).powi(2));
                    let mean = squares.sum::<f64>() / channels as f64;
                    let weight = if let Norm::Weighted(weight) = norm { f64::from(weight[c]) } else { 1.0 };
                    let exact = f64::from(x[i]) / (mean + 1e-6).sqrt() * weight;
                    // Of one that is rounded three times it is 1.6e-7, as where multiply-adds are not fused.
                    let limit = if isa == Isa::Portable { 1.8e-7 } else { 1.0e-7 };
                    let error = (f64::from(*out) - exact).abs();
                    failures.check(error <= limit * exact.abs(), || {
                        format!("{channels} channels, {i}: {out} for {exact}")
                    });
                }
            }
        }
    }
}
