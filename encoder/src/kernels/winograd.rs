//! Dense 3 x 3 convolutions of stride 1 by Winograd's minimal filtering F(2 x 2, 3 x 3): 16 products for four outputs, where
//! the sums themselves take 36. After Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), section 4.1:
//! `y = A^T ((G g G^T) * (B^T d B)) A`.
//!
//! The four outputs of a tile share what they are summed from: where one of them sees a NaN or an infinity, all are NaN.

use std::ops::Range;

use rayon::prelude::*;

use super::convolution::Patches;
use super::gemm::gemm_block;
use super::lhs::{Lhs, Matrix};
use super::packing::{CACHE_LINE, PackedRhs};
use super::panels::LhsPanels;
use super::rows::RowOps;
use crate::precision::Operands;
use crate::simd::{Isa, Kernel, Simd};

/// Pixels of a tile's input in either direction, and of its output.
const INPUT: usize = 4;
const OUTPUT: usize = 2;
/// Where products are taken.
const PLACES: usize = INPUT * INPUT;
/// Taps of the kernel.
const TAPS: usize = 9;
/// Most tiles that are transformed together: the left sides of their products stay in the second-level cache.
const TILES: usize = 48;
/// Elements between what belongs to different places: they must not all fall into one set of the first-level cache.
const GAP: usize = CACHE_LINE;

/// Channels of the input from which on the transformations take less than the products that they save.
pub(crate) const LEAST_CHANNELS: usize = 32;

/// A convolution's weights, transformed: `G g G^T`.
pub(crate) struct Filter {
    /// `[input, output]` for each place.
    places: Vec<PackedRhs>,
}

