//! Right-hand sides of the GEMM, packed once in the order in which the micro-kernel reads them.

use std::ops::Range;

use rayon::prelude::*;

use super::bf16::pairs_of_row;
use crate::precision::{Operands, SplitTerms};
use crate::simd::aligned_buffer::Line;
use crate::simd::tile::{CACHE_LINE, PAIR_DEPTH};
use crate::simd::tuning::Tuning;
use crate::simd::{Isa, Kernel, Simd};

/// Depth of a block of f32 operands: a `[DEPTH, NR]` panel of the right side stays in the first-level cache.
pub(crate) const DEPTH: usize = 256;

/// Depth of a block. A panel of bf16 in one term takes half the space of a panel of f32.
pub(in crate::kernels) fn block_depth(operands: Operands) -> usize {
    match operands {
        Operands::Bf16(SplitTerms::One) => 2 * DEPTH,
        _ => DEPTH,
    }
}

/// The blocks of a product of `depth`.
pub(in crate::kernels) fn depth_blocks(
    operands: Operands,
    depth: usize,
) -> impl Iterator<Item = Range<usize>> + use<> {
    let step = block_depth(operands);
    (0..depth).step_by(step).map(move |start| start..depth.min(start + step))
}

/// Length in words of a packed column of a block of `depth`.
pub(in crate::kernels) fn packed_length(operands: Operands, depth: usize) -> usize {
    match operands {
        Operands::F32 => depth,
        Operands::Bf16(terms) => terms.count() * pairs(depth),
    }
}

/// Pairs that a block of `depth` is made of.
pub(crate) fn pairs(depth: usize) -> usize {
    depth.next_multiple_of(PAIR_DEPTH) / 2
}

/// A block of a packed right-hand side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DepthBlock {
    /// First depth index.
    pub(crate) start: usize,
    pub(crate) depth: usize,
    /// First word of the block.
    offset: usize,
    /// Words of a panel.
    panel: usize,
}

impl DepthBlock {
    /// The depth indices.
    pub(crate) fn range(&self) -> Range<usize> {
        self.start..self.start + self.depth
    }
}

/// A panel: `NR` columns of a block.
pub(crate) struct Panel<'a> {
    /// First column.
    pub(crate) column: usize,
    /// Columns that exist, at most `NR`.
    pub(crate) columns: usize,
    /// Of f32 `[depth, NR]`; of pairs `[terms, pairs, NR]`.
    pub(crate) words: &'a [u32],
}

/// A right-hand side (`[depth, columns]`, usually weights) packed for one instruction set's tile.
///
/// Layout: blocks of depth; in a block, panels of `NR` columns. Columns past the matrix are zero.
pub(crate) struct PackedRhs {
    isa: Isa,
    operands: Operands,
    depth: usize,
    columns: usize,
    nr: usize,
    tuning: Tuning,
    data: Vec<Line>,
}

/// A column before it is written to its panel.
#[derive(Default)]
struct RhsScratch {
    values: Vec<f32>,
    words: Vec<u32>,
}

struct Split<'a> {
    terms: SplitTerms,
    column: &'a [f32],
    words: &'a mut [u32],
}

impl Kernel for Split<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let pairs = pairs(self.column.len());
        pairs_of_row(simd, self.column, self.terms, pairs, pairs, self.words);
    }
}

impl PackedRhs {
    /// Packs a matrix `[depth, columns]`; `read(column, start, out)` writes a column's elements from depth index `start`
    /// on to `out`.
    pub(crate) fn new(
        isa: Isa,
        operands: Operands,
        (depth, columns): (usize, usize),
        read: impl Fn(usize, usize, &mut [f32]) + Sync,
    ) -> Self {
        let nr = isa.tile_columns(operands);
        let tuning = Tuning::of(isa, operands);
        let mut packed = PackedRhs { isa, operands, depth, columns, nr, tuning, data: Vec::new() };
        let end = packed.blocks().last().map_or(0, |block| block.offset + packed.panels() * block.panel);
        packed.data = bytemuck::zeroed_vec(end.div_ceil(CACHE_LINE));
        let blocks: Vec<DepthBlock> = packed.blocks().collect();
        let mut rest: &mut [u32] = bytemuck::cast_slice_mut(&mut packed.data);
        let mut panels = Vec::new();
        for block in blocks {
            let (data, behind) = rest.split_at_mut(block.panel * columns.div_ceil(nr));
            panels.extend(data.chunks_mut(block.panel.max(1)).enumerate().map(|(i, data)| (block, i, data)));
            rest = behind;
        }
        panels.into_par_iter().for_each_init(RhsScratch::default, |scratch, (block, panel, data)| {
            scratch.values.resize(block.depth, 0.0);
            scratch.words.resize(packed_length(operands, block.depth), 0);
            for lane in 0..nr.min(columns - panel * nr) {
                read(panel * nr + lane, block.start, &mut scratch.values);
                let column: &[u32] = match operands {
                    Operands::F32 => bytemuck::cast_slice(&scratch.values),
                    Operands::Bf16(terms) => {
                        isa.run(Split { terms, column: &scratch.values, words: &mut scratch.words });
                        &scratch.words
                    }
                };
                for (out, word) in data[lane..].iter_mut().step_by(nr).zip(column) {
                    *out = *word;
                }
            }
        });
        packed
    }

    /// The instruction set it is packed for.
    pub(crate) fn isa(&self) -> Isa {
        self.isa
    }

    /// The operands that it is packed as.
    pub(crate) fn operands(&self) -> Operands {
        self.operands
    }

    /// How it is read.
    pub(crate) fn tuning(&self) -> Tuning {
        self.tuning
    }

    /// The same with another tuning.
    #[cfg(test)]
    pub(crate) fn tuned(self, tuning: Tuning) -> Self {
        PackedRhs { tuning, ..self }
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// Bytes of the packed data.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.data.as_slice())
    }

    fn panels(&self) -> usize {
        self.columns.div_ceil(self.nr)
    }

    /// The blocks, in depth.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = DepthBlock> + use<> {
        let (operands, nr, panels) = (self.operands, self.nr, self.panels());
        let whole = packed_length(operands, block_depth(operands)) * nr * panels;
        depth_blocks(operands, self.depth).enumerate().map(move |(index, depth)| DepthBlock {
            offset: index * whole,
            panel: packed_length(operands, depth.len()) * nr,
            start: depth.start,
            depth: depth.len(),
        })
    }

    /// The panels of a block.
    #[inline(always)]
    pub(crate) fn panels_of(&self, block: DepthBlock) -> impl Iterator<Item = Panel<'_>> {
        let words: &[u32] = bytemuck::cast_slice(&self.data);
        let words = &words[block.offset..][..block.panel * self.panels()];
        let (nr, columns) = (self.nr, self.columns);
        words.chunks_exact(block.panel.max(1)).enumerate().map(move |(panel, words)| Panel {
            column: panel * nr,
            columns: nr.min(columns - panel * nr),
            words,
        })
    }
}
