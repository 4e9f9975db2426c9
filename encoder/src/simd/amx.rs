//! AMX-BF16: tiles of 16 rows of 64 bytes, beside AVX-512.
//!
//! Stable Rust has neither the intrinsics nor the detection, so both are written out here. A product of tiles takes 16
//! rows of 32 bf16 numbers on the left and 16 rows of 16 pairs on the right, and adds to 16 rows of 16 f32 numbers;
//! denormals are taken as zero.

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count, __m512, __m512i, _xgetbv};
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::OnceLock;

use super::avx512::{Avx512, DotBf16, Extension};
use super::{Kernel, PairOrder, PairShape, PairUnit, Simd};
use crate::kernels::packing::PAIR_DEPTH;
use crate::kernels::tile::{PairTile, store};

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

    const PAIRS: PairShape = PairShape { mr: MR, nr: NR, order: PairOrder::RowFirst };
    type Unit = Configured;

    #[inline(always)]
    fn pair_unit(token: Avx512<Self>) -> Self::Unit {
        Configured::new(token)
    }

    #[inline(always)]
    fn dot(_: Avx512<Self>, a: __m512i, b: __m512i, c: __m512) -> __m512 {
        // SAFETY: a token is proof of AVX512-BF16.
        unsafe { DotBf16::dot_pairs(a, b, c) }
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
    token: Avx512<AmxTile>,
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
        Configured { token, _on_this_thread: PhantomData }
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

impl PairUnit for Configured {
    #[inline(always)]
    fn tile(&self, mut tile: PairTile<'_>) {
        let (a_piece, b_piece) = (tile.pairs * MR, tile.pairs * NR);
        assert!(tile.pairs > 0 && tile.pairs.is_multiple_of(STEP), "{} pairs are no whole tiles", tile.pairs);
        // At most six products, each from where its two pieces start.
        let mut starts = [(std::ptr::null::<u32>(), std::ptr::null::<u32>()); 6];
        for (start, (left, right)) in starts.iter_mut().zip(tile.products) {
            let (a, b) = (&tile.a[left * a_piece..][..a_piece], &tile.b[right * b_piece..][..b_piece]);
            *start = (a.as_ptr(), b.as_ptr());
        }
        assert!((1..=starts.len()).contains(&tile.products.len()), "products of pieces");
        let mut results = Results([[0.0; NR]; MR]);
        // SAFETY: `self` is proof of AMX and of a configuration of 16 rows of 64 bytes. Each start is that of a left piece
        // of `MR` rows of `pairs` words and of a right piece of `pairs` rows of `NR` words, checked by slicing. A step reads
        // 16 words of each of 2 x 16 left rows, and 16 right rows of 2 x 16 words; `pairs / 16` steps end where both end.
        // `results` takes 32 rows of 128 bytes.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                "mov {a}, [{starts}]",
                "mov {b}, [{starts} + 8]",
                "mov {steps}, {all_steps}",
                "3:",
                "tileloadd tmm4, [{a} + {a_row}*1]",
                "tileloadd tmm6, [{b} + {b_row}*1]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{b} + {b_row}*1 + 64]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "lea {lower}, [{a} + {a_half}]",
                "tileloadd tmm5, [{lower} + {a_row}*1]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {a}, 64",
                "add {b}, {b_step}",
                "dec {steps}",
                "jnz 3b",
                "add {starts}, 16",
                "dec {products}",
                "jnz 2b",
                "tilestored [{out} + {b_row}*1], tmm0",
                "tilestored [{out} + {b_row}*1 + 64], tmm1",
                "tilestored [{out} + {b_row}*1 + {half_out}], tmm2",
                "tilestored [{out} + {b_row}*1 + {half_out} + 64], tmm3",
                starts = inout(reg) starts.as_ptr() => _,
                products = inout(reg) tile.products.len() => _,
                a = out(reg) _,
                b = out(reg) _,
                lower = out(reg) _,
                steps = out(reg) _,
                all_steps = in(reg) tile.pairs / STEP,
                a_row = in(reg) tile.pairs * 4,
                a_half = in(reg) SIDE * tile.pairs * 4,
                b_row = in(reg) NR * 4,
                out = in(reg) &raw mut results,
                b_step = const STEP * NR * 4,
                half_out = const SIDE * NR * 4,
                options(nostack),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            );
        }
        let rows: [[__m512; 2]; MR] = std::array::from_fn(|i| {
            std::array::from_fn(|j| self.token.load(&results.0[i][j * SIDE..(j + 1) * SIDE]))
        });
        store(self.token, &rows, &mut tile.out);
    }
}
