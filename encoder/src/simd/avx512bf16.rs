//! AVX512-BF16: products of pairs of bf16, used together with AVX-512F.

use std::arch::x86_64::*;

use super::avx512::{Avx512, Extension};
use super::tile::{PairTile, store};
use super::{Kernel, PairLayout, PairShape, PairUnit, Simd};

/// AVX512-BF16.
pub(crate) struct DotBf16;

impl DotBf16 {
    /// Words of neighbouring lanes of `a`, then of those of `b`, rounded to bf16; denormals become zero.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) fn pairs_of_neighbours(a: __m512, b: __m512) -> __m512 {
        let (a, b) = (Self::rounded(a), Self::rounded(b));
        _mm512_castsi512_ps(_mm512_inserti64x4::<1>(_mm512_castsi256_si512(a), b))
    }

    /// The lanes rounded to bf16, in their order; denormals become zero.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn rounded(v: __m512) -> __m256i {
        // SAFETY: both types are 256 bits wide, of any content.
        unsafe { std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(v)) }
    }

    /// Words of both, lane by lane, rounded to bf16; denormals become zero.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) fn pairs(first: __m512, second: __m512) -> __m512 {
        let (first, second) = (Self::rounded(first), Self::rounded(second));
        let second = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(second));
        _mm512_castsi512_ps(_mm512_or_si512(_mm512_cvtepu16_epi32(first), second))
    }
}

// SAFETY: what `is_available` asks for is what the functions are compiled for.
unsafe impl Extension for DotBf16 {
    #[inline]
    fn is_available() -> bool {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")
    }

    #[inline]
    fn run<K: Kernel>(token: Avx512<Self>, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512bf16")]
        fn compiled<K: Kernel>(token: Avx512<DotBf16>, kernel: K) -> K::Output {
            kernel.run(token)
        }
        // SAFETY: a token is proof of AVX512-BF16.
        unsafe { compiled(token, kernel) }
    }

    #[inline]
    fn run_apart<K: Kernel>(token: Avx512<Self>, kernel: K) -> K::Output {
        #[inline(never)]
        #[target_feature(enable = "avx512f,avx512bf16")]
        fn apart<K: Kernel>(token: Avx512<DotBf16>, kernel: K) -> K::Output {
            kernel.run(token)
        }
        // SAFETY: a token is proof of AVX512-BF16.
        unsafe { apart(token, kernel) }
    }

    const PAIRS: PairShape = PairShape { mr: MR, nr: NV * 16, layout: PairLayout::DepthFirst };
    type Unit = Dot;

    #[inline(always)]
    fn pair_unit(token: Avx512<Self>) -> Self::Unit {
        Dot(token)
    }

    #[inline(always)]
    fn rounded_pairs(_token: Avx512<Self>, first: __m512, second: __m512) -> __m512 {
        // SAFETY: a token is proof of AVX512-BF16.
        unsafe { DotBf16::pairs(first, second) }
    }

    #[inline(always)]
    fn rounded_pairs_of_neighbours(_token: Avx512<Self>, a: __m512, b: __m512) -> __m512 {
        // SAFETY: a token is proof of AVX512-BF16.
        unsafe { DotBf16::pairs_of_neighbours(a, b) }
    }
}

/// Rows of the register tile, and vectors of its columns: 24 accumulators, 2 registers of B, 1 of A.
const MR: usize = 12;
const NV: usize = 2;

/// The vector unit on pairs: `c + a.even * b.even + a.odd * b.odd` in each lane; denormals are taken as zero.
pub(crate) struct Dot(Avx512<DotBf16>);

impl PairUnit for Dot {
    #[inline(always)]
    fn tile(&self, tile: PairTile<'_>) {
        // SAFETY: `self` holds a token, which is proof of AVX512-BF16.
        unsafe { multiply(self.0, tile) }
    }
}

/// A function of its own, so that it does not share its registers with the code around it.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bf16")]
fn multiply(token: Avx512<DotBf16>, mut tile: PairTile<'_>) {
    // SAFETY: both types are 512 bits wide, of any content.
    let bf16 = |pairs: __m512i| unsafe { std::mem::transmute::<__m512i, __m512bh>(pairs) };
    let (a_term, b_term) = (tile.pairs * MR, tile.pairs * NV * 16);
    tile.assert_lengths(a_term, b_term);
    let mut sums = [[token.splat(0.0); NV]; MR];
    for (left, right) in tile.terms.products() {
        let (a, b) = (&tile.a[left * a_term..][..a_term], &tile.b[right * b_term..][..b_term]);
        let (a, _) = a.as_chunks::<MR>();
        for (a, b) in a.iter().zip(b.chunks_exact(NV * 16)) {
            let b = [bf16(token.load_pairs(b)), bf16(token.load_pairs(&b[16..]))];
            for i in 0..MR {
                let factor = bf16(_mm512_set1_epi32(a[i].cast_signed()));
                for j in 0..NV {
                    sums[i][j] = _mm512_dpbf16_ps(sums[i][j], factor, b[j]);
                }
            }
        }
    }
    store(token, &sums, &mut tile.out);
}
