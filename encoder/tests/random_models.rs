//! The optimised encoder against the naive one, over random architectures, sizes and weights.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use encoder::{AllTaps, Architecture, Isa, LoadOptions, Model, NoTaps, reference};
use proptest::prelude::*;
use support::{Problem, problem};

/// Bound of the relative L2 error at any tap: ten layers or so, each with an error of a few f32 roundings, magnified
/// where an RMS norm meets a nearly empty row.
const REL_L2: f64 = 2e-5;

fn available() -> Vec<Isa> {
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

fn run(problem: &Problem, isa: Isa) -> (Vec<(String, encoder::TapTensor)>, encoder::Encoded) {
    let options = LoadOptions { settings: problem.settings, isa: Some(isa) };
    let model = Model::load(&problem.checkpoint(), &options).unwrap();
    let mut taps = AllTaps::default();
    let out = model.encode(&problem.shape, &problem.input(), &mut taps).unwrap();
    let names: Vec<_> = taps.0.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, model.tap_names(problem.shape[2], problem.shape[3]), "announced and recorded taps");
    (taps.0, out)
}

fn rel_l2(candidate: &[f32], reference: &[f64]) -> f64 {
    let squares = candidate.iter().zip(reference).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>();
    let size = reference.iter().map(|b| b * b).sum::<f64>();
    if squares == 0.0 { 0.0 } else { (squares / size).sqrt() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_architecture_is_read_off_names_and_shapes(problem in problem()) {
        let read = Architecture::read(&problem.checkpoint(), &problem.settings).unwrap();
        prop_assert_eq!(read, problem.architecture);
    }

    #[test]
    fn every_tap_agrees_with_the_naive_f64_graph(problem in problem()) {
        let exact = reference::encode(&problem.checkpoint(), &problem.settings, problem.shape, &problem.input()).unwrap();
        for isa in available() {
            let (taps, _) = run(&problem, isa);
            prop_assert_eq!(taps.len(), exact.len());
            for ((name, tensor), (exact_name, exact)) in taps.iter().zip(&exact) {
                prop_assert_eq!(name, exact_name);
                prop_assert_eq!(&tensor.shape, &exact.shape, "{}", name);
                let error = rel_l2(&tensor.data, &exact.data);
                prop_assert!(error <= REL_L2, "{} on {}: rel_l2 {:e}", name, isa, error);
            }
        }
    }

    #[test]
    fn threads_and_taps_do_not_change_a_bit(problem in problem()) {
        for isa in available() {
            let (taps, out) = run(&problem, isa);
            for threads in [1, 2, 3, 8] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let (other, again) = pool.install(|| run(&problem, isa));
                prop_assert_eq!(bits(&out.data), bits(&again.data), "{} threads on {}", threads, isa);
                prop_assert!(taps.iter().zip(&other).all(|(a, b)| bits(&a.1.data) == bits(&b.1.data)));
            }
            let options = LoadOptions { settings: problem.settings, isa: Some(isa) };
            let model = Model::load(&problem.checkpoint(), &options).unwrap();
            let untapped = model.encode(&problem.shape, &problem.input(), &mut NoTaps).unwrap();
            prop_assert_eq!(bits(&out.data), bits(&untapped.data), "taps on {}", isa);
        }
    }
}

fn bits(data: &[f32]) -> Vec<u32> {
    data.iter().map(|x| x.to_bits()).collect()
}
