//! The optimised encoder against the naive one, over random architectures, sizes and weights.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;
mod whole_and_parts;

use encoder::{
    AllTaps, Architecture, Checkpoint, Isa, LoadOptions, Model, NoTaps, Precision, TapSink, TapTensor,
    WithInner, reference,
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use support::{ModelProblem, classifier_problem, problem, wide_problem};
use whole_and_parts::differences;

/// Each weight is moved by this share of itself, up or down, to see how much the model magnifies a rounding error: an
/// RMS norm that meets a nearly empty row magnifies it a hundredfold.
const NUDGE: f32 = f32::EPSILON;
/// Relative L2 error allowed at a tap, in multiples of what the nudge does to the exact result there.
const TIMES_NUDGED: f64 = 32.0;
/// Allowed where the nudge does nothing: a few f32 roundings.
const ROUNDING: f64 = 1e-6;
/// Relative L2 error allowed at a tap beyond that, in multiples of what rounding the operands alone does there: other
/// sums round other operands the other way, and some of these models have a handful of elements in a tensor. A lost term
/// would be hundreds of times that.
const TIMES_ROUNDED: f64 = 8.0;

/// Every way in which the encoder can compute products.
const ARITHMETIC: [(Precision, bool); 4] =
    [(Precision::F32, false), (Precision::F32, true), (Precision::Bf16x3, false), (Precision::Bf16, false)];

type Taps = Vec<(String, reference::Tensor64)>;

fn exact(problem: &ModelProblem, checkpoint: &Checkpoint, precision: Precision) -> Taps {
    let model = reference::ReferenceModel::new(checkpoint, &problem.settings, precision).unwrap();
    model.encode_with_inner(problem.shape, &problem.input()).unwrap()
}

fn options(problem: &ModelProblem, isa: Isa, (precision, strict_fma): (Precision, bool)) -> LoadOptions {
    LoadOptions { settings: problem.settings, isa: Some(isa), precision, strict_fma }
}

fn run(
    problem: &ModelProblem,
    isa: Isa,
    arithmetic: (Precision, bool),
) -> (Vec<(String, encoder::TapTensor)>, encoder::Encoded) {
    let model = Model::load(&problem.checkpoint(), &options(problem, isa, arithmetic)).unwrap();
    let mut taps = AllTaps::default();
    let out = model.encode(&problem.shape, &problem.input(), &mut taps).unwrap();
    let names: Vec<_> = taps.0.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, model.tap_names(problem.shape[2], problem.shape[3]), "announced and recorded taps");
    (taps.0, out)
}

/// A run with inner taps: all of them, and what the model gives.
fn run_with_inner(
    problem: &ModelProblem,
    isa: Isa,
    arithmetic: (Precision, bool),
) -> (Vec<(String, encoder::TapTensor)>, encoder::Encoded) {
    let model = Model::load(&problem.checkpoint(), &options(problem, isa, arithmetic)).unwrap();
    let mut taps = WithInner::of(AllTaps::default());
    let out = model.encode(&problem.shape, &problem.input(), &mut taps).unwrap();
    let names: Vec<_> = taps.sink.0.iter().map(|(name, _)| name.clone()).collect();
    let announced = model.tap_names_with_inner(problem.shape[2], problem.shape[3]);
    assert_eq!(names, announced, "announced and recorded taps");
    (taps.sink.0, out)
}

fn rel_l2(candidate: impl ExactSizeIterator<Item = f64>, reference: &[f64]) -> f64 {
    assert_eq!(candidate.len(), reference.len());
    let squares = candidate.zip(reference).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    let size = reference.iter().map(|b| b * b).sum::<f64>();
    if squares == 0.0 { 0.0 } else { (squares / size).sqrt() }
}

/// The same models every time, so that a failure comes from a change; `PROPTEST_RNG_SEED` tries others.
fn config(cases: u32) -> ProptestConfig {
    let given = ProptestConfig::default();
    let rng_seed = match given.rng_seed {
        RngSeed::Random => RngSeed::Fixed(1),
        fixed => fixed,
    };
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..given }
}

