//! Plain Rust that the compiler vectorises for the target's baseline.

use super::tile::{TileKernel, Tiles};
use super::{Kernel, MAX_LANES, PairShape, Simd, Widening};

/// Needs no instruction set beyond the baseline.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

const LANES: usize = 8;

impl Portable {
    #[inline(always)]
    fn zip(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
        std::array::from_fn(|i| f(a[i], b[i]))
    }
}

impl Simd for Portable {
    const LANES: usize = LANES;
    // 6 x 1 vectors of 8: 12 of the 16 SSE registers, 12 of the 32 of NEON.
    const MR: usize = 6;
    const NR: usize = LANES;
    const TURN: usize = 8;
    type V = [f32; LANES];

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        [x; LANES]
    }

    #[inline(always)]
    fn load(self, x: &[f32]) -> Self::V {
        std::array::from_fn({
            let x = &x[..LANES];
            move |i| x[i]
        })
    }

    #[inline(always)]
    fn store(self, v: Self::V, out: &mut [f32]) {
        out[..LANES].copy_from_slice(&v);
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        Self::zip(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        Self::zip(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        Self::zip(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        Self::zip(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // Without a fused instruction `f32::mul_add` is a library call.
        if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
            std::array::from_fn(|i| a[i].mul_add(b[i], c[i]))
        } else {
            std::array::from_fn(|i| a[i] * b[i] + c[i])
        }
    }

    #[inline(always)]
    fn minus_abs(self, a: Self::V) -> Self::V {
        a.map(|a| -a.abs())
    }

    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        Self::zip(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        Self::zip(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn pow2(self, shifted: Self::V) -> Self::V {
        shifted.map(|x| f32::from_bits((x.to_bits() << 23).wrapping_add(1f32.to_bits())))
    }

    #[inline(always)]
    fn round_to_bf16(self, v: Self::V) -> Self::V {
        v.map(|x| {
            let bits = x.to_bits();
            let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) & 0xffff_0000;
            // Rounding up the mantissa of a NaN could end in another number.
            f32::from_bits(if x.is_nan() { bits | 0x0040_0000 } else { rounded })
        })
    }

    #[inline(always)]
    fn pairs(self, first: Self::V, second: Self::V) -> Self::V {
        Self::zip(first, second, |a, b| f32::from_bits((a.to_bits() >> 16) | (b.to_bits() & 0xffff_0000)))
    }

    #[inline(always)]
    fn pairs_of_neighbours(self, a: Self::V, b: Self::V) -> Self::V {
        let element = |i: usize| if i < LANES { a[i] } else { b[i - LANES] };
        self.pairs(std::array::from_fn(|i| element(2 * i)), std::array::from_fn(|i| element(2 * i + 1)))
    }

    #[inline(always)]
    fn transpose(self, rows: [Self::V; MAX_LANES]) -> [Self::V; MAX_LANES] {
        std::array::from_fn(|i| std::array::from_fn(|j| if i < LANES { rows[j][i] } else { 0.0 }))
    }

    #[inline(never)]
    fn run_apart<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(always)]
    fn tiles(self, tiles: Tiles<'_>) {
        self.run_apart(TileKernel::<6, 1, false, false>(tiles));
    }

    type P = [u32; LANES];
    const PAIRS: PairShape = Self::Unit::SHAPE;
    // 6 x 1 vectors of 8: 12 of the 16 SSE registers. Widened B needs four more and A one, but 4 and 5 rows are slower.
    type Unit = Widening<Self, 6, 1>;

    #[inline(always)]
    fn pair_unit(self) -> Self::Unit {
        Widening(self)
    }

    #[inline(always)]
    fn load_pairs(self, x: &[u32]) -> Self::P {
        std::array::from_fn({
            let x = &x[..LANES];
            move |i| x[i]
        })
    }

    #[inline(always)]
    fn even(self, p: Self::P) -> Self::V {
        p.map(|x| f32::from_bits(x << 16))
    }

    #[inline(always)]
    fn odd(self, p: Self::P) -> Self::V {
        p.map(|x| f32::from_bits(x & 0xffff_0000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Isa;
    use crate::simd::Kernel;
    use crate::testing::{Failures, on_each_isa};

    on_each_isa!(the_widest_vector_fits_the_partial_buffers);

    struct Lanes;
    impl Kernel for Lanes {
        type Output = usize;
        fn run<S: Simd>(self, _: S) -> usize {
            S::LANES
        }
    }

    fn the_widest_vector_fits_the_partial_buffers(isa: Isa, failures: &mut Failures) {
        failures.check(isa.run(Lanes) <= super::super::MAX_LANES, || {
            String::from("isa.run(Lanes) <= super::super::MAX_LANES")
        });
    }
}
