//! ggml's blocks of quantised elements, and how far from what was quantised they may be.
//!
//! Every product and sum is rounded as NumPy rounds it in ggml's own Python package: the same bits.

use super::byte_order::ByteOrder;
use super::weight_type::WeightType;

/// The largest block, in elements.
pub(super) const LARGEST: usize = 256;

/// The scale at `at`.
fn scale(order: ByteOrder, block: &[u8], at: usize) -> f32 {
    order.f16([block[at], block[at + 1]])
}

/// Widens one block into as many elements as it has.
///
/// # Panics
/// For a type that is not stored in blocks.
pub(super) fn dequantise(kind: &WeightType, order: ByteOrder, block: &[u8], out: &mut [f32]) {
    let scale = |at: usize| scale(order, block, at);
    match kind {
        WeightType::Q4_0 => {
            let d = scale(0);
            each(out, |i| d * (nibble(&block[2..], i) as f32 - 8.0));
        }
        WeightType::Q4_1 => {
            let (d, m) = (scale(0), scale(2));
            each(out, |i| d * nibble(&block[4..], i) as f32 + m);
        }
        WeightType::Q5_0 => {
            let (d, high) = (scale(0), fifth_bits(order, &block[2..6]));
            each(out, |i| {
                let q = nibble(&block[6..], i) | (high >> i & 1) << 4;
                d * (q as f32 - 16.0)
            });
        }
        WeightType::Q5_1 => {
            let (d, m, high) = (scale(0), scale(2), fifth_bits(order, &block[4..8]));
            each(out, |i| {
                let q = nibble(&block[8..], i) | (high >> i & 1) << 4;
                d * q as f32 + m
            });
        }
        WeightType::Q8_0 => {
            let d = scale(0);
            each(out, |i| f32::from(block[2 + i].cast_signed()) * d);
        }
        WeightType::Q2K => {
            let (d, d_min) = (scale(80), scale(82));
            each_part(out, 16, |part, out| {
                let packed = block[part];
                let (step, min) = (d * f32::from(packed & 0xF), d_min * f32::from(packed >> 4));
                each(out, |i| step * f32::from(two_bits(&block[16..80], 16 * part + i)) - min);
            });
        }
        WeightType::Q3K => {
            let d = scale(108);
            each_part(out, 16, |part, out| {
                let step = d * q3_scale(&block[96..108], part);
                each(out, |i| {
                    let i = 16 * part + i;
                    // The bit says that nothing is taken off.
                    let bit = block[i % 32] >> (i / 32) & 1;
                    let q = i16::from(two_bits(&block[32..96], i)) - i16::from((bit ^ 1) << 2);
                    step * f32::from(q)
                });
            });
        }
        WeightType::Q4K | WeightType::Q5K => {
            let (d, d_min) = (scale(0), scale(2));
            let (high, low) = if *kind == WeightType::Q5K { (Some(&block[16..48]), 48) } else { (None, 16) };
            each_part(out, 32, |part, out| {
                let (factor, min) = q4_scale_and_min(&block[4..16], part);
                let (step, min) = (d * f32::from(factor), d_min * f32::from(min));
                let bytes = &block[low + part / 2 * 32..][..32];
                each(out, |i| {
                    let fifth = high.map_or(0, |high| high[i] >> part & 1);
                    let q = bytes[i] >> (part % 2 * 4) & 0xF | fifth << 4;
                    step * f32::from(q) - min
                });
            });
        }
        WeightType::Q6K => {
            let d = scale(208);
            each_part(out, 16, |part, out| {
                let step = d * f32::from(block[192 + part].cast_signed());
                each(out, |i| {
                    let i = 16 * part + i;
                    let (half, within) = (i / 128, i % 128);
                    let low = block[half * 64 + within % 64] >> (within / 64 * 4) & 0xF;
                    let high = block[128 + half * 32 + within % 32] >> (within / 32 * 2) & 3;
                    step * f32::from(i16::from(low | high << 4) - 32)
                });
            });
        }
        other => panic!("{other} is not stored in blocks"),
    }
}

