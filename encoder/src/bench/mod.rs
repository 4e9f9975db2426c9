//! Single kernels for `cargo bench`, and what they are compared with; only the feature `bench` compiles this in.

mod ceiling;

use std::collections::BTreeSet;
use std::hint::black_box;

pub use ceiling::{copy_ceiling, f32_ceiling, f32_ceiling_of_all_threads};

use crate::geometry::{Axis, Padding};
use crate::kernels::attention::attention;
use crate::kernels::depthwise::depthwise;
use crate::kernels::epilogue::{Epilogue, Norm, apply_rows_to};
use crate::kernels::gemm::rhs::PackedRhs;
use crate::kernels::gemm::source::Matrix;
use crate::kernels::gemm::{fused_gemm, gemm};
use crate::kernels::im2col::Im2col;
use crate::kernels::resize::{average_pool, bilinear, linear};
use crate::kernels::transpose::transpose;
use crate::kernels::winograd::{Filter, convolve_into};
use crate::precision::{Operands, Precision};
use crate::simd::Isa;

/// How products are computed.
#[derive(Clone, Copy, Debug)]
pub struct Arithmetic {
    isa: Isa,
    operands: Operands,
}

impl Arithmetic {
    /// As [`crate::Model::load`] chooses it.
    pub fn new(isa: Isa, precision: Precision, strict_fma: bool) -> Self {
        Arithmetic { isa, operands: isa.operands(precision, strict_fma) }
    }

    /// `weights` is `[columns, depth]`, as a checkpoint has it.
    fn pack(self, depth: usize, columns: usize, weights: &[f32]) -> PackedRhs {
        PackedRhs::new(self.isa, self.operands, (depth, columns), |column, start, out| {
            out.copy_from_slice(&weights[column * depth + start..][..out.len()]);
        })
    }

    fn flop(self, count: usize) -> Work {
        Work::Flop { count, isa: self.isa }
    }

    /// Meaningless weights.
    fn weights(self, depth: usize, columns: usize) -> PackedRhs {
        self.pack(depth, columns, &values(depth * columns))
    }
}

/// Numbers without a pattern that a CPU could profit from.
fn values(count: usize) -> Vec<f32> {
    let value = |i: usize| ((i.wrapping_mul(2_654_435_761) >> 7) % 2001) as f32 / 1000.0 - 1.0;
    (0..count).map(value).collect()
}

/// The work of running a kernel once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Additions and multiplications of its products.
    Flop {
        /// How many.
        count: usize,
        /// The instruction set that computes them.
        isa: Isa,
    },
    /// Bytes read and written, each once, where there are no products.
    Bytes(usize),
}

impl Work {
    fn f32s(count: usize) -> Work {
        Work::Bytes(count * size_of::<f32>())
    }

    /// Its rate when done once in `seconds` on one thread, and the share of the ceiling, which is measured now, as text.
    pub fn report(self, seconds: f64) -> String {
        let (count, unit, ceiling, name) = match self {
            Work::Flop { count, isa } => (count, "GFLOP/s", f32_ceiling(isa), "the f32 ceiling"),
            Work::Bytes(count) => (count, "GB/s", copy_ceiling(count), "the copy ceiling"),
        };
        let rate = count as f64 / seconds;
        let share = 100.0 * rate / ceiling;
        format!("{:.1} {unit}, {share:.0} % of {name} ({:.1})", rate / 1e9, ceiling / 1e9)
    }
}

/// A kernel with its operands.
pub struct Problem {
    /// Its work.
    pub work: Work,
    run: Box<dyn FnMut() + Send>,
}

impl Problem {
    /// Runs the kernel once.
    pub fn run(&mut self) {
        (self.run)();
    }

    /// `[rows, depth] x [depth, columns]` followed by a norm and a GELU.
    pub fn product(arithmetic: Arithmetic, rows: usize, depth: usize, columns: usize) -> Problem {
        let (a, b, norm) = (values(rows * depth), arithmetic.weights(depth, columns), values(columns));
        let mut out = vec![0.0; rows * columns];
        let run = move || {
            let ops = Epilogue { norm: Norm::Weighted(&norm), gelu: true, ..Epilogue::default() };
            gemm(&Matrix::new(&a, depth), &b, &ops, &mut out);
        };
        Problem { work: arithmetic.flop(2 * rows * depth * columns), run: Box::new(run) }
    }

    /// Expansion and projection of a block: `[rows, depth] x [depth, middle] x [middle, columns]`.
    pub fn block(
        arithmetic: Arithmetic,
        rows: usize,
        depth: usize,
        middle: usize,
        columns: usize,
    ) -> Problem {
        let (a, norm) = (values(rows * depth), values(middle));
        let (first, second) = (arithmetic.weights(depth, middle), arithmetic.weights(middle, columns));
        let mut out = vec![0.0; rows * columns];
        let run = move || {
            let ops = Epilogue { norm: Norm::Weighted(&norm), gelu: true, ..Epilogue::default() };
            let last = Epilogue { norm: Norm::Plain, ..Epilogue::default() };
            fused_gemm(&Matrix::new(&a, depth), (&first, &ops), (&second, &last), &mut out);
        };
        Problem { work: arithmetic.flop(2 * rows * middle * (depth + columns)), run: Box::new(run) }
    }

    /// A dense `kernel x kernel` convolution of a square image.
    pub fn convolution(
        arithmetic: Arithmetic,
        size: usize,
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
    ) -> Problem {
        let image = values(size * size * channels[0]);
        let weights = arithmetic.weights(kernel * kernel * channels[0], channels[1]);
        let axis = square(size, kernel, stride);
        let pixels = axis.output * axis.output;
        let mut out = vec![0.0; pixels * channels[1]];
        let run = move || {
            gemm(&Im2col::new(&image, channels[0], axis, axis), &weights, &Epilogue::default(), &mut out);
        };
        let flop = 2 * pixels * kernel * kernel * channels[0] * channels[1];
        Problem { work: arithmetic.flop(flop), run: Box::new(run) }
    }

