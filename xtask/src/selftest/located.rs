//! Faults inside a block, held against a reference with inner tensors: the operation itself is the first that fails.

use encoder::faults::{Fault, Site};
use encoder::{AllTaps, Isa, LoadOptions, Model, WithInner};
use harness::compare::comparison::Origin;
use harness::compare::terms::Terms;

use crate::encode::arguments::{AskedTaps, EncoderArguments, as_candidate};
use crate::encode::input::read_input;
use crate::encode::settings;
use crate::gate::compare::Gate;
use crate::shell::paths;

/// The name of the first failing layer of a run with these faults, one after the other; `None` where all pass.
fn first_failures(planted: &[Option<(Site, Fault)>]) -> Vec<Option<String>> {
    let mapping = paths::inner_mapping().ok().flatten().expect("the mapping of inner taps");
    let profile = mapping.profile("f32").expect("f32");
    let encoder = EncoderArguments::default();
    let pool = encoder.pool().expect("threads");
    let gate = Gate::new(&mapping, profile, &pool, &encoder);
    let set = paths::fixtures().expect("a checkout").join("inner").join("operations");
    let reference = gate.reference(&set).expect("the set");
    let manifest = reference.manifest().expect("a manifest");
    let checkpoint = encoder.open(&reference.weights().expect("weights")).expect("weights");
    let image = read_input(&reference.input().expect("an input")).expect("an input");
    let settings = settings::of_manifest(manifest).expect("settings");
    let options = LoadOptions { settings, isa: Some(Isa::Portable), ..LoadOptions::default() };
    let model = Model::load(&checkpoint, &options).expect("a model");
    let asked = AskedTaps::by_mapping(&model, &image, &mapping);
    let terms = Terms {
        mapping: &mapping,
        profile,
        reference: &reference,
        tolerances: None,
        input: None,
        known: None,
    };
    let run = |planted: &Option<(Site, Fault)>| {
        let mut taps = WithInner::of(AllTaps::default());
        match *planted {
            Some(planted) => model.encode_with_fault(planted, &image.shape, &image.data, &mut taps),
            None => model.encode(&image.shape, &image.data, &mut taps),
        }
        .expect("a run");
        let mut session = terms.session(&asked.names);
        for (name, tensor) in taps.sink.0 {
            session.record(&name, as_candidate(&name, tensor).expect("a tensor"));
        }
        let comparison = session.finish(Origin::default());
        assert_eq!(comparison.layers.len(), manifest.tensors.len(), "every tensor of the set is compared");
        comparison.first_failure().map(|layer| layer.pair_name().to_string())
    };
    planted.iter().map(run).collect()
}

#[test]
fn a_fault_inside_a_block_first_shows_at_its_own_operation() {
    let block = Site::Block;
    let cases = [
        (None, None),
        // Each depthwise convolution of stride 2: elsewhere both paddings are the same.
        (Some((block(2), Fault::SymmetricPadding("dw_mid.conv"))), Some("mobilenet_block_2_dw_mid")),
        (Some((block(5), Fault::SymmetricPadding("dw_start.conv"))), Some("mobilenet_block_5_dw_start")),
        (Some((block(8), Fault::SymmetricPadding("dw_end.conv"))), Some("mobilenet_block_8_dw_end")),
        (
            Some((block(6), Fault::SymmetricPadding("attn.key.down_conv"))),
            Some("mobilenet_block_6_attn_key_norm"),
        ),
        (
            Some((block(6), Fault::SymmetricPadding("attn.value.down_conv"))),
            Some("mobilenet_block_6_attn_value_norm"),
        ),
        // With keys and values of half the size, and of the whole.
        (Some((block(6), Fault::NoSoftmaxScale)), Some("mobilenet_block_6_attn_heads")),
        (Some((block(9), Fault::NoSoftmaxScale)), Some("mobilenet_block_9_attn_heads")),
        // With and without a skip, and in attention.
        (Some((block(3), Fault::LayerScaleTwice)), Some("mobilenet_block_3_layer_scale")),
        (Some((block(2), Fault::LayerScaleTwice)), Some("mobilenet_block_2_layer_scale")),
        (Some((block(6), Fault::LayerScaleTwice)), Some("mobilenet_block_6_layer_scale")),
        // Of an edge residual every operation has a tap too.
        (Some((block(1), Fault::NoGelu)), Some("mobilenet_block_1_conv_exp")),
    ];
    let found = first_failures(&cases.map(|(planted, _)| planted));
    let wrong: Vec<String> = cases
        .iter()
        .zip(&found)
        .filter(|((_, expected), found)| expected.map(String::from) != **found)
        .map(|((planted, expected), found)| format!("{planted:?}: {found:?}, expected {expected:?}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
