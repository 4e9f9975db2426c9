//! AVX-512F, alone or with a unit for products of bf16.

use std::arch::x86_64::*;
use std::marker::PhantomData;

use super::tile::{Prefetch, TileKernel, Tiles};
use super::{Kernel, MAX_LANES, PairShape, PairUnit, Simd, Widening};

/// Proof that the CPU has AVX-512F and what `X` stands for; only [`Avx512::new`] makes one.
pub(crate) struct Avx512<X>(PhantomData<X>);

impl<X> Clone for Avx512<X> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<X> Copy for Avx512<X> {}

/// How pairs of bf16 are multiplied on a CPU with AVX-512F.
///
/// # Safety
/// `is_available` is true only where the CPU has AVX-512F and all that the other methods use.
pub(crate) unsafe trait Extension: Sized + Send + Sync + 'static {
    /// Whether the CPU supports it, AVX-512F included.
    fn is_available() -> bool;
    /// Runs a kernel inside a function compiled for it.
    fn run<K: Kernel>(token: Avx512<Self>, kernel: K) -> K::Output;
    /// The same, never inlined.
    fn run_apart<K: Kernel>(token: Avx512<Self>, kernel: K) -> K::Output;

    const PAIRS: PairShape;
    type Unit: PairUnit;
    fn pair_unit(token: Avx512<Self>) -> Self::Unit;

    /// As of [`Simd`].
    #[inline(always)]
    fn rounded_pairs(token: Avx512<Self>, first: __m512, second: __m512) -> __m512 {
        token.pairs(token.round_to_bf16(first), token.round_to_bf16(second))
    }
    /// As of [`Simd`].
    #[inline(always)]
    fn rounded_pairs_of_neighbours(token: Avx512<Self>, a: __m512, b: __m512) -> __m512 {
        token.pairs_of_neighbours(token.round_to_bf16(a), token.round_to_bf16(b))
    }
}

impl<X: Extension> Avx512<X> {
    #[inline]
    pub(crate) fn new() -> Option<Self> {
        X::is_available().then_some(Avx512(PhantomData))
    }

    /// Runs a kernel inside a function compiled for these instructions.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        X::run(self, kernel)
    }
}

/// AVX-512F alone: pairs are widened.
pub(crate) struct NoPairs;

// SAFETY: what `is_available` asks for is what the functions are compiled for.
unsafe impl Extension for NoPairs {
    #[inline]
    fn is_available() -> bool {
        is_x86_feature_detected!("avx512f")
    }

    #[inline]
    fn run<K: Kernel>(token: Avx512<Self>, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f")]
        fn compiled<K: Kernel>(token: Avx512<NoPairs>, kernel: K) -> K::Output {
            kernel.run(token)
        }
        // SAFETY: a token is proof of AVX-512F.
        unsafe { compiled(token, kernel) }
    }

    #[inline]
    fn run_apart<K: Kernel>(token: Avx512<Self>, kernel: K) -> K::Output {
        #[inline(never)]
        #[target_feature(enable = "avx512f")]
        fn apart<K: Kernel>(token: Avx512<NoPairs>, kernel: K) -> K::Output {
            kernel.run(token)
        }
        // SAFETY: a token is proof of AVX-512F.
        unsafe { apart(token, kernel) }
    }

    const PAIRS: PairShape = Self::Unit::SHAPE;
    // 12 x 2 accumulators, 4 registers of widened B, 1 of A: 29 of 32.
    type Unit = Widening<Avx512<Self>, 12, 2>;

    #[inline(always)]
    fn pair_unit(token: Avx512<Self>) -> Self::Unit {
        Widening(token)
    }
}

/// Steps of a transposition, each giving two results: the lower and the upper one, or the even and the odd one.
impl<X: Extension> Avx512<X> {
    token_methods! { "avx512f";
        fn interleave(self, a: __m512, b: __m512) -> [__m512; 2] {
            [_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)]
        }

        fn interleave_pairs(self, a: __m512, b: __m512) -> [__m512; 2] {
            [_mm512_shuffle_ps::<0x44>(a, b), _mm512_shuffle_ps::<0xee>(a, b)]
        }

        fn join_quarters(self, a: __m512, b: __m512) -> [__m512; 2] {
            [_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b)]
        }
    }
}

impl<X: Extension> Simd for Avx512<X> {
    const LANES: usize = 16;
    // 12 x 2 accumulators, 2 registers of B, 1 of A: 27 of 32. More rows fit, but 12 divides the pixels of every feature map
    // of the 300M model.
    const MR: usize = 12;
    const NR: usize = 2 * 16;
    // Eight turns of eight: the CPU predicts the ends of both loops.
    const TURN: usize = 8;
    type V = __m512;

