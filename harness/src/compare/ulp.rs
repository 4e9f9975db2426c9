//! Distances in units in the last place.

use crate::tensor::Dtype;

/// Distance in representable numbers of `dtype`; +0 and -0 are 1 apart, NaN is at the greatest distance of the type.
pub(super) fn distance(a: f64, b: f64, dtype: Dtype) -> u64 {
    if a.is_nan() || b.is_nan() {
        return greatest(dtype);
    }
    match dtype {
        Dtype::Bf16 => {
            let position = |x| i64::from(position_16(half::bf16::from_f64(x).to_bits()));
            position(a).abs_diff(position(b))
        }
        Dtype::F16 => {
            let position = |x| i64::from(position_16(half::f16::from_f64(x).to_bits()));
            position(a).abs_diff(position(b))
        }
        Dtype::F32 => u64::from(distance_f32(a as f32, b as f32)),
        Dtype::F64 => position_64(a.to_bits()).abs_diff(position_64(b.to_bits())),
    }
}

/// The greatest distance of a type.
fn greatest(dtype: Dtype) -> u64 {
    u64::MAX >> (64 - 8 * dtype.size())
}

/// Distance of two f32 that are numbers.
#[inline(always)]
pub(super) fn distance_f32(a: f32, b: f32) -> u32 {
    position_32(a.to_bits()).abs_diff(position_32(b.to_bits()))
}

/// Position of a number in the order of all numbers of its type: 0 for +0, -1 for -0.
fn position_16(bits: u16) -> i16 {
    let bits = bits as i16;
    bits ^ ((bits >> 15) & i16::MAX)
}

#[inline(always)]
fn position_32(bits: u32) -> i32 {
    let bits = bits as i32;
    bits ^ ((bits >> 31) & i32::MAX)
}

fn position_64(bits: u64) -> i64 {
    let bits = bits as i64;
    bits ^ ((bits >> 63) & i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trap_08_ulp_distance_is_sound_at_zero() {
        let step = f64::from(f32::from_bits(1));
        let cases = [
            (0.0, -0.0, 1),
            (0.0, 0.0, 0),
            (step, 0.0, 1),
            (-step, 0.0, 2),
            (1.0, 0.0, u64::from(1.0f32.to_bits())),
            (1.0, 1.0 + f64::from(f32::EPSILON), 1),
            (f64::NAN, 1.0, u64::from(u32::MAX)),
            (f64::INFINITY, f64::from(f32::MAX), 1),
            (f64::INFINITY, f64::NEG_INFINITY, 2 * u64::from(f32::INFINITY.to_bits()) + 1),
        ];
        for (a, b, expected) in cases {
            assert_eq!(distance(a, b, Dtype::F32), expected, "{a} {b}");
            assert_eq!(distance(b, a, Dtype::F32), expected, "{b} {a}");
        }
        assert_eq!(distance(1.0, 1.0 + 2f64.powi(-10), Dtype::F16), 1);
        assert_eq!(distance(1.0, 1.0 + 2f64.powi(-7), Dtype::Bf16), 1);
        assert_eq!(distance(-1.0, 1.0, Dtype::F16), 2 * 0x3c00 + 1);
        assert_eq!(distance(f64::MAX, f64::MIN, Dtype::F64), 2 * f64::MAX.to_bits() + 1);
        assert_eq!(Dtype::F32.narrower(Dtype::F16), Dtype::F16);
    }
}
