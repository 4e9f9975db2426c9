//! AVX2 with FMA.

use std::arch::x86_64::*;

use super::tile::{TileKernel, Tiles};
use super::{Kernel, MAX_LANES, PairShape, Simd, Widening};

/// Proof that the CPU has AVX2 and FMA; only [`Avx2::new`] makes one.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    #[inline]
    pub(crate) fn new() -> Option<Self> {
        let available = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        available.then_some(Avx2(()))
    }

    /// Runs a kernel inside a function compiled for AVX2 and FMA.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma")]
        fn compiled<K: Kernel>(token: Avx2, kernel: K) -> K::Output {
            kernel.run(token)
        }
        // SAFETY: a token is proof of AVX2 and FMA.
        unsafe { compiled(self, kernel) }
    }
}

/// Steps of a transposition, each giving the lower and the upper result.
impl Avx2 {
    token_methods! { "avx2,fma";
        fn interleave(self, a: __m256, b: __m256) -> [__m256; 2] {
            [_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)]
        }

        fn interleave_pairs(self, a: __m256, b: __m256) -> [__m256; 2] {
            [_mm256_shuffle_ps::<0x44>(a, b), _mm256_shuffle_ps::<0xee>(a, b)]
        }

        fn join_halves(self, a: __m256, b: __m256) -> [__m256; 2] {
            [_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b)]
        }
    }
}

impl Simd for Avx2 {
    const LANES: usize = 8;
    // 6 x 2 accumulators, 2 registers of B, 1 of A: 15 of 16.
    const MR: usize = 6;
    const NR: usize = 2 * 8;
    // With eight the compiler keeps two of the sums in memory.
    const TURN: usize = 2;
    type V = __m256;

    token_methods! { "avx2,fma";
        fn splat(self, x: f32) -> __m256 {
            _mm256_set1_ps(x)
        }

        fn add(self, a: __m256, b: __m256) -> __m256 {
            _mm256_add_ps(a, b)
        }

        fn sub(self, a: __m256, b: __m256) -> __m256 {
            _mm256_sub_ps(a, b)
        }

        fn mul(self, a: __m256, b: __m256) -> __m256 {
            _mm256_mul_ps(a, b)
        }

        fn div(self, a: __m256, b: __m256) -> __m256 {
            _mm256_div_ps(a, b)
        }

        fn minus_abs(self, a: __m256) -> __m256 {
            _mm256_or_ps(a, _mm256_set1_ps(-0.0))
        }

        fn min(self, a: __m256, b: __m256) -> __m256 {
            _mm256_min_ps(a, b)
        }

        fn max(self, a: __m256, b: __m256) -> __m256 {
            _mm256_max_ps(a, b)
        }

        fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
            _mm256_fmadd_ps(a, b, c)
        }

        fn pow2(self, shifted: __m256) -> __m256 {
            let exponent = _mm256_slli_epi32::<23>(_mm256_castps_si256(shifted));
            _mm256_castsi256_ps(_mm256_add_epi32(exponent, _mm256_castps_si256(_mm256_set1_ps(1.0))))
        }

        fn round_to_bf16(self, v: __m256) -> __m256 {
            let bits = _mm256_castps_si256(v);
            let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
            let rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
            let upper = _mm256_set1_epi32(0xffff_0000u32.cast_signed());
            let rounded = _mm256_castsi256_ps(_mm256_and_si256(rounded, upper));
            // Rounding up the mantissa of a NaN could end in another number.
            let quiet = _mm256_castsi256_ps(_mm256_or_si256(bits, _mm256_set1_epi32(0x0040_0000)));
            _mm256_blendv_ps(rounded, quiet, _mm256_cmp_ps::<_CMP_UNORD_Q>(v, v))
        }

        fn pairs(self, first: __m256, second: __m256) -> __m256 {
            pairs(first, second)
        }

        fn pairs_of_neighbours(self, a: __m256, b: __m256) -> __m256 {
            // Within the halves of 4 lanes: two words of `a`, two of `b`.
            let words = pairs(_mm256_shuffle_ps::<0x88>(a, b), _mm256_shuffle_ps::<0xdd>(a, b));
            _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(_mm256_castps_pd(words)))
        }

        fn even(self, p: __m256i) -> __m256 {
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(p))
        }

        fn odd(self, p: __m256i) -> __m256 {
            let upper = 0xffff_0000u32.cast_signed();
            _mm256_castsi256_ps(_mm256_and_si256(p, _mm256_set1_epi32(upper)))
        }
    }

    #[inline(always)]
    fn transpose(self, rows: [Self::V; MAX_LANES]) -> [Self::V; MAX_LANES] {
        // Pairs of rows, then fours of them, interleaved within the halves of 4 columns; then the halves.
        let mut v = rows;
        for i in [0, 2, 4, 6] {
            [v[i], v[i + 1]] = self.interleave(v[i], v[i + 1]);
        }
        let mut w = v;
        for i in [0, 4] {
            [w[i], w[i + 1]] = self.interleave_pairs(v[i], v[i + 2]);
            [w[i + 2], w[i + 3]] = self.interleave_pairs(v[i + 1], v[i + 3]);
        }
        for i in 0..4 {
            [v[i], v[i + 4]] = self.join_halves(w[i], w[i + 4]);
        }
        v
    }

    #[inline(always)]
    fn load(self, x: &[f32]) -> Self::V {
        let x = &x[..8];
        // SAFETY: a token is proof of AVX2 and FMA, and `x` has 8 elements; the load needs no alignment.
        unsafe { _mm256_loadu_ps(x.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, v: Self::V, out: &mut [f32]) {
        let out = &mut out[..8];
        // SAFETY: a token is proof of AVX2 and FMA, and `out` has 8 elements; the store needs no alignment.
        unsafe { _mm256_storeu_ps(out.as_mut_ptr(), v) }
    }

    #[inline(always)]
    fn prefetch(self, x: *const f32) {
        // SAFETY: a hint, which reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(x.cast()) }
    }

    #[inline(always)]
    fn run_apart<K: Kernel>(self, kernel: K) -> K::Output {
        #[inline(never)]
        #[target_feature(enable = "avx2,fma")]
        fn apart<K: Kernel>(token: Avx2, kernel: K) -> K::Output {
            kernel.run(token)
        }
        // SAFETY: a token is proof of AVX2 and FMA.
        unsafe { apart(self, kernel) }
    }

    #[inline(always)]
    fn tiles(self, tiles: Tiles<'_>) {
        self.run_apart(TileKernel::<6, 2, false, false>(tiles));
    }

    type P = __m256i;
    const PAIRS: PairShape = Self::Unit::SHAPE;
    // 5 x 2 accumulators, 4 registers of widened B, 1 of A: 15 of 16.
    type Unit = Widening<Self, 5, 2>;

    #[inline(always)]
    fn pair_unit(self) -> Self::Unit {
        Widening(self)
    }

    #[inline(always)]
    fn load_pairs(self, x: &[u32]) -> Self::P {
        let x = &x[..8];
        // SAFETY: a token is proof of AVX2 and FMA, and `x` has 8 elements; the load needs no alignment.
        unsafe { _mm256_loadu_si256(x.as_ptr().cast()) }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn pairs(first: __m256, second: __m256) -> __m256 {
    let first = _mm256_srli_epi32::<16>(_mm256_castps_si256(first));
    _mm256_castsi256_ps(_mm256_blend_epi16::<0b1010_1010>(first, _mm256_castps_si256(second)))
}
