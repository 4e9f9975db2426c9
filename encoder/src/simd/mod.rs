//! Vectors of `f32`, one implementation per instruction set, and the choice among them at run time.
//!
//! Kernels are written once, generic over [`Simd`], as types that implement [`Kernel`]. [`Isa::run`] calls them inside
//! a function compiled for the chosen instruction set. A token ([`Simd`] value) exists only where the CPU has been
//! probed, so holding one makes the arithmetic safe: all `unsafe` code of this crate's kernels is in this folder.

/// Methods of a token, each in a function compiled for the token's instructions. The bodies can call safe
/// `#[target_feature]` functions, such as intrinsics without memory operands, but nothing unsafe.
///
/// Only for tokens, which exist only where the CPU has the features.
#[cfg(target_arch = "x86_64")]
macro_rules! token_methods {
    ($features:tt; $(fn $name:ident(self $(, $argument:ident: $type:ty)*) -> $output:ty $body:block)*) => {$(
        #[inline(always)]
        fn $name(self $(, $argument: $type)*) -> $output {
            #[inline]
            #[target_feature(enable = $features)]
            fn compiled($($argument: $type),*) -> $output $body
            // SAFETY: `self` is a token, so the CPU has the features.
            unsafe { compiled($($argument),*) }
        }
    )*};
}

pub(crate) mod aligned_buffer;
#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512bf16;
pub(crate) mod cpu;
mod isa;
mod portable;
pub(crate) mod summation;
pub(crate) mod tile;
pub(crate) mod tuning;

pub use isa::Isa;

use tile::{PairTile, Tiles, WidenedKernel};

/// Arithmetic on vectors of `LANES` single-precision numbers.
///
/// Every method is `#[inline(always)]`, so that it is compiled with the features of the function it is inlined into.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// Elements in a vector.
    const LANES: usize;
    /// Rows of the GEMM register tile.
    const MR: usize;
    /// Columns of the GEMM register tile, one or two vectors.
    const NR: usize;
    /// Products in a turn of the f32 micro-kernel's loop, a divisor of the length of every [`summation::SummationBlock`].
    const TURN: usize;
    /// One register.
    type V: Copy;

    fn splat(self, x: f32) -> Self::V;
    /// The first `LANES` elements of `x`; panics when there are fewer.
    fn load(self, x: &[f32]) -> Self::V;
    /// Writes the first `LANES` elements of `out`; panics when there are fewer.
    fn store(self, v: Self::V, out: &mut [f32]);
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, fused where the instruction set can.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `-|a|`; NaN stays NaN.
    fn minus_abs(self, a: Self::V) -> Self::V;
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// `2^n` of [`SHIFT`]` + n` for whole `n` in [-126, 127].
    fn pow2(self, shifted: Self::V) -> Self::V;
    /// The nearest bf16, ties to even, in the upper half of each lane; NaN stays NaN, with any lower half.
    fn round_to_bf16(self, v: Self::V) -> Self::V;
    /// The upper halves of both in one word, that of `first` in its lower half.
    fn pairs(self, first: Self::V, second: Self::V) -> Self::V;
    /// The same of neighbouring lanes of `a`, then of those of `b`.
    fn pairs_of_neighbours(self, a: Self::V, b: Self::V) -> Self::V;
    /// [`Simd::pairs`] of both rounded to bf16; units that take denormals as zero may have them rounded to zero.
    #[inline(always)]
    fn rounded_pairs(self, first: Self::V, second: Self::V) -> Self::V {
        self.pairs(self.round_to_bf16(first), self.round_to_bf16(second))
    }
    /// [`Simd::pairs_of_neighbours`] likewise.
    #[inline(always)]
    fn rounded_pairs_of_neighbours(self, a: Self::V, b: Self::V) -> Self::V {
        self.pairs_of_neighbours(self.round_to_bf16(a), self.round_to_bf16(b))
    }
    /// Rows to columns of a square of `LANES` vectors, the first ones of `rows`; the others are ignored.
    fn transpose(self, rows: [Self::V; MAX_LANES]) -> [Self::V; MAX_LANES];
    /// Brings the line at an address into the first-level cache, where the instruction set can. A hint: the address need not be
    /// valid.
    #[inline(always)]
    fn prefetch(self, _: *const f32) {}
    /// The same into the second-level cache.
    #[inline(always)]
    fn prefetch_to_second_level(self, _: *const f32) {}
    /// Runs a kernel in a function of its own, so that a micro-kernel does not share its registers with the code around it.
    fn run_apart<K: Kernel>(self, kernel: K) -> K::Output;
    /// The GEMM micro-kernel on f32, see [`tile`].
    fn tiles(self, tiles: Tiles<'_>);

    /// One register of `LANES` pairs of bf16.
    type P: Copy;
    /// The register tile of the unit that multiplies pairs.
    const PAIRS: PairShape;
    /// The unit that multiplies pairs.
    type Unit: PairUnit;
    fn pair_unit(self) -> Self::Unit;
    /// The first `LANES` pairs of `x`; panics when there are fewer.
    fn load_pairs(self, x: &[u32]) -> Self::P;
    /// The even halves of pairs, the lower ones, as f32.
    fn even(self, p: Self::P) -> Self::V;
    /// The odd halves.
    fn odd(self, p: Self::P) -> Self::V;

    /// At most `LANES` elements, the other lanes zero.
    #[inline(always)]
    fn load_partial(self, x: &[f32]) -> Self::V {
        if x.len() == Self::LANES {
            return self.load(x);
        }
        let mut lanes = [0.0; MAX_LANES];
        lanes[..x.len()].copy_from_slice(x);
        self.load(&lanes)
    }

    /// The first `out.len()` lanes, at most `LANES`.
    #[inline(always)]
    fn store_partial(self, v: Self::V, out: &mut [f32]) {
        if out.len() == Self::LANES {
            return self.store(v, out);
        }
        let mut lanes = [0.0; MAX_LANES];
        self.store(v, &mut lanes);
        out.copy_from_slice(&lanes[..out.len()]);
    }

    /// The lanes, those past `LANES` zero.
    #[inline(always)]
    fn lanes(self, v: Self::V) -> [f32; MAX_LANES] {
        let mut lanes = [0.0; MAX_LANES];
        self.store(v, &mut lanes);
        lanes
    }
}

