//! Where a runtime rounds, and to what.

use super::activation_blocks::ActivationBlocks;
use super::activation_function::ActivationFunction;
use super::exponential::gelu;
use crate::checkpoint::Checkpoint;
use crate::precision::Precision;

/// Where a runtime rounds. All arithmetic between is in f64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rounding {
    /// Nowhere.
    #[default]
    Exact,
    /// The operands of dense products, as this encoder's precisions do.
    Operands(Precision),
    /// As this encoder in [`Precision::Bf16`]: the operands of dense products in one term of bf16, those of the projections to
    /// keys and values in two.
    EncoderBf16,
    /// As ggml's CPU backend does with F32 weights: GELU is a table of f16, nothing else is rounded.
    GgmlF32,
    /// As ggml's CPU backend does with F16 weights: what convolutions and products take is rounded to f16, GELU is a table of
    /// f16. Of F32 weights (the stem's, norms, layer scales), of attention's own products and of softmax nothing is rounded.
    GgmlF16,
    /// The same with GELU in f32: a GPU backend of ggml.
    GgmlF16ExactGelu,
    /// As ggml's CPU backend does with quantised weights: what their products take is quantised too, [`ActivationBlocks`] says
    /// how. What F32 weights are multiplied with is taken as it is, all else as with [`Rounding::GgmlF16`].
    GgmlQuantised,
    /// Every operation gives bf16, as PyTorch after `.bfloat16()` and MLX.
    Bf16All,
    /// Every operation gives f16.
    F16All,
}

/// The nearest f16, by way of f32 as runtimes do it. Without branches, so that loops are compiled for the CPU's vectors.
#[inline(always)]
fn f16(x: f64) -> f64 {
    let bits = (x as f32).to_bits();
    let (sign, size) = (bits & 0x8000_0000, bits & 0x7fff_ffff);
    // Of the normal numbers the lower 13 bits go, to even where they are half.
    let normal = (size + 0xfff + (size >> 13 & 1)) & !0x1fff;
    // The others are multiples of 2^-24, as the f32 between 1/2 and 1 are.
    let small = (f32::from_bits(size) + 0.5 - 0.5).to_bits();
    let rounded = if size < 0x3880_0000 { small } else { normal };
    let rounded = if rounded > 0x477f_e000 { 0x7f80_0000.max(size) } else { rounded };
    f64::from(f32::from_bits(sign | rounded))
}

/// The nearest bf16, likewise.
#[inline(always)]
fn bf16(x: f64) -> f64 {
    let bits = (x as f32).to_bits();
    let (sign, size) = (bits & 0x8000_0000, bits & 0x7fff_ffff);
    let rounded = if size > 0x7f80_0000 { size } else { (size + 0x7fff + (size >> 16 & 1)) & !0xffff };
    f64::from(f32::from_bits(sign | rounded))
}

/// Puts an expression of each value in its place. No closure: it might not be compiled for the CPU's vectors.
macro_rules! each {
    ($values:expr, $x:ident => $new:expr) => {
        for value in $values.iter_mut() {
            let $x = *value;
            *value = $new;
        }
    };
}

/// What ggml's table gives for `x`, where it has `inside`.
#[inline(always)]
fn tabulated(x: f64, inside: f64) -> f64 {
    let above = if x >= 10.0 { x } else { inside };
    if x <= -10.0 { 0.0 } else { above }
}

impl From<Precision> for Rounding {
    fn from(precision: Precision) -> Rounding {
        match precision {
            Precision::F32 => Rounding::Exact,
            other => Rounding::Operands(other),
        }
    }
}

impl Rounding {
    /// Those that runtimes are known to have, the most exact first.
    pub const OF_RUNTIMES: [Rounding; 9] = [
        Rounding::Exact,
        Rounding::Operands(Precision::Bf16x3),
        Rounding::GgmlF32,
        Rounding::GgmlF16,
        Rounding::GgmlF16ExactGelu,
        Rounding::GgmlQuantised,
        Rounding::F16All,
        Rounding::EncoderBf16,
        Rounding::Bf16All,
    ];

    /// Those of [`Rounding::OF_RUNTIMES`] that can be met with these weights.
    pub fn possible_with(checkpoint: &Checkpoint) -> Vec<Rounding> {
        let any = checkpoint.names().any(|name| ActivationBlocks::of(checkpoint, name).is_some());
        let can_be = |rounding: &Rounding| any || *rounding != Rounding::GgmlQuantised;
        Rounding::OF_RUNTIMES.into_iter().filter(can_be).collect()
    }

