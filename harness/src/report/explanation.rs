//! What a mapping makes of one name, in words.

use crate::mapping::Mapping;
use crate::mapping::bindings::Bindings;
use crate::mapping::explanation::{IgnoreTaking, NameExplanation, NearTemplate, RuleTaking};
use crate::mapping::template::{Departure, ExpectedPart};
use crate::side::Side;

/// The explanation as lines; `mapping` is the one that it is of.
pub fn render(explanation: &NameExplanation, mapping: &Mapping) -> String {
    let NameExplanation { side, name, rules, ignores, near } = explanation;
    let file = mapping.path.display();
    let mut lines = Vec::new();
    for rule in rules {
        lines.extend(of_rule(rule, *side, name, &format!("{file}:{}", rule.line)));
    }
    for ignore in ignores {
        lines.extend(of_ignore(ignore, *side, name, &format!("{file}:{}", ignore.line)));
    }
    // An ignore with a condition is for tensors that a rule may take too.
    let unconditional = ignores.iter().filter(|ignore| ignore.when_identical_to.is_empty()).count();
    if rules.len() > 1 || (rules.len() == 1 && unconditional > 0) {
        lines.push(format!("`{name}` is taken twice: only one of these can be meant"));
    }
    if rules.is_empty() && ignores.is_empty() {
        lines.push(format!("nothing takes `{name}` of the {side}; the nearest:"));
        lines.extend(near.iter().map(|near| of_near(near, name, mapping)));
    }
    lines.join("\n")
}

fn of_rule(taking: &RuleTaking, side: Side, name: &str, place: &str) -> Vec<String> {
    let RuleTaking { rule, template, numbers, uncounted, partners, .. } = taking;
    let other = side.other();
    let mut lines = vec![format!("{place}: rule `{rule}` takes `{name}` of the {side}, by `{template}`")];
    if !numbers.is_empty() {
        lines.push(format!("  placeholders: {}", listed(numbers)));
    }
    let partners: Vec<String> = partners.iter().map(|partner| format!("`{partner}`")).collect();
    match taking.beyond {
        true => lines.push("  the reference has no such number: it counts fewer".to_string()),
        false => lines.push(format!("  partner in the {other}: {}", partners.join(" or "))),
    }
    if !uncounted.is_empty() && !taking.beyond {
        let (names, follow) = match uncounted.as_slice() {
            [one] => (one.clone(), "follows"),
            several => (several.join(" and "), "follow"),
        };
        lines.push(format!("  {names} {follow} from the names of the reference, which is not given"));
    }
    let (candidate, reference) = (&taking.candidate_layout, &taking.reference_layout);
    lines.push(match candidate == reference {
        true => format!("  layout: `{candidate}` on both sides"),
        false => format!("  layouts: `{candidate}` in the candidate, `{reference}` in the reference"),
    });
    lines
}

fn listed(numbers: &Bindings) -> String {
    numbers.iter().map(|(name, number)| format!("{name} = {number}")).collect::<Vec<_>>().join(", ")
}

fn of_ignore(taking: &IgnoreTaking, side: Side, name: &str, place: &str) -> Vec<String> {
    let IgnoreTaking { template, reason, when_identical_to, .. } = taking;
    let mut lines = vec![
        format!("{place}: an ignore lists `{name}` of the {side}, by `{template}`"),
        format!("  reason: {reason}"),
    ];
    if !when_identical_to.is_empty() {
        let names: Vec<String> = when_identical_to.iter().map(|name| format!("`{name}`")).collect();
        lines.push(format!("  only without a partner, and with the values of {}", names.join(" or ")));
    }
    lines
}

fn of_near(near: &NearTemplate, name: &str, mapping: &Mapping) -> String {
    let NearTemplate { rule, line, template, departure: Departure { at, expected }, .. } = near;
    let what = rule.as_ref().map_or("an ignore".to_string(), |rule| format!("rule `{rule}`"));
    let (fits, rest) = name.split_at_checked(*at).unwrap_or((name, ""));
    let expected = match expected {
        ExpectedPart::Text(text) => format!("`{text}`"),
        ExpectedPart::Number(name) => format!("a number without leading zeros for {{{name}}}"),
        ExpectedPart::SameNumber(name, number) => format!("{number} again, for {{{name}}}"),
        ExpectedPart::Word(name) => format!("letters and digits, a letter first, for {{{name}:word}}"),
        ExpectedPart::SameWord(name, word) => format!("`{word}` again, for {{{name}:word}}"),
        ExpectedPart::End => "the end of the name".to_string(),
    };
    let found = if rest.is_empty() { "the end of the name".to_string() } else { format!("`{rest}`") };
    let after = if fits.is_empty() { "at the start".to_string() } else { format!("after `{fits}`") };
    let file = mapping.path.display();
    format!("  {file}:{line}: {what}, `{template}`: {after} expected {expected}, found {found}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::mapping::explanation::explain;
    use crate::mapping::explanation::tests::TEXT;

    #[test]
    fn in_words() {
        let mapping = Mapping::parse(Path::new("test.toml"), TEXT.to_string()).unwrap();
        let references = ["blocks.0.0", "blocks.0.1", "blocks.1.0"].map(String::from);
        let cases = [
            (Side::Candidate, "block_2_rms", Some(&references[..])),
            (Side::Candidate, "block_2_rms", None),
            (Side::Candidate, "block_9_rms", Some(&references[..])),
            (Side::Reference, "blocks.0.1.norm", Some(&references[..])),
            (Side::Reference, "blocks.0.1.drop", None),
            (Side::Candidate, "block_03_norm", None),
            (Side::Candidate, "block_3_norm_2", None),
            (Side::Reference, "block.1", None),
        ];
        let shown = cases
            .map(|(side, name, references)| render(&explain(&mapping, side, name, references), &mapping));
        insta::assert_snapshot!(shown.join("\n\n"));
    }
}
