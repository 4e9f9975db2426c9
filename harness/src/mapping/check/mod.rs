//! From the file as written to a mapping that is sound, or every mistake in it.

mod limits;
mod placeholders;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use placeholders::follow;
use toml::Spanned;

use super::conflict;
use super::definition::{InputNames, Mapping, MinimumCoverage, Profile, SideFormat};
use super::file::{
    File, FileCall, FileCallRule, FileIgnore, FileOrderPart, FileRule, FileSide, Names, SCHEMA_VERSION,
    TwoByteIntegers, located,
};
use super::mistake::{MappingMistake, MappingMistakeKind};
use super::placeholder::Placeholders;
use super::rule::{Alias, Ignore, OrderPart, Rule};
use super::template::{Template, Wildcards};
use crate::bounds;
use crate::side::Side;
use crate::store::{CallChoice, Naming, ReadAs};
use crate::tensor::Dtype;
use crate::tensor::layout::Layout;

pub(super) fn check(path: &Path, text: &str, file: File) -> Result<Mapping, Vec<MappingMistake>> {
    let line_starts = [0].into_iter().chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let mut checker = Checker { text, line_starts, mistakes: Vec::new(), separators: Default::default() };
    checker.version(&file.schema_version);
    let candidate = checker.side(&file.candidate);
    let reference = checker.side(&file.reference);
    checker.counts(&file);
    checker.separators = [candidate.naming.separators.clone(), reference.naming.separators.clone()];
    let placeholders = checker.placeholders(&file);
    if !checker.mistakes.is_empty() {
        // What stands on these would only repeat them.
        return Err(checker.told());
    }
    let profiles = checker.profiles(&file.profiles);
    let mut input = InputNames::default();
    let rules: Vec<Rule> = match checker.side_layouts(&file) {
        Some(layouts) => {
            input = checker.input(&file, &layouts);
            let rules = file.rules.iter();
            rules.filter_map(|rule| checker.rule(rule, &layouts, &placeholders, &profiles)).collect()
        }
        None => Vec::new(),
    };
    let counted = rules.iter().flat_map(|rule| rule.candidates.iter().chain([&rule.reference]));
    let counted = follow(counted.flat_map(Template::placeholders), &placeholders);
    let ignores: Vec<Ignore> =
        file.ignores.iter().filter_map(|ignore| checker.ignore(ignore, &placeholders, &counted)).collect();
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
        return Err(checker.told());
    }
    Ok(Mapping {
        path: path.to_path_buf(),
        text: text.to_string(),
        name: file.name,
        candidate,
        reference,
        rules_in_order: file.rules_in_order != Some(false),
        input,
        coverage: MinimumCoverage { layers: file.coverage.min_layers, elements: file.coverage.min_elements },
        placeholders,
        rules,
        ignores,
        profiles,
    })
}

/// The layouts of both sides, for rules without their own.
struct SideLayouts {
    candidate: Layout,
    memory: Option<Layout>,
    reference: Layout,
    /// Whether they have the same axes.
    agree: bool,
}

/// Two layouts, of which one may leave out the batch axis that the other has.
fn with_batches(candidate: Layout, reference: Layout) -> [Layout; 2] {
    let batch = |layout: &Layout| layout.batch().and_then(|at| layout.axes().nth(at).map(String::from));
    match (batch(&candidate), batch(&reference)) {
        (None, Some(batch)) if candidate.behind(&batch).same_axes(&reference) => {
            [candidate.behind(&batch), reference]
        }
        (Some(batch), None) if reference.behind(&batch).same_axes(&candidate) => {
            let reference = reference.behind(&batch);
            [candidate, reference]
        }
        _ => [candidate, reference],
    }
}

struct Checker<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
    mistakes: Vec<MappingMistake>,
    /// Those that count as one, of the candidate and of the reference.
    separators: [Vec<char>; 2],
}

