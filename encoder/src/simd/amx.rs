//! AMX-BF16: tiles of 16 rows of 64 bytes, used together with AVX-512.
//!
//! Stable Rust has neither the intrinsics nor the detection, so both are written out here. A product of tiles takes 16
//! rows of 32 bf16 numbers on the left and 16 rows of 16 pairs on the right, and adds to 16 rows of 16 f32 numbers;
//! denormals are taken as zero.

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count, __m512, _xgetbv};
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::OnceLock;

use super::avx512::{Avx512, Extension};
use super::avx512bf16::DotBf16;
use super::tile::{PAIR_DEPTH, PairTile, TileOut};
use super::{Kernel, PairLayout, PairShape, PairUnit};
use crate::precision::SplitTerms;

/// AMX-BF16 with AVX512-BF16.
pub(crate) struct AmxTile;

/// Rows and columns (f32) of a tile register.
const SIDE: usize = 16;
/// 2 x 2 tiles of results, two of each operand: all 8 registers.
const MR: usize = 2 * SIDE;
const NR: usize = 2 * SIDE;
/// Pairs in a row of an operand's tile.
const STEP: usize = PAIR_DEPTH / 2;

// SAFETY: `is_available` asks for AVX512-BF16, and for AMX with registers that the system lets this process use.
unsafe impl Extension for AmxTile {
    #[inline]
    fn is_available() -> bool {
        static AVAILABLE: OnceLock<bool> = OnceLock::new();
        *AVAILABLE.get_or_init(|| DotBf16::is_available() && has_tiles() && permitted())
    }

    #[inline]
    fn run<K: Kernel>(token: Avx512<Self>, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512bf16")]
        fn compiled<K: Kernel>(token: Avx512<AmxTile>, kernel: K) -> K::Output {
            kernel.run(token)
        }
        // SAFETY: a token is proof of AVX512-BF16.
        unsafe { compiled(token, kernel) }
    }

    #[inline]
    fn run_apart<K: Kernel>(token: Avx512<Self>, kernel: K) -> K::Output {
        #[inline(never)]
        #[target_feature(enable = "avx512f,avx512bf16")]
        fn apart<K: Kernel>(token: Avx512<AmxTile>, kernel: K) -> K::Output {
            kernel.run(token)
        }
        // SAFETY: a token is proof of AVX512-BF16.
        unsafe { apart(token, kernel) }
    }

    const PAIRS: PairShape = PairShape { mr: MR, nr: NR, layout: PairLayout::RowFirst };
    type Unit = Configured;

    #[inline(always)]
    fn pair_unit(token: Avx512<Self>) -> Self::Unit {
        Configured::new(token)
    }

    #[inline(always)]
    fn rounded_pairs(_: Avx512<Self>, first: __m512, second: __m512) -> __m512 {
        // SAFETY: a token is proof of AVX512-BF16.
        unsafe { DotBf16::pairs(first, second) }
    }

    #[inline(always)]
    fn rounded_pairs_of_neighbours(_: Avx512<Self>, a: __m512, b: __m512) -> __m512 {
        // SAFETY: a token is proof of AVX512-BF16.
        unsafe { DotBf16::pairs_of_neighbours(a, b) }
    }
}

/// CPUID leaf 7: AMX-BF16 and AMX-TILE; leaf 1Dh: a palette; and whether the operating system saves tile registers (XCR0 bits 17 and 18).
fn has_tiles() -> bool {
    const OSXSAVE: u32 = 1 << 27;
    const AMX_BF16: u32 = 1 << 22;
    const AMX_TILE: u32 = 1 << 24;
    const TILE_STATE: u64 = 0b11 << 17;
    const TILE_INFORMATION: u32 = 0x1d;
    if __cpuid(0).eax < TILE_INFORMATION || __cpuid(1).ecx & OSXSAVE == 0 {
        return false;
    }
    // Some virtual machines show the instructions without a palette to configure them with.
    if __cpuid_count(TILE_INFORMATION, 0).eax == 0 {
        return false;
    }
    let wanted = AMX_BF16 | AMX_TILE;
    // SAFETY: OSXSAVE says that the instruction is enabled; every CPU with it has XSAVE.
    __cpuid_count(7, 0).edx & wanted == wanted && unsafe { read_xcr0() } & TILE_STATE == TILE_STATE
}

/// # Safety
/// The CPU has XSAVE and the operating system has enabled it.
#[target_feature(enable = "xsave")]
unsafe fn read_xcr0() -> u64 {
    // SAFETY: the caller has checked.
    unsafe { _xgetbv(0) }
}

/// Linux gives the tile registers to processes that ask, for all threads at once.
#[cfg(target_os = "linux")]
fn permitted() -> bool {
    const SYS_ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
    const XFEATURE_XTILEDATA: i64 = 18;
    let mut result = SYS_ARCH_PRCTL;
    // SAFETY: a system call that takes no pointer, with the registers that it changes named.
    unsafe {
        asm!("syscall", inout("rax") result, in("rdi") ARCH_REQ_XCOMP_PERM, in("rsi") XFEATURE_XTILEDATA,
            out("rcx") _, out("r11") _, options(nostack));
    }
    result == 0
}