impl Filter {
    /// `read(column, out)` writes an output channel's weights, `[input, 3, 3]`, to `out`.
    pub(crate) fn new(
        isa: Isa,
        (input, output): (usize, usize),
        read: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Self {
        let places = (0..PLACES).map(|place| {
            PackedRhs::new(isa, Operands::F32, (input, output), |column, start, out| {
                let mut weights = vec![0.0; input * TAPS];
                read(column, &mut weights);
                let (kernels, _) = weights.as_chunks();
                for (kernel, out) in kernels[start..].iter().zip(out) {
                    *out = transformed(kernel, place);
                }
            })
        });
        Filter { places: places.collect() }
    }

    /// Channels of the input.
    pub(crate) fn depth(&self) -> usize {
        self.places[0].depth()
    }

    /// Channels of the output.
    pub(crate) fn columns(&self) -> usize {
        self.places[0].columns()
    }

    /// Bytes of the packed data.
    pub(crate) fn bytes(&self) -> usize {
        self.places.iter().map(PackedRhs::bytes).sum()
    }
}

/// An element of `G g G^T`.
fn transformed(kernel: &[f32; TAPS], place: usize) -> f32 {
    const G: [[f64; 3]; INPUT] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
    let (of_y, of_x) = (G[place / INPUT], G[place % INPUT]);
    let terms =
        kernel.iter().enumerate().map(|(tap, weight)| of_y[tap / 3] * of_x[tap % 3] * f64::from(*weight));
    terms.sum::<f64>() as f32
}

/// `out = second_epilogue(first_epilogue(convolution(image, filter)) * second)`, the convolution being one of 3 x 3 with stride 1
/// whose middle never leaves the cache; `out` is `[image.rows(), second.columns()]`. Parallel over lines of tiles.
pub(crate) fn convolve_into(
    image: &Patches<'_>,
    (filter, first_epilogue): (&Filter, &RowOps<'_>),
    (second, second_epilogue): (&PackedRhs, &RowOps<'_>),
    out: &mut [f32],
) {
    let (y, x) = image.axes();
    assert!(
        [y, x].iter().all(|axis| (axis.kernel, axis.stride) == (3, 1)),
        "a 3 x 3 convolution of stride 1"
    );
    assert_eq!(image.channels(), filter.depth(), "channels of the image and of the filter");
    assert_eq!(filter.columns(), second.depth(), "the two products differ in depth");
    assert_eq!(out.len(), image.rows() * second.columns(), "output elements");
    let line = x.output * second.columns();
    out.par_chunks_mut(y.output * line).enumerate().for_each(|(index, out)| {
        out.par_chunks_mut(OUTPUT * line).enumerate().for_each_init(
            Scratch::default,
            |scratch, (row, out)| {
                let first = (filter, first_epilogue);
                let second_product = (second, second_epilogue);
                second.isa().run(Task { image, index, row, first, second: second_product, scratch, out });
            },
        );
    });
}

/// What a task needs beside its operands; kept over neighbouring tasks.
#[derive(Default)]
struct Scratch {
    /// `[places, tiles, input]`, with gaps between the places.
    inputs: Vec<f32>,
    /// `[places, tiles, output]`, with gaps between the places.
    products: Vec<f32>,
    /// A line of finished outputs of some tiles, `[pixels, output]`.
    middle: Vec<f32>,
    /// A pixel of the padding.
    zeros: Vec<f32>,
    panels: LhsPanels,
}

/// A line of tiles: two lines of the output, or the last one.
struct Task<'a, 'b> {
    image: &'a Patches<'a>,
    /// Which of the images.
    index: usize,
    /// Which line of tiles.
    row: usize,
    first: (&'a Filter, &'a RowOps<'b>),
    second: (&'a PackedRhs, &'a RowOps<'b>),
    scratch: &'a mut Scratch,
    out: &'a mut [f32],
}

impl Kernel for Task<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let (_, x) = self.image.axes();
        let tiles = x.output.div_ceil(OUTPUT);
        let strip = tiles.div_ceil(tiles.div_ceil(TILES)).next_multiple_of(S::MR);
        for start in (0..tiles).step_by(strip) {
            let tiles = start..tiles.min(start + strip);
            self.transform_inputs(simd, tiles.clone());
            self.multiply(simd, tiles.len());
            self.finish(simd, tiles);
        }
    }
}

impl Task<'_, '_> {
    /// `B^T d B` of some tiles.
    #[inline(always)]
    fn transform_inputs<S: Simd>(&mut self, simd: S, tiles: Range<usize>) {
        let channels = self.image.channels();
        let Scratch { inputs, zeros, .. } = &mut *self.scratch;
        zeros.resize(channels, 0.0);
        let place = tiles.len() * channels + GAP;
        inputs.resize(PLACES * place, 0.0);
        for (tile, column) in tiles.enumerate() {
            let mut pixels: [&[f32]; PLACES] = [&[]; PLACES];
            for (at, pixel) in pixels.iter_mut().enumerate() {
                let output = (self.row * OUTPUT, column * OUTPUT);
                *pixel = self.image.pixel(self.index, output, (at / INPUT, at % INPUT)).unwrap_or(zeros);
            }
            for channel in (0..channels).step_by(S::LANES) {
                let lanes = channel..channels.min(channel + S::LANES);
                let mut d = [simd.splat(0.0); PLACES];
                for (d, pixel) in d.iter_mut().zip(&pixels) {
                    *d = simd.load_partial(&pixel[lanes.clone()]);
                }
                for (at, v) in input_transform(simd, d).into_iter().enumerate() {
                    let out = &mut inputs[at * place + tile * channels..][..channels];
                    simd.store_partial(v, &mut out[lanes.clone()]);
                }
            }
        }
    }

    /// The products at each place.
    #[inline(always)]
    fn multiply<S: Simd>(&mut self, simd: S, tiles: usize) {
        let filter = self.first.0;
        let Scratch { inputs, products, panels, .. } = &mut *self.scratch;
        let (read, written) = (tiles * filter.depth(), tiles * filter.columns());
        products.resize(PLACES * (written + GAP), 0.0);
        let inputs = inputs.chunks_exact(read + GAP);
        let products = products.chunks_exact_mut(written + GAP);
        for ((weights, input), product) in filter.places.iter().zip(inputs).zip(products) {
            let lhs = Matrix::new(&input[..read], filter.depth());
            gemm_block(simd, &lhs, 0, weights, panels, &mut product[..written]);
        }
    }

    /// `A^T m A` of some tiles, the first epilogue, and the second product with its own.
    #[inline(always)]
    fn finish<S: Simd>(&mut self, simd: S, tiles: Range<usize>) {
        let ((filter, first_epilogue), (second, second_epilogue)) = (self.first, self.second);
        let (y, x) = self.image.axes();
        let Scratch { products, middle, panels, .. } = &mut *self.scratch;
        let columns = filter.columns();
        let place = tiles.len() * columns + GAP;
        let pixels = tiles.start * OUTPUT..x.output.min(tiles.end * OUTPUT);
        middle.resize(OUTPUT * pixels.len() * columns, 0.0);
        let lines = self.out.len() / (x.output * second.columns());
        for tile in 0..tiles.len() {
            for channel in (0..columns).step_by(S::LANES) {
                let lanes = channel..columns.min(channel + S::LANES);
                let mut m = [simd.splat(0.0); PLACES];
                for (at, m) in m.iter_mut().enumerate() {
                    *m = simd.load_partial(&products[at * place + tile * columns..][lanes.clone()]);
                }
                for (at, sum) in output_transform(simd, m).into_iter().enumerate() {
                    let (line, pixel) = (at / OUTPUT, tile * OUTPUT + at % OUTPUT);
                    if line < lines && pixel < pixels.len() {
                        let out = &mut middle[(line * pixels.len() + pixel) * columns..][lanes.clone()];
                        simd.store_partial(sum, out);
                    }
                }
            }
        }
        let outputs = self.out.chunks_exact_mut(x.output * second.columns());
        for ((line, out), middle) in outputs.enumerate().zip(middle.chunks_exact_mut(pixels.len() * columns))
        {
            let row = (self.index * y.output + self.row * OUTPUT + line) * x.output + pixels.start;
            first_epilogue.apply(simd, row, columns, middle);
            let out = &mut out[pixels.start * second.columns()..pixels.end * second.columns()];
            gemm_block(simd, &Matrix::new(middle, columns), 0, second, panels, out);
            second_epilogue.apply(simd, row, second.columns(), out);
        }
    }
}

/// `B^T d B`, `d` row by row.
#[inline(always)]
fn input_transform<S: Simd>(simd: S, mut d: [S::V; PLACES]) -> [S::V; PLACES] {
    for x in 0..INPUT {
        let column = [d[x], d[INPUT + x], d[2 * INPUT + x], d[3 * INPUT + x]];
        for (y, sum) in times_b(simd, column).into_iter().enumerate() {
            d[y * INPUT + x] = sum;
        }
    }
    for y in 0..INPUT {
        let at = y * INPUT;
        let row = [d[at], d[at + 1], d[at + 2], d[at + 3]];
        d[at..at + INPUT].copy_from_slice(&times_b(simd, row));
    }
    d
}

/// `B^T d`, of a column or a row.
#[inline(always)]
fn times_b<S: Simd>(simd: S, d: [S::V; INPUT]) -> [S::V; INPUT] {
    [simd.sub(d[0], d[2]), simd.add(d[1], d[2]), simd.sub(d[2], d[1]), simd.sub(d[1], d[3])]
}

/// `A^T m A`, `m` row by row.
#[inline(always)]
fn output_transform<S: Simd>(simd: S, m: [S::V; PLACES]) -> [S::V; OUTPUT * OUTPUT] {
    let mut sums = [simd.splat(0.0); OUTPUT * INPUT];
    for x in 0..INPUT {
        let column = [m[x], m[INPUT + x], m[2 * INPUT + x], m[3 * INPUT + x]];
        [sums[x], sums[INPUT + x]] = times_a(simd, column);
    }
    let [a, b] = times_a(simd, [sums[0], sums[1], sums[2], sums[3]]);
    let [c, d] = times_a(simd, [sums[4], sums[5], sums[6], sums[7]]);
    [a, b, c, d]
}

/// `A^T m`, of a column or a row.
#[inline(always)]
fn times_a<S: Simd>(simd: S, m: [S::V; INPUT]) -> [S::V; OUTPUT] {
    [simd.add(simd.add(m[0], m[1]), m[2]), simd.sub(simd.sub(m[1], m[2]), m[3])]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::convolution::{Axis, Padding};
    use crate::kernels::rows::Norm;
    use crate::testing::{available_isas, values};

    #[test]
    fn agrees_with_the_naive_one_around_every_edge() {
        for isa in available_isas() {
            let sizes = [
                (1, 1),
                (1, 2),
                (2, 1),
                (3, 5),
                (4, 4),
                (5, 2 * TILES),
                (2, 2 * TILES + 1),
                (3, 4 * TILES + 3),
            ];
            for (channels, columns, (height, width), padding) in
                [(1, 1), (3, 17), (33, 40)].into_iter().flat_map(|(channels, columns)| {
                    sizes.into_iter().flat_map(move |size| {
                        [Padding::Same, Padding::Symmetric].map(|padding| (channels, columns, size, padding))
                    })
                })
            {
                let [y, x] = [height, width].map(|size| Axis::new(padding, size, 3, 1).unwrap());
                let (image, weights) =
                    (values(2 * height * width * channels, 1), values(columns * channels * TAPS, 2));
                let filter = Filter::new(isa, (channels, columns), |column, out| {
                    out.copy_from_slice(&weights[column * channels * TAPS..][..channels * TAPS]);
                });
                // The identity, so that what is convolved shows as it is; and a skip, which tells rows apart.
                let second = PackedRhs::new(isa, Operands::F32, (columns, columns), |column, start, out| {
                    for (d, out) in out.iter_mut().enumerate() {
                        *out = if start + d == column { 1.0 } else { 0.0 };
                    }
                });
                let pixels = y.output * x.output;
                let (bias, skip) = (values(columns, 3), values(2 * pixels * columns, 4));
                let first = RowOps { bias: Some(&bias), ..RowOps::default() };
                let last = RowOps { skip: Some(&skip), ..RowOps::default() };
                let mut out = vec![f32::NAN; 2 * pixels * columns];
                let patches = Patches::new(&image, channels, y, x);
                convolve_into(&patches, (&filter, &first), (&second, &last), &mut out);
                for (i, out) in out.iter().enumerate() {
                    let (column, pixel) = (i % columns, i / columns);
                    let output = (pixel % pixels / x.output, pixel % x.output);
                    let mut exact = f64::from(bias[column]) + f64::from(skip[i]);
                    for tap in 0..TAPS {
                        let input = patches.pixel(pixel / pixels, output, (tap / 3, tap % 3));
                        for (c, input) in input.unwrap_or_default().iter().enumerate() {
                            exact +=
                                f64::from(*input) * f64::from(weights[(column * channels + c) * TAPS + tap]);
                        }
                    }
                    let error = (f64::from(*out) - exact).abs();
                    assert!(
                        error <= 1e-6 * (channels as f64).sqrt().max(4.0),
                        "{isa}, {channels} to {columns} channels, {height}x{width} {padding:?}, element {i}: {out} for {exact}"
                    );
                }
            }
        }
    }

    /// Whole tiles of ones: sums of the weights, exactly.
    #[test]
    fn small_integers_are_exact() {
        let axis = Axis::new(Padding::Same, 6, 3, 1).unwrap();
        let image = vec![1.0; 36];
        let filter = Filter::new(Isa::Portable, (1, 1), |_, out| out.fill(4.0));
        let second = PackedRhs::new(Isa::Portable, Operands::F32, (1, 1), |_, _, out| out.fill(1.0));
        let mut out = vec![f32::NAN; 36];
        let none = RowOps { norm: Norm::None, ..RowOps::default() };
        convolve_into(&Patches::new(&image, 1, axis, axis), (&filter, &none), (&second, &none), &mut out);
        let seen = |i: usize| if i == 0 || i == 5 { 2.0 } else { 3.0 };
        for (i, out) in out.iter().enumerate() {
            assert_eq!(*out, 4.0 * seen(i / 6) * seen(i % 6), "pixel {i}");
        }
    }
}
