//! What a mapping makes of one name, and why nothing more.

use std::collections::BTreeMap;

use super::bindings::Bindings;
use super::definition::Mapping;
use super::mistake::position;
use super::placeholder::{Lengths, LengthsSource, expand};
use super::template::{Departure, Template};
use crate::side::Side;
use crate::tensor::layout::Layout;

/// How many templates that nearly fit are told.
const NEAREST: usize = 3;

/// What a mapping makes of a name of one side.
#[derive(Clone, Debug)]
pub struct NameExplanation {
    /// The side.
    pub side: Side,
    /// The name.
    pub name: String,
    /// Rules that take it; more than one is a mistake.
    pub rules: Vec<RuleTaking>,
    /// Ignores that list it.
    pub ignores: Vec<IgnoreTaking>,
    /// Where nothing takes it: what nearly does, the nearest first.
    pub near: Vec<NearTemplate>,
}

/// A rule that takes a name.
#[derive(Clone, Debug)]
pub struct RuleTaking {
    /// Its name.
    pub rule: String,
    /// Its line in the mapping.
    pub line: usize,
    /// Which of its names takes it.
    pub template: Template,
    /// The values of all placeholders that are known.
    pub numbers: Bindings,
    /// Placeholders whose values are not known, since no names of a reference are there to count.
    pub uncounted: Vec<String>,
    /// The numbers are beyond what the reference has.
    pub beyond: bool,
    /// The names on the other side, one of which it meets; templates where numbers are not known.
    pub partners: Vec<String>,
    /// The candidate's layout.
    pub candidate_layout: Layout,
    /// The reference's layout.
    pub reference_layout: Layout,
}

/// An ignore that lists a name.
#[derive(Clone, Debug)]
pub struct IgnoreTaking {
    /// Its line in the mapping.
    pub line: usize,
    /// Which of its names lists it.
    pub template: Template,
    /// Its reason.
    pub reason: String,
    /// Tensors of which one must have the same values.
    pub when_identical_to: Vec<String>,
}

/// A template that nearly takes a name.
#[derive(Clone, Debug)]
pub struct NearTemplate {
    /// Its side.
    pub side: Side,
    /// The rule's name; `None` where it is of an ignore.
    pub rule: Option<String>,
    /// Its line in the mapping.
    pub line: usize,
    /// The template.
    pub template: Template,
    /// Where the name stops fitting.
    pub departure: Departure,
}

/// Explains a name. `references` are the reference's names, by which placeholders are counted; without them only given
/// lengths are known.
pub fn explain(mapping: &Mapping, side: Side, name: &str, references: Option<&[String]>) -> NameExplanation {
    let rules = rules_taking(mapping, side, name, references);
    let ignores = ignores_taking(mapping, side, name);
    let near = if rules.is_empty() && ignores.is_empty() { nearest(mapping, side, name) } else { Vec::new() };
    NameExplanation { side, name: name.to_string(), rules, ignores, near }
}

/// How many values the flattened placeholders have, where that is known.
fn lengths(mapping: &Mapping, references: Option<&[String]>) -> BTreeMap<String, Lengths> {
    let known = mapping.placeholders.iter().filter(|(_, flattened)| {
        references.is_some() || matches!(flattened.lengths, LengthsSource::Given(_))
    });
    let names = || references.unwrap_or_default().iter().map(String::as_str);
    known.map(|(name, flattened)| (name.clone(), Lengths::of(flattened, names()))).collect()
}

fn rules_taking(mapping: &Mapping, side: Side, name: &str, references: Option<&[String]>) -> Vec<RuleTaking> {
    let lengths = lengths(mapping, references);
    let known: BTreeMap<_, _> = mapping
        .placeholders
        .iter()
        .filter(|(name, _)| lengths.contains_key(*name))
        .map(|(name, flattened)| (name.clone(), flattened.clone()))
        .collect();
    let mut taking = Vec::new();
    for rule in &mapping.rules {
        for template in rule.names(side) {
            let Some(written) = template.matches(name) else { continue };
            let (numbers, beyond) = match expand(written.clone(), &known, &lengths) {
                Some(numbers) => (numbers, false),
                None => (written, true),
            };
            let others = rule.names(side.other());
            let mut uncounted: Vec<String> = others
                .iter()
                .flat_map(Template::placeholders)
                .filter(|name| !numbers.contains(name))
                .map(String::from)
                .collect();
            uncounted.dedup();
            let partner = |other: &Template| other.render(&numbers).unwrap_or_else(|| other.to_string());
            taking.push(RuleTaking {
                rule: rule.name.clone(),
                line: position(&mapping.text, rule.span.start).0,
                template: template.clone(),
                partners: others.iter().map(partner).collect(),
                numbers,
                uncounted,
                beyond,
                candidate_layout: rule.candidate_layout.clone(),
                reference_layout: rule.reference_layout.clone(),
            });
        }
    }
    taking
}

