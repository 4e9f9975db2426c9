//! How far a right tensor may be from the one that is computed, and how far one is.

use std::collections::BTreeMap;

use encoder::reference::{Rounding, Tensor64};
use harness::limits::metric::PerMetric;
use harness::limits::tolerance::NoiseFloor;
use rayon::prelude::*;

/// A tensor whose rel_l2 is within so many times its floor is right, and what comes so near explains it.
pub(super) const TIMES_FLOOR: f64 = 4.0;
/// The same of rel_linf, as the shipped profiles have it.
const TIMES_FLOOR_OF_LARGEST: f64 = 8.0;
/// The least that counts as left: what f32 itself rounds.
pub(super) const LEAST: f64 = 1e-7;
/// Runs that are nudged to find a floor, each in its own way. In 200 runs of each part of 20 simulated right ports no limit from
/// so many was passed; from a third of them one in 30,000 was.
pub(super) const NUDGED_RUNS: usize = 24;

/// By how many times what f32 loses a run is nudged, and the share of its error that counts. Where values are rounded to f16 the
/// error comes from the few that fall on the other side: with the square root of how many do. Runs that are nudged more have more
/// of them, and tell what a run has that is unlucky.
pub(super) fn nudge_of(run: usize) -> (f64, f64) {
    if run.is_multiple_of(2) { (1.0, 1.0) } else { (16.0, 0.25) }
}

/// Values of a part's output from which on luck evens out: of the model of 300M, rounded as ggml-f16, runs that are nudged alike
/// differ by up to 12 % in rel_l2.
pub(super) const LARGE: usize = 100_000;

/// Which of [`NUDGED_RUNS`] are done on a part.
pub(super) fn nudged_runs(rounding: Rounding, large: bool, bit_exact: bool) -> std::ops::Range<usize> {
    match (large, rounding) {
        (false, _) => 0..NUDGED_RUNS,
        // Where nothing is rounded the error goes with the nudge: a run of 16 times, at a quarter, is 4 times one of once.
        (true, Rounding::Exact) if bit_exact => 1..2,
        (true, _) => 0..2,
    }
}

/// Values that are compared at once.
const PIECE: usize = 1 << 14;

/// Whether luck evens out over what a part gives.
pub(super) fn is_large(outputs: &[(String, Tensor64)]) -> bool {
    outputs.last().is_some_and(|(_, tensor)| tensor.data.len() >= LARGE)
}

/// The output of that name.
pub(super) fn named<'o>(outputs: &'o [(String, Tensor64)], name: &str) -> Option<&'o Tensor64> {
    outputs.iter().find(|(output, _)| output == name).map(|(_, tensor)| tensor)
}

/// ‖a - b‖ / ‖b‖ and max |a - b| / max |b|; `None` where extents differ or all of `b` is zero.
pub(super) fn distance(a: &Tensor64, b: &Tensor64) -> Option<NoiseFloor> {
    if a.shape != b.shape {
        return None;
    }
    let of_piece = |(a, b): (&[f64], &[f64])| {
        let (mut difference, mut size, mut largest, mut most) = (0.0, 0.0, 0.0f64, 0.0f64);
        for (a, b) in a.iter().zip(b) {
            let d = (a - b).abs();
            (difference, size) = (difference + d * d, size + b * b);
            (largest, most) = (largest.max(d), most.max(b.abs()));
        }
        [difference, size, largest, most]
    };
    // Piece by piece, in order: sums do not depend on the number of threads.
    let pieces: Vec<[f64; 4]> =
        a.data.par_chunks(PIECE).zip(b.data.par_chunks(PIECE)).map(of_piece).collect();
    let [difference, size, largest, most] = pieces.into_iter().fold([0.0; 4], |all, piece| {
        [all[0] + piece[0], all[1] + piece[1], all[2].max(piece[2]), all[3].max(piece[3])]
    });
    let figures = PerMetric { rel_l2: (difference / size).sqrt(), rel_linf: largest / most };
    (most > 0.0).then_some(NoiseFloor { figures, max_abs: largest })
}

/// Whether a tensor is as near to another as what f32 sums lose lets a right one be.
pub(super) fn is_within(own: &Tensor64, exact: &Tensor64, floor: Option<&NoiseFloor>) -> bool {
    let Some((found, floor)) = distance(own, exact).zip(floor) else { return false };
    found.figures.rel_l2 <= TIMES_FLOOR * floor.figures.rel_l2
        && found.figures.rel_linf <= TIMES_FLOOR_OF_LARGEST * floor.figures.rel_linf
}

/// What nudged runs gave before a part that stands alone.
pub(super) fn no_nudged() -> Vec<BTreeMap<String, Tensor64>> {
    vec![BTreeMap::new(); NUDGED_RUNS]
}

/// The floor from errors of nudged runs, each with the share of it that counts; `least` where they are less. Of rel_l2 it is their
/// root mean square, times the mean of their squares over the square of their mean: 1 where runs are alike, and the more where the
/// error comes from a few values, which most runs do not have.
pub(super) fn floor_of(errors: &[(f64, NoiseFloor)], least: &NoiseFloor) -> NoiseFloor {
    let of = |figure: fn(&NoiseFloor) -> f64| {
        errors.iter().map(|(share, error)| share * figure(error)).fold(figure(least), f64::max)
    };
    let mean = |power: i32| {
        let all = errors.iter().map(|(share, error)| (share * error.figures.rel_l2).powi(power));
        all.sum::<f64>() / errors.len() as f64
    };
    // NaN where all are zero, or there are none.
    let spread = mean(2).sqrt() * (mean(2) / mean(1).powi(2));
    let rel_l2 = least.figures.rel_l2.max(spread);
    NoiseFloor {
        figures: PerMetric { rel_l2, rel_linf: of(|x| x.figures.rel_linf) },
        max_abs: of(|x| x.max_abs),
    }
}
