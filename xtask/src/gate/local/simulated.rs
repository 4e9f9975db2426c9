//! Ports that are simulated: right ones pass, and what is wrong in others is found, in its place and by its name.

use std::path::{Path, PathBuf};

use encoder::TapTensor;
use encoder::reference::{
    ActivationFunction, ImageForm, PortChange, ReferenceModel, Rounding, Site, StorageType, Tensor64,
    UpsamplingKind,
};
use harness::compare::budget::ErrorSource;
use harness::compare::comparison::Comparison;
use harness::compare::explanation::ExplanationKind;
use harness::compare::remark::RemarkKind;
use harness::exit_code;
use harness::store::write_npy;
use harness::tensor::Tensor;

use self::gguf_file::{GgufTensor, Q8_0, gguf_bytes, gguf_tensor};
use super::{LocalSources, RoundingChoice};
use crate::encode::arguments::EncoderArguments;
use crate::encode::input::read_input;
use crate::encode::pictures::PictureArguments;
use crate::gate::compare::{Gate, NamedInput};
use crate::shell::paths;

#[path = "../../../../encoder/tests/gguf_file/mod.rs"]
mod gguf_file;

/// A model, its input, and the rounding of its runtime.
pub(crate) struct SimulatedPort<'a> {
    pub(crate) model: &'a ReferenceModel<'a>,
    pub(crate) input: &'a TapTensor,
}

impl SimulatedPort<'_> {
    /// Writes what the port would dump, with these changes.
    fn dump(&self, folder: &Path, changes: &[(Option<Site>, PortChange)], seed: u64) {
        let shape = <[usize; 4]>::try_from(self.input.shape.as_slice()).unwrap();
        for (name, Tensor64 { shape, data }) in
            self.model.simulate(changes, seed, shape, &self.input.data).unwrap()
        {
            let values = data.iter().map(|x| *x as f32).collect();
            let tensor = Tensor::from_f32(shape, values).unwrap();
            write_npy(&folder.join(format!("debug_{name}.npy")), &tensor).unwrap();
        }
    }
}

/// Judges a simulated port of a committed set.
fn judged(set: &str, rounding: Rounding, changes: &[(Option<Site>, PortChange)], seed: u64) -> Comparison {
    judged_with(&set_folder(set).join("model.safetensors"), set, rounding, changes, seed)
}

fn set_folder(set: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(set)
}

/// The same with other weights.
fn judged_with(
    weights: &Path,
    set: &str,
    rounding: Rounding,
    changes: &[(Option<Site>, PortChange)],
    seed: u64,
) -> Comparison {
    let input = set_folder(set).join("input.png");
    let encoder = EncoderArguments::default();
    let checkpoint = encoder.open(weights).unwrap();
    let settings = encoder::Settings::default();
    let model = ReferenceModel::new(&checkpoint, &settings, rounding).unwrap();
    let image = read_input(&input).unwrap();
    let folder = tempfile::tempdir().unwrap();
    SimulatedPort { model: &model, input: &image }.dump(folder.path(), changes, seed);
    let mapping = paths::mapping(None).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().build().unwrap();
    let profile = &mapping.profiles["f32"];
    let gate = Gate::new(&mapping, profile, &pool, &encoder);
    let input = NamedInput { path: &input, pictures: PictureArguments::default() };
    let rounding = RoundingChoice::Auto;
    let (earlier, explained) = (None, None);
    let candidate = folder.path();
    let with_progress = false;
    let sources =
        LocalSources { candidate, weights, input, settings, rounding, earlier, explained, with_progress };
    gate.local(sources).unwrap().comparison
}

/// The parts that failed, each with what explains it.
fn causes(comparison: &Comparison) -> Vec<(String, String)> {
    comparison
        .explanations
        .iter()
        .filter_map(|found| match &found.kind {
            ExplanationKind::PartChange { part, change, .. } => Some((part.clone(), change.clone())),
            _ => None,
        })
        .collect()
}

