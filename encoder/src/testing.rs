//! What the crate's tests share.

use crate::precision::Operands;
use crate::simd::Isa;

/// The instruction sets that this CPU has; says aloud which ones are skipped. `ENCODER_REQUIRE_ALL_ISAS=1` turns a skip
/// into a failure.
pub(crate) fn available_isas() -> Vec<Isa> {
    Isa::ALL
        .into_iter()
        .filter(|isa| {
            let available = isa.is_available();
            if !available {
                eprintln!("SKIPPED: this CPU has no {isa}");
                assert!(std::env::var_os("ENCODER_REQUIRE_ALL_ISAS").is_none(), "this CPU has no {isa}");
            }
            available
        })
        .collect()
}

/// Every instruction set that the CPU has with every kind of operands.
pub(crate) fn everywhere() -> impl Iterator<Item = (Isa, Operands)> {
    available_isas().into_iter().flat_map(|isa| Operands::ALL.map(|operands| (isa, operands)))
}

/// Sizes below, at and above an edge.
pub(crate) fn around(edge: usize) -> [usize; 3] {
    [edge - 1, edge, edge + 1]
}

/// Values in [-1, 1) that look random and are the same everywhere.
pub(crate) fn values(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    })
    .take(count)
    .collect()
}
