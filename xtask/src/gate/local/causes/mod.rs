//! What a part that fails may do otherwise: tried on its values, told where it explains them.

mod fit;
pub(super) mod hypotheses;
mod trials;
mod verdict;
mod words;

use std::collections::BTreeMap;

use encoder::Part;
use harness::compare::comparison::{Comparison, Layer};
use harness::compare::explanation::{Explanation, ExplanationKind};
use harness::exit_code;

pub(crate) use self::trials::PartTrial;
pub(super) use self::trials::PartTrials;
pub(crate) use self::verdict::PartVerdict;
pub(super) use self::verdict::verdict;
pub(super) use self::words::ChangeWords;
use super::computed::{ComputedPart, ComputedParts};
use super::oracle::Oracle;
use crate::shell::failure::Failure;
use crate::shell::progress::Progress;

/// What leaves so much of an error, or less, is worth to be named though it does not explain it.
const NEAR: f64 = 0.5;
/// Other explanations that are named.
const TIES: usize = 3;

/// What explains the parts that failed, or that nothing does.
pub(super) fn explain(
    oracle: &Oracle<'_>,
    computed: &ComputedParts,
    comparison: &Comparison,
    progress: &mut Progress,
) -> Result<Vec<Explanation>, Failure> {
    let mut found = Vec::new();
    let not_gone_on_with = not_gone_on_with(oracle, computed);
    progress.begin(computed.parts.len(), "parts, causes tried");
    for judged in &computed.parts {
        progress.advance(1);
        let failed = failing(oracle, &judged.part, comparison).map(|(name, _)| name);
        let (dropped, failed): (Vec<String>, Vec<String>) =
            failed.partition(|name| not_gone_on_with.contains_key(name));
        for name in dropped {
            let (part, later) = (judged.part.name.clone(), not_gone_on_with[&name].clone());
            let kind = ExplanationKind::NotGoneOnWith { part, later };
            found.push(Explanation { kind, explains: vec![name], tried: 1, ties: Vec::new() });
        }
        // Of what cannot be read nothing can be tried.
        let is_readable = |name: &String| {
            let outputs = oracle.tensors.outputs_of(&judged.part).iter();
            outputs
                .filter(|output| oracle.tensors.has(output))
                .any(|output| oracle.tensors.own_names_of(output).any(|own| own == name))
        };
        if !failed.iter().any(is_readable) {
            continue;
        }
        progress.tell(&judged.part.name);
        let part = oracle.again(judged)?;
        let Some(verdict) = verdict(oracle, &part) else { continue };
        let (kind, ties) = told(&verdict, &part, between(oracle, &judged.part, comparison));
        found.push(Explanation { kind, explains: failed, tried: 1, ties });
    }
    Ok(found)
}

/// What the candidate dumped and did not go on with, and what comes out right without it, by the candidate's names.
fn not_gone_on_with(oracle: &Oracle<'_>, computed: &ComputedParts) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let own = |name: &String| oracle.tensors.own_names.get(name).cloned();
    for judged in &computed.parts {
        let outputs = oracle.tensors.outputs_of(&judged.part);
        for name in judged.inputs_not_taken(oracle.tensors).filter_map(own) {
            let right = outputs.iter().filter(|name| oracle.tensors.has(name) && !judged.off.contains(name));
            all.entry(name).or_default().extend(right.filter_map(own));
        }
        for dropped in &judged.dropped {
            let after = outputs.iter().skip_while(|name| *name != dropped).skip(1);
            let right = after.filter(|name| oracle.tensors.has(name) && !judged.off.contains(name));
            let Some(name) = own(dropped) else { continue };
            all.entry(name).or_default().extend(right.filter_map(own));
        }
    }
    all
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
