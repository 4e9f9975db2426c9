//! What the crate's tests share.

use std::fmt::Debug;

use crate::simd::Isa;

/// Tests of each instruction set, in modules named after it, so that breaking one turns its own tests red. A test takes
/// the instruction set and the [`Failures`].
macro_rules! on_each_isa {
    ($($test:ident),* $(,)?) => {
        crate::testing::on_each_isa!(@module portable, Portable, $($test),*);
        crate::testing::on_each_isa!(@module avx2, Avx2, $($test),*);
        crate::testing::on_each_isa!(@module avx512, Avx512, $($test),*);
        crate::testing::on_each_isa!(@module avx512bf16, Avx512Bf16, $($test),*);
        crate::testing::on_each_isa!(@module amx, Amx, $($test),*);
    };
    (@module $module:ident, $isa:ident, $($test:ident),*) => {
        mod $module {
            $(
                #[test]
                fn $test() {
                    crate::testing::on(crate::simd::Isa::$isa, super::$test);
                }
            )*
        }
    };
}
pub(crate) use on_each_isa;

/// Runs a test on an instruction set and fails with all cases that it found wrong. Says so where the CPU does not support
/// the instruction set; `ENCODER_REQUIRE_ALL_ISAS=1` turns that into a failure.
pub(crate) fn on(isa: Isa, test: impl FnOnce(Isa, &mut Failures)) {
    if !isa.is_available() {
        eprintln!("SKIPPED: {isa} is not supported by this CPU");
        assert!(std::env::var_os("ENCODER_REQUIRE_ALL_ISAS").is_none(), "{isa} is not supported by this CPU");
        return;
    }
    let mut failures = Failures::default();
    test(isa, &mut failures);
    let Failures(cases) = failures;
    let shown = &cases[..cases.len().min(MOST_SHOWN)];
    assert!(cases.is_empty(), "{isa}: {} cases wrong:\n{}", cases.len(), shown.join("\n"));
}

/// A broken kernel fails in every element.
const MOST_SHOWN: usize = 50;

/// The cases of a test that are wrong.
#[derive(Default)]
pub(crate) struct Failures(Vec<String>);

impl Failures {
    /// Notes `case` where `holds` is false.
    pub(crate) fn check(&mut self, holds: bool, case: impl FnOnce() -> String) {
        if !holds {
            self.0.push(case());
        }
    }

    /// Notes `case` with both values where they differ.
    pub(crate) fn equal<A: PartialEq<B> + Debug, B: Debug>(
        &mut self,
        found: A,
        expected: B,
        case: impl FnOnce() -> String,
    ) {
        self.check(found == expected, || format!("{}: {found:?}, expected {expected:?}", case()));
    }
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
