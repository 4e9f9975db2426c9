//! The GEMM micro-kernels: one register tile of `MR x NR` results.

use super::summation::SummationBlock;
use super::{Kernel, Simd};
use crate::precision::SplitTerms;

/// Depth to which blocks of bf16 pairs are filled up with zeros: that of a matrix unit's tile.
pub(crate) const PAIR_DEPTH: usize = 32;

/// Elements of four bytes in a line of the cache.
pub(crate) const CACHE_LINE: usize = 16;

/// Where the results of one tile go, or of several, one below the other.
pub(crate) struct TileOut<'a> {
    /// Rows of the output, each `stride` apart, from the first element on.
    pub(crate) data: &'a mut [f32],
    pub(crate) stride: usize,
    /// Rows and columns that exist in the output; of one tile at most `MR` and `NR`.
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Add to the output instead of overwriting it.
    pub(crate) accumulate: bool,
}

impl TileOut<'_> {
    /// The output of tile `index` of `mr` rows.
    #[inline(always)]
    pub(crate) fn tile(&mut self, index: usize, mr: usize) -> TileOut<'_> {
        let row = index * mr;
        TileOut { data: &mut self.data[row * self.stride..], rows: mr.min(self.rows - row), ..*self }
    }
}

/// What of the right side is prefetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prefetch {
    Nothing,
    /// The panel after the one at hand, into the second-level cache: each tile its share.
    NextPanel,
    /// The same, and the next products of the panel at hand, into the first-level cache.
    NextPanelAndProducts,
}

/// Tiles of work on f32, one below the other: `out (+)= left * b` over `depth` products.
pub(crate) struct Tiles<'a> {
    /// Panels of the left side, `[depth, MR]` of f32, rows past the matrix zero.
    pub(crate) left: std::slice::ChunksExact<'a, u32>,
    /// `[depth, NR]`: a panel of the right side, columns past the matrix zero.
    pub(crate) b: &'a [f32],
    /// How many products are summed before their sum is added to the output.
    pub(crate) summation: SummationBlock,
    /// Only where the instruction set's micro-kernel can.
    pub(crate) prefetch: Prefetch,
    pub(crate) out: TileOut<'a>,
}

/// One tile of work on pairs of bf16, the even depth in the lower half of a word.
pub(crate) struct PairTile<'a> {
    /// `[terms, pairs, MR]`, `[terms, MR, pairs]` or `[terms, 2 * pairs, MR]` of f32, as the unit wants it; rows past the
    /// matrix zero.
    pub(crate) a: &'a [u32],
    /// `[terms, pairs, NR]`, columns past the matrix zero.
    pub(crate) b: &'a [u32],
    /// Pairs in depth, a multiple of [`PAIR_DEPTH`] / 2.
    pub(crate) pairs: usize,
    /// Whose [`SplitTerms::products`] are summed.
    pub(crate) terms: SplitTerms,
    pub(crate) out: TileOut<'a>,
}

impl PairTile<'_> {
    /// # Panics
    /// When a panel is not of as many terms of these lengths as the tile has.
    #[inline(always)]
    pub(crate) fn assert_lengths(&self, a_term: usize, b_term: usize) {
        let count = self.terms.count();
        assert!(
            self.a.len() == count * a_term && self.b.len() == count * b_term,
            "expected panels of {count} terms of {a_term} and {b_term} words, found {} and {} words",
            self.a.len(),
            self.b.len()
        );
    }
}

/// How many depths ahead products are prefetched. On Cascade Lake 20 were as good.
const AHEAD: usize = 8;

/// The micro-kernel on f32 for tiles of `MR` rows and `NV` vectors of columns, which prefetches the next `PANEL` and the next
/// `PRODUCTS`, whatever the tiles say.
pub(crate) struct TileKernel<'a, const MR: usize, const NV: usize, const PANEL: bool, const PRODUCTS: bool>(
    pub(crate) Tiles<'a>,
);

impl<const MR: usize, const NV: usize, const PANEL: bool, const PRODUCTS: bool> Kernel
    for TileKernel<'_, MR, NV, PANEL, PRODUCTS>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.0.summation {
            SummationBlock::Short => {
                multiply_all::<S, MR, NV, { SummationBlock::Short.length() }, PANEL, PRODUCTS>(simd, self.0)
            }
            SummationBlock::Medium => {
                multiply_all::<S, MR, NV, { SummationBlock::Medium.length() }, PANEL, PRODUCTS>(simd, self.0)
            }
            SummationBlock::Long => {
                multiply_all::<S, MR, NV, { SummationBlock::Long.length() }, PANEL, PRODUCTS>(simd, self.0)
            }
        }
    }
}

/// Each left panel with the right one, in summation blocks of `BLOCK` products.
#[inline(always)]
fn multiply_all<
    S: Simd,
    const MR: usize,
    const NV: usize,
    const BLOCK: usize,
    const PANEL: bool,
    const PRODUCTS: bool,
