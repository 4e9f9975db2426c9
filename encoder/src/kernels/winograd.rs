//! Dense 3 x 3 convolutions of stride 1 by Winograd's minimal filtering F(2 x 2, 3 x 3): 16 products for four outputs, where
//! the sums themselves take 36. After Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), section 4.1:
//! `y = A^T ((G g G^T) * (B^T d B)) A`.
//!
//! A NaN or an infinity reaches the same outputs as in the direct convolution; an infinity may become NaN.

use std::ops::Range;

use rayon::prelude::*;

use super::epilogue::Epilogue;
use super::gemm::gemm_block;
use super::gemm::lhs::LhsPanels;
use super::gemm::rhs::PackedRhs;
use super::gemm::source::{Lhs, Matrix};
use super::im2col::Im2col;
use crate::poison::FILL_WITH_NAN;
use crate::precision::Operands;
use crate::simd::aligned_buffer::AlignedBuffer;
use crate::simd::tile::CACHE_LINE;
use crate::simd::{Isa, Kernel, Simd};

/// Pixels of a tile's input in either direction, and of its output.
const INPUT: usize = 4;
const OUTPUT: usize = 2;
/// Products of a tile.
const PLACES: usize = INPUT * INPUT;
/// Taps of the kernel.
const TAPS: usize = 9;
/// The most tiles that are transformed together: the left sides of their products stay in the second-level cache.
const TILES: usize = 48;
/// Elements between the data of different places, which must not all fall into one set of the first-level cache.
const GAP: usize = CACHE_LINE;

/// The fewest input channels for which the transformations take less time than the products that they save, on maps some
/// tens of pixels wide: strips of tiles do not span lines.
const LEAST_CHANNELS: usize = 32;

/// Whether a `kernel x kernel` convolution of that many channels can be computed this way. In bf16 it cannot: the
/// transformed pixels, which are sums of pixels, would be rounded.
pub(crate) fn supports(operands: Operands, channels: usize, kernel: usize, stride: usize) -> bool {
    operands == Operands::F32 && (kernel, stride) == (3, 1) && channels >= LEAST_CHANNELS
}

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
        // [output, places, input]
        let mut all = vec![0.0; output * PLACES * input];
        all.par_chunks_mut(PLACES * input).enumerate().for_each_init(Vec::new, |weights, (column, out)| {
            weights.resize(input * TAPS, 0.0);
            read(column, weights);
            for (channel, kernel) in weights.as_chunks().0.iter().enumerate() {
                for (place, value) in transformed(kernel).into_iter().enumerate() {
                    out[place * input + channel] = value;
                }
            }
        });
        let places = (0..PLACES).map(|place| {
            PackedRhs::new(isa, Operands::F32, (input, output), |column, start, out| {
                out.copy_from_slice(&all[(column * PLACES + place) * input + start..][..out.len()]);
            })
        });
        Filter { places: places.collect() }
    }

    /// The instruction set it is packed for.
    pub(crate) fn isa(&self) -> Isa {
        self.places[0].isa()
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

/// `G g G^T`, row by row.
fn transformed(kernel: &[f32; TAPS]) -> [f32; PLACES] {
    const G: [[f64; 3]; INPUT] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
    std::array::from_fn(|place| {
        let (of_y, of_x) = (G[place / INPUT], G[place % INPUT]);
        let term = |(tap, weight): (usize, &f32)| of_y[tap / 3] * of_x[tap % 3] * f64::from(*weight);
        kernel.iter().enumerate().map(term).sum::<f64>() as f32
    })
}

/// A slice of scratch memory of unspecified content; the caller must write all that it reads.
fn take(scratch: &mut AlignedBuffer, length: usize) -> &mut [f32] {
    if scratch.len() < length {
        scratch.resize(length);
    }
    let taken = &mut scratch[..length];
    if FILL_WITH_NAN {
        taken.fill(f32::NAN);
    }
    taken
}

/// `out = epilogue(convolution(image, filter))`, the convolution being one of 3 x 3 with stride 1; `out` is
/// `[image.rows(), filter.columns()]`. Parallel over lines of tiles.
///
/// [`convolve_into`] multiplies these bits.
pub(crate) fn convolve(image: &Im2col<'_>, first: (&Filter, &Epilogue<'_>), out: &mut [f32]) {
    convolve_lines(image, first, None, out);
}