/// Other systems enable the registers without being asked, where they support them.
#[cfg(not(target_os = "linux"))]
fn permitted() -> bool {
    true
}

/// The operand of `ldtilecfg`.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_per_row: [u16; 16],
    rows: [u8; 16],
}

/// All eight registers with 16 rows of 64 bytes.
static FULL: Configuration = {
    let (mut bytes_per_row, mut rows) = ([0; 16], [0; 16]);
    let mut i = 0;
    while i < 8 {
        (bytes_per_row[i], rows[i]) = (64, SIDE as u8);
        i += 1;
    }
    Configuration { palette: 1, start_row: 0, reserved: [0; 14], bytes_per_row, rows }
};

thread_local! {
    /// How many [`Configured`] there are on this thread: the last one gives the registers back.
    static HOLDERS: Cell<usize> = const { Cell::new(0) };
}

/// This thread's tile registers, configured until this is dropped. They belong to the thread, so it stays there.
pub(crate) struct Configured {
    _proof: Avx512<AmxTile>,
    _on_this_thread: PhantomData<*const ()>,
}

impl Configured {
    #[inline(always)]
    fn new(token: Avx512<AmxTile>) -> Self {
        HOLDERS.set(HOLDERS.get() + 1);
        // SAFETY: a token is proof of AMX; the operand is a valid configuration of 64 bytes. The compiler itself never
        // uses tile registers.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const FULL, options(nostack, readonly),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _);
        }
        Configured { _proof: token, _on_this_thread: PhantomData }
    }
}

impl Drop for Configured {
    #[inline(always)]
    fn drop(&mut self) {
        HOLDERS.set(HOLDERS.get() - 1);
        if HOLDERS.get() > 0 {
            return;
        }
        // SAFETY: a token is proof of AMX.
        unsafe {
            asm!("tilerelease", options(nostack, nomem),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _);
        }
    }
}

/// A tile of results on its way to the output.
#[repr(C, align(64))]
struct Results([[f32; NR]; MR]);

/// Where a term of an operand begins in this step, into `{at}`: terms are `2 * {half}` bytes apart on both sides.
macro_rules! term {
    ($operand:literal, 0) => {
        concat!("mov {at}, ", $operand)
    };
    ($operand:literal, 1) => {
        concat!("lea {at}, [", $operand, " + 2*{half}]")
    };
    ($operand:literal, 2) => {
        concat!("lea {at}, [", $operand, " + 4*{half}]")
    };
}

/// A step of a left term: both tiles of rows.
macro_rules! left {
    ($term:tt) => {
        concat!(
            term!("{a}", $term),
            "\ntileloadd tmm4, [{at} + {a_row}*1]",
            "\nadd {at}, {half}",
            "\ntileloadd tmm5, [{at} + {a_row}*1]"
        )
    };
}

/// A step of a right term: both tiles of columns.
macro_rules! right {
    ($term:tt) => {
        concat!(
            term!("{b}", $term),
            "\ntileloadd tmm6, [{at} + {b_row}*1]",
            "\ntileloadd tmm7, [{at} + {b_row}*1 + 64]"
        )
    };
}

/// Adds the products of the tiles that are loaded.
macro_rules! multiply {
    () => {
        "tdpbf16ps tmm0, tmm4, tmm6\ntdpbf16ps tmm1, tmm4, tmm7\ntdpbf16ps tmm2, tmm5, tmm6\ntdpbf16ps tmm3, tmm5, tmm7"
    };
}

/// Writes a tile of results, or adds to it, in passes over the depth: what each of them does in a step.
macro_rules! multiply_in_passes {
    ($tile:ident, $([$($step:expr),*]),*) => {
        asm!(
            "lea {at}, [{out} + {out_row}*8]",
            "lea {at}, [{at} + {out_row}*8]",
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "test {steps}, {steps}",
            "jz 2f",
            "tileloadd tmm0, [{out} + {out_row}*1]",
            "tileloadd tmm1, [{out} + {out_row}*1 + 64]",
            "tileloadd tmm2, [{at} + {out_row}*1]",
            "tileloadd tmm3, [{at} + {out_row}*1 + 64]",
            "2:",
            $(
                "mov {a}, {a_start}",
                "mov {b}, {b_start}",
                "mov {steps}, {all_steps}",
                "3:",
                $($step,)*
                "add {a}, 64",
                "add {b}, {b_step}",
                "dec {steps}",
                "jnz 3b",
            )*
            "lea {at}, [{out} + {out_row}*8]",
            "lea {at}, [{at} + {out_row}*8]",
            "tilestored [{out} + {out_row}*1], tmm0",
            "tilestored [{out} + {out_row}*1 + 64], tmm1",
            "tilestored [{at} + {out_row}*1], tmm2",
            "tilestored [{at} + {out_row}*1 + 64], tmm3",
            // Whether to add, until the steps of a pass are counted.
            steps = inout(reg) usize::from($tile.out.accumulate) => _,
            a = out(reg) _,
            b = out(reg) _,
            at = out(reg) _,
            a_start = in(reg) $tile.a.as_ptr(),
            b_start = in(reg) $tile.b.as_ptr(),
            all_steps = in(reg) $tile.pairs / STEP,
            a_row = in(reg) $tile.pairs * 4,
            half = in(reg) SIDE * $tile.pairs * 4,
            b_row = in(reg) NR * 4,
            out = in(reg) $tile.out.data.as_mut_ptr(),
            out_row = in(reg) $tile.out.stride * 4,
            b_step = const STEP * NR * 4,
            options(nostack),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
        )
    };
}