#[test]
fn right_ports_pass_and_no_cause_is_claimed() {
    let runtimes = [Rounding::GgmlF16, Rounding::Exact, Rounding::GgmlF16ExactGelu, Rounding::GgmlF32];
    for (rounding, seed) in
        runtimes.into_iter().flat_map(|rounding| (100..110).map(move |seed| (rounding, seed)))
    {
        for set in ["blocks", "low-energy"] {
            let comparison = judged(set, rounding, &[], seed);
            let failed: Vec<&str> = comparison.failures().map(|layer| layer.name.as_str()).collect();
            let budget = comparison.budget.as_ref();
            assert_eq!(
                comparison.exit_code(),
                exit_code::PASSED,
                "{set} {rounding} {seed}: {failed:?} {budget:?}"
            );
            assert!(comparison.explanations.is_empty(), "{set} {rounding}");
        }
    }
}

#[test]
fn a_right_port_with_quantised_weights_passes_and_its_rounding_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("mmproj-q8_0.gguf");
    let checkpoint =
        EncoderArguments::default().open(&set_folder("blocks").join("model.safetensors")).unwrap();
    let tensors: Vec<GgufTensor> = checkpoint
        .names()
        .map(|name| {
            let shape = checkpoint.shape(name).unwrap();
            gguf_tensor(name, shape, &checkpoint.load(name, shape).unwrap(), Q8_0).0
        })
        .collect();
    std::fs::write(&weights, gguf_bytes("clip", &tensors)).unwrap();
    for seed in 100..104 {
        let comparison = judged_with(&weights, "blocks", Rounding::GgmlQuantised, &[], seed);
        let rounding = comparison.remarks.iter().find_map(|remark| match &remark.kind {
            RemarkKind::JudgedLocally { rounding, .. } => Some(rounding.as_str()),
            _ => None,
        });
        assert_eq!(rounding, Some("ggml-q8_0"));
        let failed: Vec<&str> = comparison.failures().map(|layer| layer.name.as_str()).collect();
        assert_eq!(comparison.exit_code(), exit_code::PASSED, "{seed}: {failed:?}");
        assert!(comparison.explanations.is_empty(), "{seed}");
    }
    let site = Some(Site::Block(6));
    let change = PortChange::LayerScaleTimes(1.02);
    let comparison = judged_with(&weights, "blocks", Rounding::GgmlQuantised, &[(site, change)], 7);
    let found = causes(&comparison);
    assert!(
        matches!(&found[..], [(part, cause)] if part == "blocks.2.1" && cause.contains("layer scale")),
        "{found:?}"
    );
}

/// What a port does otherwise, where, and what is said of it.
type PlantedInPort = (Site, PortChange, &'static str, &'static str);

fn planted() -> Vec<PlantedInPort> {
    let at = Site::Block;
    let activation = |at, function| PortChange::Activation { at, function };
    vec![
        (at(4), activation(None, ActivationFunction::Erf), "blocks.1.2", "GELU by erf"),
        (at(6), activation(Some(0), ActivationFunction::Quick), "blocks.2.1", "quick GELU"),
        (at(0), activation(Some(0), ActivationFunction::Identity), "blocks.0.0", "no GELU"),
        (at(8), PortChange::Epsilon { norm: Some(1), value: 0.1 }, "blocks.2.3", "epsilon 1.0"),
        (at(9), PortChange::ScoresTimes(1.01), "blocks.2.4", "attention scores times 1.01"),
        (at(6), PortChange::LayerScaleTimes(1.002), "blocks.2.1", "the layer scale times 1.002"),
        (
            at(10),
            PortChange::WeightsRounded { convolution: Some(0), to: StorageType::Bf16 },
            "blocks.2.5",
            "weights rounded to bf16",
        ),
        (at(7), PortChange::ScoresNotScaled, "blocks.2.2", "without 1/sqrt(d)"),
        (at(7), PortChange::KeysPadded(4.0), "blocks.2.2", "softmax over 4.00"),
        (at(3), PortChange::NormUnbiased { norm: Some(1) }, "blocks.1.1", "one less than its channels"),
        (Site::Stem, PortChange::Image(ImageForm::Over256), "conv_stem", "divided by 256"),
        (at(7), PortChange::SoftmaxOverQueries, "blocks.2.2", "softmax over the queries"),
        (at(3), PortChange::NoNormWeight { norm: Some(1) }, "blocks.1.1", "without its weight"),
        (at(6), PortChange::NoSkip, "blocks.2.1", "no skip"),
        (at(10), PortChange::LayerScaleTwice, "blocks.2.5", "the layer scale twice"),
        (at(10), PortChange::NoLayerScale, "blocks.2.5", "no layer scale"),
        (at(5), PortChange::SymmetricPadding { convolution: Some(2) }, "blocks.2.0", "symmetric padding"),
        (at(2), PortChange::KernelFlipped { convolution: Some(0) }, "blocks.1.0", "the kernel mirrored"),
        (Site::Embedder, PortChange::Epsilon { norm: Some(1), value: 1e-2 }, "embed_vision", "epsilon"),
    ]
}

