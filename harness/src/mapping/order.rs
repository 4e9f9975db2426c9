//! In which order tensors are computed, as far as a mapping says it.
//!
//! Rules are in their order. Neighbouring rules whose names count the same numbers, in the same order, are one group, gone
//! through number by number: block 0 with all its tensors, then block 1. Which number counts first is said by `order`, else
//! by the reference's name: in `blocks.{stage}.{index}` it is the stage. Where two names of a rule contradict each other, or
//! neighbours count different numbers of which they share some, nothing is known.

use super::bindings::Bindings;
use super::rule::{OrderPart, Rule};
use super::template::Template;

/// Where the order of the pairs comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ExecutionOrder {
    /// The manifest lists the reference's tensors in order.
    Manifest,
    /// What wrote the reference's tensors recorded their order.
    Recorded,
    /// The mapping settles it.
    #[default]
    Mapping,
    /// Nothing settles it.
    Unknown(UnknownOrder),
}

/// Rules whose tensors cannot be put in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnknownOrder {
    /// The mapping says that its rules are in no order.
    NoOrder,
    /// The rule's names count the same numbers in different orders.
    Within {
        /// The rule.
        rule: String,
    },
    /// The rule takes words, which are in no order.
    Words {
        /// The rule.
        rule: String,
    },
    /// The rules count different numbers, of which they share some.
    Between {
        /// The first.
        rule: String,
        /// The one after it.
        next: String,
    },
}

/// What a rule's tensors are ordered by: what it says, then the other numbers of its name.
fn parts(rule: &Rule) -> Vec<OrderPart> {
    let mut parts = rule.order.clone();
    for name in sequence(&rule.reference) {
        let part = OrderPart::Placeholder(name.into());
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts
}

/// The numbers of a name in the order in which they first appear.
fn sequence(template: &Template) -> Vec<&str> {
    let mut seen = Vec::new();
    for name in template.numbers() {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

fn counts(rule: &Rule) -> bool {
    rule.reference.numbers().next().is_some()
}

/// For each rule the first rule of its group.
pub(super) fn groups(rules: &[Rule]) -> Vec<usize> {
    let mut groups: Vec<usize> = Vec::new();
    for (i, rule) in rules.iter().enumerate() {
        let joins = i > 0 && counts(rule) && counts(&rules[i - 1]) && shares(&rules[i - 1], rule);
        groups.push(if joins { groups[i - 1] } else { i });
    }
    groups
}

/// Whether two rules count a number in common.
fn shares(a: &Rule, b: &Rule) -> bool {
    let (a, b) = (sequence(&a.reference), sequence(&b.reference));
    a.iter().any(|name| b.contains(name))
}

/// The numbers that a tensor of a rule is ordered by, within its group.
pub(super) fn numbers(rule: &Rule, bindings: &Bindings) -> Vec<u64> {
    let number = |part: OrderPart| match part {
        OrderPart::Placeholder(name) => bindings.number(&name).unwrap_or_default(),
        OrderPart::Number(number) => number,
    };
    parts(rule).into_iter().map(number).collect()
}

/// What keeps the tensors of `rules` from being put in order; `pairs` says how many a rule has.
pub(super) fn unknown(rules: &[Rule], pairs: impl Fn(usize) -> usize) -> Option<UnknownOrder> {
    let groups = groups(rules);
    let used = |i: &usize| pairs(*i) > 0;
    for (i, rule) in rules.iter().enumerate() {
        if pairs(i) > 1 && rule.reference.words().next().is_some() {
            return Some(UnknownOrder::Words { rule: rule.name.clone() });
        }
        if pairs(i) > 1 && rule.order.is_empty() && contradicts(rule) {
            return Some(UnknownOrder::Within { rule: rule.name.clone() });
        }
        // The neighbour that has tensors too.
        let Some(next) = used(&i).then(|| (i + 1..rules.len()).find(used)).flatten() else { continue };
        let told = !rule.order.is_empty() && !rules[next].order.is_empty();
        if groups[next] == groups[i] && !told && parts(rule) != parts(&rules[next]) {
            let (rule, next) = (rule.name.clone(), rules[next].name.clone());
            return Some(UnknownOrder::Between { rule, next });
        }
    }
    None
}

/// Whether a candidate's name counts the numbers of the reference's in another order.
fn contradicts(rule: &Rule) -> bool {
    let reference = sequence(&rule.reference);
    rule.candidates.iter().any(|candidate| {
        let candidate = sequence(candidate);
        let shared = |of: &[&str], in_: &[&str]| -> Vec<String> {
            of.iter().filter(|name| in_.contains(name)).map(ToString::to_string).collect()
        };
        shared(&candidate, &reference) != shared(&reference, &candidate)
    })
}