impl Checker<'_> {
    fn mistake(&mut self, place: Range<usize>, kind: MappingMistakeKind) {
        self.mistakes.push(MappingMistake { place, kind });
    }

    /// The first mistakes of the file, and how many more there are.
    fn told(mut self) -> Vec<MappingMistake> {
        self.mistakes.sort_by_key(|mistake| mistake.place.start);
        if let Some(more) = self.mistakes.len().checked_sub(bounds::MISTAKES).filter(|more| *more > 0) {
            let place = self.mistakes[bounds::MISTAKES].place.clone();
            self.mistakes.truncate(bounds::MISTAKES);
            self.mistake(place, MappingMistakeKind::More { more });
        }
        self.mistakes
    }

    /// Refuses more rules, ignores or names than any model needs.
    fn counts(&mut self, file: &File) {
        let most = |of, found: usize, most: usize| {
            (found > most).then_some(MappingMistakeKind::TooMany { of, found, most })
        };
        let too_many = [
            most("rules", file.rules.len(), bounds::RULES),
            most("ignores", file.ignores.len(), bounds::IGNORES),
        ];
        too_many.into_iter().flatten().for_each(|kind| self.mistake(0..0, kind));
        let of_rules = file.rules.iter().map(|rule| &rule.candidate);
        for names in of_rules.chain(file.ignores.iter().map(|ignore| &ignore.names)) {
            if let Some(kind) = most("names", names.get_ref().len(), bounds::NAMES) {
                self.mistake(names.span(), kind);
            }
        }
    }

    /// The line of a byte of the file, from 1.
    fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    fn version(&mut self, version: &Spanned<u32>) {
        if *version.get_ref() != SCHEMA_VERSION {
            self.mistake(version.span(), MappingMistakeKind::Version { found: *version.get_ref() });
        }
    }

    fn side(&mut self, side: &FileSide) -> SideFormat {
        let mut patterns = Vec::new();
        for pattern in located(&side.files, self.text) {
            if !is_file_pattern(pattern.get_ref()) {
                self.mistake(pattern.span(), MappingMistakeKind::FilePattern);
            }
            patterns.push(pattern.into_inner());
        }
        if patterns.is_empty() {
            self.mistake(side.files.span(), MappingMistakeKind::FilePattern);
        }
        let prefixes = side.prefix.as_ref().map(|prefix| located(prefix, self.text)).unwrap_or_default();
        let call = match side.call.as_ref().map(Spanned::get_ref) {
            None => CallChoice::Unchosen,
            Some(FileCall::Number(number)) => CallChoice::Number(*number),
            Some(FileCall::Rule(FileCallRule::Last)) => CallChoice::Last,
            Some(FileCall::Rule(FileCallRule::MustAgree)) => CallChoice::MustAgree,
        };
        if let Some(call) = side.call.as_ref().filter(|_| !patterns.iter().any(|p| p.contains("{call}"))) {
            self.mistake(call.span(), MappingMistakeKind::CallWithoutPattern);
        }
        let naming = Naming {
            patterns,
            prefixes: prefixes.into_iter().map(Spanned::into_inner).collect(),
            separators: self.separators(side.separators.as_ref()),
            call,
        };
        let two_byte_integers = side.two_byte_integers.map(|dtype| match dtype {
            TwoByteIntegers::Bf16 => Dtype::Bf16,
            TwoByteIntegers::F16 => Dtype::F16,
        });
        let read_as = ReadAs { two_byte_integers, reversed_extents: side.extents.is_some() };
        SideFormat { tool: side.tool.clone(), naming, names_cut_at: side.names_cut_at, read_as }
    }

    fn separators(&mut self, written: Option<&Spanned<String>>) -> Vec<char> {
        let Some(written) = written else { return Vec::new() };
        let separators: Vec<char> = written.get_ref().chars().collect();
        let separates = |c: &char| c.is_ascii_punctuation() && !"{}*+".contains(*c);
        if separators.len() < 2 || !separators.iter().all(separates) {
            self.mistake(written.span(), MappingMistakeKind::Separators);
        }
        separators
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

    /// The names of the input, with one separator for all.
    fn input(&mut self, file: &File, layouts: &SideLayouts) -> InputNames {
        let Some(written) = &file.input else { return InputNames::default() };
        let mut names = |side, names: Option<&Names>| -> Vec<String> {
            let templates = names.and_then(|names| self.templates(side, names, Wildcards::Refused));
            templates.into_iter().flatten().map(|(_, template)| template.sample(0)).collect()
        };
        InputNames {
            candidate: names(Side::Candidate, Some(&written.candidate)),
            reference: names(Side::Reference, written.reference.as_ref()),
            layouts: Some((layouts.candidate.clone(), layouts.reference.clone())),
        }
    }

    /// The layouts that rules without their own have. Where their axes differ, that is one mistake, at the layout's line.
    fn side_layouts(&mut self, file: &File) -> Option<SideLayouts> {
        let (candidate, reference) =
            (self.layout(&file.candidate.layout), self.layout(&file.reference.layout));
        if let Some(memory) = &file.reference.memory {
            self.mistake(memory.span(), MappingMistakeKind::MemoryOfReference);
        }
        let memory = match &file.candidate.memory {
            Some(memory) => Some(self.layout(memory)?),
            None => None,
        };
        let [candidate, reference] = with_batches(candidate?, reference?);
        let agree = memory.as_ref().unwrap_or(&candidate).same_axes(&reference);
        if !agree {
            let place = file.candidate.memory.as_ref().unwrap_or(&file.candidate.layout).span();
            let (candidate, reference) = (memory.clone().unwrap_or(candidate.clone()), reference.clone());
            self.mistake(place, MappingMistakeKind::DifferentAxes { candidate, reference });
        }
        Some(SideLayouts { candidate, memory, reference, agree })
    }

    fn template(&mut self, side: Side, value: &Spanned<String>, wildcards: Wildcards) -> Option<Template> {
        let separators = match side {
            Side::Candidate => self.separators[0].clone(),
            Side::Reference => self.separators[1].clone(),
        };
        Template::parse(value.get_ref(), wildcards)
            .map(|template| template.with_one_separator(&separators))
            .map_err(|error| {
                let range = self.inside(value, error.range);
                self.mistake(range, MappingMistakeKind::Name { message: error.message });
            })
            .ok()
    }

    /// Names with their templates.
    fn templates(
        &mut self,
        side: Side,
        names: &Names,
        wildcards: Wildcards,
    ) -> Option<Vec<(Spanned<String>, Template)>> {
        let located = located(names, self.text);
        if located.is_empty() {
            self.mistake(names.span(), MappingMistakeKind::NoNames);
            return None;
        }
        let parse =
            |name: Spanned<String>| self.template(side, &name, wildcards).map(|template| (name, template));
        let parsed: Vec<Option<_>> = located.into_iter().map(parse).collect();
        parsed.into_iter().collect()
    }

    fn rule(
        &mut self,
        written: &FileRule,
        sides: &SideLayouts,
        placeholders: &Placeholders,
        profiles: &BTreeMap<String, Profile>,
    ) -> Option<Rule> {
        let span = written.name.span();
        let candidates = self.templates(Side::Candidate, &written.candidate, Wildcards::Refused);
        let reference = self.template(Side::Reference, &written.reference, Wildcards::Refused);
        let (candidates, reference) = (candidates?, reference?);
        for (name, template) in &candidates {
            self.both_determined((name, template), (&written.reference, &reference), placeholders);
        }
        let alias = match &written.alias {
            None => None,
            Some(alias) => {
                let names = self.templates(Side::Candidate, &alias.candidate, Wildcards::Refused)?;
                let same = self.template(Side::Reference, &alias.when_identical_to, Wildcards::Refused)?;
                for (name, template) in &names {
                    self.determined(name, template, &reference, placeholders);
                }
                self.determined(&alias.when_identical_to, &same, &reference, placeholders);
                let (candidates, reason) = (without_places(names), alias.reason.as_deref().map(in_one_line));
                Some(Alias { candidates, when_identical_to: same, reason })
            }
        };
        let mut absent_with = Vec::new();
        if let Some(written) = &written.absent_with {
            let names = self.templates(Side::Candidate, written, Wildcards::Refused)?;
            for (name, template) in &names {
                self.determined(name, template, &reference, placeholders);
            }
            absent_with = without_places(names);
        }
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
        let candidate_layout = side(&written.candidate_layout, &sides.candidate)?;
        let reference_layout = side(&written.reference_layout, &sides.reference)?;
        let candidate_memory = match &written.candidate_memory {
            Some(memory) => Some(self.layout(memory)?),
            // The side's is of the side's own layout.
            None => sides.memory.clone().filter(|memory| memory.same_axes(&reference_layout)),
        };
        let [candidate_layout, reference_layout] = with_batches(candidate_layout, reference_layout);
        let own = written.layout.is_some()
            || written.candidate_layout.is_some()
            || written.reference_layout.is_some()
            || written.candidate_memory.is_some();
        let read_as = candidate_memory.as_ref().unwrap_or(&candidate_layout);
        if (own || sides.agree) && !read_as.same_axes(&reference_layout) {
            let place = written.candidate_memory.as_ref().or(written.candidate_layout.as_ref());
            let place = place.or(written.layout.as_ref()).map_or(span.clone(), Spanned::span);
            let (candidate, reference) = (read_as.clone(), reference_layout.clone());
            self.mistake(place, MappingMistakeKind::DifferentAxes { candidate, reference });
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
            candidate_memory,
            own_layout: own,
            reference_layout,
            may_be_unused: written.may_be_unused,
            reference_optional: written.reference_optional,
            absent_with,
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
        known: &BTreeSet<&str>,
    ) -> Option<Ignore> {
        let reason = &written.reason;
        if reason.get_ref().trim().is_empty() {
            self.mistake(reason.span(), MappingMistakeKind::EmptyReason);
        }
        let names = self.templates(written.side, &written.names, Wildcards::Allowed)?;
        for (value, template) in &names {
            // A word needs no rule: as `*`, it says only which names are meant.
            if let Some(unknown) = template.numbers().find(|name| !known.contains(name)) {
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
            when_identical_to = self.templates(Side::Reference, same, Wildcards::Refused)?;
            for (value, template) in &when_identical_to {
                for (_, name) in &names {
                    self.determined(value, template, name, placeholders);
                }
            }
        }
        let span = written.names.span();
        let line = self.line(span.start);
        let reason = in_one_line(reason.get_ref());
        let (names, when_identical_to) = (without_places(names), without_places(when_identical_to));
        Some(Ignore { side: written.side, names, when_identical_to, reason, line, span })
    }
}

/// A text that may have several lines in the file, in one.
fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a text is a pattern of file names: `{name}` once, and at most once a `{call}` that does not touch it.
fn is_file_pattern(text: &str) -> bool {
    let rest = text.replacen("{name}", "\0", 1).replacen("{call}", "\u{1}", 1);
    text.contains("{name}")
        && !rest.contains(['{', '}', '\\'])
        && !rest.contains("\0\u{1}")
        && !rest.contains("\u{1}\0")
}

fn without_places(names: Vec<(Spanned<String>, Template)>) -> Vec<Template> {
    names.into_iter().map(|(_, template)| template).collect()
}