/// The most that each element of a block may be from the value that was quantised.
///
/// Nearest rounding is half a step off, and a scale that is itself rounded adds its own error times the largest level.
/// Where levels are not symmetric (Q4_0, Q5_0) the far end is a whole step off. The 6- and 4-bit scales of the K types
/// round each step and minimum once more, and their search for the best scales gives up the ends of a range: a step more.
pub(super) fn rounding(kind: &WeightType, order: ByteOrder, block: &[u8], out: &mut [f32]) {
    let scale = |at: usize| scale(order, block, at).abs();
    let simple = |steps: f32, levels: f32| steps * scale(0) + levels * half_unit_f16(scale(0));
    let of_k = |step: f32, levels: f32, d: f32, d_min: f32| {
        1.5 * step + levels * (0.5 * d + half_unit_f16(d)) + 0.5 * d_min + 15.0 * half_unit_f16(d_min)
    };
    match kind {
        WeightType::Q4_0 => out.fill(simple(1.0, 8.0)),
        WeightType::Q5_0 => out.fill(simple(1.0, 16.0)),
        WeightType::Q8_0 => out.fill(simple(0.5, 127.0)),
        WeightType::Q4_1 => out.fill(simple(0.5, 15.0) + half_unit_f16(scale(2))),
        WeightType::Q5_1 => out.fill(simple(0.5, 31.0) + half_unit_f16(scale(2))),
        WeightType::Q2K => {
            let (d, d_min) = (scale(80), scale(82));
            each(out, |i| of_k(d * f32::from(block[i / 16] & 0xF), 3.0, d, d_min));
        }
        WeightType::Q3K => {
            let d = scale(108);
            each(out, |i| of_k(d * q3_scale(&block[96..108], i / 16).abs(), 4.0, d, 0.0));
        }
        WeightType::Q4K | WeightType::Q5K => {
            let (d, d_min) = (scale(0), scale(2));
            let levels = if *kind == WeightType::Q4K { 15.0 } else { 31.0 };
            each(out, |i| {
                let (factor, _) = q4_scale_and_min(&block[4..16], i / 32);
                of_k(d * f32::from(factor), levels, d, d_min)
            });
        }
        WeightType::Q6K => {
            let d = scale(208);
            each(out, |i| of_k(d * f32::from(block[192 + i / 16].cast_signed()).abs(), 32.0, d, 0.0));
        }
        other => panic!("{other} is not stored in blocks"),
    }
}

/// Half a unit in the last place of an f16.
pub(super) fn half_unit_f16(x: f32) -> f32 {
    // Below the smallest normal number the unit is 2^-24.
    (x.abs() / 2048.0).max(0.5 / (1 << 24) as f32)
}

fn each(out: &mut [f32], value: impl Fn(usize) -> f32) {
    out.iter_mut().enumerate().for_each(|(i, out)| *out = value(i));
}

/// Parts of `length` elements, each with its number.
fn each_part(out: &mut [f32], length: usize, part: impl Fn(usize, &mut [f32])) {
    out.chunks_mut(length).enumerate().for_each(|(number, out)| part(number, out));
}

/// Element `i` of 32: the low halves of 16 bytes, then the high halves.
fn nibble(bytes: &[u8], i: usize) -> u32 {
    u32::from(bytes[i % 16] >> (i / 16 * 4) & 0xF)
}

fn fifth_bits(order: ByteOrder, bytes: &[u8]) -> u32 {
    order.u32([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// Element `i` of 256: of each half 32 bytes, which hold four rows.
fn two_bits(bytes: &[u8], i: usize) -> u8 {
    bytes[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3
}

/// Scale `i` of 16: 4 low bits in 8 bytes, then 2 high bits in 4.
fn q3_scale(bytes: &[u8], i: usize) -> f32 {
    let low = bytes[i % 8] >> (i / 8 * 4) & 0xF;
    let high = bytes[8 + i % 4] >> (i / 4 * 2) & 3;
    f32::from(i16::from(low | high << 4) - 32)
}

/// Scale and minimum `i` of 8, 6 bits each in 12 bytes.
fn q4_scale_and_min(bytes: &[u8], i: usize) -> (u8, u8) {
    if i < 4 {
        return (bytes[i] & 0x3F, bytes[4 + i] & 0x3F);
    }
    let (scale, min, both) = (bytes[i - 4], bytes[i], bytes[4 + i]);
    (both & 0xF | scale >> 2 & 0x30, both >> 4 | min >> 2 & 0x30)
}
