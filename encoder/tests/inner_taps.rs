//! Inner taps on the committed sets: a run with them, or with any one of them, has the bits of a run without. That they
//! hold what the operations give is shown against the naive graph in `random_models.rs`.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod committed;
mod fixtures;

use committed::CommittedSet;
use encoder::{AllTaps, DenseTensor, Isa, NoTaps, Precision, TapSink, TapTensor, WithInner};

/// Wants the tensor of one name.
struct OnlyTap {
    name: String,
    found: Option<TapTensor>,
}

impl TapSink for OnlyTap {
    fn wants(&self, name: &str) -> bool {
        name == self.name
    }

    fn record(&mut self, _: &str, tensor: TapTensor) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.found = Some(tensor);
        Ok(())
    }
}

fn same_bits(a: &TapTensor, b: &TapTensor) -> bool {
    let bits = |tensor: &DenseTensor<f32>| tensor.data.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    a.shape == b.shape && bits(a) == bits(b)
}

fn no_inner_tap_changes_a_bit(isa: Isa) {
    if !isa.is_available() {
        eprintln!("SKIPPED: {isa} is not supported by this CPU");
        assert!(std::env::var_os("ENCODER_REQUIRE_ALL_ISAS").is_none(), "{isa} is not supported by this CPU");
        return;
    }
    let mut changed = Vec::new();
    for set in CommittedSet::committed() {
        for precision in Precision::ALL {
            let model = set.model(isa, precision, false);
            let (shape, input) = (&set.input.shape, &set.input.data);
            let untapped = model.encode(shape, input, &mut NoTaps).unwrap();
            let mut all = WithInner::of(AllTaps::default());
            let tapped = model.encode(shape, input, &mut all).unwrap();
            let AllTaps(all) = all.sink;
            let names: Vec<String> = all.iter().map(|(name, _)| name.clone()).collect();
            assert_eq!(names, model.tap_names_with_inner(shape[2], shape[3]), "{}", set.name);
            let mut check = |same: bool, what: &str| {
                if !same {
                    changed.push(format!("{} in {precision}: {what}", set.name));
                }
            };
            check(same_bits(&untapped, &tapped), "all of them");
            // Which operations are fused depends on what is tapped, not on the precision; large maps take long.
            if precision != Precision::F32 || input.len() > 100_000 {
                continue;
            }
            let outer = model.tap_names(shape[2], shape[3]);
            for (name, tensor) in all.iter().filter(|(name, _)| !outer.contains(name)) {
                let mut one = WithInner::of(OnlyTap { name: name.clone(), found: None });
                let out = model.encode(shape, input, &mut one).unwrap();
                check(same_bits(&untapped, &out), name);
                check(
                    one.sink.found.is_some_and(|alone| same_bits(&alone, tensor)),
                    &format!("{name} alone"),
                );
            }
        }
    }
    assert!(changed.is_empty(), "{} differences:\n{}", changed.len(), changed.join("\n"));
}

/// The instruction set is part of a test's name.
macro_rules! on_each_isa {
    ($($name:ident: $isa:expr),*) => {$(
        mod $name {
            #[test]
            fn no_inner_tap_changes_a_bit() {
                super::no_inner_tap_changes_a_bit($isa);
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

#[test]
fn sinks_get_no_inner_taps_that_do_not_ask_for_them() {
    for set in CommittedSet::committed() {
        let model = set.model(Isa::Portable, Precision::F32, false);
        let mut taps = AllTaps::default();
        model.encode(&set.input.shape, &set.input.data, &mut taps).unwrap();
        let names: Vec<String> = taps.0.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, model.tap_names(set.input.shape[2], set.input.shape[3]), "{}", set.name);
    }
}