/// The register tile of a unit that multiplies pairs of bf16.
pub(crate) struct PairShape {
    /// Rows.
    pub(crate) mr: usize,
    /// Columns, one or two vectors of f32.
    pub(crate) nr: usize,
    pub(crate) layout: PairLayout,
}

/// How a panel of left-hand pairs is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PairLayout {
    /// `[pairs, MR]`: the rows' values of one depth are contiguous.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "what AVX512-BF16 reads"))]
    DepthFirst,
    /// `[2 * pairs, MR]`: both numbers of each pair as f32, for units that multiply nothing but f32.
    Widened,
    /// `[MR, pairs]`: each row is contiguous.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "what AMX reads"))]
    RowFirst,
}

/// A unit that multiplies pairs of bf16, made ready for a run of tiles.
pub(crate) trait PairUnit {
    fn tile(&self, tile: PairTile<'_>);
}

/// The vector unit where it multiplies nothing but f32: a tile of `MR` rows and `NV` vectors of columns.
pub(crate) struct Widening<S, const MR: usize, const NV: usize>(S);

impl<S: Simd, const MR: usize, const NV: usize> Widening<S, MR, NV> {
    const SHAPE: PairShape = PairShape { mr: MR, nr: NV * S::LANES, layout: PairLayout::Widened };
}

impl<S: Simd, const MR: usize, const NV: usize> PairUnit for Widening<S, MR, NV> {
    #[inline(always)]
    fn tile(&self, tile: PairTile<'_>) {
        self.0.run_apart(WidenedKernel::<MR, NV>(tile));
    }
}

/// 1.5 * 2^23: a number of less than 2^22 that is added to it is rounded to an integer, ties to even, which is in the last
/// bits of the sum.
pub(crate) const SHIFT: f32 = 12_582_912.0;

/// Lanes of the widest instruction set.
pub(crate) const MAX_LANES: usize = 16;

/// A computation that is generic over the instruction set. `run` must be `#[inline(always)]`.
pub(crate) trait Kernel {
    type Output;
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Isa;
    use crate::testing::{Failures, on_each_isa};

    on_each_isa!(
        powers_of_two_are_of_the_nearest_integer_ties_to_even,
        a_square_of_vectors_is_transposed_as_a_whole
    );

    struct Transposed;

    impl Kernel for Transposed {
        type Output = (usize, [[f32; MAX_LANES]; MAX_LANES]);

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let row = |i: usize| std::array::from_fn::<f32, MAX_LANES, _>(|j| (i * MAX_LANES + j) as f32);
            let columns = simd.transpose(std::array::from_fn(|i| simd.load(&row(i))));
            (S::LANES, columns.map(|column| simd.lanes(column)))
        }
    }

    struct PowersOfTwo;

    impl Kernel for PowersOfTwo {
        type Output = Vec<(f32, f32)>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let exponents =
                (-126..=127).flat_map(|n: i16| [-0.5, -0.499, 0.0, 0.499].map(|x| f32::from(n) + x));
            let pow2 = |n| simd.lanes(simd.pow2(simd.add(simd.splat(n), simd.splat(SHIFT))))[0];
            exponents.filter(|n| n.round_ties_even() >= -126.0).map(|n| (n, pow2(n))).collect()
        }
    }

    fn powers_of_two_are_of_the_nearest_integer_ties_to_even(isa: Isa, failures: &mut Failures) {
        for (n, found) in isa.run(PowersOfTwo) {
            failures.equal(found, n.round_ties_even().exp2(), || format!("2^{n}"));
        }
    }

    fn a_square_of_vectors_is_transposed_as_a_whole(isa: Isa, failures: &mut Failures) {
        let (lanes, columns) = isa.run(Transposed);
        for (i, j) in (0..lanes).flat_map(|i| (0..lanes).map(move |j| (i, j))) {
            failures
                .equal(&columns[i][j], &((j * MAX_LANES + i) as f32), || format!("row {j} of column {i}"));
        }
    }
}