    /// The name on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Rounding::Exact => "exact",
            Rounding::Operands(precision) => precision.name(),
            Rounding::EncoderBf16 => Precision::Bf16.name(),
            Rounding::GgmlF32 => "ggml-f32",
            Rounding::GgmlF16 => "ggml-f16",
            Rounding::GgmlF16ExactGelu => "ggml-f16-gpu",
            Rounding::GgmlQuantised => "ggml-q8_0",
            Rounding::Bf16All => "bf16-all",
            Rounding::F16All => "f16-all",
        }
    }

    /// That of [`Rounding::OF_RUNTIMES`] with the name.
    pub fn from_name(name: &str) -> Option<Rounding> {
        Rounding::OF_RUNTIMES.into_iter().find(|rounding| rounding.name() == name)
    }

    /// What an operand of a dense product keeps of `x`, and the smaller of its two terms if it has two. The product of two
    /// smaller terms is the one that [`Precision::Bf16x3`] leaves out.
    pub(super) fn held(self, x: f64) -> (f64, f64) {
        match self {
            Rounding::Exact | Rounding::GgmlF32 | Rounding::Operands(Precision::F32) => (x, 0.0),
            Rounding::Operands(Precision::Bf16) | Rounding::EncoderBf16 | Rounding::Bf16All => (bf16(x), 0.0),
            Rounding::Operands(Precision::Bf16x3) => {
                let small = bf16(x - bf16(x));
                (bf16(x) + small, small)
            }
            Rounding::GgmlF16 | Rounding::GgmlF16ExactGelu | Rounding::GgmlQuantised | Rounding::F16All => {
                (f16(x), 0.0)
            }
        }
    }

    /// Leaves of each operand of a dense product what is held of it: the first of [`Rounding::held`].
    #[inline(always)]
    pub(super) fn hold(self, values: &mut [f64]) {
        match self {
            Rounding::Exact | Rounding::GgmlF32 | Rounding::Operands(Precision::F32) => {}
            Rounding::Operands(Precision::Bf16) | Rounding::EncoderBf16 | Rounding::Bf16All => {
                each!(values, x => bf16(x));
            }
            Rounding::Operands(Precision::Bf16x3) => each!(values, x => bf16(x) + bf16(x - bf16(x))),
            Rounding::GgmlF16 | Rounding::GgmlF16ExactGelu | Rounding::GgmlQuantised | Rounding::F16All => {
                each!(values, x => f16(x))
            }
        }
    }

    /// Leaves the smaller of two terms.
    #[inline(always)]
    pub(super) fn hold_small(self, values: &mut [f64]) {
        each!(values, x => self.held(x).1);
    }

    /// Whether it is ggml's with weights of 16 bits or fewer, on any backend.
    pub fn is_ggml_reduced(self) -> bool {
        matches!(self, Rounding::GgmlF16 | Rounding::GgmlF16ExactGelu | Rounding::GgmlQuantised)
    }

    /// What attention's own products round by.
    pub(super) fn of_attention(self) -> Rounding {
        if self.is_ggml_reduced() { Rounding::Exact } else { self }
    }

    /// What depthwise convolutions round by.
    pub(super) fn of_depthwise(self) -> Rounding {
        match self {
            Rounding::Operands(_) | Rounding::EncoderBf16 => Rounding::Exact,
            _ => self,
        }
    }

    /// What the projections to keys and values round by.
    pub(super) fn of_keys_and_values(self) -> Rounding {
        match self {
            Rounding::EncoderBf16 => Rounding::Operands(Precision::Bf16x3),
            _ => self,
        }
    }

    /// Leaves what is kept of the results of an operation.
    #[inline(always)]
    pub(super) fn keep(self, values: &mut [f64]) {
        match self {
            Rounding::Bf16All => each!(values, x => bf16(x)),
            Rounding::F16All => each!(values, x => f16(x)),
            _ => {}
        }
    }

    /// Puts GELU of each value in its place, or another function. ggml's table is indexed by f16 and holds f16, is 0 up to -10
    /// and gives back what is 10 or more.
    #[inline(always)]
    pub(super) fn activate(self, values: &mut [f64], other: Option<ActivationFunction>) {
        let is_table = matches!(self, Rounding::GgmlF16 | Rounding::GgmlF32 | Rounding::GgmlQuantised);
        match (is_table, other) {
            (true, None) => each!(values, x => tabulated(x, f16(gelu(f16(x))))),
            (true, Some(function)) => each!(values, x => tabulated(x, f16(function.of(f16(x))))),
            (_, None) => each!(values, x => gelu(x)),
            (_, Some(function)) => each!(values, x => function.of(x)),
        }
    }

    /// Whether all of an operand is held.
    pub(super) fn holds_all(self) -> bool {
        matches!(self, Rounding::Exact | Rounding::GgmlF32 | Rounding::Operands(Precision::F32))
    }

    /// Whether operands are held in two terms.
    pub(super) fn has_two_terms(self) -> bool {
        self == Rounding::Operands(Precision::Bf16x3)
    }

    /// Whether the results of operations are rounded.
    pub(super) fn rounds_results(self) -> bool {
        matches!(self, Rounding::Bf16All | Rounding::F16All)
    }
}

impl std::fmt::Display for Rounding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for rounding in Rounding::OF_RUNTIMES {
            assert_eq!(Rounding::from_name(rounding.name()), Some(rounding));
        }
        assert_eq!(Rounding::from_name("q4"), None);
    }

    #[test]
    fn ggmls_table_of_gelu() {
        let gelu = |x: f64| {
            let mut values = [x];
            Rounding::GgmlF16.activate(&mut values, None);
            values[0]
        };
        assert_eq!((gelu(-10.0), gelu(10.0), gelu(1e4)), (0.0, 10.0, 1e4));
        assert_eq!(gelu(1.0001), f16(crate::reference::gelu(1.0)));
        assert_eq!(f16(gelu(0.3)), gelu(0.3));
    }

    #[test]
    fn types_of_16_bits() {
        let edges =
            [0x3880_0000u32, 0x3300_0000, 0x477f_e000, 0x477f_f000, 0x7f80_0000, 0x3f80_1000, 0x3f80_8000];
        let around = edges.into_iter().flat_map(|bits| bits - 2..=bits);
        for bits in around.chain((0..0x7f80_0000).step_by(9973)).flat_map(|bits| [bits, bits | 1 << 31]) {
            let x = f32::from_bits(bits);
            let (half, brain) = (half::f16::from_f32(x).to_f64(), half::bf16::from_f32(x).to_f64());
            assert_eq!((f16(x.into()), bf16(x.into())), (half, brain), "{x:e} {bits:x}");
        }
        assert!(f16(f64::NAN).is_nan() && bf16(f64::NAN).is_nan());
    }
}