impl Configured {
    /// Writes `a * b`, or adds it, to a tile whose rows and columns all exist.
    ///
    /// Each product follows one that it shares a term with: what is loaded is loaded less often. The largest product of
    /// three terms comes last: the others would be lost in its sum.
    /// With two terms, the rounding of the sum is smaller than what the terms leave out.
    #[inline(always)]
    fn whole_tile(&self, tile: PairTile<'_>) {
        const { assert!(MR == NR, "terms are as far apart on both sides") };
        let out = &tile.out;
        assert!(
            tile.pairs > 0 && tile.pairs.is_multiple_of(STEP),
            "{} pairs do not fill whole tiles",
            tile.pairs
        );
        let words = tile.pairs.checked_mul(MR * tile.terms.count()).expect("a panel that fits the memory");
        assert!(
            tile.a.len() == words && tile.b.len() == words,
            "expected {words} words on each side, found {} and {}",
            tile.a.len(),
            tile.b.len()
        );
        let needed = (MR - 1).checked_mul(out.stride).map(|rows| rows.saturating_add(NR));
        assert!(
            (out.rows, out.columns) == (MR, NR)
                && out.stride >= NR
                && needed.is_some_and(|needed| out.data.len() >= needed),
            "expected {MR} x {NR} results, found {} x {}, {} apart, in {} elements",
            out.rows,
            out.columns,
            out.stride,
            out.data.len()
        );
        // SAFETY: `self` is proof of AMX and of a configuration of 16 rows of 64 bytes. Both sides have `count` terms of
        // `pairs * MR` words: left ones of `MR` rows of `pairs` words, right ones of `pairs` rows of `NR` words, as just checked.
        // A step reads 16 words of each of 2 x 16 left rows, and 16 right rows of 2 x 16 words, of terms below `count`;
        // `pairs / 16` steps end where both end. The output has `MR` rows of `NR` elements, `stride` apart.
        unsafe {
            match tile.terms {
                SplitTerms::One => multiply_in_passes!(tile, [left!(0), right!(0), multiply!()]),
                SplitTerms::Two => multiply_in_passes!(
                    tile,
                    [left!(1), right!(0), multiply!(), left!(0), multiply!(), right!(1), multiply!()]
                ),
                SplitTerms::Three => multiply_in_passes!(
                    tile,
                    [
                        left!(2),
                        right!(0),
                        multiply!(),
                        left!(1),
                        multiply!(),
                        right!(1),
                        multiply!(),
                        left!(0),
                        multiply!(),
                        right!(2),
                        multiply!()
                    ],
                    [left!(0), right!(0), multiply!()]
                ),
            }
        }
    }
}

impl PairUnit for Configured {
    #[inline(always)]
    fn tile(&self, tile: PairTile<'_>) {
        let PairTile { a, b, pairs, terms, out } = tile;
        // A block of depth in three terms has a sum of its own, which is rounded less than a longer one.
        let own_sum = out.accumulate && terms == SplitTerms::Three;
        if (out.rows, out.columns) == (MR, NR) && !own_sum {
            return self.whole_tile(PairTile { a, b, pairs, terms, out });
        }
        let mut results = Results([[0.0; NR]; MR]);
        let accumulate = out.accumulate && !own_sum;
        if accumulate {
            for (results, row) in results.0.iter_mut().zip(out.data.chunks(out.stride)).take(out.rows) {
                results[..out.columns].copy_from_slice(&row[..out.columns]);
            }
        }
        let data = results.0.as_flattened_mut();
        let whole = TileOut { data, stride: NR, rows: MR, columns: NR, accumulate };
        self.whole_tile(PairTile { a, b, pairs, terms, out: whole });
        for (row, results) in out.data.chunks_mut(out.stride).take(out.rows).zip(&results.0) {
            for (out, result) in row[..out.columns].iter_mut().zip(results) {
                *out = if own_sum { *out + result } else { *result };
            }
        }
    }
}