/// Whether the CPU supports it; says so where it does not.
fn available(isa: Isa) -> bool {
    if !isa.is_available() {
        eprintln!("SKIPPED: {isa} is not supported by this CPU");
        assert!(std::env::var_os("ENCODER_REQUIRE_ALL_ISAS").is_none(), "{isa} is not supported by this CPU");
    }
    isa.is_available()
}

fn agrees_with_the_naive_graph(problem: &ModelProblem, isa: Isa) -> Result<(), TestCaseError> {
    let checkpoint = problem.checkpoint();
    let in_f64 = exact(problem, &checkpoint, Precision::F32);
    let nudged = exact(problem, &problem.nudged(NUDGE), Precision::F32);
    for arithmetic in ARITHMETIC {
        let rounded = exact(problem, &checkpoint, arithmetic.0);
        let (taps, out) = run_with_inner(problem, isa, arithmetic);
        prop_assert_eq!(taps.len(), in_f64.len());
        for (i, ((name, tensor), (exact_name, exact))) in taps.iter().zip(&in_f64).enumerate() {
            prop_assert_eq!(name, exact_name);
            prop_assert_eq!(&tensor.shape, &exact.shape, "{}", name);
            let error = rel_l2(tensor.data.iter().map(|x| f64::from(*x)), &exact.data);
            let of = |taps: &Taps| rel_l2(taps[i].1.data.iter().copied(), &exact.data);
            let bound = ROUNDING + TIMES_NUDGED * of(&nudged) + TIMES_ROUNDED * of(&rounded);
            prop_assert!(
                error <= bound,
                "{} on {} in {:?}: rel_l2 {:e}, at most {:e}",
                name,
                isa,
                arithmetic,
                error,
                bound
            );
        }
        let (name, last) = taps.last().unwrap();
        prop_assert_eq!(&out.shape, &last.shape, "the output is {}", name);
        prop_assert_eq!(bits(&out.data), bits(&last.data), "the output is {}", name);
    }
    Ok(())
}

fn threads_and_taps_change_nothing(problem: &ModelProblem, isa: Isa) -> Result<(), TestCaseError> {
    for arithmetic in ARITHMETIC {
        let (taps, out) = run(problem, isa, arithmetic);
        for threads in [1, 2, 3, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (other, again) = pool.install(|| run(problem, isa, arithmetic));
            prop_assert_eq!(
                bits(&out.data),
                bits(&again.data),
                "{} threads on {} in {:?}",
                threads,
                isa,
                arithmetic
            );
            prop_assert!(taps.iter().zip(&other).all(|(a, b)| bits(&a.1.data) == bits(&b.1.data)));
        }
        let (mut with_inner, tapped) = run_with_inner(problem, isa, arithmetic);
        prop_assert_eq!(bits(&out.data), bits(&tapped.data), "inner taps on {} in {:?}", isa, arithmetic);
        with_inner.retain(|(name, _)| taps.iter().any(|(outer, _)| outer == name));
        prop_assert_eq!(with_inner.len(), taps.len());
        prop_assert!(taps.iter().zip(&with_inner).all(|(a, b)| bits(&a.1.data) == bits(&b.1.data)));
        let model = Model::load(&problem.checkpoint(), &options(problem, isa, arithmetic)).unwrap();
        let untapped = model.encode(&problem.shape, &problem.input(), &mut NoTaps).unwrap();
        prop_assert_eq!(bits(&out.data), bits(&untapped.data), "taps on {} in {:?}", isa, arithmetic);
        let case = format!("{isa} in {arithmetic:?}");
        runs_of_one_model(problem, &model, &bits(&out.data), &case)?;
    }
    Ok(())
}

