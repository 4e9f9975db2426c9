//! Values that were rounded to a narrower type when they were stored.

use encoder::reference::Tensor64;
use harness::limits::metric::PerMetric;
use harness::limits::tolerance::{NoiseFloor, STORAGE_FLOOR};
use harness::tensor::Dtype;

use super::floors::distance;

/// Values other than zero of a tensor from which on it is no accident that all are numbers of a narrow type.
const MIN_VALUES: usize = 64;
const EXPONENT: u64 = 0x7ff << 52;
const MANTISSA: u64 = (1 << 52) - 1;

/// The narrower one of bf16 and f16 that all values are numbers of.
pub(super) fn narrow_type_of(values: &[f64]) -> Option<Dtype> {
    let is_enough = values.iter().filter(|x| **x != 0.0).take(MIN_VALUES).count() == MIN_VALUES;
    let are_all = |dtype: &Dtype| values.iter().all(|x| f64::from(dtype.nearest(*x as f32)) == *x);
    [Dtype::Bf16, Dtype::F16].into_iter().filter(|_| is_enough).find(are_all)
}

/// What storing a right tensor alone may make of it: half a unit in the last place of f32, or what rounding to a narrower type
/// does.
pub(super) fn floor_of_storage(exact: &Tensor64, dtype: Option<Dtype>) -> NoiseFloor {
    let half_unit = STORAGE_FLOOR;
    let largest = exact.data.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    let of_f32 = NoiseFloor {
        figures: PerMetric { rel_l2: half_unit, rel_linf: half_unit },
        max_abs: half_unit * largest,
    };
    let rounded = dtype.map(|dtype| {
        let data = exact.data.iter().map(|x| f64::from(dtype.nearest(*x as f32))).collect();
        Tensor64 { shape: exact.shape.clone(), data }
    });
    let Some(found) = rounded.and_then(|rounded| distance(&rounded, exact)) else { return of_f32 };
    NoiseFloor {
        figures: PerMetric {
            rel_l2: found.figures.rel_l2.max(half_unit),
            rel_linf: found.figures.rel_linf.max(half_unit),
        },
        max_abs: found.max_abs.max(of_f32.max_abs),
    }
}

/// What a tensor may have been before it was rounded to a type: each value is moved by up to half a unit in its last place, in a
/// way that the seed and the tensor's name choose.
pub(super) fn before_rounding(tensor: &Tensor64, dtype: Dtype, name: &str, seed: u64) -> Tensor64 {
    // FNV-1a: tensors of one shape must not move alike.
    let of_name = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut random = fastrand::Rng::with_seed(of_name.wrapping_add(seed));
    let moved = |x: &f64| {
        let half_unit = dtype.half_ulp() * f64::from_bits(x.to_bits() & EXPONENT);
        // Not up to the middle between two numbers, where f32 would decide.
        let share = 0.999 * (2.0 * random.f64() - 1.0);
        // Below a power of two numbers lie twice as near to each other.
        let is_power = x.to_bits() & MANTISSA == 0 && share < 0.0;
        let half_unit = if is_power { half_unit / 2.0 } else { half_unit };
        x + x.signum() * half_unit.max(dtype.least() / 2.0) * share
    };
    Tensor64 { shape: tensor.shape.clone(), data: tensor.data.iter().map(moved).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(values: impl Iterator<Item = f64>) -> Tensor64 {
        let data: Vec<f64> = values.collect();
        Tensor64 { shape: vec![data.len()], data }
    }

    #[test]
    fn what_a_tensor_may_have_been_rounds_back_to_it() {
        let mut random = fastrand::Rng::with_seed(3);
        for dtype in [Dtype::F16, Dtype::Bf16] {
            let stored = tensor((0..500).map(|at| {
                let x = if at < 8 { 2f64.powi(at - 4) } else { 8.0 * random.f64() - 4.0 };
                f64::from(dtype.nearest(x as f32))
            }));
            assert_eq!(narrow_type_of(&stored.data), Some(dtype));
            let before = before_rounding(&stored, dtype, "stem", 7);
            assert_eq!(narrow_type_of(&before.data), None);
            let back = before.data.iter().map(|x| f64::from(dtype.nearest(*x as f32)));
            let others = back.zip(&stored.data).filter(|(back, stored)| back != *stored).count();
            assert_eq!(others, 0, "{dtype}");
            assert_ne!(before.data, before_rounding(&stored, dtype, "block", 7).data);
            let floor = floor_of_storage(&before, Some(dtype)).figures.rel_l2;
            assert!(floor > 0.1 * dtype.half_ulp() && floor < dtype.half_ulp(), "{floor:e}");
            // What is representable is stored as it is, but for what f32 loses.
            assert_eq!(floor_of_storage(&stored, Some(dtype)).figures.rel_l2, STORAGE_FLOOR);
        }
        assert_eq!(narrow_type_of(&[0.0; 500]), None);
    }
}
