//! Attention's own products: `softmax(q k^T / sqrt(d_k)) v` for every head, with the one set of keys and values.

use rayon::prelude::*;

use super::image::Image;
use super::rounding::Rounding;
use crate::architecture::AttentionSpec;

/// How attention is computed.
pub(super) struct Attending<'a> {
    pub(super) spec: &'a AttentionSpec,
    pub(super) rounding: Rounding,
    /// What scores are multiplied by, besides 1/sqrt(d).
    pub(super) scores_times: f64,
    /// Softmax over the queries instead of the keys.
    pub(super) over_queries: bool,
}

impl Attending<'_> {
    /// All heads' results, one after another in the channels.
    pub(super) fn heads(&self, q: &Image, k: &Image, v: &Image) -> Image {
        let Attending { spec, rounding, scores_times, over_queries } = *self;
        let times = |a: (f64, f64), b: (f64, f64)| a.0 * b.0 - a.1 * b.1;
        let held = |x: &Image| -> Vec<(f64, f64)> {
            x.data.iter().map(|x| rounding.held_by_attention(*x)).collect()
        };
        let (held_q, held_k, held_v) = (held(q), held(k), held(v));
        let [batch, _, height, width] = q.shape;
        let (pixels, positions) = (height * width, k.shape[2] * k.shape[3]);
        let mut heads = Image::zeros([batch, spec.heads * spec.value_dim, height, width]);
        let of_head = (spec.value_dim * pixels).max(1);
        heads.data.par_chunks_mut(of_head).enumerate().for_each(|(number, out)| {
            let (b, head) = (number / spec.heads, number % spec.heads);
            let q = |d: usize, pixel: usize| {
                held_q[(b * spec.heads * spec.key_dim + head * spec.key_dim + d) * pixels + pixel]
            };
            let scores_of = |pixel: usize| -> Vec<f64> {
                let score = |position: usize| {
                    let key = |d: usize| held_k[(b * spec.key_dim + d) * positions + position];
                    let sum: f64 = (0..spec.key_dim).map(|d| times(q(d, pixel), key(d))).sum();
                    sum / (spec.key_dim as f64).sqrt() * scores_times
                };
                (0..positions).map(score).collect()
            };
            // Of a softmax over the queries the sums go the other way.
            let columns: Vec<(f64, f64)> = match over_queries {
                true => totals_of_columns(&(0..pixels).map(scores_of).collect::<Vec<_>>(), positions),
                false => Vec::new(),
            };
            for pixel in 0..pixels {
                let scores = scores_of(pixel);
                let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let (weights, total): (Vec<f64>, f64) = if over_queries {
                    let weight = |(s, (largest, total)): (&f64, &(f64, f64))| (s - largest).exp() / total;
                    (scores.iter().zip(&columns).map(weight).collect(), 1.0)
                } else {
                    let weights: Vec<f64> = scores.iter().map(|s| (s - largest).exp()).collect();
                    let total = weights.iter().sum();
                    (weights, total)
                };
                let weights: Vec<(f64, f64)> =
                    weights.into_iter().map(|w| rounding.held_by_attention(w)).collect();
                for d in 0..spec.value_dim {
                    let values = &held_v[(b * spec.value_dim + d) * positions..][..positions];
                    let sum: f64 = weights.iter().zip(values).map(|(w, v)| times(*w, *v)).sum();
                    out[d * pixels + pixel] = sum / total;
                }
            }
        });
        heads
    }
}

/// The largest score of each column, and the sum of what remains of it under the exponential.
fn totals_of_columns(scores: &[Vec<f64>], columns: usize) -> Vec<(f64, f64)> {
    let of_column = |column: usize| {
        let values = || scores.iter().map(|row| row[column]);
        let largest = values().fold(f64::NEG_INFINITY, f64::max);
        (largest, values().map(|s| (s - largest).exp()).sum())
    };
    (0..columns).map(of_column).collect()
}
