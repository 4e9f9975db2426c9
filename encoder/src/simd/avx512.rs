//! AVX-512F.

use std::arch::x86_64::*;

use super::{Kernel, Simd};
use crate::kernels::tile::{Tile, multiply};

/// Proof that the CPU has AVX-512F; only [`Avx512::new`] makes one.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

/// Intrinsics without memory operands, callable by whoever holds a token.
macro_rules! proven {
    ($e:expr) => {
        // SAFETY: `self` is a token, so the CPU has AVX-512F.
        unsafe { $e }
    };
}

impl Avx512 {
    #[inline]
    pub(crate) fn new() -> Option<Self> {
        let available = is_x86_feature_detected!("avx512f");
        available.then_some(Avx512(()))
    }

    /// Runs a kernel inside a function compiled for AVX-512F.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f")]
        fn compiled<K: Kernel>(token: Avx512, kernel: K) -> K::Output {
            kernel.run(token)
        }
        proven!(compiled(self, kernel))
    }
}

impl Simd for Avx512 {
    const LANES: usize = 16;
    // 14 x 2 accumulators, 2 registers of B, 1 of A: 31 of 32.
    const MR: usize = 14;
    const NR: usize = 2 * 16;
    type V = __m512;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        proven!(_mm512_set1_ps(x))
    }

    #[inline(always)]
    fn load(self, x: &[f32]) -> Self::V {
        let x = &x[..16];
        // SAFETY: a token is proof of AVX-512F, and `x` has 16 elements; the load needs no alignment.
        unsafe { _mm512_loadu_ps(x.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, v: Self::V, out: &mut [f32]) {
        let out = &mut out[..16];
        // SAFETY: a token is proof of AVX-512F, and `out` has 16 elements; the store needs no alignment.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), v) }
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        proven!(_mm512_add_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        proven!(_mm512_mul_ps(a, b))
    }

    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        proven!(_mm512_div_ps(a, b))
    }

    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        proven!(_mm512_min_ps(a, b))
    }

    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        proven!(_mm512_max_ps(a, b))
    }

    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        proven!(_mm512_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn round(self, v: Self::V) -> Self::V {
        proven!(_mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v))
    }

    #[inline(always)]
    fn pow2(self, n: Self::V) -> Self::V {
        proven!({
            let exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(exponent))
        })
    }

    #[inline(always)]
    fn tile(self, tile: Tile<'_>) {
        multiply::<Self, 14, 2>(self, tile);
    }
}
