//! Vectors of `f32`, one implementation per instruction set, and the choice among them at run time.
//!
//! Kernels are written once, generic over [`Simd`], as types that implement [`Kernel`]. [`Isa::run`] calls them inside
//! a function compiled for the chosen instruction set. A token ([`Simd`] value) exists only where the CPU has been
//! probed, so holding one makes the arithmetic safe: the `unsafe` of this crate's kernels is all in this folder.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use crate::error::Error;

/// Arithmetic on vectors of `LANES` single-precision numbers.
///
/// Every method is `#[inline(always)]` so that it is compiled with the features of the function it ends up in.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// Elements in a vector.
    const LANES: usize;
    /// Rows of the GEMM register tile.
    const MR: usize;
    /// Columns of the GEMM register tile, a multiple of `LANES`.
    const NR: usize;
    /// One register.
    type V: Copy;

    fn splat(self, x: f32) -> Self::V;
    /// The first `LANES` elements of `x`; panics when there are fewer.
    fn load(self, x: &[f32]) -> Self::V;
    /// Writes the first `LANES` elements of `out`; panics when there are fewer.
    fn store(self, v: Self::V, out: &mut [f32]);
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, fused where the instruction set can.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// To the nearest integer, ties to even.
    fn round(self, v: Self::V) -> Self::V;
    /// `2^n` for whole `n` in [-126, 127].
    fn pow2(self, n: Self::V) -> Self::V;
    /// The GEMM micro-kernel of this instruction set, see [`crate::kernels::tile`].
    fn tile(self, tile: crate::kernels::tile::Tile<'_>);

    /// Fewer than `LANES` elements, the other lanes zero.
    #[inline(always)]
    fn load_partial(self, x: &[f32]) -> Self::V {
        let mut lanes = [0.0; MAX_LANES];
        lanes[..x.len()].copy_from_slice(x);
        self.load(&lanes)
    }

    /// The first `out.len()` lanes, at most `LANES`.
    #[inline(always)]
    fn store_partial(self, v: Self::V, out: &mut [f32]) {
        let mut lanes = [0.0; MAX_LANES];
        self.store(v, &mut lanes);
        out.copy_from_slice(&lanes[..out.len()]);
    }

    /// The lanes, those past `LANES` zero.
    #[inline(always)]
    fn lanes(self, v: Self::V) -> [f32; MAX_LANES] {
        let mut lanes = [0.0; MAX_LANES];
        self.store(v, &mut lanes);
        lanes
    }
}

/// Lanes of the widest instruction set.
pub(crate) const MAX_LANES: usize = 16;

/// A computation that is generic over the instruction set. `run` must be `#[inline(always)]`.
pub(crate) trait Kernel {
    type Output;
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// An instruction set that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// No more than the target's baseline: SSE2 on x86-64, NEON on 64-bit Arm.
    Portable,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512F.
    Avx512,
}

impl Isa {
    /// All instruction sets, weakest first.
    pub const ALL: [Isa; 3] = [Isa::Portable, Isa::Avx2, Isa::Avx512];

    /// The name used in reports and in the `ENCODER_MAX_ISA` variable.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }

    /// The instruction set of that name.
    pub fn from_name(name: &str) -> Option<Isa> {
        Isa::ALL.into_iter().find(|isa| isa.name() == name)
    }

    /// Whether this CPU has it.
    pub fn is_available(self) -> bool {
        match self {
            Isa::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::Avx2::new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::Avx512::new().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::Avx512 => false,
        }
    }

    /// The best one that this CPU has, no better than `ENCODER_MAX_ISA` when that is set.
    ///
    /// # Errors
    /// When `ENCODER_MAX_ISA` holds no instruction set's name.
    pub fn detect() -> Result<Isa, Error> {
        let cap = match std::env::var("ENCODER_MAX_ISA") {
            Err(_) => Isa::Avx512,
            Ok(name) => Isa::from_name(&name).ok_or_else(|| Error::UnknownIsa {
                found: name,
                known: Isa::ALL.map(Isa::name).join(", "),
            })?,
        };
        let best = Isa::ALL.into_iter().rev().find(|isa| *isa <= cap && isa.is_available());
        Ok(best.unwrap_or(Isa::Portable))
    }

    /// Runs a kernel compiled for this instruction set.
    ///
    /// # Panics
    /// Where the CPU lacks it: panels are packed for one instruction set, no other may read them.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                if let Some(token) = avx512::Avx512::new() {
                    return token.run(kernel);
                }
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => {
                if let Some(token) = avx2::Avx2::new() {
                    return token.run(kernel);
                }
            }
            Isa::Portable => return kernel.run(portable::Portable),
            #[cfg(not(target_arch = "x86_64"))]
            _ => {}
        }
        panic!("this CPU has no {self}");
    }

    /// (rows, columns) of the GEMM register tile.
    pub(crate) fn tile_shape(self) -> (usize, usize) {
        struct Shape;
        impl Kernel for Shape {
            type Output = (usize, usize);
            #[inline(always)]
            fn run<S: Simd>(self, _: S) -> Self::Output {
                (S::MR, S::NR)
            }
        }
        self.run(Shape)
    }
}

impl std::fmt::Display for Isa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
