//! How products of f32 are fed on the CPU at hand. What is chosen costs or saves time; no bit of a result depends on it.

use super::Isa;
use super::cpu::Cpu;
use super::tile::Prefetch;
use crate::precision::Operands;

/// What a product with packed weights takes from the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuning {
    /// What the micro-kernel prefetches of the right-hand side. Two multiply-adds a cycle read a panel faster than some CPUs
    /// fetch it on their own.
    pub(crate) prefetch: Prefetch,
    /// Most rows of a task. A panel of the right side is read from memory once for all of them, and the packed left block still
    /// fits the second-level cache: of 144 rows 144 KiB of f32, 288 KiB of bf16 that is widened.
    pub(crate) task_rows: usize,
    /// How much of the second-level cache the intermediate result of two fused products may take.
    pub(crate) middle_bytes: usize,
}

impl Tuning {
    /// For all that is not measured to gain by another. On AMD's CPUs prefetching the next panel and another size of the
    /// intermediate result made no difference; with AMX more rows made none (docs/performance.md).
    pub(crate) const COMMON: Tuning =
        Tuning { prefetch: Prefetch::Nothing, task_rows: 144, middle_bytes: 1 << 20 };
    /// Intel. Measured on Cascade Lake, with two 512-bit units (2026-11-28, one thread), for the next products alone: the query
    /// projection of stage 2 from 90 to 102 GFLOP/s, the fusion from 74 to 92. That the next panel helps too is measured on the
    /// Xeon below and taken to hold here.
    pub(crate) const INTEL: Tuning = Tuning { prefetch: Prefetch::NextPanelAndProducts, ..Tuning::COMMON };
    /// Intel with 2 MiB of second-level cache. Measured on a Xeon with AMX, with two 512-bit units (2026-11-30, two threads, in
    /// turn): prefetching the next panel takes 6 % off the time of the 300M model, rows and bytes together 8 % more. With up
    /// to 576 rows and 8 MiB nothing more shows. Prefetching the next products, which its first-level cache of 48 KiB holds
    /// beside the left panel, costs 1 to 2 % of a large product.
    pub(crate) const INTEL_2_MIB: Tuning =
        Tuning { prefetch: Prefetch::NextPanel, task_rows: 288, middle_bytes: 3 << 19 };

    /// All that can be chosen.
    #[cfg(test)]
    pub(crate) const ALL: [Tuning; 3] = [Tuning::COMMON, Tuning::INTEL, Tuning::INTEL_2_MIB];

    /// For the CPU at hand.
    pub(crate) fn of(isa: Isa, operands: Operands) -> Tuning {
        Tuning::on(Cpu::this(), isa, operands)
    }

    fn on(cpu: Cpu, isa: Isa, operands: Operands) -> Tuning {
        // Nothing else was measured with another, or it gains nothing (AMX).
        let is_f32_in_512_bits = operands == Operands::F32 && isa >= Isa::Avx512;
        match cpu {
            _ if !is_f32_in_512_bits => Tuning::COMMON,
            Cpu { is_intel: false, .. } => Tuning::COMMON,
            Cpu { second_level_cache, .. } if second_level_cache < 2 << 20 => Tuning::INTEL,
            Cpu { .. } => Tuning::INTEL_2_MIB,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f32_in_vectors_of_512_bits_is_tuned_by_the_maker_and_the_second_level_cache() {
        let of = |is_intel, second_level_cache, isa| {
            Tuning::on(Cpu { is_intel, second_level_cache }, isa, Operands::F32)
        };
        for isa in [Isa::Avx512, Isa::Avx512Bf16, Isa::Amx] {
            assert_eq!(of(false, 4 << 20, isa), Tuning::COMMON);
            assert_eq!(of(true, 1 << 20, isa), Tuning::INTEL);
            assert_eq!(of(true, 0, isa), Tuning::INTEL);
            assert_eq!(of(true, 2 << 20, isa), Tuning::INTEL_2_MIB);
        }
    }

    #[test]
    fn nothing_else_is_tuned() {
        let intel = Cpu { is_intel: true, second_level_cache: 2 << 20 };
        for (isa, operands) in Isa::ALL.into_iter().flat_map(|isa| Operands::ALL.map(|o| (isa, o))) {
            if isa < Isa::Avx512 || operands != Operands::F32 {
                assert_eq!(Tuning::on(intel, isa, operands), Tuning::COMMON, "{isa} {operands:?}");
            }
        }
    }
}
