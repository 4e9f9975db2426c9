//! The instruction sets, and the choice among them.

use super::{Kernel, Simd, portable::Portable};
#[cfg(target_arch = "x86_64")]
use super::{
    amx::AmxTile,
    avx2::Avx2,
    avx512::{Avx512, NoPairs},
    avx512bf16::DotBf16,
};
use crate::error::Error;
use crate::precision::{Operands, Precision, SplitTerms};

/// An instruction set that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// No more than the target's baseline: SSE2 on x86-64, NEON on 64-bit Arm.
    Portable,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512F.
    Avx512,
    /// AVX-512F with BF16: products of bf16 pairs.
    Avx512Bf16,
    /// AVX-512F with BF16, and AMX-BF16: products of bf16 matrices.
    Amx,
}

impl Isa {
    /// All instruction sets, weakest first.
    pub const ALL: [Isa; 5] = [Isa::Portable, Isa::Avx2, Isa::Avx512, Isa::Avx512Bf16, Isa::Amx];

    /// The name used in reports and in the `ENCODER_MAX_ISA` variable.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Avx512Bf16 => "avx512bf16",
            Isa::Amx => "amx",
        }
    }

    /// The instruction set of that name.
    pub fn from_name(name: &str) -> Option<Isa> {
        Isa::ALL.into_iter().find(|isa| isa.name() == name)
    }

    /// Whether this CPU supports it.
    pub fn is_available(self) -> bool {
        match self {
            Isa::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Avx2::new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Avx512::<NoPairs>::new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 => Avx512::<DotBf16>::new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Isa::Amx => Avx512::<AmxTile>::new().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// What `ENCODER_MAX_ISA` holds, if it is set and not empty.
    ///
    /// # Errors
    /// When it is not the name of an instruction set.
    pub fn cap() -> Result<Option<Isa>, Error> {
        let name = std::env::var_os("ENCODER_MAX_ISA").filter(|name| !name.is_empty());
        let Some(name) = name else { return Ok(None) };
        let name = name.to_string_lossy();
        let unknown =
            || Error::UnknownIsa { found: name.to_string(), known: Isa::ALL.map(Isa::name).join(", ") };
        Isa::from_name(&name).map(Some).ok_or_else(unknown)
    }

    /// The best one that this CPU supports, up to `cap`.
    pub fn best(cap: Option<Isa>) -> Isa {
        let allowed = |isa: &Isa| cap.is_none_or(|cap| *isa <= cap) && isa.is_available();
        Isa::ALL.into_iter().rev().find(allowed).unwrap_or(Isa::Portable)
    }

    /// The wanted one, whatever the cap; `None` takes the [`Isa::best`] within the [`Isa::cap`].
    ///
    /// # Errors
    /// When the wanted one is not supported by this CPU; when `ENCODER_MAX_ISA` does not name an instruction set.
    pub fn choose(wanted: Option<Isa>) -> Result<Isa, Error> {
        match wanted {
            None => Isa::cap().map(Isa::best),
            Some(isa) if isa.is_available() => Ok(isa),
            Some(isa) => Err(Error::IsaNotAvailable { isa: isa.name() }),
        }
    }

    /// Runs a kernel compiled for this instruction set.
    ///
    /// # Panics
    /// When the CPU does not support it: panels are packed for one instruction set, and no other may read them.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Amx => {
                if let Some(token) = Avx512::<AmxTile>::new() {
                    return token.run(kernel);
                }
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512Bf16 => {
                if let Some(token) = Avx512::<DotBf16>::new() {
                    return token.run(kernel);
                }
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                if let Some(token) = Avx512::<NoPairs>::new() {
                    return token.run(kernel);
                }
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => {
                if let Some(token) = Avx2::new() {
                    return token.run(kernel);
                }
            }
            Isa::Portable => return kernel.run(Portable),
            #[cfg(not(target_arch = "x86_64"))]
            _ => {}
        }
        panic!("this CPU has no {self}");
    }

    /// The operands by which products reach a precision. A unit that only takes bf16 reaches f32 with three terms each,
    /// unless `strict_fma` asks for fused multiply-adds.
    pub(crate) fn operands(self, precision: Precision, strict_fma: bool) -> Operands {
        match precision {
            Precision::F32 if self == Isa::Amx && !strict_fma => Operands::Bf16(SplitTerms::Three),
            Precision::F32 => Operands::F32,
            Precision::Bf16x3 => Operands::Bf16(SplitTerms::Two),
            Precision::Bf16 => Operands::Bf16(SplitTerms::One),
        }
    }

    /// Rows of the register tile.
    pub(crate) fn tile_rows(self, operands: Operands) -> usize {
        self.run(TileShape(operands)).0
    }

    /// Columns of the register tile.
    pub(crate) fn tile_columns(self, operands: Operands) -> usize {
        self.run(TileShape(operands)).1
    }
}

struct TileShape(Operands);

impl Kernel for TileShape {
    type Output = (usize, usize);

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Self::Output {
        match self.0 {
            Operands::F32 => (S::MR, S::NR),
            Operands::Bf16(_) => (S::PAIRS.mr, S::PAIRS.nr),
        }
    }
}

impl std::fmt::Display for Isa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_supported_by_this_cpu_and_within_the_cap() {
        for cap in Isa::ALL {
            let best = Isa::best(Some(cap));
            assert!(best.is_available() && best <= cap, "{cap}: {best}");
            assert!(best == cap || !cap.is_available(), "{cap}: {best}");
        }
        assert_eq!(Isa::best(None), Isa::best(Some(Isa::Amx)));
    }

    #[test]
    fn f32_is_split_with_amx_alone_and_never_with_strict_fma() {
        for isa in Isa::ALL {
            let split = Operands::Bf16(SplitTerms::Three);
            let expected = if isa == Isa::Amx { split } else { Operands::F32 };
            assert_eq!(isa.operands(Precision::F32, false), expected, "{isa}");
            assert_eq!(isa.operands(Precision::F32, true), Operands::F32, "{isa}");
        }
    }
}
