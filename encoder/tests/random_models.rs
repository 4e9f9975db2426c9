//! The optimised encoder against the naive one, over random architectures, sizes and weights.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use encoder::{AllTaps, Architecture, Isa, LoadOptions, Model, NoTaps, reference};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use support::{Problem, problem};

/// Each weight is moved by this share of itself, up or down, to see how much the model magnifies a rounding error: an
/// RMS norm that meets a nearly empty row magnifies it a hundredfold.
const NUDGE: f32 = f32::EPSILON;
/// Relative L2 error allowed at a tap, in multiples of what the nudge does to the exact result there.
const TIMES_NUDGED: f64 = 32.0;
/// Allowed where the nudge does nothing: a few f32 roundings.
const ROUNDING: f64 = 1e-6;

fn run(problem: &Problem, isa: Isa) -> (Vec<(String, encoder::TapTensor)>, encoder::Encoded) {
    let options = LoadOptions { settings: problem.settings, isa: Some(isa) };
    let model = Model::load(&problem.checkpoint(), &options).unwrap();
    let mut taps = AllTaps::default();
    let out = model.encode(&problem.shape, &problem.input(), &mut taps).unwrap();
    let names: Vec<_> = taps.0.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, model.tap_names(problem.shape[2], problem.shape[3]), "announced and recorded taps");
    (taps.0, out)
}

fn rel_l2(candidate: impl ExactSizeIterator<Item = f64>, reference: &[f64]) -> f64 {
    assert_eq!(candidate.len(), reference.len());
    let squares = candidate.zip(reference).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    let size = reference.iter().map(|b| b * b).sum::<f64>();
    if squares == 0.0 { 0.0 } else { (squares / size).sqrt() }
}

/// The same models every time, so that a change is what a failure comes from; `PROPTEST_RNG_SEED` tries others.
fn config(cases: u32) -> ProptestConfig {
    let given = ProptestConfig::default();
    let rng_seed = match given.rng_seed {
        RngSeed::Random => RngSeed::Fixed(1),
        fixed => fixed,
    };
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..given }
}

/// Whether the CPU has it; says aloud where it has not.
fn available(isa: Isa) -> bool {
    if !isa.is_available() {
        eprintln!("SKIPPED: this CPU has no {isa}");
        assert!(std::env::var_os("ENCODER_REQUIRE_ALL_ISAS").is_none(), "this CPU has no {isa}");
    }
    isa.is_available()
}

fn agrees_with_the_naive_graph(problem: &Problem, isa: Isa) -> Result<(), TestCaseError> {
    let checkpoint = problem.checkpoint();
    let exact = reference::encode(&checkpoint, &problem.settings, problem.shape, &problem.input()).unwrap();
    let checkpoint = problem.nudged(NUDGE);
    let nudged = reference::encode(&checkpoint, &problem.settings, problem.shape, &problem.input()).unwrap();
    let (taps, out) = run(problem, isa);
    prop_assert_eq!(taps.len(), exact.len());
    for (((name, tensor), (exact_name, exact)), (_, nudged)) in taps.iter().zip(&exact).zip(&nudged) {
        prop_assert_eq!(name, exact_name);
        prop_assert_eq!(&tensor.shape, &exact.shape, "{}", name);
        let error = rel_l2(tensor.data.iter().map(|x| f64::from(*x)), &exact.data);
        let bound = ROUNDING + TIMES_NUDGED * rel_l2(nudged.data.iter().copied(), &exact.data);
        prop_assert!(error <= bound, "{} on {}: rel_l2 {:e}, at most {:e}", name, isa, error, bound);
    }
    let (name, last) = taps.last().unwrap();
    prop_assert_eq!(&out.shape, &last.shape, "the output is {}", name);
    prop_assert_eq!(bits(&out.data), bits(&last.data), "the output is {}", name);
    Ok(())
}

fn threads_and_taps_change_nothing(problem: &Problem, isa: Isa) -> Result<(), TestCaseError> {
    let (taps, out) = run(problem, isa);
    for threads in [1, 2, 3, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (other, again) = pool.install(|| run(problem, isa));
        prop_assert_eq!(bits(&out.data), bits(&again.data), "{} threads on {}", threads, isa);
        prop_assert!(taps.iter().zip(&other).all(|(a, b)| bits(&a.1.data) == bits(&b.1.data)));
    }
    let options = LoadOptions { settings: problem.settings, isa: Some(isa) };
    let model = Model::load(&problem.checkpoint(), &options).unwrap();
    let untapped = model.encode(&problem.shape, &problem.input(), &mut NoTaps).unwrap();
    prop_assert_eq!(bits(&out.data), bits(&untapped.data), "taps on {}", isa);
    Ok(())
}

/// The instruction set is part of a test's name, and each has its own: breaking one turns its own tests red.
macro_rules! on_each_isa {
    ($($name:ident: $isa:expr),*) => {$(
        mod $name {
            use super::*;

            proptest! {
                #![proptest_config(config(96))]

                #[test]
                fn trap_10_agrees_with_the_naive_f64_graph(problem in problem()) {
                    if available($isa) {
                        super::agrees_with_the_naive_graph(&problem, $isa)?;
                    }
                }

                #[test]
                fn trap_11_threads_and_taps_do_not_change_a_bit(problem in problem()) {
                    if available($isa) {
                        super::threads_and_taps_change_nothing(&problem, $isa)?;
                    }
                }
            }
        }
    )*};
}

on_each_isa!(portable: Isa::Portable, avx2: Isa::Avx2, avx512: Isa::Avx512);

proptest! {
    #![proptest_config(config(96))]

    #[test]
    fn the_architecture_is_read_off_names_and_shapes(problem in problem()) {
        let read = Architecture::read(&problem.checkpoint(), &problem.settings).unwrap();
        prop_assert_eq!(read, problem.architecture);
    }
}

fn bits(data: &[f32]) -> Vec<u32> {
    data.iter().map(|x| x.to_bits()).collect()
}
