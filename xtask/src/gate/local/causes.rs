//! What a part that fails may do otherwise: tried on its values, told where it explains them.

use encoder::reference::{ActivationFunction, Operations, PortChange};
use harness::compare::comparison::Comparison;
use harness::compare::explanation::{Explanation, ExplanationKind};
use harness::exit_code;
use rayon::prelude::*;

use super::oracle::{ComputedPart, ComputedParts, JudgedPart, Oracle, distance};
use crate::shell::failure::Failure;

/// A change explains a part that comes within so many times its floor, as limits are made.
const TIMES_FLOOR: f64 = 4.0;

/// Changes whose numbers are fitted, of those that come nearest.
const NEAREST: usize = 6;
/// Changes that leave errors within this factor explain a part alike.
const ALIKE: f64 = 1.25;

/// A change that was tried on a part.
struct PartTrial {
    change: PortChange,
    /// ‖candidate - changed‖ / ‖changed‖ of the part's last output that the candidate has.
    left: f64,
}

/// What explains the parts that failed.
pub(super) fn explain(
    oracle: &Oracle<'_>,
    computed: &ComputedParts,
    comparison: &Comparison,
) -> Result<Vec<Explanation>, Failure> {
    let mut found = Vec::new();
    for part in &computed.parts {
        let failed: Vec<String> = failing(oracle, part, comparison);
        if !failed.is_empty()
            && let Some(kind) = explained(oracle, &oracle.again(part)?)
        {
            found.push(Explanation { kind, explains: failed, tried: 1, ties: Vec::new() });
        }
    }
    Ok(found)
}

/// The outputs of a part that failed in their numbers, by the candidate's names.
fn failing(oracle: &Oracle<'_>, part: &JudgedPart, comparison: &Comparison) -> Vec<String> {
    let own = part.part.outputs.iter().filter_map(|name| oracle.tensors.own_names.get(name));
    let failed = |name: &&String| {
        let mut layers = comparison.layers.iter().filter(|layer| layer.exit_code() == exit_code::NUMBERS);
        layers.any(|layer| layer.name == **name)
    };
    own.filter(failed).cloned().collect()
}

/// Tries every change, and refines the best where it has a number.
fn explained(oracle: &Oracle<'_>, part: &ComputedPart) -> Option<ExplanationKind> {
    let mut outputs = part.outputs.iter().rev();
    let (name, exact, candidate) =
        outputs.find_map(|(name, exact)| Some((name, exact, oracle.tensors.tensor(name)?)))?;
    let floor = part.floors.get(name)?.figures.rel_l2;
    let before = distance(&candidate, exact)?.figures.rel_l2;
    let left = |change: PortChange| -> Option<f64> {
        let outputs = oracle.model.run_part_with(&part.part, &part.inputs, change).ok()?;
        let changed = outputs.iter().find(|(output, _)| output == name).map(|(_, tensor)| tensor)?;
        (changed != exact).then(|| distance(&candidate, changed))?.map(|found| found.figures.rel_l2)
    };
    let operations = oracle.model.operations(&part.part, &part.inputs).ok()?;
    let mut trials: Vec<PartTrial> = hypotheses(operations)
        .into_par_iter()
        .with_min_len(part.runs_in_turn())
        .filter_map(|change| Some(PartTrial { change, left: left(change)? }))
        .collect();
    trials.sort_by(|a, b| a.left.total_cmp(&b.left));
    // The factors are fitted always: a wrong one is as far off as anything. Of the rest, the few that come nearest are.
    let nearest = trials.iter().filter(|trial| trial.left.is_finite()).take(NEAREST);
    let factors = trials
        .iter()
        .skip(NEAREST)
        .filter(|trial| matches!(trial.change, PortChange::LayerScaleTimes(_) | PortChange::ScoresTimes(_)));
    let mut refined: Vec<PartTrial> = nearest.chain(factors).map(|trial| fitted(trial, &left)).collect();
    refined.sort_by(|a, b| a.left.total_cmp(&b.left));
    let least = refined.first()?.left;
    // A fitted number may stand for something that has a name.
    let named = refined.iter().find(|trial| trial.left <= ALIKE * least && !has_number(trial.change));
    let best = named.or(refined.first()).filter(|best| best.left <= TIMES_FLOOR * floor.max(1e-7))?;
    // One that differs in more than where it is done is another explanation.
    let other = |other: &&PartTrial| {
        !(same_kind(best.change, other.change)
            || (has_number(other.change) && other.left <= ALIKE * best.left))
    };
    let next = refined.iter().chain(&trials).filter(other);
    let next = next.map(|other| other.left).fold(before, f64::min);
    Some(ExplanationKind::PartChange {
        part: part.part.name.clone(),
        change: said(best.change),
        before,
        after: best.left,
        margin: next / best.left,
    })
}

