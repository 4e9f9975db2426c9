//! Changes of the model and of its input that are tried on a dump that fails: the encoder is run with each, and its tensors
//! are held against the dump's.

use std::collections::BTreeMap;

use encoder::{Checkpoint, Padding, Settings, TapSink, TapTensor, WithInner};
use harness::compare::comparison::{Comparison, Layer};
use harness::compare::explanation::{Explanation, ExplanationKind};
use harness::compare::terms::Terms;
use harness::exit_code;
use harness::mapping::pairing::Pair;
use harness::provenance::Dump;
use harness::tensor::Tensor;

use crate::encode::arguments::{AskedTaps, EncoderArguments, as_candidate};
use crate::encode::input::read_input;
use crate::encode::settings;
use crate::shell::failure::Failure;

/// A change that is tried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TriedChange {
    Padding(Padding),
    KvStride(usize),
    ChannelsReversed,
    Exchanged,
    UpsideDown,
    Mirrored,
}

impl TriedChange {
    fn text(self) -> String {
        match self {
            TriedChange::Padding(Padding::Same) => "TensorFlow's SAME padding".to_string(),
            TriedChange::Padding(Padding::Symmetric) => "symmetric padding".to_string(),
            TriedChange::KvStride(stride) => format!("keys and values at stride {stride}"),
            TriedChange::ChannelsReversed => "the input's channels reversed (BGR for RGB)".to_string(),
            TriedChange::Exchanged => "height and width of the input exchanged".to_string(),
            TriedChange::UpsideDown => "the input upside down".to_string(),
            TriedChange::Mirrored => "the input mirrored".to_string(),
        }
    }

    fn settings(self, settings: Settings) -> Settings {
        match self {
            TriedChange::Padding(padding) => Settings { padding, ..settings },
            TriedChange::KvStride(kv_stride) => Settings { kv_stride, ..settings },
            _ => settings,
        }
    }

    fn input(self, input: &TapTensor) -> TapTensor {
        let &[batch, channels, height, width] = input.shape.as_slice() else { return input.clone() };
        let mut data = Vec::with_capacity(input.data.len());
        for b in 0..batch {
            for c in 0..channels {
                for h in 0..height {
                    for w in 0..width {
                        let (c, h, w) = match self {
                            TriedChange::ChannelsReversed => (channels - 1 - c, h, w),
                            TriedChange::Exchanged => (c, w, h),
                            TriedChange::UpsideDown => (c, height - 1 - h, w),
                            TriedChange::Mirrored => (c, h, width - 1 - w),
                            TriedChange::Padding(_) | TriedChange::KvStride(_) => (c, h, w),
                        };
                        data.push(input.data[((b * channels + c) * height + h) * width + w]);
                    }
                }
            }
        }
        TapTensor { shape: input.shape.clone(), data }
    }
}

/// The changes that a set leaves to be tried.
fn changes(settings: &Settings, input: &TapTensor) -> Vec<TriedChange> {
    let padding = match settings.padding {
        Padding::Same => Padding::Symmetric,
        Padding::Symmetric => Padding::Same,
    };
    let stride = if settings.kv_stride == 1 { 2 } else { 1 };
    let mut changes = vec![
        TriedChange::Padding(padding),
        TriedChange::KvStride(stride),
        TriedChange::ChannelsReversed,
        TriedChange::UpsideDown,
        TriedChange::Mirrored,
    ];
    if let [_, _, height, width] = input.shape.as_slice()
        && height == width
    {
        changes.push(TriedChange::Exchanged);
    }
    changes
}

