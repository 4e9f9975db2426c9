//! Values moved by as much as f32 arithmetic may move them, to find out how far a part's result can be from exact.

use std::cell::Cell;

use rayon::prelude::*;

use super::image::{Image, PIECE};

/// Moves values by up to a few units in the last place of f32, of the value and of the sums that it comes from.
pub(super) struct Nudge {
    seed: u64,
    times: f64,
    calls: Cell<u64>,
}

/// Half units in the last place, of the value or the root mean square: with four times the error that this makes as its
/// limit, a real llama.cpp dump takes up a quarter of its limits, and simulated right ports pass on small maps too, where few
/// values fall on the other side of a rounding.
const UNITS: f64 = 2.0;

impl Nudge {
    /// Moves values by so many times as much as f32 arithmetic does.
    pub(super) fn new(seed: u64, times: f64) -> Nudge {
        Nudge { seed, times, calls: Cell::new(0) }
    }

    /// How the values of an image are moved: each by its own share of the unit, that of the value, or of the root mean square
    /// where it is larger, for sums cancel.
    pub(super) fn next(&self, x: &Image) -> NudgedValues {
        let call = self.calls.replace(self.calls.get() + 1);
        // Summed piece by piece, whatever the number of threads.
        let squares: Vec<f64> = x.data.par_chunks(PIECE).map(sum_of_squares).collect();
        NudgedValues {
            rms: (squares.iter().sum::<f64>() / x.data.len().max(1) as f64).sqrt(),
            unit: self.times * UNITS * f64::from(f32::EPSILON) / 2.0,
            start: self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(call << 40),
        }
    }
}

/// How the values of one image are moved.
#[derive(Clone, Copy)]
pub(super) struct NudgedValues {
    rms: f64,
    unit: f64,
    start: u64,
}

impl NudgedValues {
    /// Moves values, the first of which is number `from` of the image.
    #[inline(always)]
    pub(super) fn move_piece(self, from: usize, piece: &mut [f64]) {
        let NudgedValues { rms, unit, start } = self;
        for (i, x) in piece.iter_mut().enumerate() {
            let share = share(start.wrapping_add((from + i) as u64));
            *x += share * unit * x.abs().max(rms);
        }
    }
}

/// Eight sums side by side, which vectors take.
fn sum_of_squares(piece: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (chunks, rest) = piece.as_chunks::<8>();
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, x)| *sum += x * x);
    }
    sums.iter().sum::<f64>() + rest.iter().map(|x| x * x).sum::<f64>()
}

/// A number between -1 and 1 that looks random (SplitMix64).
#[inline(always)]
fn share(state: u64) -> f64 {
    let mut z = state.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    (z >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}