    /// A 3 x 3 convolution of a square image by Winograd's minimal filtering, followed by the 1 x 1 projection; `channels`
    /// before, between and after them. Its work is that of the direct convolution: products that are saved count.
    pub fn winograd(isa: Isa, size: usize, channels: [usize; 3]) -> Problem {
        let [input, middle, output] = channels;
        let (image, norm) = (values(size * size * input), values(middle));
        let weights = values(middle * input * 9);
        let filter = Filter::new(isa, (input, middle), |column, out| {
            out.copy_from_slice(&weights[column * input * 9..][..input * 9]);
        });
        let projection = Arithmetic { isa, operands: Operands::F32 }.weights(middle, output);
        let axis = square(size, 3, 1);
        let mut out = vec![0.0; size * size * output];
        let run = move || {
            let ops = Epilogue { norm: Norm::Weighted(&norm), gelu: true, ..Epilogue::default() };
            let last = Epilogue { norm: Norm::Plain, ..Epilogue::default() };
            let patches = Im2col::new(&image, input, axis, axis);
            convolve_into(&patches, (&filter, &ops), (&projection, &last), &mut out);
        };
        let count = 2 * size * size * middle * (9 * input + output);
        Problem { work: Work::Flop { count, isa }, run: Box::new(run) }
    }

    /// A depthwise convolution of a square image.
    pub fn depthwise(isa: Isa, size: usize, channels: usize, kernel: usize, stride: usize) -> Problem {
        let (image, weights) = (values(size * size * channels), values(kernel * kernel * channels));
        let axis = square(size, kernel, stride);
        let pixels = axis.output * axis.output;
        let mut out = vec![0.0; pixels * channels];
        let run = move || {
            depthwise(isa, &image, channels, (axis, axis), &weights, &Epilogue::default(), &mut out);
        };
        let work = Work::Flop { count: 2 * pixels * kernel * kernel * channels, isa };
        Problem { work, run: Box::new(run) }
    }

    /// Multi-query attention of `queries` rows (pixels times heads) over `positions` keys of `dim`.
    pub fn attention(arithmetic: Arithmetic, queries: usize, positions: usize, dim: usize) -> Problem {
        let (q, k, v) = (values(queries * dim), values(positions * dim), values(positions * dim));
        let mut out = vec![0.0; queries * dim];
        let run = move || {
            attention((arithmetic.isa, arithmetic.operands), &q, &k, &v, (dim, dim), &mut out);
        };
        Problem { work: arithmetic.flop(4 * queries * positions * dim), run: Box::new(run) }
    }

    /// Packing a weight `[columns, depth]` into fresh memory, as at loading, and freeing it.
    pub fn packing(arithmetic: Arithmetic, depth: usize, columns: usize) -> Problem {
        let weights = values(depth * columns);
        let packed = arithmetic.pack(depth, columns, &weights).bytes();
        let run = move || {
            black_box(arithmetic.pack(depth, columns, &weights));
        };
        Problem { work: Work::Bytes(size_of::<f32>() * depth * columns + packed), run: Box::new(run) }
    }

    /// RMS norm, optionally with GELU, of rows that are read in one place and written in another.
    pub fn rows(isa: Isa, rows: usize, channels: usize, gelu: bool) -> Problem {
        let (source, norm) = (values(rows * channels), values(channels));
        let mut out = vec![0.0; rows * channels];
        let run = move || {
            let ops = Epilogue { norm: Norm::Weighted(&norm), gelu, ..Epilogue::default() };
            apply_rows_to(isa, &ops, channels, &source, &mut out);
        };
        Problem { work: Work::f32s(2 * rows * channels + channels), run: Box::new(run) }
    }

    /// `[rows, columns]` to `[columns, rows]`: an image from NCHW has its channels as rows, one to NCHW its pixels.
    pub fn transpose(rows: usize, columns: usize) -> Problem {
        let source = values(rows * columns);
        let mut out = vec![0.0; rows * columns];
        let run = move || transpose(&source, rows, columns, &mut out);
        Problem { work: Work::f32s(2 * rows * columns), run: Box::new(run) }
    }

    /// Average pooling of a square image; `to` divides its size.
    pub fn average_pool(size: usize, channels: usize, to: usize) -> Problem {
        let image = values(size * size * channels);
        let mut out = vec![0.0; to * to * channels];
        let run = move || average_pool(&image, (size, size), channels, (to, to), &mut out);
        Problem { work: Work::f32s((size * size + to * to) * channels), run: Box::new(run) }
    }

    /// Bilinear interpolation of a square image. Pixels that no output sees are not read.
    pub fn bilinear(size: usize, channels: usize, to: usize) -> Problem {
        let image = values(size * size * channels);
        let mut out = vec![0.0; to * to * channels];
        let seen =
            (0..to).map(|output| linear(output, size, to)).flat_map(|(first, second, _)| [first, second]);
        let seen = seen.collect::<BTreeSet<_>>().len();
        let run = move || bilinear(&image, (size, size), channels, (to, to), &mut out);
        Problem { work: Work::f32s((seen * seen + to * to) * channels), run: Box::new(run) }
    }
}

fn square(size: usize, kernel: usize, stride: usize) -> Axis {
    Axis::new(Padding::Same, size, kernel, stride).expect("SAME padding fits any image")
}