/// Whether a change has a number that is fitted.
fn has_number(change: PortChange) -> bool {
    matches!(change, PortChange::Epsilon { .. } | PortChange::LayerScaleTimes(_) | PortChange::ScoresTimes(_))
}

fn same_kind(a: PortChange, b: PortChange) -> bool {
    std::mem::discriminant(&a) == std::mem::discriminant(&b)
}

/// A change with its number fitted, where it has one.
fn fitted(trial: &PartTrial, left: &impl Fn(PortChange) -> Option<f64>) -> PartTrial {
    let with = |value: f64| match trial.change {
        PortChange::Epsilon { norm, .. } => Some(PortChange::Epsilon { norm, value }),
        PortChange::LayerScaleTimes(_) => Some(PortChange::LayerScaleTimes(value)),
        PortChange::ScoresTimes(_) => Some(PortChange::ScoresTimes(value)),
        _ => None,
    };
    let start = match trial.change {
        PortChange::Epsilon { value, .. }
        | PortChange::LayerScaleTimes(value)
        | PortChange::ScoresTimes(value) => value,
        change => return PartTrial { change, left: trial.left },
    };
    // Golden-section search over the logarithm, one decade to either side.
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    let error = |logarithm: f64| with(logarithm.exp()).and_then(left).unwrap_or(f64::INFINITY);
    let (mut low, mut high) = (start.ln() - 10f64.ln(), start.ln() + 10f64.ln());
    let (mut a, mut b) = (high - ratio * (high - low), low + ratio * (high - low));
    let (mut at_a, mut at_b) = (error(a), error(b));
    for _ in 0..32 {
        if at_a <= at_b {
            (high, b, at_b) = (b, a, at_a);
            a = high - ratio * (high - low);
            at_a = error(a);
        } else {
            (low, a, at_a) = (a, b, at_b);
            b = low + ratio * (high - low);
            at_b = error(b);
        }
    }
    let (logarithm, best) = if at_a <= at_b { (a, at_a) } else { (b, at_b) };
    match with(logarithm.exp()).filter(|_| best < trial.left) {
        Some(change) => PartTrial { change, left: best },
        None => PartTrial { change: trial.change, left: trial.left },
    }
}

/// Everything that is tried on a part of so many operations.
fn hypotheses(operations: Operations) -> Vec<PortChange> {
    // In a part of one operation of a kind, "every" is that one.
    let places = |count: usize| (count != 1).then_some(None).into_iter().chain((0..count).map(Some));
    let mut all = vec![
        PortChange::MeanSubtracted,
        PortChange::LayerScaleTimes(1.01),
        PortChange::NoLayerScale,
        PortChange::LayerScaleTwice,
        PortChange::LayerScaleAfterSkip,
        PortChange::NoSkip,
        PortChange::SkipTwice,
        PortChange::ScoresTimes(1.01),
        PortChange::ScoresNotScaled,
        PortChange::SoftmaxOverQueries,
        PortChange::KeysAndValuesExchanged,
        PortChange::PoolAfterNorm,
        PortChange::BilinearUpsampling,
        PortChange::ConcatOrder,
        PortChange::NoFactor,
        PortChange::NoBias,
    ];
    for norm in places(operations.norms) {
        all.extend([1e-5, 1e-3, 1e-1].map(|value| PortChange::Epsilon { norm, value }));
        all.extend([PortChange::NoNormWeight { norm }, PortChange::NoNorm { norm }]);
    }
    for at in places(operations.activations) {
        all.extend(ActivationFunction::ALL.map(|function| PortChange::Activation { at, function }));
    }
    for convolution in places(operations.convolutions) {
        all.extend([
            PortChange::SymmetricPadding { convolution },
            PortChange::PaddingShifted { convolution },
            PortChange::KernelFlipped { convolution },
            PortChange::KernelTransposed { convolution },
            PortChange::WeightTransposed { convolution },
            PortChange::WeightsBf16 { convolution },
            PortChange::WeightsF16 { convolution },
        ]);
    }
    all
}

