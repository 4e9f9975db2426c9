//! Kernels alone, for `cargo bench`; only the feature `bench` compiles this in.

use crate::kernels::attention::attention;
use crate::kernels::convolution::{Axis, Padding, Patches};
use crate::kernels::depthwise::depthwise;
use crate::kernels::gemm::{gemm, gemm_twice};
use crate::kernels::lhs::Matrix;
use crate::kernels::packing::PackedRhs;
use crate::kernels::rows::{Norm, RowOps, apply_rows};
use crate::precision::{Operands, Precision};
use crate::simd::{Isa, Kernel, Simd};

/// What the f32 units of an instruction set can do on one thread: floating-point operations in a second, of fused
/// multiply-adds that touch nothing but registers.
pub fn ceiling(isa: Isa) -> f64 {
    const ROUNDS: usize = 4_000_000;
    struct Loop<const SUMS: usize>;
    impl<const SUMS: usize> Kernel for Loop<SUMS> {
        type Output = (f32, usize);
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let (a, b) = (simd.splat(std::hint::black_box(0.999)), simd.splat(std::hint::black_box(1e-3)));
            let mut sums = [simd.splat(0.0); SUMS];
            for _ in 0..ROUNDS {
                for sum in &mut sums {
                    *sum = simd.mul_add(a, *sum, b);
                }
            }
            let total = sums.into_iter().fold(simd.splat(0.0), |total, sum| simd.add(total, sum));
            (simd.lanes(total)[0], S::LANES)
        }
    }
    fn measure<const SUMS: usize>(isa: Isa) -> f64 {
        let started = std::time::Instant::now();
        let (result, lanes) = isa.run(Loop::<SUMS>);
        std::hint::black_box(result);
        (2 * ROUNDS * SUMS * lanes) as f64 / started.elapsed().as_secs_f64()
    }
    // Enough independent sums to hide the latency of any of them, few enough to stay in registers: a portable vector takes
    // two of 16.
    let measure = match isa {
        Isa::Portable => measure::<6>,
        _ => measure::<12>,
    };
    (0..5).map(|_| measure(isa)).fold(0.0, f64::max)
}

/// How products are computed.
#[derive(Clone, Copy, Debug)]
pub struct Arithmetic {
    isa: Isa,
    operands: Operands,
}

impl Arithmetic {
    /// As [`crate::Model::load`] chooses it.
    pub fn new(isa: Isa, precision: Precision, strict_fma: bool) -> Self {
        Arithmetic { isa, operands: precision.operands(isa, strict_fma) }
    }

    fn pack(self, depth: usize, columns: usize) -> PackedRhs {
        PackedRhs::new(self.isa, self.operands, (depth, columns), |column, start, out| {
            for (d, out) in (start..).zip(out) {
                *out = value(column * 31 + d);
            }
        })
    }
}

/// Numbers without a pattern that a CPU could profit from.
fn value(i: usize) -> f32 {
    ((i.wrapping_mul(2_654_435_761) >> 7) % 2001) as f32 / 1000.0 - 1.0
}

fn values(count: usize) -> Vec<f32> {
    (0..count).map(value).collect()
}

/// What running a kernel once amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Additions and multiplications of its products.
    Flop(usize),
    /// Elements, where there are no products.
    Elements(usize),
}

/// A kernel with its operands.
pub struct Problem {
    /// What it amounts to.
    pub work: Work,
    run: Box<dyn FnMut() + Send>,
}

impl Problem {
    /// Runs the kernel once.
    pub fn run(&mut self) {
        (self.run)();
    }

    /// `[rows, depth] x [depth, columns]` with a norm and a GELU behind it.
    pub fn product(arithmetic: Arithmetic, rows: usize, depth: usize, columns: usize) -> Problem {
        let (a, b, norm) = (values(rows * depth), arithmetic.pack(depth, columns), values(columns));
        let mut out = vec![0.0; rows * columns];
        let run = move || {
            let ops = RowOps { norm: Norm::Weighted(&norm), gelu: true, ..RowOps::default() };
            gemm(&Matrix::new(&a, depth), &b, &ops, &mut out);
        };
        Problem { work: Work::Flop(2 * rows * depth * columns), run: Box::new(run) }
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
        let (first, second) = (arithmetic.pack(depth, middle), arithmetic.pack(middle, columns));
        let mut out = vec![0.0; rows * columns];
        let run = move || {
            let ops = RowOps { norm: Norm::Weighted(&norm), gelu: true, ..RowOps::default() };
            let last = RowOps { norm: Norm::Plain, ..RowOps::default() };
            gemm_twice(&Matrix::new(&a, depth), (&first, &ops), (&second, &last), &mut out);
        };
        Problem { work: Work::Flop(2 * rows * middle * (depth + columns)), run: Box::new(run) }
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
        let weights = arithmetic.pack(kernel * kernel * channels[0], channels[1]);
        let axis = square(size, kernel, stride);
        let pixels = axis.output * axis.output;
        let mut out = vec![0.0; pixels * channels[1]];
        let run = move || {
            gemm(&Patches::new(&image, channels[0], axis, axis), &weights, &RowOps::default(), &mut out);
        };
        let flop = 2 * pixels * kernel * kernel * channels[0] * channels[1];
        Problem { work: Work::Flop(flop), run: Box::new(run) }
    }

    /// A depthwise convolution of a square image.
    pub fn depthwise(isa: Isa, size: usize, channels: usize, kernel: usize, stride: usize) -> Problem {
        let (image, weights) = (values(size * size * channels), values(kernel * kernel * channels));
        let axis = square(size, kernel, stride);
        let pixels = axis.output * axis.output;
        let mut out = vec![0.0; pixels * channels];
        let run = move || {
            depthwise(isa, &image, channels, (axis, axis), &weights, &RowOps::default(), &mut out);
        };
        Problem { work: Work::Flop(2 * pixels * kernel * kernel * channels), run: Box::new(run) }
    }

    /// Multi-query attention of `queries` rows (pixels times heads) over `positions` keys of `dim`.
    pub fn attention(arithmetic: Arithmetic, queries: usize, positions: usize, dim: usize) -> Problem {
        let (q, k, v) = (values(queries * dim), values(positions * dim), values(positions * dim));
        let mut out = vec![0.0; queries * dim];
        let run = move || {
            attention((arithmetic.isa, arithmetic.operands), &q, &k, &v, (dim, dim), &mut out);
        };
        Problem { work: Work::Flop(4 * queries * positions * dim), run: Box::new(run) }
    }

    /// RMS norm, and GELU where asked for, of rows.
    pub fn rows(isa: Isa, rows: usize, channels: usize, gelu: bool) -> Problem {
        let (source, norm) = (values(rows * channels), values(channels));
        let mut data = source.clone();
        let run = move || {
            // Applied again and again to its own output, GELU would end in denormals.
            data.copy_from_slice(&source);
            let ops = RowOps { norm: Norm::Weighted(&norm), gelu, ..RowOps::default() };
            apply_rows(isa, &ops, channels, &mut data);
        };
        Problem { work: Work::Elements(rows * channels), run: Box::new(run) }
    }
}

fn square(size: usize, kernel: usize, stride: usize) -> Axis {
    Axis::new(Padding::Same, size, kernel, stride).expect("SAME padding fits any image")
}
