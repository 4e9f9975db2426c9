//! From the file as written to a mapping that is sound, or every mistake in it.

mod limits;
mod placeholders;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use placeholders::follow;
use toml::Spanned;

use super::conflict;
use super::definition::{Mapping, MinimumCoverage, Profile, SideFormat};
use super::file::{
    File, FileIgnore, FileOrderPart, FileRule, FileSide, Names, SCHEMA_VERSION, TwoByteIntegers, located,
};
use super::mistake::{MappingMistake, MappingMistakeKind, position};
use super::placeholder::Placeholders;
use super::rule::{Alias, Ignore, OrderPart, Rule};
use super::template::{Template, Wildcards};
use crate::side::Side;
use crate::tensor::Dtype;
use crate::tensor::layout::Layout;

pub(super) fn check(path: &Path, text: &str, file: File) -> Result<Mapping, Vec<MappingMistake>> {
    let mut checker = Checker { text, mistakes: Vec::new() };
    checker.version(&file.schema_version);
    let candidate = checker.side(&file.candidate);
    let reference = checker.side(&file.reference);
    let placeholders = checker.placeholders(&file);
    if !checker.mistakes.is_empty() {
        // What stands on these would only repeat them.
        return Err(checker.mistakes);
    }
    let profiles = checker.profiles(&file.profiles);
    let layouts = [checker.layout(&file.candidate.layout), checker.layout(&file.reference.layout)];
    let rules: Vec<Rule> = match layouts {
        [Some(candidate), Some(reference)] => file
            .rules
            .iter()
            .filter_map(|rule| checker.rule(rule, [&candidate, &reference], &placeholders, &profiles))
            .collect(),
        _ => Vec::new(),
    };
    let ignores: Vec<Ignore> =
        file.ignores.iter().filter_map(|ignore| checker.ignore(ignore, &placeholders, &rules)).collect();
    if file.rules.is_empty() {
        checker.mistake(0..0, MappingMistakeKind::NoRules);
    }
    if file.profiles.is_empty() {
        checker.mistake(0..0, MappingMistakeKind::NoProfiles);
    }
    if checker.mistakes.is_empty() {
        checker.mistakes = conflict::conflicts(&rules, &ignores);
    }
    if !checker.mistakes.is_empty() {
        checker.mistakes.sort_by_key(|mistake| mistake.place.start);
        return Err(checker.mistakes);
    }
    Ok(Mapping {
        path: path.to_path_buf(),
        text: text.to_string(),
        name: file.name,
        candidate,
        reference,
        coverage: MinimumCoverage { layers: file.coverage.min_layers, elements: file.coverage.min_elements },
        placeholders,
        rules,
        ignores,
        profiles,
    })
}

struct Checker<'a> {
    text: &'a str,
    mistakes: Vec<MappingMistake>,
}