/// `out = second_epilogue(first_epilogue(convolution(image, filter)) * second)`, the convolution being one of 3 x 3 with stride 1
/// whose result never leaves the cache; `out` is `[image.rows(), second.columns()]`. Parallel over lines of tiles.
pub(crate) fn convolve_into(
    image: &Im2col<'_>,
    (filter, first_epilogue): (&Filter, &Epilogue<'_>),
    (second, second_epilogue): (&PackedRhs, &Epilogue<'_>),
    out: &mut [f32],
) {
    assert_eq!(filter.isa(), second.isa(), "instruction sets of the two products");
    assert_eq!(filter.columns(), second.depth(), "the two products differ in depth");
    convolve_lines(image, (filter, first_epilogue), Some((second, second_epilogue)), out);
}

fn convolve_lines(
    image: &Im2col<'_>,
    first: (&Filter, &Epilogue<'_>),
    second: Option<(&PackedRhs, &Epilogue<'_>)>,
    out: &mut [f32],
) {
    let (filter, _) = first;
    let columns = second.map_or(filter.columns(), |(second, _)| second.columns());
    let (y, x) = image.axes();
    assert!(
        [y, x].iter().all(|axis| (axis.kernel, axis.stride) == (3, 1)),
        "a 3 x 3 convolution of stride 1"
    );
    assert_eq!(image.channels(), filter.depth(), "channels of the image and of the filter");
    assert_eq!(out.len(), image.rows() * columns, "output elements");
    let line = x.output * columns;
    out.par_chunks_mut(y.output * line).enumerate().for_each(|(index, out)| {
        out.par_chunks_mut(OUTPUT * line).enumerate().for_each_init(
            WinogradScratch::default,
            |scratch, (row, out)| {
                filter.isa().run(WinogradTask { image, index, row, first, second, scratch, out });
            },
        );
    });
}

/// Scratch memory of a task; reused by neighbouring tasks.
#[derive(Default)]
struct WinogradScratch {
    /// `[places, tiles, input]`, with gaps between the places.
    inputs: AlignedBuffer,
    /// `[places, tiles, output]`, with gaps between the places.
    products: AlignedBuffer,
    /// A line of finished outputs of some tiles, `[pixels, output]`.
    middle: AlignedBuffer,
    /// A pixel of the padding.
    zeros: Vec<f32>,
    panels: LhsPanels,
}

/// A line of tiles: two lines of the output, or the last one.
struct WinogradTask<'a, 'b> {
    image: &'a Im2col<'a>,
    /// Which of the images.
    index: usize,
    /// Which line of tiles.
    row: usize,
    first: (&'a Filter, &'a Epilogue<'b>),
    /// The product of the convolution's result, if there is one.
    second: Option<(&'a PackedRhs, &'a Epilogue<'b>)>,
    scratch: &'a mut WinogradScratch,
    out: &'a mut [f32],
}

impl Kernel for WinogradTask<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        const { assert!(TILES.is_multiple_of(S::MR), "a strip is of whole tiles of the products") };
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

impl WinogradTask<'_, '_> {
    /// `B^T d B` of some tiles.
    #[inline(always)]
    fn transform_inputs<S: Simd>(&mut self, simd: S, tiles: Range<usize>) {
        let channels = self.image.channels();
        let WinogradScratch { inputs, zeros, .. } = &mut *self.scratch;
        zeros.resize(channels, 0.0);
        let place = tiles.len() * channels + GAP;
        let inputs = take(inputs, PLACES * place);
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
        let WinogradScratch { inputs, products, panels, .. } = &mut *self.scratch;
        let (read, written) = (tiles * filter.depth(), tiles * filter.columns());
        let inputs = inputs.chunks_exact(read + GAP);
        let products = take(products, PLACES * (written + GAP)).chunks_exact_mut(written + GAP);
        for ((weights, input), product) in filter.places.iter().zip(inputs).zip(products) {
            let lhs = Matrix::new(&input[..read], filter.depth());
            gemm_block(simd, &lhs, 0, weights, panels, &mut product[..written]);
        }
    }

    /// `A^T m A` of some tiles, the first epilogue, and the second product with its own, if there is one.
    #[inline(always)]
    fn finish<S: Simd>(&mut self, simd: S, tiles: Range<usize>) {
        let (filter, first_epilogue) = self.first;
        let (y, x) = self.image.axes();
        let WinogradScratch { products, middle, panels, .. } = &mut *self.scratch;
        let columns = filter.columns();
        let place = tiles.len() * columns + GAP;
        let pixels = tiles.start * OUTPUT..x.output.min(tiles.end * OUTPUT);
        let middle = take(middle, OUTPUT * pixels.len() * columns);
        let out_columns = self.second.map_or(columns, |(second, _)| second.columns());
        let lines = self.out.len() / (x.output * out_columns);
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
        let outputs = self.out.chunks_exact_mut(x.output * out_columns);
        for ((line, out), middle) in outputs.enumerate().zip(middle.chunks_exact_mut(pixels.len() * columns))
        {
            let row = (self.index * y.output + self.row * OUTPUT + line) * x.output + pixels.start;
            first_epilogue.apply(simd, row, columns, middle);
            let out = &mut out[pixels.start * out_columns..pixels.end * out_columns];
            let Some((second, second_epilogue)) = self.second else {
                out.copy_from_slice(middle);
                continue;
            };
            gemm_block(simd, &Matrix::new(middle, columns), 0, second, panels, out);
            second_epilogue.apply(simd, row, out_columns, out);
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
    use crate::geometry::{Axis, Padding};
    use crate::kernels::epilogue::Norm;
    use crate::kernels::gemm::gemm;
    use crate::kernels::gemm::rhs::DEPTH;
    use crate::precision::SplitTerms;
    use crate::testing::{Failures, on_each_isa, values};

    on_each_isa!(
        agrees_with_the_naive_kernel_around_every_edge,
        small_integers_are_exact,
        a_convolution_alone_has_the_bits_that_are_multiplied,
        products_of_two_instruction_sets_are_refused
    );

    /// Row-major weights `[depth, columns]`.
    fn pack(isa: Isa, weights: &[f32], columns: usize) -> PackedRhs {
        PackedRhs::new(isa, Operands::F32, (weights.len() / columns, columns), |column, start, out| {
            for (d, out) in out.iter_mut().enumerate() {
                *out = weights[(start + d) * columns + column];
            }
        })
    }

    /// The convolution of one image, `[height, width, channels]` by `[columns, channels, 3, 3]`, in f64.
    fn convolved(image: &[f32], [height, width, channels]: [usize; 3], weights: &[f32]) -> Vec<f64> {
        let columns = weights.len() / (channels * TAPS);
        let mut out = vec![0.0; height * width * columns];
        for (i, out) in out.iter_mut().enumerate() {
            let (column, pixel) = (i % columns, i / columns);
            for tap in 0..TAPS {
                let (y, x) = (pixel / width + tap / 3, pixel % width + tap % 3);
                // One pixel of padding on each side.
                if (1..=height).contains(&y) && (1..=width).contains(&x) {
                    let input = &image[((y - 1) * width + x - 1) * channels..][..channels];
                    for (channel, input) in input.iter().enumerate() {
                        let weight = weights[(column * channels + channel) * TAPS + tap];
                        *out += f64::from(*input) * f64::from(weight);
                    }
                }
            }
        }
        out
    }

    fn agrees_with_the_naive_kernel_around_every_edge(isa: Isa, failures: &mut Failures) {
        let small = [(1, 1), (1, 2), (2, 1), (3, 5), (4, 4)];
        let wide = [(5, 2 * TILES), (2, 2 * TILES + 1), (3, 4 * TILES + 3)];
        let few = [(1, 1), (3, 17), (33, 40)];
        let cases = few
            .into_iter()
            .flat_map(|channels| small.into_iter().chain(wide).map(move |size| (channels, size)));
        let deep = small.map(|size| ((DEPTH + 1, 3), size));
        for ((channels, columns), (height, width)) in cases.chain(deep) {
            let [y, x] = [height, width].map(|size| Axis::new(Padding::Same, size, 3, 1).unwrap());
            let (pixels, batch, outputs) = (height * width, 2, columns + 1);
            let image = values(batch * pixels * channels, 1);
            let weights = values(columns * channels * TAPS, 2);
            let filter = Filter::new(isa, (channels, columns), |column, out| {
                out.copy_from_slice(&weights[column * channels * TAPS..][..channels * TAPS]);
            });
            // Each column once and the first one twice, so that the convolution shows unchanged; skips tell rows apart.
            let second: Vec<f32> = (0..columns * outputs)
                .map(|i| if i / outputs == i % outputs % columns { 1.0 } else { 0.0 })
                .collect();
            let skip_before = values(batch * pixels * columns, 3);
            let skip_behind = values(batch * pixels * outputs, 4);
            let first = Epilogue { skip: Some(&skip_before), ..Epilogue::default() };
            let last = Epilogue { skip: Some(&skip_behind), ..Epilogue::default() };
            let mut out = vec![f32::NAN; batch * pixels * outputs];
            let patches = Im2col::new(&image, channels, y, x);
            convolve_into(&patches, (&filter, &first), (&pack(isa, &second, outputs), &last), &mut out);
            let exact: Vec<f64> = image
                .chunks_exact(pixels * channels)
                .flat_map(|image| convolved(image, [height, width, channels], &weights))
                .collect();
            for (i, out) in out.iter().enumerate() {
                let before = i / outputs * columns + i % outputs % columns;
                let exact = exact[before] + f64::from(skip_before[before]) + f64::from(skip_behind[i]);
                let error = (f64::from(*out) - exact).abs();
                failures.check(error <= 1e-6 * ((TAPS * channels) as f64).sqrt(), || {
                    let case = format!("{channels} to {columns} channels, {height}x{width}");
                    format!("{case}, element {i}: {out} for {exact}")
                });
            }
        }
    }

    /// A pixel that is not finite affects the outputs that see it, and no others.
    #[test]
    fn non_finite_pixels_affect_only_the_outputs_that_see_them() {
        let axis = Axis::new(Padding::Same, 4, 3, 1).unwrap();
        let second = pack(Isa::Portable, &[1.0], 1);
        let filter = Filter::new(Isa::Portable, (1, 1), |_, out| out.copy_from_slice(&values(TAPS, 1)));
        for (pixel, bad) in (0..16).flat_map(|pixel| [f32::NAN, f32::INFINITY].map(|bad| (pixel, bad))) {
            let mut image = values(16, 2);
            image[pixel] = bad;
            let mut out = vec![0.0; 16];
            let none = Epilogue::default();
            convolve_into(&Im2col::new(&image, 1, axis, axis), (&filter, &none), (&second, &none), &mut out);
            for (i, out) in out.iter().enumerate() {
                let near = |a: usize, b: usize| a.abs_diff(b) <= 1;
                let sees = near(i / 4, pixel / 4) && near(i % 4, pixel % 4);
                assert_eq!(!out.is_finite(), sees, "{bad} at {pixel}, output {i}: {out}");
            }
        }
    }

    /// Sums of the weights, exactly.
    fn small_integers_are_exact(isa: Isa, failures: &mut Failures) {
        let axis = Axis::new(Padding::Same, 6, 3, 1).unwrap();
        let filter = Filter::new(isa, (1, 1), |_, out| out.fill(4.0));
        let (image, second, none) = (vec![1.0; 36], pack(isa, &[1.0], 1), Epilogue::default());
        let mut out = vec![f32::NAN; 36];
        convolve_into(&Im2col::new(&image, 1, axis, axis), (&filter, &none), (&second, &none), &mut out);
        let seen = |i: usize| if i == 0 || i == 5 { 2.0 } else { 3.0 };
        for (i, out) in out.iter().enumerate() {
            failures.equal(*out, 4.0 * seen(i / 6) * seen(i % 6), || format!("pixel {i}"));
        }
    }

    fn a_convolution_alone_has_the_bits_that_are_multiplied(isa: Isa, failures: &mut Failures) {
        let (channels, columns, outputs) = (33, 41, 5);
        for (height, width) in [(1, 1), (3, 5), (4, 4), (3, 2 * TILES + 1), (2, 4 * TILES + 3)] {
            let [y, x] = [height, width].map(|size| Axis::new(Padding::Same, size, 3, 1).unwrap());
            let (pixels, batch) = (height * width, 2);
            let image = values(batch * pixels * channels, 1);
            let weights = values(columns * channels * TAPS, 2);
            let filter = Filter::new(isa, (channels, columns), |column, out| {
                out.copy_from_slice(&weights[column * channels * TAPS..][..channels * TAPS]);
            });
            let second = pack(isa, &values(columns * outputs, 3), outputs);
            let patches = Im2col::new(&image, channels, y, x);
            let first = Epilogue { norm: Norm::Plain, gelu: true, ..Epilogue::default() };
            let last = Epilogue { norm: Norm::Plain, ..Epilogue::default() };
            let mut together = vec![f32::NAN; batch * pixels * outputs];
            convolve_into(&patches, (&filter, &first), (&second, &last), &mut together);
            let mut convolved = vec![f32::NAN; batch * pixels * columns];
            convolve(&patches, (&filter, &first), &mut convolved);
            let mut apart = vec![f32::NAN; batch * pixels * outputs];
            gemm(&Matrix::new(&convolved, columns), &second, &last, &mut apart);
            for (i, (apart, together)) in apart.iter().zip(&together).enumerate() {
                failures
                    .equal(apart.to_bits(), together.to_bits(), || format!("{height}x{width}, element {i}"));
            }
        }
    }

    #[test]
    fn only_f32_with_many_channels_is_supported() {
        assert!(supports(Operands::F32, LEAST_CHANNELS, 3, 1) && supports(Operands::F32, 128, 3, 1));
        assert!(!supports(Operands::F32, LEAST_CHANNELS - 1, 3, 1));
        assert!(!supports(Operands::F32, 128, 3, 2) && !supports(Operands::F32, 128, 5, 1));
        for terms in [SplitTerms::One, SplitTerms::Two, SplitTerms::Three] {
            assert!(!supports(Operands::Bf16(terms), 128, 3, 1));
        }
    }

    /// The second product is packed for the portable one, so every other must be refused, on any CPU.
    fn products_of_two_instruction_sets_are_refused(isa: Isa, failures: &mut Failures) {
        let axis = Axis::new(Padding::Same, 2, 3, 1).unwrap();
        let filter = Filter::new(isa, (1, 1), |_, out| out.fill(1.0));
        let (second, none) = (pack(Isa::Portable, &[1.0], 1), Epilogue::default());
        let convolved = std::panic::catch_unwind(|| {
            let image = Im2col::new(&[0.0; 4], 1, axis, axis);
            convolve_into(&image, (&filter, &none), (&second, &none), &mut [0.0; 4]);
        });
        let message = convolved.err().and_then(|panic| panic.downcast_ref::<String>().cloned());
        let is_refused = message.is_some_and(|text| text.contains("instruction sets of the two products"));
        failures.equal(is_refused, isa != Isa::Portable, || "refused".to_string());
    }
}
