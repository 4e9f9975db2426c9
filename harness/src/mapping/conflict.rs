//! Rules and ignores that can take one name.

use std::ops::Range;

use super::finding::Finding;
use super::{Ignore, Rule, Side};
use crate::template::Template;

/// The number that stands for every placeholder in the names that are tried.
const SAMPLE: u64 = 7;

/// Two rules of one name, two rules that take one tensor, a rule and an ignore that take one tensor. For each rule a
/// name is tried that fits it; what this does not find is found when real names are paired.
pub(super) fn conflicts(rules: &[Rule], ignores: &[Ignore]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut add = |finding: Finding| {
        let places = |finding: &Finding| {
            let mut spans: Vec<Range<usize>> = finding.labels.iter().map(|(span, _)| span.clone()).collect();
            spans.sort_by_key(|span| span.start);
            spans
        };
        // One finding for each two places is enough.
        if !findings.iter().any(|known| places(known) == places(&finding)) {
            findings.push(finding);
        }
    };
    for (i, rule) in rules.iter().enumerate() {
        if let Some(first) = rules[..i].iter().find(|other| other.name == rule.name) {
            let message = format!("two rules named `{}`", rule.name);
            add(Finding::error(rule.span.clone(), message, "second")
                .and(first.span.clone(), "first")
                .help("reports tell rules apart by name"));
            continue;
        }
        for side in [Side::Candidate, Side::Reference] {
            for sample in rule.names(side).iter().map(|template| template.sample(SAMPLE)) {
                let takes = |templates: &[Template]| templates.iter().any(|t| t.matches(&sample).is_some());
                let others = rules.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, other)| other);
                for other in others.filter(|other| takes(other.names(side))) {
                    let message = format!("two rules take the {side} `{sample}`");
                    add(Finding::error(rule.span.clone(), message, "this rule")
                        .and(other.span.clone(), "and this one")
                        .help("several candidates of one reference go into one rule: candidate = [\"…\", \"…\"]"));
                }
                let unconditional =
                    |ignore: &&Ignore| ignore.side == side && ignore.when_identical_to.is_empty();
                for ignore in ignores.iter().filter(unconditional).filter(|ignore| takes(&ignore.names)) {
                    let message = format!("the {side} `{sample}` is both compared and ignored");
                    add(Finding::error(rule.span.clone(), message, "this rule takes it")
                        .and(ignore.span.clone(), "this ignore lists it")
                        .help("make the ignore's names narrower"));
                }
            }
        }
    }
    findings
}