/// Feature maps use the memory of the last run if its input had the same shape; after a failed run, after one of another
/// shape, and for the second of two at once there is none to reuse.
fn runs_of_one_model(
    problem: &ModelProblem,
    model: &Model,
    expected: &[u32],
    case: &str,
) -> Result<(), TestCaseError> {
    let run = || model.encode(&problem.shape, &problem.input(), &mut NoTaps).unwrap().data;
    prop_assert_eq!(&bits(&run()), expected, "the second run, {}", case);
    let names = model.tap_names(problem.shape[2], problem.shape[3]);
    let mut failing = Failing(names[names.len() / 2].clone());
    prop_assert!(model.encode(&problem.shape, &problem.input(), &mut failing).is_err());
    prop_assert_eq!(&bits(&run()), expected, "after one that failed, {}", case);
    let twice = [2 * problem.shape[0], problem.shape[1], problem.shape[2], problem.shape[3]];
    let both = [problem.input(), problem.input()].concat();
    let larger = model.encode(&twice, &both, &mut NoTaps).unwrap();
    prop_assert_eq!(bits(&larger.data), [expected, expected].concat(), "a larger batch, {}", case);
    prop_assert_eq!(&bits(&run()), expected, "after a larger batch, {}", case);
    let two = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let (a, b) = two.install(|| rayon::join(run, run));
    prop_assert!(bits(&a) == expected && bits(&b) == expected, "two at once, {case}");
    Ok(())
}

fn parts_have_the_bits_of_the_whole(problem: &ModelProblem, isa: Isa) -> Result<(), TestCaseError> {
    let input = TapTensor { shape: problem.shape.to_vec(), data: problem.input() };
    for arithmetic in ARITHMETIC {
        let model = Model::load(&problem.checkpoint(), &options(problem, isa, arithmetic)).unwrap();
        let mut taps = AllTaps::default();
        model.encode(&input.shape, &input.data, &mut taps).unwrap();
        let found =
            differences(input.clone(), taps.0, &model.parts(), |part, tensors| model.run_part(part, tensors));
        prop_assert!(found.is_empty(), "{} in {:?}:\n{}", isa, arithmetic, found.join("\n"));
    }
    Ok(())
}

/// Fails at one tap.
struct Failing(String);

impl TapSink for Failing {
    fn wants(&self, name: &str) -> bool {
        name == self.0
    }

    fn record(&mut self, _: &str, _: TapTensor) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Err("no room".into())
    }
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

            proptest! {
                #![proptest_config(config(48))]

                #[test]
                fn parts_have_the_bits_of_the_whole(problem in problem()) {
                    if available($isa) {
                        super::parts_have_the_bits_of_the_whole(&problem, $isa)?;
                    }
                }
            }

            proptest! {
                #![proptest_config(config(16))]

                #[test]
                fn classifiers_agree_with_the_naive_f64_graph(problem in classifier_problem()) {
                    if available($isa) {
                        super::agrees_with_the_naive_graph(&problem, $isa)?;
                        super::threads_and_taps_change_nothing(&problem, $isa)?;
                        super::parts_have_the_bits_of_the_whole(&problem, $isa)?;
                    }
                }
            }

            proptest! {
                #![proptest_config(config(12))]

                #[test]
                fn wide_convolutions_agree_with_the_naive_f64_graph(problem in wide_problem()) {
                    if available($isa) {
                        super::agrees_with_the_naive_graph(&problem, $isa)?;
                        super::threads_and_taps_change_nothing(&problem, $isa)?;
                    }
                }
            }
        }
    )*};
}

on_each_isa!(
    portable: Isa::Portable,
    avx2: Isa::Avx2,
    avx512: Isa::Avx512,
    avx512bf16: Isa::Avx512Bf16,
    amx: Isa::Amx
);

proptest! {
    #![proptest_config(config(96))]

    #[test]
    fn the_architecture_is_read_off_names_and_shapes(problem in problem()) {
        let read = Architecture::read(&problem.checkpoint(), &problem.settings).unwrap();
        prop_assert_eq!(read, problem.architecture);
    }

    #[test]
    fn a_head_is_read_off_names_and_shapes(problem in classifier_problem()) {
        let read = Architecture::read(&problem.checkpoint(), &problem.settings).unwrap();
        prop_assert_eq!(read, problem.architecture);
    }
}

fn bits(data: &[f32]) -> Vec<u32> {
    data.iter().map(|x| x.to_bits()).collect()
}
