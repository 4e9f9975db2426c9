//! The micro-kernels that multiply panels: on the f32 vector units, or on a unit for pairs of bf16.

use std::slice::ChunksExact;

use super::rhs::pairs;
use crate::precision::SplitTerms;
use crate::simd::summation::SummationBlock;
use crate::simd::tile::{PairTile, Prefetch, TileOut, Tiles};
use crate::simd::{PairUnit, Simd};

/// Multiplies left panels with a right panel. A trait instead of a closure: closures are not inlined reliably, and code
/// that is not inlined is compiled without the instruction set.
pub(in crate::kernels) trait MicroKernel {
    /// The left panels cover all rows of `out`, one below the other; all panels have `depth`.
    fn multiply(&self, depth: usize, left: ChunksExact<'_, u32>, right: &[u32], out: TileOut<'_>);
}

/// Panels of f32.
pub(in crate::kernels) struct OfF32<S> {
    simd: S,
    summation: SummationBlock,
    prefetch: Prefetch,
}

impl<S: Simd> OfF32<S> {
    #[inline(always)]
    pub(in crate::kernels) fn new(simd: S, summation: SummationBlock) -> Self {
        OfF32 { simd, summation, prefetch: Prefetch::Nothing }
    }

    /// For right panels that are contiguous in memory.
    #[inline(always)]
    pub(in crate::kernels) fn with_prefetch(self, prefetch: Prefetch) -> Self {
        OfF32 { prefetch, ..self }
    }
}

impl<S: Simd> MicroKernel for OfF32<S> {
    #[inline(always)]
    fn multiply(&self, _: usize, left: ChunksExact<'_, u32>, right: &[u32], out: TileOut<'_>) {
        let OfF32 { simd, summation, prefetch } = *self;
        simd.tiles(Tiles { left, b: bytemuck::cast_slice(right), summation, prefetch, out });
    }
}

/// Panels of pairs of bf16.
pub(in crate::kernels) struct OfPairs<U> {
    unit: U,
    mr: usize,
    terms: SplitTerms,
}

impl<U: PairUnit> OfPairs<U> {
    #[inline(always)]
    pub(in crate::kernels) fn new<S: Simd<Unit = U>>(simd: S, terms: SplitTerms) -> Self {
        OfPairs { unit: simd.pair_unit(), mr: S::PAIRS.mr, terms }
    }
}

impl<U: PairUnit> MicroKernel for OfPairs<U> {
    #[inline(always)]
    fn multiply(&self, depth: usize, left: ChunksExact<'_, u32>, right: &[u32], mut out: TileOut<'_>) {
        for (tile, a) in left.enumerate() {
            let out = out.tile(tile, self.mr);
            self.unit.tile(PairTile { a, b: right, pairs: pairs(depth), terms: self.terms, out });
        }
    }
}
