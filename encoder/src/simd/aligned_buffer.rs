//! Memory that begins on a line of the cache: where rows are whole lines, no vector of theirs reaches over two.

use std::ops::{Deref, DerefMut};

use bytemuck::{Pod, Zeroable};

use super::tile::CACHE_LINE;

/// A line of the cache: what memory is aligned to, and the unit in which it is allocated.
#[derive(Clone, Copy, Default, Pod, Zeroable)]
#[repr(C, align(64))]
pub(crate) struct Line([u32; CACHE_LINE]);

/// Elements of f32, the first of which begins a [`Line`].
#[derive(Default)]
pub(crate) struct AlignedBuffer {
    lines: Vec<Line>,
    length: usize,
}

impl AlignedBuffer {
    pub(crate) fn zeroed(length: usize) -> Self {
        AlignedBuffer { lines: bytemuck::zeroed_vec(length.div_ceil(CACHE_LINE)), length }
    }

    /// Like `Vec::resize`: elements that are added are zero.
    pub(crate) fn resize(&mut self, length: usize) {
        let before = std::mem::replace(&mut self.length, length);
        self.lines.resize(length.div_ceil(CACHE_LINE), Line::default());
        // What is left of the line that was the last one.
        let rest = before..before.next_multiple_of(CACHE_LINE).min(length);
        if !rest.is_empty() {
            self[rest].fill(0.0);
        }
    }
}

impl Deref for AlignedBuffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.lines)[..self.length]
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_begin_on_a_line_and_grow_by_zeros() {
        let mut buffer = AlignedBuffer::zeroed(3);
        for (length, zeros) in [(3, 3), (40, 37), (5, 0), (7, 2), (70, 63), (0, 0), (17, 17)] {
            buffer.resize(length);
            assert_eq!(buffer.len(), length);
            assert!(buffer.as_ptr().addr().is_multiple_of(64));
            assert_eq!(buffer.iter().filter(|x| **x == 0.0).count(), zeros, "{length}");
            buffer.fill(1.0);
        }
    }
}