>(
    simd: S,
    tiles: Tiles<'_>,
) {
    let Tiles { left, b, mut out, .. } = tiles;
    let mut next = NextPanel::after(b, left.len());
    for (index, a) in left.enumerate() {
        let (a, rest) = bytemuck::cast_slice(a).as_chunks();
        assert!(rest.is_empty(), "a panel of other rows than {MR}");
        multiply::<S, MR, NV, BLOCK, PANEL, PRODUCTS>(simd, a, b, out.tile(index, MR), &mut next);
    }
}

/// The panel of the right side that comes next, of which each tile prefetches its share.
struct NextPanel {
    /// The first line that is not prefetched yet.
    line: *const f32,
    /// Lines that are left.
    left: usize,
    /// Lines for each of the tiles.
    share: usize,
}

impl NextPanel {
    /// The panel after `b`, of the same length, split among `tiles`. After the last panel the prefetches are wasted.
    #[inline(always)]
    fn after(b: &[f32], tiles: usize) -> NextPanel {
        let lines = b.len().div_ceil(CACHE_LINE);
        let line = b.as_ptr().wrapping_add(b.len());
        NextPanel { line, left: lines, share: lines.div_ceil(tiles.max(1)) }
    }

    /// Prefetches `lines` lines, or what is left.
    #[inline(always)]
    fn prefetch<S: Simd>(&mut self, simd: S, lines: usize) {
        let lines = lines.min(self.left);
        for _ in 0..lines {
            simd.prefetch_to_second_level(self.line);
            self.line = self.line.wrapping_add(CACHE_LINE);
        }
        self.left -= lines;
    }
}

#[inline(always)]
fn multiply<
    S: Simd,
    const MR: usize,
    const NV: usize,
    const BLOCK: usize,
    const PANEL: bool,
    const PRODUCTS: bool,
>(
    simd: S,
    a: &[[f32; MR]],
    b: &[f32],
    mut out: TileOut<'_>,
    next: &mut NextPanel,
) {
    let nr = NV * S::LANES;
    // The sums of the first block go there; other tiles have since evicted it from the first-level cache.
    for row in out.data.chunks(out.stride).take(out.rows) {
        let row = &row[..out.columns];
        row.chunks(CACHE_LINE).for_each(|line| simd.prefetch(line.as_ptr()));
        // A row need not begin on a cache line.
        simd.prefetch(&raw const row[out.columns - 1]);
    }
    let mut b = &b[..a.len() * nr];
    let (blocks, rest) = a.as_chunks::<BLOCK>();
    // A few lines in each turn: 16 at once at the start of a block were slower, it seems because each takes a fill buffer of
    // the first-level cache until memory answers.
    let lines = if PANEL { next.share.div_ceil(a.len().div_ceil(S::TURN)) } else { 0 };
    for a in blocks {
        let (now, later) = b.split_at(BLOCK * nr);
        let mut sums = [[simd.splat(0.0); NV]; MR];
        const { assert!(BLOCK.is_multiple_of(S::TURN), "a summation block is a whole number of turns") };
        // Two short loops, whose ends the CPU predicts.
        for turn in 0..BLOCK / S::TURN {
            if PANEL {
                next.prefetch(simd, lines);
            }
            for d in turn * S::TURN..(turn + 1) * S::TURN {
                if PRODUCTS {
                    let ahead = now.as_ptr().wrapping_add((d + AHEAD) * nr);
                    (0..NV).for_each(|j| simd.prefetch(ahead.wrapping_add(j * S::LANES)));
                }
                add_product(simd, &a[d], load(simd, &now[d * nr..(d + 1) * nr]), &mut sums);
            }
        }
        store(simd, &sums, &mut out);
        out.accumulate = true;
        b = later;
    }
    if !rest.is_empty() {
        if PANEL {
            next.prefetch(simd, lines * rest.len().div_ceil(S::TURN));
        }
        let mut sums = [[simd.splat(0.0); NV]; MR];
        for d in 0..rest.len() {
            add_product(simd, &rest[d], load(simd, &b[d * nr..(d + 1) * nr]), &mut sums);
        }
        store(simd, &sums, &mut out);
    }
}

/// `sums += a * b` for one depth, `b` in vectors.
#[inline(always)]
fn add_product<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    a: &[f32; MR],
    b: [S::V; NV],
    sums: &mut [[S::V; NV]; MR],
) {
    for i in 0..MR {
        let factor = simd.splat(a[i]);
        for j in 0..NV {
            sums[i][j] = simd.mul_add(factor, b[j], sums[i][j]);
        }
    }
}

/// A depth of the right side.
#[inline(always)]
fn load<S: Simd, const NV: usize>(simd: S, b: &[f32]) -> [S::V; NV] {
    let mut vectors = [simd.splat(0.0); NV];
    for (j, v) in vectors.iter_mut().enumerate() {
        *v = simd.load(&b[j * S::LANES..(j + 1) * S::LANES]);
    }
    vectors
}

