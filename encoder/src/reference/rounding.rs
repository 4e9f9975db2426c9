//! Where a runtime rounds, and to what.

use crate::precision::Precision;

/// Where a runtime rounds. All arithmetic between is in f64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rounding {
    /// Nowhere.
    #[default]
    Exact,
    /// The operands of dense products, as this encoder's precisions do.
    Operands(Precision),
    /// As ggml's CPU backend does with F16 weights: what convolutions and products take is rounded to f16, GELU is a table of
    /// f16. Of F32 weights (the stem's, norms, layer scales), of attention's own products and of softmax nothing is rounded.
    GgmlF16,
    /// The same with GELU in f32: a GPU backend of ggml.
    GgmlF16ExactGelu,
    /// Every operation gives bf16, as PyTorch after `.bfloat16()` and MLX.
    Bf16All,
    /// Every operation gives f16.
    F16All,
}

/// The nearest f16, by way of f32 as runtimes do it.
fn f16(x: f64) -> f64 {
    half::f16::from_f32(x as f32).to_f64()
}

/// The nearest bf16.
fn bf16(x: f64) -> f64 {
    half::bf16::from_f32(x as f32).to_f64()
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
    pub const OF_RUNTIMES: [Rounding; 5] =
        [Rounding::Exact, Rounding::GgmlF16, Rounding::GgmlF16ExactGelu, Rounding::F16All, Rounding::Bf16All];

    /// The name on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Rounding::Exact => "exact",
            Rounding::Operands(precision) => precision.name(),
            Rounding::GgmlF16 => "ggml-f16",
            Rounding::GgmlF16ExactGelu => "ggml-f16-gpu",
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
            Rounding::Exact | Rounding::Operands(Precision::F32) => (x, 0.0),
            Rounding::Operands(Precision::Bf16) | Rounding::Bf16All => (bf16(x), 0.0),
            Rounding::Operands(Precision::Bf16x3) => {
                let small = bf16(x - bf16(x));
                (bf16(x) + small, small)
            }
            Rounding::GgmlF16 | Rounding::GgmlF16ExactGelu | Rounding::F16All => (f16(x), 0.0),
        }
    }

    /// What attention's own products keep of an operand.
    pub(super) fn held_by_attention(self, x: f64) -> (f64, f64) {
        match self {
            Rounding::GgmlF16 | Rounding::GgmlF16ExactGelu => (x, 0.0),
            _ => self.held(x),
        }
    }

    /// What a depthwise convolution keeps of an operand.
    pub(super) fn held_by_depthwise(self, x: f64) -> f64 {
        match self {
            Rounding::Operands(_) => x,
            _ => self.held(x).0,
        }
    }

    /// What is kept of the result of an operation.
    pub(super) fn result(self, x: f64) -> f64 {
        match self {
            Rounding::Bf16All => bf16(x),
            Rounding::F16All => f16(x),
            _ => x,
        }
    }

    /// GELU or what stands in its place, of `x`. ggml's table is indexed by f16 and holds f16, is 0 up to -10 and gives back
    /// what is 10 or more.
    pub(super) fn activation(self, function: impl Fn(f64) -> f64, x: f64) -> f64 {
        match self {
            Rounding::GgmlF16 if x <= -10.0 => 0.0,
            Rounding::GgmlF16 if x >= 10.0 => x,
            Rounding::GgmlF16 => f16(function(f16(x))),
            _ => function(x),
        }
    }

    /// Whether all of an operand is held.
    pub(super) fn holds_all(self) -> bool {
        matches!(self, Rounding::Exact | Rounding::Operands(Precision::F32))
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
        let gelu = |x: f64| Rounding::GgmlF16.activation(crate::reference::gelu, x);
        assert_eq!((gelu(-10.0), gelu(10.0), gelu(1e4)), (0.0, 10.0, 1e4));
        assert_eq!(gelu(1.0001), f16(crate::reference::gelu(1.0)));
        assert_eq!(f16(gelu(0.3)), gelu(0.3));
    }
}
