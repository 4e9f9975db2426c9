//! What a part that fails may do otherwise: tried on its values, told where it explains them.

mod fit;
pub(super) mod hypotheses;
mod trials;
mod verdict;
mod words;

use encoder::Part;
use harness::compare::comparison::{Comparison, Layer};
use harness::compare::explanation::{Explanation, ExplanationKind};
use harness::exit_code;

pub(crate) use self::trials::PartTrial;
pub(super) use self::trials::PartTrials;
pub(crate) use self::verdict::PartVerdict;
pub(super) use self::verdict::verdict;
pub(super) use self::words::ChangeWords;
use super::oracle::{ComputedPart, ComputedParts, Oracle};
use crate::shell::failure::Failure;

/// What leaves so much of an error, or less, is worth to be named though it does not explain it.
const NEAR: f64 = 0.5;
/// Other explanations that are named.
const TIES: usize = 3;

/// What explains the parts that failed, or that nothing does.
pub(super) fn explain(
    oracle: &Oracle<'_>,
    computed: &ComputedParts,
    comparison: &Comparison,
) -> Result<Vec<Explanation>, Failure> {
    let mut found = Vec::new();
    for judged in &computed.parts {
        let failed: Vec<String> = failing(oracle, &judged.part, comparison).map(|(name, _)| name).collect();
        if failed.is_empty() {
            continue;
        }
        let part = oracle.again(judged)?;
        let (dropped, failed): (Vec<String>, Vec<String>) = {
            let before = dropped(oracle, &part);
            failed.into_iter().partition(|name| before.contains(name))
        };
        if !dropped.is_empty() {
            let later = part.passing_by.iter().filter_map(|name| oracle.tensors.own_names.get(name));
            let (part, later) = (judged.part.name.clone(), later.cloned().collect());
            let kind = ExplanationKind::NotGoneOnWith { part, later };
            found.push(Explanation { kind, explains: dropped, tried: 1, ties: Vec::new() });
        }
        if failed.is_empty() {
            continue;
        }
        let Some(verdict) = verdict(oracle, &part) else { continue };
        let (kind, ties) = told(&verdict, &part, between(oracle, &judged.part, comparison));
        found.push(Explanation { kind, explains: failed, tried: 1, ties });
    }
    Ok(found)
}

/// The tensors, by the candidate's names, before the first that comes out right without them.
fn dropped(oracle: &Oracle<'_>, part: &ComputedPart) -> Vec<String> {
    let first = part.outputs.iter().position(|(name, _)| part.passing_by.contains(name)).unwrap_or(0);
    let own = part.outputs[..first].iter().filter_map(|(name, _)| oracle.tensors.own_names.get(name));
    own.cloned().collect()
}

/// The outputs of a part that failed in their numbers, by the candidate's names, each with its share of its limit.
pub(super) fn failing<'a>(
    oracle: &'a Oracle<'_>,
    part: &'a Part,
    comparison: &'a Comparison,
) -> impl Iterator<Item = (String, f64)> + 'a {
    let outputs = oracle.tensors.outputs_of(part).iter();
    let own = outputs.flat_map(|name| oracle.tensors.own_names_of(name));
    own.filter_map(|name| {
        let mut layers = comparison.layers.iter().filter(|layer| layer.exit_code() == exit_code::NUMBERS);
        layers.find(|layer| layer.name == *name).map(|layer| (name.clone(), layer.used()))
    })
}

/// The last tensor of a part that is right, where the next one that the candidate has is the first that is not.
fn between(oracle: &Oracle<'_>, part: &Part, comparison: &Comparison) -> Option<(String, String)> {
    let layer = |name: &String| comparison.layers.iter().find(|layer| layer.name == *name);
    let outputs = oracle.tensors.outputs_of(part).iter();
    let own: Vec<&Layer> = outputs.filter_map(|name| layer(oracle.tensors.own_names.get(name)?)).collect();
    let first = own.iter().position(|layer| layer.exit_code() != exit_code::PASSED)?;
    let right = own.get(first.checked_sub(1)?)?;
    Some((right.name.clone(), own[first].name.clone()))
}

/// A verdict in words, and what explains the part as well.
fn told(
    verdict: &PartVerdict,
    part: &ComputedPart,
    between: Option<(String, String)>,
) -> (ExplanationKind, Vec<String>) {
    let words = ChangeWords { part: &part.part, operations: &verdict.operations };
    let (part, before) = (part.part.name.clone(), verdict.before);
    let Some(best) = &verdict.best else {
        let nearest =
            verdict.nearest.as_ref().filter(|trial| trial.left <= NEAR * before && !trial.says_nothing());
        let nearest = nearest.map(|trial| (words.all(trial), trial.left));
        let kind =
            ExplanationKind::PartUnexplained { part, changes: verdict.tried, before, nearest, between };
        return (kind, Vec::new());
    };
    let ties = verdict.ties.iter().take(TIES).map(|tie| words.all(tie)).collect();
    let change = words.all(best);
    let (after, margin) = (best.left, verdict.margin);
    (ExplanationKind::PartChange { part, change, kind: best.kind(), before, after, margin }, ties)
}
