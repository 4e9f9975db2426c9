//! How products of f32 are fed on the CPU at hand. What is chosen costs or saves time; no bit of a result depends on it.

use super::Isa;
use crate::precision::Operands;

/// What a product of packed weights takes from the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuning {
    /// Whether the micro-kernel asks for the right-hand side before it needs it: the products that come next, for the
    /// first-level cache, and of the next panel each tile its share, for the second-level one. Two multiply-adds a cycle read a
    /// panel faster than some CPUs fetch it unasked.
    pub(crate) prefetches: bool,
    /// Most rows of a task. A panel of the right side is read from memory once for all of them, and the packed left block still
    /// fits the second-level cache: of 144 rows 144 KiB of f32, 288 KiB of bf16 that is widened.
    pub(crate) task_rows: usize,
    /// How much of the second-level cache the intermediate result of two fused products may take.
    pub(crate) middle_bytes: usize,
}

/// What a row of the table is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cpu {
    intel: bool,
    /// Bytes of the second-level cache; 0 where it is not known.
    second_level: usize,
}

impl Tuning {
    /// Measured on Zen 3 and Zen 4, where prefetching, larger tasks and a larger intermediate result gain nothing; and on AMX.
    pub(crate) const COMMON: Tuning = Tuning { prefetches: false, task_rows: 144, middle_bytes: 1 << 20 };
    /// Cascade Lake, two 512-bit FMA units (2026-11-28, one thread): the query projection of stage 2 from 90 to 102 GFLOP/s,
    /// the fusion from 74 to 92.
    pub(crate) const INTEL: Tuning = Tuning { prefetches: true, ..Tuning::COMMON };
    /// A Xeon with AMX, two 512-bit FMA units and 2 MiB (2026-11-30, two threads, in turn): prefetching takes 6 % off the time of
    /// the 300M model, the rows and the bytes 8 % more. Rows up to 576 and bytes up to 8 MiB are no better.
    pub(crate) const INTEL_2_MIB: Tuning = Tuning { prefetches: true, task_rows: 288, middle_bytes: 3 << 19 };

    /// All that can be chosen.
    #[cfg(test)]
    pub(crate) const ALL: [Tuning; 3] = [Tuning::COMMON, Tuning::INTEL, Tuning::INTEL_2_MIB];

    /// That of this CPU.
    pub(crate) fn of(isa: Isa, operands: Operands) -> Tuning {
        // Other products were not measured with it, or gain nothing (AMX).
        let is_f32_in_512_bits = operands == Operands::F32 && isa >= Isa::Avx512;
        if is_f32_in_512_bits { Tuning::of_cpu(Cpu::this()) } else { Tuning::COMMON }
    }

    fn of_cpu(cpu: Cpu) -> Tuning {
        match cpu {
            Cpu { intel: false, .. } => Tuning::COMMON,
            Cpu { second_level, .. } if second_level < 2 << 20 => Tuning::INTEL,
            Cpu { .. } => Tuning::INTEL_2_MIB,
        }
    }
}

impl Cpu {
    #[cfg(target_arch = "x86_64")]
    fn this() -> Cpu {
        use raw_cpuid::{CacheType, CpuId};

        static THIS: std::sync::OnceLock<Cpu> = std::sync::OnceLock::new();
        *THIS.get_or_init(|| {
            let id = CpuId::new();
            let intel = id.get_vendor_info().is_some_and(|vendor| vendor.as_str() == "GenuineIntel");
            let caches = id.get_cache_parameters().into_iter().flatten();
            let second_level = caches
                .filter(|cache| cache.level() == 2 && cache.cache_type() != CacheType::Instruction)
                .map(|cache| {
                    cache.associativity()
                        * cache.physical_line_partitions()
                        * cache.coherency_line_size()
                        * cache.sets()
                })
                .max();
            Cpu { intel, second_level: second_level.unwrap_or(0) }
        })
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn this() -> Cpu {
        Cpu { intel: false, second_level: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tuning_goes_by_the_maker_and_the_second_level_cache() {
        let of = |intel, second_level| Tuning::of_cpu(Cpu { intel, second_level });
        assert_eq!(of(false, 4 << 20), Tuning::COMMON);
        assert_eq!(of(true, 1 << 20), Tuning::INTEL);
        assert_eq!(of(true, 0), Tuning::INTEL);
        assert_eq!(of(true, 2 << 20), Tuning::INTEL_2_MIB);
    }

    #[test]
    fn only_f32_in_vectors_of_512_bits_is_tuned() {
        for (isa, operands) in Isa::ALL.into_iter().flat_map(|isa| Operands::ALL.map(|o| (isa, o))) {
            if isa < Isa::Avx512 || operands != Operands::F32 {
                assert_eq!(Tuning::of(isa, operands), Tuning::COMMON, "{isa} {operands:?}");
            }
        }
    }
}