impl Checker<'_> {
    fn mistake(&mut self, place: Range<usize>, kind: MappingMistakeKind) {
        self.mistakes.push(MappingMistake { place, kind });
    }

    fn version(&mut self, version: &Spanned<u32>) {
        if *version.get_ref() != SCHEMA_VERSION {
            self.mistake(version.span(), MappingMistakeKind::Version { found: *version.get_ref() });
        }
    }

    fn side(&mut self, side: &FileSide) -> SideFormat {
        let files = side.files.get_ref();
        let one_file = files.matches("{name}").count() == 1
            && files.ends_with(".npy")
            && !files.contains(['/', '\\'])
            && !files.replacen("{name}", "", 1).contains(['{', '}']);
        if !one_file {
            self.mistake(side.files.span(), MappingMistakeKind::FilePattern);
        }
        let two_byte_integers = side.two_byte_integers.map(|dtype| match dtype {
            TwoByteIntegers::Bf16 => Dtype::Bf16,
            TwoByteIntegers::F16 => Dtype::F16,
        });
        SideFormat { tool: side.tool.clone(), files: files.clone(), two_byte_integers }
    }

    /// The range of the file that `inner` of a string's value stands at.
    fn inside(&self, value: &Spanned<String>, inner: Range<usize>) -> Range<usize> {
        let span = value.span();
        let quoted = self.text.get(span.start + 1..span.end.saturating_sub(1));
        // A string with escapes, or between three quotes, is underlined as a whole.
        if quoted != Some(value.get_ref().as_str()) {
            return span;
        }
        span.start + 1 + inner.start
            ..span.start + 1 + inner.end.max(inner.start + 1).min(value.get_ref().len() + 1)
    }

    fn layout(&mut self, value: &Spanned<String>) -> Option<Layout> {
        Layout::parse(value.get_ref())
            .map_err(|error| {
                let range = self.inside(value, error.offset..error.offset + 1);
                self.mistake(range, MappingMistakeKind::Layout { message: error.message });
            })
            .ok()
    }

    fn template(&mut self, value: &Spanned<String>, wildcards: Wildcards) -> Option<Template> {
        Template::parse(value.get_ref(), wildcards)
            .map_err(|error| {
                let range = self.inside(value, error.range);
                self.mistake(range, MappingMistakeKind::Name { message: error.message });
            })
            .ok()
    }

    /// Names with their templates.
    fn templates(&mut self, names: &Names, wildcards: Wildcards) -> Option<Vec<(Spanned<String>, Template)>> {
        let located = located(names, self.text);
        if located.is_empty() {
            self.mistake(names.span(), MappingMistakeKind::NoNames);
            return None;
        }
        let parse = |name: Spanned<String>| self.template(&name, wildcards).map(|template| (name, template));
        let parsed: Vec<Option<_>> = located.into_iter().map(parse).collect();
        parsed.into_iter().collect()
    }

    fn rule(
        &mut self,
        written: &FileRule,
        [candidate_layout, reference_layout]: [&Layout; 2],
        placeholders: &Placeholders,
        profiles: &BTreeMap<String, Profile>,
    ) -> Option<Rule> {
        let span = written.name.span();
        let candidates = self.templates(&written.candidate, Wildcards::Refused);
        let reference = self.template(&written.reference, Wildcards::Refused);
        let (candidates, reference) = (candidates?, reference?);
        for (name, template) in &candidates {
            self.both_determined((name, template), (&written.reference, &reference), placeholders);
        }
        let alias = match &written.alias {
            None => None,
            Some(alias) => {
                let names = self.templates(&alias.candidate, Wildcards::Refused)?;
                let same = self.template(&alias.when_identical_to, Wildcards::Refused)?;
                for (name, template) in &names {
                    self.determined(name, template, &reference, placeholders);
                }
                self.determined(&alias.when_identical_to, &same, &reference, placeholders);
                let (candidates, reason) = (without_places(names), alias.reason.clone());
                Some(Alias { candidates, when_identical_to: same, reason })
            }
        };
        if let (Some(layout), Some(other)) =
            (&written.layout, written.candidate_layout.as_ref().or(written.reference_layout.as_ref()))
        {
            self.mistake(layout.span(), MappingMistakeKind::TwoLayouts { other: other.span() });
        }
        let mut side = |own: &Option<Spanned<String>>, default: &Layout| match own
            .as_ref()
            .or(written.layout.as_ref())
        {
            Some(value) => self.layout(value),
            None => Some(default.clone()),
        };
        let candidate_layout = side(&written.candidate_layout, candidate_layout)?;
        let reference_layout = side(&written.reference_layout, reference_layout)?;
        if !candidate_layout.same_axes(&reference_layout) {
            let (candidate, reference) = (candidate_layout.clone(), reference_layout.clone());
            self.mistake(span.clone(), MappingMistakeKind::DifferentAxes { candidate, reference });
        }
        let mut limits = BTreeMap::new();
        for (profile, own) in &written.limits {
            if !profiles.contains_key(profile.get_ref()) {
                let (found, known) = (profile.get_ref().clone(), profiles.keys().cloned().collect());
                self.mistake(profile.span(), MappingMistakeKind::UnknownProfile { found, known });
            }
            limits.extend(self.limits(own).map(|own| (profile.get_ref().clone(), own)));
        }
        let order = self.order(written, &reference, placeholders);
        Some(Rule {
            name: written.name.get_ref().clone(),
            candidates: without_places(candidates),
            reference,
            candidate_layout,
            reference_layout,
            may_be_unused: written.may_be_unused,
            reference_optional: written.reference_optional,
            alias,
            order,
            limits,
            span,
        })
    }

    /// What a rule's tensors are ordered by, where the file says it.
    fn order(
        &mut self,
        written: &FileRule,
        reference: &Template,
        placeholders: &Placeholders,
    ) -> Vec<OrderPart> {
        let Some(order) = &written.order else { return Vec::new() };
        let known = follow(reference.placeholders(), placeholders);
        let mut parts = Vec::new();
        for part in order.get_ref().clone() {
            match part {
                FileOrderPart::Number(number) => parts.push(OrderPart::Number(number)),
                FileOrderPart::Placeholder(name) if known.contains(name.as_str()) => {
                    parts.push(OrderPart::Placeholder(name));
                }
                FileOrderPart::Placeholder(found) => {
                    let known = known.iter().map(ToString::to_string).collect();
                    self.mistake(order.span(), MappingMistakeKind::Order { found, known });
                }
            }
        }
        parts
    }

    fn ignore(
        &mut self,
        written: &FileIgnore,
        placeholders: &Placeholders,
        rules: &[Rule],
    ) -> Option<Ignore> {
        let reason = &written.reason;
        if reason.get_ref().trim().is_empty() {
            self.mistake(reason.span(), MappingMistakeKind::EmptyReason);
        }
        let names = self.templates(&written.names, Wildcards::Allowed)?;
        let used = rules.iter().flat_map(|rule| rule.candidates.iter().chain([&rule.reference]));
        let known = follow(used.flat_map(Template::placeholders), placeholders);
        for (value, template) in &names {
            if let Some(unknown) = template.placeholders().find(|name| !known.contains(name)) {
                let range = self.span_of(value, unknown);
                let (found, known) = (unknown.to_string(), known.iter().map(ToString::to_string).collect());
                self.mistake(range, MappingMistakeKind::UnknownPlaceholder { found, known, other: None });
            }
        }
        let mut when_identical_to = Vec::new();
        if let Some(same) = &written.when_identical_to {
            if written.side == Side::Candidate {
                self.mistake(same.span(), MappingMistakeKind::IdentityOfCandidate);
            }
            when_identical_to = self.templates(same, Wildcards::Refused)?;
            for (value, template) in &when_identical_to {
                for (_, name) in &names {
                    self.determined(value, template, name, placeholders);
                }
            }
        }
        let span = written.names.span();
        let (line, _) = position(self.text, span.start);
        let reason = reason.get_ref().trim().to_string();
        let (names, when_identical_to) = (without_places(names), without_places(when_identical_to));
        Some(Ignore { side: written.side, names, when_identical_to, reason, line, span })
    }
}

fn without_places(names: Vec<(Spanned<String>, Template)>) -> Vec<Template> {
    names.into_iter().map(|(_, template)| template).collect()
}
