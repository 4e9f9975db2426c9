//! Tensors in place.

use std::ops::Range;

use memmap2::Mmap;
use rayon::prelude::*;

use super::byte_order::ByteOrder;
use super::quantised::{self, LARGEST};
use super::weight_type::WeightType;

/// A tensor in place; the memory of its mapping is released when it is dropped.
pub(crate) struct View<'a> {
    pub(super) elements: StoredElements<'a>,
    /// Where kernels have their input channels last.
    pub(super) channels_last: Option<ChannelsLast>,
    /// The file, and where in it.
    pub(super) mapped: Option<(&'a Mmap, Range<usize>)>,
}

/// A kernel as `[output, taps, input]`, which is read as `[output, input, taps]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChannelsLast {
    pub(super) taps: usize,
    pub(super) input: usize,
}

pub(super) enum StoredElements<'a> {
    Memory(&'a [f32]),
    F32(ByteOrder, &'a [[u8; 4]]),
    F16(ByteOrder, &'a [[u8; 2]]),
    Bf16(ByteOrder, &'a [[u8; 2]]),
    Blocks { kind: &'a WeightType, order: ByteOrder, elements: usize, size: usize, bytes: &'a [u8] },
}

impl<'a> StoredElements<'a> {
    /// None for a type that is not supported.
    pub(super) fn of(kind: &'a WeightType, order: ByteOrder, bytes: &'a [u8]) -> Option<StoredElements<'a>> {
        let unit = kind.unit()?;
        Some(match kind {
            WeightType::F32 => StoredElements::F32(order, bytes.as_chunks().0),
            WeightType::F16 => StoredElements::F16(order, bytes.as_chunks().0),
            WeightType::Bf16 => StoredElements::Bf16(order, bytes.as_chunks().0),
            _ => StoredElements::Blocks { kind, order, elements: unit.elements, size: unit.bytes, bytes },
        })
    }

    /// Widens the elements from `start` on in the order of the file, as many as `out` takes.
    fn read(&self, start: usize, out: &mut [f32]) {
        let end = start + out.len();
        match self {
            StoredElements::Memory(values) => out.copy_from_slice(&values[start..end]),
            StoredElements::F32(ByteOrder::Little, x) => widen(&x[start..end], out, f32::from_le_bytes),
            StoredElements::F32(order, x) => widen(&x[start..end], out, |b| order.f32(b)),
            StoredElements::F16(order, x) => widen(&x[start..end], out, |b| order.f16(b)),
            StoredElements::Bf16(order, x) => widen(&x[start..end], out, |b| order.bf16(b)),
            StoredElements::Blocks { .. } => self.of_blocks(start, out, quantised::dequantise),
        }
    }

    /// The most that the elements from `start` on may be from what was stored.
    fn rounding(&self, start: usize, out: &mut [f32]) {
        match self {
            StoredElements::Memory(_) | StoredElements::F32(..) => out.fill(0.0),
            StoredElements::F16(..) => {
                self.read(start, out);
                out.iter_mut().for_each(|x| *x = quantised::half_unit_f16(*x));
            }
            StoredElements::Bf16(..) => {
                self.read(start, out);
                out.iter_mut().for_each(|x| *x = x.abs() / 256.0);
            }
            StoredElements::Blocks { .. } => self.of_blocks(start, out, quantised::rounding),
        }
    }

    /// What a function makes of the blocks, block by block.
    fn of_blocks(
        &self,
        start: usize,
        mut out: &mut [f32],
        function: fn(&WeightType, ByteOrder, &[u8], &mut [f32]),
    ) {
        let StoredElements::Blocks { kind, order, elements, size, bytes } = self else { return };
        let mut at = start;
        while !out.is_empty() {
            let block = &bytes[at / elements * size..][..*size];
            let (from, length) = (at % elements, out.len().min(elements - at % elements));
            let (now, rest) = out.split_at_mut(length);
            if length == *elements {
                function(kind, *order, block, now);
            } else {
                let mut whole = [0.0; LARGEST];
                function(kind, *order, block, &mut whole[..*elements]);
                now.copy_from_slice(&whole[from..from + length]);
            }
            (at, out) = (at + length, rest);
        }
    }
}

impl View<'_> {
    /// Widens the elements from `start` on, in row-major order, as many as `out` takes.
    pub(crate) fn read(&self, start: usize, out: &mut [f32]) {
        self.in_order(start, out, |start, out| self.elements.read(start, out));
    }

    /// The most that the elements from `start` on may be from what was stored.
    pub(super) fn rounding(&self, start: usize, out: &mut [f32]) {
        self.in_order(start, out, |start, out| self.elements.rounding(start, out));
    }

    /// What is read in the order of the file, in that of the tensor.
    fn in_order(&self, start: usize, out: &mut [f32], read: impl Fn(usize, &mut [f32])) {
        let Some(ChannelsLast { taps, input }) = self.channels_last else { return read(start, out) };
        let length = taps * input;
        let mut kernel = vec![0.0; length];
        let mut held = None;
        for (at, out) in (start..).zip(out) {
            if held != Some(at / length) {
                read(at / length * length, &mut kernel);
                held = Some(at / length);
            }
            let within = at % length;
            *out = kernel[within % taps * input + within / taps];
        }
    }

    pub(super) fn first_not_finite(&self, elements: usize) -> Option<(usize, f32)> {
        const CHUNK: usize = 1 << 14;
        (0..elements.div_ceil(CHUNK)).into_par_iter().find_map_first(|chunk| {
            let start = chunk * CHUNK;
            let values = &mut [0.0; CHUNK][..CHUNK.min(elements - start)];
            self.read(start, values);
            // A sum over all of them is faster than asking each, and not finite if one is not.
            if values.iter().map(|x| x * 0.0).sum::<f32>() == 0.0 {
                return None;
            }
            let index = values.iter().position(|x| !x.is_finite())?;
            Some((start + index, values[index]))
        })
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some((map, range)) = &self.mapped {
            let advice = memmap2::UncheckedAdvice::DontNeed;
            // SAFETY: the map is read-only and of a file: pages that are given back are read from the file again.
            // A refusal costs memory and nothing else.
            let _ = unsafe { map.unchecked_advise_range(advice, range.start, range.len()) };
        }
    }
}

/// Elements of `N` bytes each as f32.
fn widen<const N: usize>(bytes: &[[u8; N]], out: &mut [f32], convert: impl Fn([u8; N]) -> f32) {
    for (out, bytes) in out.iter_mut().zip(bytes) {
        *out = convert(*bytes);
    }
}
