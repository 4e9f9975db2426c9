//! Attention's own products: `softmax(q k^T / sqrt(d_k)) v` for every head, with the one set of keys and values.

use pulp::Arch;
use rayon::prelude::*;

use super::exponential::exp;
use super::image::Image;
use super::product::Panels;
use super::rounding::Rounding;
use super::storage_type::StorageType;
use crate::architecture::AttentionSpec;

/// Queries whose weights are taken at once.
const QUERIES: usize = 1 << 8;

/// How attention is computed.
pub(super) struct Attending<'a> {
    pub(super) spec: &'a AttentionSpec,
    pub(super) rounding: Rounding,
    /// What scores are multiplied by, besides 1/sqrt(d).
    pub(super) scores_times: f64,
    /// Softmax over the queries instead of the keys.
    pub(super) over_queries: bool,
    /// The type that what softmax gives is rounded to, if it is.
    pub(super) probabilities: Option<StorageType>,
    /// How many keys of zeros the softmax over keys goes over besides the others.
    pub(super) padded_keys: f64,
}

impl Attending<'_> {
    /// All heads' results, one after another in the channels.
    pub(super) fn heads(&self, q: &Image, k: &Image, v: &Image) -> Image {
        let AttentionSpec { heads, key_dim, value_dim, .. } = *self.spec;
        let [batch, _, height, width] = q.shape;
        let (queries, keys) = (height * width, k.shape[2] * k.shape[3]);
        let mut result = Image::unset([batch, heads * value_dim, height, width]);
        let mut weights = vec![0.0; keys * queries];
        for (number, out) in result.data.chunks_mut((value_dim * queries).max(1)).enumerate() {
            let b = number / heads;
            let key = &k.data[b * key_dim * keys..][..key_dim * keys];
            let value = &v.data[b * value_dim * keys..][..value_dim * keys];
            let query = &q.data[number * key_dim * queries..][..key_dim * queries];
            self.product(|key_number, d| key[d * keys + key_number], [keys, key_dim], query, &mut weights);
            let (factor, root) = (self.scores_times, (key_dim as f64).sqrt());
            weights.par_chunks_mut(queries.max(1)).for_each(|row| {
                row.iter_mut().for_each(|score| *score = *score / root * factor);
            });
            let totals = match self.over_queries {
                true => {
                    weights.par_chunks_mut(queries.max(1)).for_each(softmax_of_row);
                    vec![1.0; queries]
                }
                false => exponentials_of_columns(&mut weights, queries, self.padded_keys),
            };
            let mut totals = totals;
            if let Some(to) = self.probabilities {
                for row in weights.chunks_mut(queries.max(1)) {
                    row.iter_mut().zip(&totals).for_each(|(weight, total)| *weight /= total);
                }
                weights = to.read_back(weights, 1);
                totals.fill(1.0);
            }
            self.product(|d, key_number| value[d * keys + key_number], [value_dim, keys], &weights, out);
            for row in out.chunks_mut(queries.max(1)) {
                row.iter_mut().zip(&totals).for_each(|(sum, total)| *sum /= total);
            }
        }
        result
    }

    /// The product of what is held of `left`, by row and depth, and of `right`, `[depth, queries]`.
    fn product(
        &self,
        left: impl Fn(usize, usize) -> f64 + Sync,
        [rows, depth]: [usize; 2],
        right: &[f64],
        out: &mut [f64],
    ) {
        let columns = right.len() / depth.max(1);
        let rounding = self.rounding.of_attention();
        let panels = |term: fn((f64, f64)) -> f64| {
            Panels::from_fn(rows, depth, |row, k| term(rounding.held(left(row, k))))
        };
        let read = |k: usize, first: usize, row: &mut [f64]| {
            row.copy_from_slice(&right[k * columns + first..][..row.len()]);
        };
        let read_held = |k: usize, first: usize, row: &mut [f64]| {
            read(k, first, row);
            rounding.hold(row);
        };
        panels(|held| held.0).times(columns, read_held, out);
        if rounding.has_two_terms() {
            let read_small = |k: usize, first: usize, row: &mut [f64]| {
                read(k, first, row);
                rounding.hold_small(row);
            };
            let mut small = vec![0.0; out.len()];
            panels(|held| held.1).times(columns, read_small, &mut small);
            out.iter_mut().zip(small).for_each(|(sum, small)| *sum -= small);
        }
    }
}

/// The softmax of a row of scores.
fn softmax_of_row(scores: &mut [f64]) {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    scores.iter_mut().for_each(|score| *score = exp(*score - largest));
    let total: f64 = scores.iter().sum();
    scores.iter_mut().for_each(|weight| *weight /= total);
}

/// Puts in the place of each score its exponential, less the largest of its column, and gives the sum of each column, with that
/// of as many scores of 0 as are `padded`.
fn exponentials_of_columns(scores: &mut [f64], columns: usize, padded: f64) -> Vec<f64> {
    let mut largest = vec![f64::NEG_INFINITY; columns];
    fold_columns(scores, &mut largest, f64::max);
    let arch = Arch::new();
    scores.par_chunks_mut(columns.max(1)).for_each(|row| {
        arch.dispatch(|| {
            row.iter_mut().zip(&largest).for_each(|(score, largest)| *score = exp(*score - largest));
        });
    });
    let mut totals: Vec<f64> = match padded {
        0.0 => vec![0.0; columns],
        padded => largest.iter().map(|largest| padded * exp(-largest)).collect(),
    };
    fold_columns(scores, &mut totals, |total, weight| total + weight);
    totals
}

/// Takes the values of each column one after another.
fn fold_columns(values: &[f64], folded: &mut [f64], fold: impl Fn(f64, f64) -> f64 + Sync) {
    let columns = folded.len();
    folded.par_chunks_mut(QUERIES).enumerate().for_each(|(number, folded)| {
        for row in values.chunks(columns) {
            let values = &row[number * QUERIES..];
            folded.iter_mut().zip(values).for_each(|(folded, x)| *folded = fold(*folded, *x));
        }
    });
}