    token_methods! { "avx512f";
        fn splat(self, x: f32) -> __m512 {
            _mm512_set1_ps(x)
        }

        fn add(self, a: __m512, b: __m512) -> __m512 {
            _mm512_add_ps(a, b)
        }

        fn sub(self, a: __m512, b: __m512) -> __m512 {
            _mm512_sub_ps(a, b)
        }

        fn mul(self, a: __m512, b: __m512) -> __m512 {
            _mm512_mul_ps(a, b)
        }

        fn div(self, a: __m512, b: __m512) -> __m512 {
            _mm512_div_ps(a, b)
        }

        fn minus_abs(self, a: __m512) -> __m512 {
            // The same of floats needs AVX-512DQ.
            let sign = _mm512_set1_epi32(i32::MIN);
            _mm512_castsi512_ps(_mm512_or_si512(_mm512_castps_si512(a), sign))
        }

        fn min(self, a: __m512, b: __m512) -> __m512 {
            _mm512_min_ps(a, b)
        }

        fn max(self, a: __m512, b: __m512) -> __m512 {
            _mm512_max_ps(a, b)
        }

        fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
            _mm512_fmadd_ps(a, b, c)
        }

        fn pow2(self, shifted: __m512) -> __m512 {
            let exponent = _mm512_slli_epi32::<23>(_mm512_castps_si512(shifted));
            _mm512_castsi512_ps(_mm512_add_epi32(exponent, _mm512_castps_si512(_mm512_set1_ps(1.0))))
        }

        fn round_to_bf16(self, v: __m512) -> __m512 {
            let bits = _mm512_castps_si512(v);
            let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
            let rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
            let rounded = _mm512_and_si512(rounded, _mm512_set1_epi32(0xffff_0000u32.cast_signed()));
            // Rounding up the mantissa of a NaN could end in another number.
            let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(v, v);
            let rounded = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x0040_0000));
            _mm512_castsi512_ps(rounded)
        }

        fn pairs(self, first: __m512, second: __m512) -> __m512 {
            pairs(first, second)
        }

        fn pairs_of_neighbours(self, a: __m512, b: __m512) -> __m512 {
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
            pairs(_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b))
        }

        fn even(self, p: __m512i) -> __m512 {
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(p))
        }

        fn odd(self, p: __m512i) -> __m512 {
            let upper = 0xffff_0000u32.cast_signed();
            _mm512_castsi512_ps(_mm512_and_si512(p, _mm512_set1_epi32(upper)))
        }
    }

    #[inline(always)]
    fn transpose(self, rows: [Self::V; MAX_LANES]) -> [Self::V; MAX_LANES] {
        // Pairs of rows, then fours of them, interleaved within the quarters of 4 columns; then the quarters, twice.
        let mut v = rows;
        for i in (0..16).step_by(2) {
            [v[i], v[i + 1]] = self.interleave(v[i], v[i + 1]);
        }
        let mut w = v;
        for i in (0..16).step_by(4) {
            [w[i], w[i + 1]] = self.interleave_pairs(v[i], v[i + 2]);
            [w[i + 2], w[i + 3]] = self.interleave_pairs(v[i + 1], v[i + 3]);
        }
        for i in 0..4 {
            // Quarters 0 and 2, 1 and 3 of rows 0 to 7, and of rows 8 to 15.
            let [low_even, low_odd] = self.join_quarters(w[i], w[i + 4]);
            let [high_even, high_odd] = self.join_quarters(w[i + 8], w[i + 12]);
            [v[i], v[i + 8]] = self.join_quarters(low_even, high_even);
            [v[i + 4], v[i + 12]] = self.join_quarters(low_odd, high_odd);
        }
        v
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
    fn prefetch(self, x: *const f32) {
        // SAFETY: a hint, which reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(x.cast()) }
    }

    #[inline(always)]
    fn prefetch_to_second_level(self, x: *const f32) {
        // SAFETY: a hint, which reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(x.cast()) }
    }

    #[inline(always)]
    fn run_apart<K: Kernel>(self, kernel: K) -> K::Output {
        X::run_apart(self, kernel)
    }

    #[inline(always)]
    fn tiles(self, tiles: Tiles<'_>) {
        match tiles.prefetch {
            Prefetch::Nothing => self.run_apart(TileKernel::<12, 2, false, false>(tiles)),
            Prefetch::NextPanel => self.run_apart(TileKernel::<12, 2, true, false>(tiles)),
            Prefetch::NextPanelAndProducts => self.run_apart(TileKernel::<12, 2, true, true>(tiles)),
        }
    }

    #[inline(always)]
    fn rounded_pairs(self, first: Self::V, second: Self::V) -> Self::V {
        X::rounded_pairs(self, first, second)
    }

    #[inline(always)]
    fn rounded_pairs_of_neighbours(self, a: Self::V, b: Self::V) -> Self::V {
        X::rounded_pairs_of_neighbours(self, a, b)
    }

    type P = __m512i;
    const PAIRS: PairShape = X::PAIRS;
    type Unit = X::Unit;

    #[inline(always)]
    fn pair_unit(self) -> Self::Unit {
        X::pair_unit(self)
    }

    #[inline(always)]
    fn load_pairs(self, x: &[u32]) -> Self::P {
        let x = &x[..16];
        // SAFETY: a token is proof of AVX-512F, and `x` has 16 elements; the load needs no alignment.
        unsafe { _mm512_loadu_si512(x.as_ptr().cast()) }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn pairs(first: __m512, second: __m512) -> __m512 {
    let first = _mm512_srli_epi32::<16>(_mm512_castps_si512(first));
    let upper = _mm512_set1_epi32(0xffff_0000u32.cast_signed());
    let second = _mm512_and_si512(_mm512_castps_si512(second), upper);
    _mm512_castsi512_ps(_mm512_or_si512(first, second))
}
