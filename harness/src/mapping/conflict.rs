//! Rules and ignores that can take one name.

use super::mistake::{MappingMistake, MappingMistakeKind, RuleAndPlace};
use super::rule::{Ignore, Rule};
use super::template::Template;
use crate::side::Side;

/// The number that stands for every placeholder in the names that are tried.
const SAMPLE: u64 = 7;

/// Two rules of one name, two rules that take one tensor, a rule and an ignore that take one tensor. For each rule a
/// name is tried that fits it; what this does not find is found when real names are paired.
pub(super) fn conflicts(rules: &[Rule], ignores: &[Ignore]) -> Vec<MappingMistake> {
    let mut mistakes = Vec::new();
    for (i, rule) in rules.iter().enumerate() {
        if let Some(first) = rules[..i].iter().find(|other| other.name == rule.name) {
            let kind =
                MappingMistakeKind::TwoRulesNamed { name: rule.name.clone(), first: first.span.clone() };
            mistakes.push(MappingMistake { place: rule.span.clone(), kind });
        } else if let Some(kind) = taken_twice(rules, i) {
            mistakes.push(MappingMistake { place: rule.span.clone(), kind });
        }
    }
    let unconditional = |ignore: &&Ignore| ignore.when_identical_to.is_empty();
    for ignore in ignores.iter().filter(unconditional) {
        let compared = |rule: &Rule| {
            let template = rule.names(ignore.side).iter().find(|template| takes(&ignore.names, template))?;
            Some(located(rule, template))
        };
        let rules: Vec<RuleAndPlace> = rules.iter().filter_map(compared).collect();
        if !rules.is_empty() {
            let kind = MappingMistakeKind::ComparedAndIgnored { side: ignore.side, rules };
            mistakes.push(MappingMistake { place: ignore.span.clone(), kind });
        }
    }
    mistakes
}

/// A name of rule `i` that an earlier rule takes too, or that takes one of an earlier rule.
fn taken_twice(rules: &[Rule], i: usize) -> Option<MappingMistakeKind> {
    let rule = &rules[i];
    [Side::Candidate, Side::Reference].into_iter().find_map(|side| {
        rules[..i].iter().find_map(|other| {
            let (own, others) = (rule.names(side), other.names(side));
            let template = own.iter().find(|template| takes(others, template));
            let template = template.or_else(|| others.iter().find(|template| takes(own, template)))?;
            let (template, other) = (template.clone(), located(other, template));
            Some(MappingMistakeKind::TwoRulesTake { side, template, other })
        })
    })
}

fn takes(templates: &[Template], sampled: &Template) -> bool {
    let sample = sampled.sample(SAMPLE);
    templates.iter().any(|template| template.matches(&sample).is_some())
}

fn located(rule: &Rule, template: &Template) -> RuleAndPlace {
    RuleAndPlace { name: rule.name.clone(), template: template.clone(), place: rule.span.clone() }
}
