//! Weights rounded to a type that they may be stored in.

/// A type that weights are stored in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageType {
    /// bfloat16.
    Bf16,
    /// IEEE half precision.
    F16,
    /// ggml's Q8_0: blocks of 32 along a row, with a scale in f16.
    Q8_0,
    /// ggml's Q4_0, in such blocks.
    Q4_0,
    /// 8-bit integers with a scale for each output channel.
    Int8,
}

/// Weights of a block of ggml's types.
const BLOCK: usize = 32;

impl StorageType {
    /// All of them.
    pub const ALL: [StorageType; 5] =
        [StorageType::Bf16, StorageType::F16, StorageType::Q8_0, StorageType::Q4_0, StorageType::Int8];

    /// The name of the type.
    pub fn name(self) -> &'static str {
        match self {
            StorageType::Bf16 => "bf16",
            StorageType::F16 => "f16",
            StorageType::Q8_0 => "Q8_0",
            StorageType::Q4_0 => "Q4_0",
            StorageType::Int8 => "8-bit integers by output channel",
        }
    }

    /// Rows of so many weights, as they are read back. Rows that are no multiple of a block stay as they are, as ggml has
    /// them.
    pub(super) fn read_back(self, mut weights: Vec<f64>, row: usize) -> Vec<f64> {
        let row = row.max(1);
        match self {
            StorageType::Bf16 => {
                weights.iter_mut().for_each(|w| *w = half::bf16::from_f32(*w as f32).to_f64());
            }
            StorageType::F16 => weights.iter_mut().for_each(|w| *w = f16(*w)),
            StorageType::Int8 => weights.chunks_mut(row).for_each(|row| by_scale(row, |scale| scale)),
            StorageType::Q8_0 if row.is_multiple_of(BLOCK) => {
                weights.chunks_mut(BLOCK).for_each(|block| by_scale(block, f16));
            }
            StorageType::Q4_0 if row.is_multiple_of(BLOCK) => weights.chunks_mut(BLOCK).for_each(four_bits),
            StorageType::Q8_0 | StorageType::Q4_0 => {}
        }
        weights
    }
}

fn f16(x: f64) -> f64 {
    half::f16::from_f32(x as f32).to_f64()
}

/// Values as multiples, of -127 to 127, of one scale, which is stored as `stored` has it. The multiple is that of the scale
/// before it is stored, as in ggml's `quantize_row_q8_0_ref`.
fn by_scale(values: &mut [f64], stored: impl Fn(f64) -> f64) {
    let scale = values.iter().fold(0.0f64, |most, x| most.max(x.abs())) / 127.0;
    if scale > 0.0 {
        values.iter_mut().for_each(|x| *x = (*x / scale).round() * stored(scale));
    }
}

/// Values as multiples, of -8 to 7, of the scale that makes the largest -8: ggml's `quantize_row_q4_0_ref`.
fn four_bits(values: &mut [f64]) {
    let largest = values.iter().copied().fold(0.0f64, |most, x| if x.abs() > most.abs() { x } else { most });
    let scale = largest / -8.0;
    if scale != 0.0 {
        values.iter_mut().for_each(|x| *x = ((*x / scale + 8.5).floor().min(15.0) - 8.0) * f16(scale));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_back_is_within_half_a_step() {
        let weights: Vec<f64> = (0..96).map(|i| f64::from((i * 37) % 101) / 101.0 - 0.4).collect();
        for (to, step) in [
            (StorageType::Bf16, 2f64.powi(-8)),
            (StorageType::F16, 2f64.powi(-11)),
            (StorageType::Q8_0, 0.6 / 127.0),
            (StorageType::Q4_0, 1.01 * 0.6 / 8.0),
            (StorageType::Int8, 0.6 / 127.0),
        ] {
            let read = to.read_back(weights.clone(), 32);
            let off = read.iter().zip(&weights).fold(0.0f64, |most, (a, b)| most.max((a - b).abs()));
            assert!(off > 0.0 && off <= step, "{}: {off}", to.name());
        }
    }

    #[test]
    fn rows_that_are_no_multiple_of_a_block_stay() {
        let weights = vec![0.1; 36];
        assert_eq!(StorageType::Q8_0.read_back(weights.clone(), 9), weights);
    }
}