#[test]
fn faults_of_ports_are_found_where_they_are_and_by_name() {
    let mut wrong = Vec::new();
    for (site, change, part, cause) in planted() {
        let comparison = judged("blocks", Rounding::GgmlF16, &[(Some(site), change)], 7);
        let found = causes(&comparison);
        let right = matches!(found.as_slice(), [(at, said)] if at == part && said.contains(cause));
        if comparison.exit_code() != exit_code::NUMBERS || !right {
            let failed: Vec<&str> = comparison.failures().map(|layer| layer.name.as_str()).collect();
            wrong.push(format!("{change:?}: expected {part}: {cause}, found {found:?}, failing {failed:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_port_that_is_off_everywhere_tells_nothing_of_its_rounding() {
    let comparison = judged("blocks", Rounding::Exact, &[(None, PortChange::NormUnbiased { norm: None })], 3);
    let rounding = comparison.remarks.iter().find_map(|remark| match &remark.kind {
        RemarkKind::JudgedLocally { rounding, .. } => Some(rounding.as_str()),
        _ => None,
    });
    assert_eq!(rounding, Some("exact"));
    let found = causes(&comparison);
    assert!(found.len() > 5 && found.iter().all(|(_, said)| said.contains("one less than")), "{found:?}");
}

#[test]
fn an_upsampling_of_odd_sizes_is_told_by_its_rule() {
    let change = PortChange::Upsampling(UpsamplingKind::NearestCentre);
    let comparison = judged("wide", Rounding::Exact, &[(Some(Site::Fusion), change)], 5);
    let found = causes(&comparison);
    assert!(
        matches!(found.as_slice(), [(part, said)] if part == "msfa" && said.contains("nearest-exact")),
        "{found:?}"
    );
}

#[test]
fn two_faults_of_a_block_are_told_together() {
    let at = Some(Site::Block(9));
    let changes = [(at, PortChange::LayerScaleTimes(1.01)), (at, PortChange::ScoresNotScaled)];
    let comparison = judged("blocks", Rounding::GgmlF16, &changes, 12);
    let found = causes(&comparison);
    assert!(
        matches!(found.as_slice(), [(part, said)] if part == "blocks.2.4"
            && said.contains("without 1/sqrt(d)") && said.contains("the layer scale times 1.01")),
        "{found:?}"
    );
}

#[test]
fn what_nothing_explains_is_said_to_be_unexplained() {
    let at = Some(Site::Block(9));
    let changes = [
        (at, PortChange::LayerScaleTimes(1.3)),
        (at, PortChange::NoNormWeight { norm: Some(0) }),
        (at, PortChange::KeysAsValues),
    ];
    let comparison = judged("blocks", Rounding::GgmlF16, &changes, 13);
    let unexplained = comparison.explanations.iter().filter_map(|found| match &found.kind {
        ExplanationKind::PartUnexplained { part, .. } => Some(part.as_str()),
        _ => None,
    });
    assert_eq!(unexplained.collect::<Vec<_>>(), ["blocks.2.4"]);
}

#[test]
fn the_culprit_has_the_error_at_the_end() {
    let comparison =
        judged("blocks", Rounding::Exact, &[(Some(Site::Block(9)), PortChange::ScoresNotScaled)], 14);
    let budget = comparison.budget.unwrap();
    assert!(!budget.passed(), "{budget:?}");
    let of = |source: &ErrorSource| {
        budget.shares.iter().find(|share| share.source == *source).map(|share| share.share)
    };
    let culprit = of(&ErrorSource::Part("blocks.2.4".into())).unwrap();
    assert!(culprit > 0.9, "{budget:?}");
    let sum: f64 = budget.shares.iter().map(|share| share.share).sum();
    assert!((sum - 1.0).abs() < 1e-6, "{budget:?}");
}

#[test]
fn every_block_that_has_a_fault_is_named() {
    let at = |block: usize| Some(Site::Block(block));
    let changes = [
        (at(3), PortChange::NoNormWeight { norm: Some(0) }),
        (at(9), PortChange::ScoresNotScaled),
        (at(13), PortChange::LayerScaleTwice),
    ];
    let comparison = judged("blocks", Rounding::GgmlF16, &changes, 11);
    let parts: Vec<String> = causes(&comparison).into_iter().map(|(part, _)| part).collect();
    assert_eq!(parts, ["blocks.1.1", "blocks.2.4", "blocks.3.2"]);
}

/// A fault that a comparison with weights in f32 lets pass, or sees too late.
struct SubtleFault {
    /// Where it is; everywhere where it has no place.
    site: Option<Site>,
    change: PortChange,
    /// The only part that may have it.
    part: Option<&'static str>,
    said: &'static str,
    /// The number that is said after it, within 2 % or within what it is said to be uncertain by.
    number: Option<f64>,
}

fn subtle() -> Vec<SubtleFault> {
    let everywhere = |change, said| SubtleFault { site: None, change, part: None, said, number: None };
    let in_block = |block, change, part, said| SubtleFault {
        site: Some(Site::Block(block)),
        change,
        part: Some(part),
        said,
        number: None,
    };
    let with = |fault, number| SubtleFault { number: Some(number), ..fault };
    let erf = PortChange::Activation { at: None, function: ActivationFunction::Erf };
    let epsilon = |norm, value| PortChange::Epsilon { norm, value };
    let bf16 = PortChange::WeightsRounded { convolution: Some(1), to: StorageType::Bf16 };
    let lost = PortChange::NormChannel { norm: 0, channel: 3, weight: 1.0 };
    let scores = PortChange::ScoresTimes(1.01);
    let scale = PortChange::LayerScaleTimes(1.002);
    vec![
        everywhere(erf, "GELU by erf"),
        in_block(4, erf, "blocks.1.2", "GELU by erf"),
        with(everywhere(epsilon(None, 1e-5), "epsilon "), 1e-5),
        with(in_block(8, epsilon(Some(1), 1e-3), "blocks.2.3", "epsilon "), 1e-3),
        with(in_block(9, scores, "blocks.2.4", "attention scores times "), 1.01),
        with(in_block(6, scale, "blocks.2.1", "the layer scale times "), 1.002),
        in_block(10, bf16, "blocks.2.5", "weights rounded to bf16"),
        in_block(7, PortChange::ScoresNotScaled, "blocks.2.2", "without 1/sqrt(d)"),
        in_block(7, lost, "blocks.2.2", "is 1 in channel 3"),
    ]
}

/// The number that follows, and how uncertain it is said to be.
fn number_after(said: &str, before: &str) -> Option<[f64; 2]> {
    let rest = said.split_once(before)?.1.split(',').next()?;
    let (number, uncertainty) = rest.split_once(" ± ").unwrap_or((rest, "0"));
    Some([number.trim().parse().ok()?, uncertainty.trim().parse().ok()?])
}

#[test]
fn subtle_faults_fail_and_are_called_by_their_names() {
    let mut wrong = Vec::new();
    for SubtleFault { site, change, part: place, said: cause, number } in subtle() {
        let comparison = judged("blocks", Rounding::GgmlF16, &[(site, change)], 21);
        let found = causes(&comparison);
        let is_right = |(part, said): &(String, String)| {
            let is_near = |number: f64| {
                number_after(said, cause).is_some_and(|[found, uncertainty]| {
                    (found - number).abs() <= (0.02 * number).max(uncertainty)
                })
            };
            place.is_none_or(|place| place == part) && said.contains(cause) && number.is_none_or(is_near)
        };
        let is_complete = !found.is_empty() && (place.is_none() || found.len() == 1);
        let failed = comparison.exit_code() == exit_code::NUMBERS;
        if !failed || !is_complete || !found.iter().all(is_right) {
            let layers: Vec<(&str, f64)> =
                comparison.failures().map(|layer| (layer.name.as_str(), layer.used())).collect();
            wrong.push(format!("{change:?}: {found:#?}, failing {layers:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