/// A change in a few words.
fn said(change: PortChange) -> String {
    let of = |kind: &str, place: Option<usize>| match place {
        Some(number) => format!("in {kind} {} of the part", number + 1),
        None => format!("in every {kind} of the part"),
    };
    let convolution = |what: &str, place| format!("{what} {}", of("convolution", place));
    match change {
        PortChange::Epsilon { norm, value } => {
            format!("epsilon {value:.2e} instead of 1e-6 {}", of("norm", norm))
        }
        PortChange::NoNormWeight { norm } => format!("no weight {}", of("norm", norm)),
        PortChange::NoNorm { norm: Some(number) } => format!("norm {} of the part left out", number + 1),
        PortChange::NoNorm { norm: None } => "no norms".to_string(),
        PortChange::MeanSubtracted => "norms that subtract the mean, as layer norm does".to_string(),
        PortChange::Activation { at, function } => {
            let function = match function {
                ActivationFunction::Erf => "GELU by erf instead of its tanh approximation",
                ActivationFunction::Quick => "quick GELU, x sigmoid(1.702 x), instead of GELU",
                ActivationFunction::Silu => "SiLU instead of GELU",
                ActivationFunction::Relu => "ReLU instead of GELU",
                ActivationFunction::Identity => "no GELU",
                ActivationFunction::Twice => "GELU twice",
            };
            format!("{function} {}", of("activation", at))
        }
        PortChange::LayerScaleTimes(factor) => format!("the layer scale times {factor:.4}"),
        PortChange::NoLayerScale => "no layer scale".to_string(),
        PortChange::LayerScaleTwice => "the layer scale twice".to_string(),
        PortChange::LayerScaleAfterSkip => "the layer scale after the skip".to_string(),
        PortChange::NoSkip => "no skip".to_string(),
        PortChange::SkipTwice => "the skip twice".to_string(),
        PortChange::ScoresTimes(factor) => format!("attention scores times {factor:.4}"),
        PortChange::ScoresNotScaled => "attention scores without 1/sqrt(d)".to_string(),
        PortChange::SoftmaxOverQueries => "softmax over the queries instead of the keys".to_string(),
        PortChange::KeysAndValuesExchanged => "keys and values exchanged".to_string(),
        PortChange::SymmetricPadding { convolution: place } => convolution("symmetric padding", place),
        PortChange::PaddingShifted { convolution: place } => {
            convolution("the odd zero of the padding before the first pixel", place)
        }
        PortChange::KernelFlipped { convolution: place } => convolution("the kernel mirrored", place),
        PortChange::KernelTransposed { convolution: place } => {
            convolution("the kernel's height and width exchanged", place)
        }
        PortChange::WeightTransposed { convolution: place } => {
            convolution("the weight's inputs and outputs exchanged", place)
        }
        PortChange::WeightsBf16 { convolution: place } => convolution("weights rounded to bf16", place),
        PortChange::WeightsF16 { convolution: place } => convolution("weights rounded to f16", place),
        PortChange::PoolAfterNorm => "pooling after the norm".to_string(),
        PortChange::BilinearUpsampling => "bilinear instead of nearest upsampling".to_string(),
        PortChange::ConcatOrder => "the feature map of the lower resolution first".to_string(),
        PortChange::NoFactor => "no multiplication by sqrt(C)".to_string(),
        PortChange::NoBias => "no bias in the stem".to_string(),
    }
}
