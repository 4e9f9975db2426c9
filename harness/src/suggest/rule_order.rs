//! In which order rules are written, and what they are called.

use crate::mapping::bindings::Bindings;
use std::collections::BTreeMap;

use super::draft::{DraftRule, SuggestedPair};

/// Puts rules in the order of their references. Rules that count the same numbers stay together, and are in the order that
/// their tensors have within one of the things that they count.
pub(super) fn sort(rules: &mut [DraftRule], pairs: &[SuggestedPair]) {
    let family =
        |rule: &DraftRule| -> Vec<String> { rule.reference.placeholders().map(String::from).collect() };
    let position = |i: &usize| pairs[*i].places.1;
    let mut begins: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    let mut within: BTreeMap<Bindings, Vec<usize>> = BTreeMap::new();
    for rule in rules.iter().filter(|rule| !rule.is_exact()) {
        for i in &rule.pairs {
            let begin = begins.entry(family(rule)).or_insert(usize::MAX);
            *begin = (*begin).min(position(i));
            within.entry(numbers(rule, &pairs[*i])).or_default().push(position(i));
        }
    }
    within.values_mut().for_each(|positions| positions.sort_unstable());
    let rank = |rule: &DraftRule, i: &usize| {
        let positions = within.get(&numbers(rule, &pairs[*i])).map(Vec::as_slice).unwrap_or_default();
        let at = positions.iter().position(|at| *at == position(i)).unwrap_or_default();
        (at + 1) as f64 / positions.len().max(1) as f64
    };
    rules.sort_by_cached_key(|rule| {
        let first = rule.pairs.iter().map(position).min().unwrap_or(usize::MAX);
        let begin = if rule.is_exact() { None } else { begins.get(&family(rule)).copied() };
        let mean = rule.pairs.iter().map(|i| rank(rule, i)).sum::<f64>() / rule.pairs.len().max(1) as f64;
        (begin.unwrap_or(first), (mean * 1e6) as u64, first)
    });
}

/// The numbers of a pair.
fn numbers(rule: &DraftRule, pair: &SuggestedPair) -> Bindings {
    rule.reference.matches(&pair.reference).unwrap_or_default()
}

/// Names for rules: the words of the reference's name, each once.
pub(super) fn names(rules: &[DraftRule], mut taken: Vec<String>) -> Vec<String> {
    let name = |rule: &DraftRule| {
        let text = rule.reference.to_string();
        let plain: String = text
            .split('}')
            .map(|part| part.split('{').next().unwrap_or_default())
            .collect::<Vec<_>>()
            .join(" ");
        let words: Vec<&str> = plain.split(['_', '.', '/', ' ']).filter(|word| !word.is_empty()).collect();
        let name = if words.is_empty() { text } else { words.join(" ") };
        let more = (2..).map(|n| format!("{name} ({n})"));
        let free =
            std::iter::once(name.clone()).chain(more).find(|name| !taken.contains(name)).unwrap_or(name);
        taken.push(free.clone());
        free
    };
    rules.iter().map(name).collect()
}