/// The micro-kernel on pairs where numbers are multiplied one by one, for a tile of `MR` rows and `NV` vectors of columns; the
/// left side is widened already. Each sum takes the even product of a pair, then the odd one.
pub(crate) struct WidenedKernel<'a, const MR: usize, const NV: usize>(pub(crate) PairTile<'a>);

impl<const MR: usize, const NV: usize> Kernel for WidenedKernel<'_, MR, NV> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        multiply_widened::<S, MR, NV>(simd, self.0);
    }
}

#[inline(always)]
fn multiply_widened<S: Simd, const MR: usize, const NV: usize>(simd: S, mut tile: PairTile<'_>) {
    let (a_term, b_term) = (2 * tile.pairs * MR, tile.pairs * NV * S::LANES);
    tile.assert_lengths(a_term, b_term);
    let mut sums = [[simd.splat(0.0); NV]; MR];
    for (left, right) in tile.terms.products() {
        let (a, b) = (&tile.a[left * a_term..][..a_term], &tile.b[right * b_term..][..b_term]);
        let (a, _) = bytemuck::cast_slice(a).as_chunks::<MR>();
        for (a, b) in a.chunks_exact(2).zip(b.chunks_exact(NV * S::LANES)) {
            let (mut even, mut odd) = ([simd.splat(0.0); NV], [simd.splat(0.0); NV]);
            for j in 0..NV {
                let pairs = simd.load_pairs(&b[j * S::LANES..(j + 1) * S::LANES]);
                (even[j], odd[j]) = (simd.even(pairs), simd.odd(pairs));
            }
            add_product(simd, &a[0], even, &mut sums);
            add_product(simd, &a[1], odd, &mut sums);
        }
    }
    store(simd, &sums, &mut tile.out);
}

/// Writes the rows and columns of a tile that exist.
#[inline(always)]
pub(crate) fn store<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    sums: &[[S::V; NV]; MR],
    out: &mut TileOut<'_>,
) {
    if out.rows != MR || out.columns != NV * S::LANES {
        // A copy: values that are indexed by a variable cannot stay in registers.
        let sums = *sums;
        return store_some(simd, &sums, out);
    }
    // One check for all rows: one for each costs 2 % of a product.
    let end = (MR - 1).saturating_mul(out.stride).saturating_add(NV * S::LANES);
    assert!(end <= out.data.len(), "a tile past the end of its output");
    let mut row = out.data.as_mut_ptr();
    for sums in sums {
        for (j, sum) in sums.iter().enumerate() {
            // SAFETY: of `MR` rows, each `stride` elements after the one before, this is one, and the last element of the last
            // one is within `data`, as is checked above. `out` is borrowed, so nothing else refers to its elements meanwhile.
            let place = unsafe { std::slice::from_raw_parts_mut(row.add(j * S::LANES), S::LANES) };
            let sum = if out.accumulate { simd.add(simd.load(place), *sum) } else { *sum };
            simd.store(sum, place);
        }
        // After the last row it may be past the end; nothing is read there.
        row = row.wrapping_add(out.stride);
    }
}

/// The same at the lower and the right edge of the output.
#[inline(always)]
fn store_some<S: Simd, const NV: usize>(simd: S, sums: &[[S::V; NV]], out: &mut TileOut<'_>) {
    for (i, sums) in sums.iter().enumerate().take(out.rows) {
        let row = &mut out.data[i * out.stride..][..out.columns];
        for (sum, place) in sums.iter().zip(row.chunks_mut(S::LANES)) {
            let sum = if out.accumulate { simd.add(simd.load_partial(place), *sum) } else { *sum };
            simd.store_partial(sum, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::portable::Portable;
    use super::super::{PairUnit, Simd};
    use super::*;

    const COLUMNS: usize = <Portable as Simd>::NR;

    fn out(data: &mut [f32]) -> TileOut<'_> {
        TileOut { data, stride: COLUMNS, rows: 1, columns: COLUMNS, accumulate: false }
    }

    #[test]
    #[should_panic(expected = "a panel of other rows than 6")]
    fn a_left_panel_of_another_height_is_refused() {
        let (left, b, mut data) = ([0; 7], [0.0; COLUMNS], [0.0; COLUMNS]);
        let tiles = Tiles {
            left: left.chunks_exact(7),
            b: &b,
            summation: SummationBlock::Short,
            prefetch: Prefetch::Nothing,
            out: out(&mut data),
        };
        Portable.tiles(tiles);
    }

    #[test]
    #[should_panic(expected = "expected panels of 2 terms of 192 and 128 words, found 383 and 256 words")]
    fn panels_of_pairs_of_other_lengths_are_refused() {
        let mut data = [0.0; COLUMNS];
        let tile = PairTile {
            a: &[0; 383],
            b: &[0; 256],
            pairs: PAIR_DEPTH / 2,
            terms: SplitTerms::Two,
            out: out(&mut data),
        };
        Portable.pair_unit().tile(tile);
    }
}
