//! What kernels are compared with: the rates that the machine itself can reach.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

use crate::simd::{Isa, Kernel, Simd};

/// Multiply-adds in each of a vector's lanes and in each sum in one measurement: a millisecond or two, so that some
/// measurements are not interrupted by other processes.
const ROUNDS: usize = 400_000;
/// Measurements, of which the fastest counts.
const SAMPLES: usize = 50;

struct MultiplyAdds<const SUMS: usize>;

impl<const SUMS: usize> Kernel for MultiplyAdds<SUMS> {
    type Output = (f32, usize);

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        let (a, b) = (simd.splat(black_box(0.999)), simd.splat(black_box(1e-3)));
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

/// Runs the loop; gives its floating-point operations.
fn multiply_adds(isa: Isa) -> f64 {
    fn run<const SUMS: usize>(isa: Isa) -> usize {
        let (result, lanes) = isa.run(MultiplyAdds::<SUMS>);
        black_box(result);
        2 * ROUNDS * SUMS * lanes
    }
    // Enough independent sums to hide the latency of any of them, few enough to stay in registers: a portable vector takes
    // two of 16.
    let flop = match isa {
        Isa::Portable => run::<6>(isa),
        _ => run::<12>(isa),
    };
    flop as f64
}

/// What the f32 units of an instruction set can do on one thread: floating-point operations in a second, of multiply-adds
/// (fused, where it can) that touch nothing but registers.
///
/// Units that multiply pairs of bf16 (AVX512-BF16, AMX) do more: products of bf16 can exceed it.
pub fn f32_ceiling(isa: Isa) -> f64 {
    let sample = || {
        let started = Instant::now();
        multiply_adds(isa) / started.elapsed().as_secs_f64()
    };
    (0..SAMPLES).map(|_| sample()).fold(0.0, f64::max)
}

/// The same of all of rayon's threads at once, which may share cores, and clock lower together: what they do between the start
/// of the first and the end of the last. And how many threads there are.
pub fn f32_ceiling_of_all_threads(isa: Isa) -> (f64, usize) {
    let threads = rayon::current_num_threads();
    let barrier = Barrier::new(threads);
    let sample = || {
        let runs = rayon::broadcast(|_| {
            barrier.wait();
            let started = Instant::now();
            (multiply_adds(isa), started, Instant::now())
        });
        let flop: f64 = runs.iter().map(|(flop, _, _)| flop).sum();
        let (started, ended) = (runs.iter().map(|run| run.1).min(), runs.iter().map(|run| run.2).max());
        started.zip(ended).map_or(0.0, |(started, ended)| flop / (ended - started).as_secs_f64())
    };
    ((0..SAMPLES).map(|_| sample()).fold(0.0, f64::max), threads)
}

/// What copying does on one thread: bytes read and written in a second, each counted once, by the fastest of several
/// `copy_from_slice` from one buffer to another, each of half of `bytes`.
///
/// Both buffers have been touched before: what fits into a level of the cache is copied there, without page faults. A line
/// that the CPU fetches only to overwrite it is not counted.
pub fn copy_ceiling(bytes: usize) -> f64 {
    const ROUNDS: usize = 30;
    // Pages that were never written are all one page of zeros.
    let source = vec![1u8; bytes / 2];
    let mut target = vec![2u8; bytes / 2];
    let fastest = (0..ROUNDS).map(|_| {
        let started = Instant::now();
        black_box(&mut target).copy_from_slice(black_box(&source));
        started.elapsed().as_secs_f64()
    });
    2.0 * source.len() as f64 / fastest.fold(f64::INFINITY, f64::min)
}