fn ignores_taking(mapping: &Mapping, side: Side, name: &str) -> Vec<IgnoreTaking> {
    let of_side = mapping.ignores.iter().filter(|ignore| ignore.side == side);
    of_side
        .filter_map(|ignore| {
            let (template, numbers) =
                ignore.names.iter().find_map(|template| Some((template, template.matches(name)?)))?;
            let rendered = |same: &Template| same.render(&numbers).unwrap_or_else(|| same.to_string());
            Some(IgnoreTaking {
                line: ignore.line,
                template: template.clone(),
                reason: ignore.reason.clone(),
                when_identical_to: ignore.when_identical_to.iter().map(rendered).collect(),
            })
        })
        .collect()
}

/// The templates of a side that are most like a name, in how far they fit or in how they are spelt.
fn nearest(mapping: &Mapping, side: Side, name: &str) -> Vec<NearTemplate> {
    let of_rules = mapping.rules.iter().flat_map(|rule| {
        let line = position(&mapping.text, rule.span.start).0;
        rule.names(side).iter().map(move |template| (Some(&rule.name), line, template))
    });
    let of_side = mapping.ignores.iter().filter(|ignore| ignore.side == side);
    let of_ignores =
        of_side.flat_map(|ignore| ignore.names.iter().map(|template| (None, ignore.line, template)));
    let mut near: Vec<(f64, NearTemplate)> = of_rules
        .chain(of_ignores)
        .filter_map(|(rule, line, template)| {
            let departure = template.departure(name)?;
            let fits = departure.at as f64 / name.len().max(1) as f64;
            let alike = strsim::normalized_levenshtein(name, &template.sample(0));
            let (rule, template) = (rule.cloned(), template.clone());
            Some((fits + alike, NearTemplate { side, rule, line, template, departure }))
        })
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.into_iter().take(NEAREST).map(|(_, near)| near).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use super::*;
    use crate::mapping::template::ExpectedPart;

    /// A mapping that has every kind of name.
    pub(crate) const TEXT: &str = r#"schema_version = 1
name = "test"
candidate = { files = "{name}.npy", layout = "b h w c" }
reference = { files = "{name}.npy", layout = "b c h w" }

[placeholders.block]
flatten = ["stage", "index"]
lengths_from = "blocks.{stage}.{index}"

[[rule]]
name = "norm"
candidate = ["block_{block}_norm", "block_{block}_rms"]
reference = "blocks.{stage}.{index}.norm"

[[ignore]]
side = "reference"
names = ["blocks.{stage}.{index}.drop"]
when_identical_to = "blocks.{stage}.{index}.norm"
reason = "hands its input on"

[profile.f32]
description = "f32"
limits = { rel_l2 = 1e-6 }
"#;

    fn explained(side: Side, name: &str, references: Option<&[String]>) -> NameExplanation {
        let mapping = Mapping::parse(Path::new("test.toml"), TEXT.to_string()).unwrap();
        explain(&mapping, side, name, references)
    }

    fn references() -> Vec<String> {
        ["blocks.0.0", "blocks.0.1", "blocks.1.0", "blocks.1.1"].map(String::from).to_vec()
    }

    #[test]
    fn a_rule_that_takes_it_and_the_partner() {
        let found = explained(Side::Candidate, "block_3_rms", Some(&references()));
        let [rule] = found.rules.as_slice() else { panic!("{found:?}") };
        assert_eq!((rule.rule.as_str(), rule.line), ("norm", 11));
        assert_eq!(rule.partners, ["blocks.1.1.norm"]);
        assert_eq!(rule.numbers.number("stage"), Some(1));
        assert!(rule.uncounted.is_empty() && !rule.beyond);
        let back = explained(Side::Reference, "blocks.1.1.norm", Some(&references()));
        assert_eq!(back.rules[0].partners, ["block_3_norm", "block_3_rms"]);
    }

    #[test]
    fn without_a_reference_nothing_is_counted() {
        let found = explained(Side::Candidate, "block_3_rms", None);
        assert_eq!(found.rules[0].partners, ["blocks.{stage}.{index}.norm"]);
        assert_eq!(found.rules[0].uncounted, ["stage", "index"]);
    }

    #[test]
    fn numbers_beyond_those_of_the_reference() {
        assert!(explained(Side::Candidate, "block_4_rms", Some(&references())).rules[0].beyond);
    }

    #[test]
    fn an_ignore_that_lists_it() {
        let found = explained(Side::Reference, "blocks.0.1.drop", None);
        assert_eq!(found.ignores[0].when_identical_to, ["blocks.0.1.norm"]);
        assert!(found.rules.is_empty() && found.near.is_empty());
    }

    #[test]
    fn what_nearly_takes_it() {
        let found = explained(Side::Candidate, "block_3_nrm", None);
        assert_eq!(found.near[0].template.to_string(), "block_{block}_norm");
        assert_eq!(found.near[0].departure, Departure { at: 9, expected: ExpectedPart::Text("orm".into()) });
    }
}
