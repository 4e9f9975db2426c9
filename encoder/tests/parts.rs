//! Parts of the committed sets' models, run alone and as steps of the whole.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod committed;
mod fixtures;
mod whole_and_parts;

use std::collections::BTreeMap;

use committed::CommittedSet;
use encoder::reference::{PartOptions, ReferenceModel};
use encoder::{AllTaps, DenseTensor, Isa, Precision, tap};
use fixtures::fixtures;
use whole_and_parts::differences;

fn assert_none(differences: &[String]) {
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

fn parts_have_the_bits_of_the_whole(isa: Isa) {
    if !isa.is_available() {
        eprintln!("SKIPPED: {isa} is not supported by this CPU");
        assert!(std::env::var_os("ENCODER_REQUIRE_ALL_ISAS").is_none(), "{isa} is not supported by this CPU");
        return;
    }
    let mut all = Vec::new();
    for set in CommittedSet::committed() {
        for (precision, strict_fma) in [
            (Precision::F32, false),
            (Precision::F32, true),
            (Precision::Bf16x3, false),
            (Precision::Bf16, false),
        ] {
            let model = set.model(isa, precision, strict_fma);
            let mut taps = AllTaps::default();
            model.encode(&set.input.shape, &set.input.data, &mut taps).unwrap();
            let announced = model.tap_names(set.input.shape[2], set.input.shape[3]);
            assert_eq!(taps.0.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), announced);
            let found = differences(set.input.clone(), taps.0, &model.parts(), |part, tensors| {
                model.run_part(part, tensors)
            });
            let case = format!("{} in {precision}, strict {strict_fma}", set.name);
            all.extend(found.into_iter().map(|difference| format!("{case}: {difference}")));
        }
    }
    assert_none(&all);
}

/// The instruction set is part of a test's name.
macro_rules! on_each_isa {
    ($($name:ident: $isa:expr),*) => {$(
        mod $name {
            #[test]
            fn parts_have_the_bits_of_the_whole() {
                super::parts_have_the_bits_of_the_whole($isa);
            }
        }
    )*};
}

on_each_isa!(
    portable: encoder::Isa::Portable,
    avx2: encoder::Isa::Avx2,
    avx512: encoder::Isa::Avx512,
    avx512bf16: encoder::Isa::Avx512Bf16,
    amx: encoder::Isa::Amx
);

fn parts_of_the_reference_have_the_bits_of_the_whole(precision: Precision) {
    let mut all = Vec::new();
    for set in CommittedSet::committed() {
        let shape: [usize; 4] = set.input.shape.as_slice().try_into().unwrap();
        let reference = ReferenceModel::new(&set.checkpoint, &set.settings, precision).unwrap();
        let whole = reference.encode(shape, &set.input.data).unwrap();
        let input = DenseTensor::from(&set.input);
        let found =
            differences(input, whole, &reference.parts(), |part, tensors| reference.run_part(part, tensors));
        all.extend(found.into_iter().map(|difference| format!("{}: {difference}", set.name)));
    }
    assert_none(&all);
}

#[test]
fn the_reference_has_the_same_bits_on_any_number_of_threads() {
    let set = CommittedSet::committed().into_iter().next().unwrap();
    let shape: [usize; 4] = set.input.shape.as_slice().try_into().unwrap();
    let input = BTreeMap::from([(tap::INPUT.to_string(), DenseTensor::from(&set.input))]);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let reference = ReferenceModel::new(&set.checkpoint, &set.settings, Precision::F32).unwrap();
            let stem = &reference.parts()[0];
            let options = PartOptions { nudge: Some((7, 1.0)), ..PartOptions::default() };
            let nudged = reference.run_part_by(stem, &input, &options).unwrap();
            (reference.encode(shape, &set.input.data).unwrap(), nudged)
        })
    };
    assert!(run(1) == run(3));
}

/// One test for each precision: they take long.
mod reference_in_f64 {
    use encoder::Precision;

    #[test]
    fn parts_have_the_bits_of_the_whole() {
        super::parts_of_the_reference_have_the_bits_of_the_whole(Precision::F32);
    }

    #[test]
    fn parts_with_operands_of_bf16x3_have_the_bits_of_the_whole() {
        super::parts_of_the_reference_have_the_bits_of_the_whole(Precision::Bf16x3);
    }

    #[test]
    fn parts_with_operands_of_bf16_have_the_bits_of_the_whole() {
        super::parts_of_the_reference_have_the_bits_of_the_whole(Precision::Bf16);
    }
}

#[test]
fn the_model_and_its_reference_have_the_same_parts() {
    for set in CommittedSet::committed() {
        let model = set.model(Isa::Portable, Precision::F32, false);
        let reference = ReferenceModel::new(&set.checkpoint, &set.settings, Precision::F32).unwrap();
        assert_eq!(model.parts(), reference.parts(), "{}", set.name);
    }
}

#[test]
fn a_part_refuses_inputs_that_are_not_its_own() {
    let fixtures = fixtures();
    let set = CommittedSet::read(&fixtures.join("blocks"));
    let model = set.model(Isa::Portable, Precision::F32, false);
    let parts = model.parts();
    let other =
        CommittedSet::read(&fixtures.join("variants")).model(Isa::Portable, Precision::F32, false).parts();
    let stem = |shape: &[usize], value: f32| {
        let data = vec![value; shape.iter().product()];
        let tensors = BTreeMap::from([(tap::INPUT.to_string(), DenseTensor { shape: shape.to_vec(), data })]);
        model.run_part(&parts[0], &tensors).unwrap_err().to_string()
    };
    let messages = [
        stem(&[1, 3, 8, 8], 2.0),
        stem(&[1, 4, 8, 8], 0.5),
        model.run_part(&parts[0], &BTreeMap::new()).unwrap_err().to_string(),
        model.run_part(other.last().unwrap(), &BTreeMap::new()).unwrap_err().to_string(),
    ];
    insta::assert_snapshot!(messages.join("\n"));
}
