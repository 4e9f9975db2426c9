//! The types that tensors are stored in.

/// The type that a tensor was stored in, by ascending precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dtype {
    /// bfloat16: 8 bits of precision.
    Bf16,
    /// IEEE half: 11 bits.
    F16,
    /// IEEE single: 24 bits.
    F32,
    /// IEEE double: 53 bits.
    F64,
}

impl Dtype {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Dtype::Bf16 | Dtype::F16 => 2,
            Dtype::F32 => 4,
            Dtype::F64 => 8,
        }
    }

    /// The number of this type that is nearest to an f32.
    pub fn nearest(self, x: f32) -> f32 {
        match self {
            Dtype::F16 => half::f16::from_f32(x).to_f32(),
            Dtype::Bf16 => half::bf16::from_f32(x).to_f32(),
            _ => x,
        }
    }

    /// Half a unit in the last place of 1: the most that rounding to the type changes a number, relative to it.
    pub fn half_ulp(self) -> f64 {
        match self {
            Dtype::Bf16 => 2f64.powi(-8),
            Dtype::F16 => 2f64.powi(-11),
            Dtype::F32 => 2f64.powi(-24),
            Dtype::F64 => 2f64.powi(-53),
        }
    }

    /// The smallest number above 0.
    pub fn least(self) -> f64 {
        match self {
            Dtype::Bf16 => 2f64.powi(-133),
            Dtype::F16 => 2f64.powi(-24),
            Dtype::F32 => 2f64.powi(-149),
            Dtype::F64 => f64::from_bits(1),
        }
    }

    /// The type with fewer bits of precision.
    pub fn narrower(self, other: Dtype) -> Dtype {
        self.min(other)
    }
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Dtype::Bf16 => "bf16",
            Dtype::F16 => "f16",
            Dtype::F32 => "f32",
            Dtype::F64 => "f64",
        })
    }
}
