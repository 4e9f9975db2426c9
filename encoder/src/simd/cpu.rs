//! What is asked of the CPU beside its instruction sets.

/// The facts by which a [`super::tuning::Tuning`] is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cpu {
    pub(crate) is_intel: bool,
    /// Bytes of a core's second-level cache; 0 where it is not known.
    pub(crate) second_level_cache: usize,
}

impl Cpu {
    /// The CPU at hand.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn this() -> Cpu {
        use raw_cpuid::{CacheType, CpuId};

        static THIS: std::sync::OnceLock<Cpu> = std::sync::OnceLock::new();
        *THIS.get_or_init(|| {
            let id = CpuId::new();
            let is_intel = id.get_vendor_info().is_some_and(|vendor| vendor.as_str() == "GenuineIntel");
            let caches = id.get_cache_parameters().into_iter().flatten();
            let second_level_cache = caches
                .filter(|cache| cache.level() == 2 && cache.cache_type() != CacheType::Instruction)
                .map(|cache| {
                    cache.associativity()
                        * cache.physical_line_partitions()
                        * cache.coherency_line_size()
                        * cache.sets()
                })
                .max();
            Cpu { is_intel, second_level_cache: second_level_cache.unwrap_or(0) }
        })
    }

    /// The CPU at hand, of which nothing is asked.
    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn this() -> Cpu {
        Cpu { is_intel: false, second_level_cache: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_level_cache_is_of_a_size_that_cpus_have() {
        let size = Cpu::this().second_level_cache;
        assert!(size == 0 || (128 << 10..=64 << 20).contains(&size), "{size} bytes");
        // Every Intel CPU since 2004 tells its caches.
        assert!(!Cpu::this().is_intel || size > 0);
    }
}