/// The change of the model or of its input under which a dump is what the encoder computes, where there is one.
///
/// # Errors
/// A set whose files cannot be read.
pub(super) fn explain(
    encoder: &EncoderArguments,
    terms: &Terms<'_>,
    dump: &Dump,
    comparison: &Comparison,
) -> Result<Option<Explanation>, Failure> {
    let failing: Vec<&Layer> =
        comparison.computed().filter(|layer| layer.exit_code() == exit_code::NUMBERS).collect();
    let explained = comparison.explanations.iter().any(|found| found.kind.is_final());
    let files = (terms.reference.manifest(), terms.reference.weights(), terms.reference.input());
    let (Some(manifest), Some(weights), Some(input)) = files else { return Ok(None) };
    if failing.is_empty() || explained || !(weights.is_file() && input.is_file()) {
        return Ok(None);
    }
    // A set of another model has a manifest too.
    let Ok(settings) = settings::of_manifest(manifest) else { return Ok(None) };
    let Ok(checkpoint) = encoder.open(&weights) else { return Ok(None) };
    let Ok(input) = read_input(&input) else { return Ok(None) };
    let trial = ChangeTrial { encoder, terms, dump, failing: &failing, checkpoint: &checkpoint };
    for change in changes(&settings, &input) {
        let explains = trial.explained(&change.settings(settings), &change.input(&input));
        // One layer may agree by chance, or since the change does not reach it.
        if 2 * explains.len() > failing.len() {
            let (kind, tried) = (ExplanationKind::Change { change: change.text() }, failing.len());
            return Ok(Some(Explanation { kind, explains, tried, ties: Vec::new() }));
        }
    }
    Ok(None)
}

/// What changes are tried on.
struct ChangeTrial<'a> {
    encoder: &'a EncoderArguments,
    terms: &'a Terms<'a>,
    dump: &'a Dump,
    failing: &'a [&'a Layer],
    checkpoint: &'a Checkpoint,
}

impl ChangeTrial<'_> {
    /// The failing layers that are within their limits of what the encoder computes so.
    fn explained(&self, settings: &Settings, input: &TapTensor) -> Vec<String> {
        let Ok(model) = self.encoder.load(self.checkpoint, Some(*settings)) else { return Vec::new() };
        let asked = AskedTaps::by_mapping(&model, input, self.terms.mapping);
        let wanted = self.taps(&asked.names);
        let sink = HeldTaps { wanted: &wanted, trial: self, explained: Vec::new() };
        let mut taps = WithInner { asked: asked.inner, sink };
        match model.encode(&input.shape, &input.data, &mut taps) {
            Ok(_) => taps.sink.explained,
            // Such an input or setting is none for this model.
            Err(_) => Vec::new(),
        }
    }

    /// The failing layers by the encoder's name of the same tensor of the reference.
    fn taps(&self, names: &[String]) -> BTreeMap<String, Vec<(&Layer, Pair)>> {
        let pairing = self.terms.pair(names, &[]);
        let mut taps: BTreeMap<String, Vec<(&Layer, Pair)>> = BTreeMap::new();
        for ours in pairing.pairs {
            let layers = self.failing.iter().filter(|layer| layer.reference == ours.reference);
            for layer in layers {
                let pair = Pair {
                    rule: ours.rule,
                    candidate: layer.name.clone(),
                    reference: layer.reference.clone(),
                    stands_for: layer.stands_for.clone(),
                };
                taps.entry(ours.candidate.clone()).or_default().push((layer, pair));
            }
        }
        taps
    }

    /// Whether a layer of the dump is within its limits of a tensor in the reference's place.
    fn holds(&self, pair: &Pair, computed: &Tensor) -> bool {
        let Ok(candidate) = self.dump.read(&pair.candidate) else { return false };
        let compared = self.terms.compare(pair, candidate, computed);
        compared.is_ok_and(|compared| compared.judgement.passed)
    }
}

/// Holds each of the encoder's tensors against the dump's as soon as it is there.
struct HeldTaps<'a> {
    wanted: &'a BTreeMap<String, Vec<(&'a Layer, Pair)>>,
    trial: &'a ChangeTrial<'a>,
    explained: Vec<String>,
}

impl TapSink for HeldTaps<'_> {
    fn wants(&self, name: &str) -> bool {
        self.wanted.contains_key(name)
    }

    fn record(
        &mut self,
        name: &str,
        tensor: TapTensor,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let computed = as_candidate(name, tensor)?;
        for (layer, pair) in self.wanted.get(name).into_iter().flatten() {
            if self.trial.holds(pair, &computed) {
                self.explained.push(layer.pair_name().to_string());
            }
        }
        Ok(())
    }
}
