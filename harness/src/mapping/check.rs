//! From the file as written to a mapping that is sound, or every mistake in it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use toml::Spanned;

use super::conflict;
use super::file::{
    File, FileIgnore, FileLimits, FileProfile, FileRule, FileSide, Names, TwoByteIntegers, located,
};
use super::finding::{Finding, position, suggestion};
use super::placeholder::LengthsSource;
use super::{
    Alias, Flattened, Ignore, Mapping, MinimumCoverage, Placeholders, Profile, Rule, SCHEMA_VERSION, Side,
    SideFormat,
};
use crate::layout::Layout;
use crate::template::{Template, Wildcards};
use crate::tensor::Dtype;
use crate::tolerance::Limits;

/// More blocks than any model has; keeps sums of lengths small.
const MAX_LENGTH: u64 = 1_000_000_000;

pub(super) fn check(path: &Path, text: &str, file: File) -> Result<Mapping, Vec<Finding>> {
    let mut checker = Checker { text, findings: Vec::new() };
    checker.version(&file.schema_version);
    let candidate = checker.side(&file.candidate);
    let reference = checker.side(&file.reference);
    let placeholders = checker.placeholders(&file);
    if !checker.findings.is_empty() {
        // What stands on these would only repeat them.
        return Err(checker.findings);
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
        checker.findings.push(
            Finding::error(0..0, "a mapping without rules compares nothing", "no [[rule]] in this file")
                .help("mappings/README.md describes them"),
        );
    }
    if file.profiles.is_empty() {
        checker.findings.push(
            Finding::error(
                0..0,
                "a mapping without profiles allows nothing",
                "no [profile.<name>] in this file",
            )
            .help("mappings/README.md describes them"),
        );
    }
    if checker.findings.is_empty() {
        checker.findings = conflict::conflicts(&rules, &ignores);
    }
    if !checker.findings.is_empty() {
        checker.findings.sort_by_key(|finding| finding.labels.first().map_or(0, |(span, _)| span.start));
        return Err(checker.findings);
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
    findings: Vec<Finding>,
}

impl Checker<'_> {
    fn version(&mut self, version: &Spanned<u32>) {
        if *version.get_ref() != SCHEMA_VERSION {
            let label = format!("expected {SCHEMA_VERSION}, found {}", version.get_ref());
            self.findings.push(Finding::error(version.span(), "another version of the schema", label));
        }
    }

    fn side(&mut self, side: &FileSide) -> SideFormat {
        let files = side.files.get_ref();
        let one_file = files.matches("{name}").count() == 1
            && files.ends_with(".npy")
            && !files.contains(['/', '\\'])
            && !files.replacen("{name}", "", 1).contains(['{', '}']);
        if !one_file {
            self.findings.push(
                Finding::error(
                    side.files.span(),
                    "not a pattern of file names",
                    "expected `{name}` once, and `.npy`",
                )
                .help("such as `debug_{name}.npy`"),
            );
        }
        let two_byte_integers = side.two_byte_integers.map(|dtype| match dtype {
            TwoByteIntegers::Bf16 => Dtype::Bf16,
            TwoByteIntegers::F16 => Dtype::F16,
        });
        SideFormat { files: files.clone(), two_byte_integers }
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
                let finding = Finding::error(range, "not a layout", error.message);
                self.findings.push(finding.help("names of axes, slowest first: `b c h w`, `b (h w) c`"));
            })
            .ok()
    }

    fn template(&mut self, value: &Spanned<String>, wildcards: Wildcards) -> Option<Template> {
        Template::parse(value.get_ref(), wildcards)
            .map_err(|error| {
                let range = self.inside(value, error.range);
                self.findings.push(Finding::error(range, "not a name", error.message));
            })
            .ok()
    }

    /// Names with their templates.
    fn templates(&mut self, names: &Names, wildcards: Wildcards) -> Option<Vec<(Spanned<String>, Template)>> {
        let located = located(names, self.text);
        if located.is_empty() {
            self.findings.push(Finding::error(names.span(), "an empty list of names", "takes nothing"));
            return None;
        }
        let parse = |name: Spanned<String>| self.template(&name, wildcards).map(|template| (name, template));
        let parsed: Vec<Option<_>> = located.into_iter().map(parse).collect();
        parsed.into_iter().collect()
    }

    fn placeholders(&mut self, file: &File) -> Placeholders {
        let mut placeholders = Placeholders::new();
        for (name, written) in &file.placeholders {
            let [outer, inner] = written.flatten.get_ref();
            let bad = outer == inner
                || [outer, inner]
                    .iter()
                    .any(|part| file.placeholders.keys().any(|known| known.get_ref() == part.get_ref()));
            if bad {
                self.findings.push(
                    Finding::error(
                        written.flatten.span(),
                        "a placeholder made of itself",
                        "expected two plain ones",
                    )
                    .help("such as `flatten = [\"stage\", \"index\"]`"),
                );
                continue;
            }
            let lengths = match (&written.lengths, &written.lengths_from) {
                (Some(lengths), None) => self.lengths(lengths),
                (None, Some(from)) => self.lengths_from(from, outer.get_ref(), inner.get_ref()),
                _ => {
                    self.findings.push(
                        Finding::error(name.span(), "how many there are is not told", "expected one of two keys").help(
                            "`lengths = [3, 5]` gives the numbers, `lengths_from = \"name_{outer}_{inner}\"` reads them \
                             off the reference's names",
                        ),
                    );
                    None
                }
            };
            if let Some(lengths) = lengths {
                let (outer, inner) = (outer.get_ref().clone(), inner.get_ref().clone());
                let span = written.lengths_from.as_ref().map_or(name.span(), Spanned::span);
                placeholders.insert(name.get_ref().clone(), Flattened { outer, inner, lengths, span });
            }
        }
        placeholders
    }

    fn lengths(&mut self, lengths: &Spanned<Vec<u64>>) -> Option<LengthsSource> {
        let total = lengths.get_ref().iter().try_fold(0u64, |sum, length| sum.checked_add(*length));
        if total.is_none_or(|total| total > MAX_LENGTH) {
            self.findings.push(Finding::error(
                lengths.span(),
                "absurd lengths",
                "expected numbers of blocks",
            ));
            return None;
        }
        Some(LengthsSource::Given(lengths.get_ref().clone()))
    }

    fn lengths_from(&mut self, from: &Spanned<String>, outer: &str, inner: &str) -> Option<LengthsSource> {
        let template = self.template(from, Wildcards::Refused)?;
        let used: BTreeSet<&str> = template.placeholders().collect();
        if used != BTreeSet::from([outer, inner]) {
            let label = format!("expected exactly `{{{outer}}}` and `{{{inner}}}`");
            self.findings.push(Finding::error(from.span(), "not the placeholders of `flatten`", label));
            return None;
        }
        Some(LengthsSource::ReferenceNames(template))
    }

    fn limits(&mut self, limits: &Spanned<FileLimits>) -> Option<Limits> {
        limits.get_ref().check().map_err(|name| self.not_a_limit(limits.span(), name)).ok()
    }

    fn not_a_limit(&mut self, span: Range<usize>, name: &str) {
        let label = format!("`{name}` is negative, not finite, or out of range");
        self.findings.push(Finding::error(span, "not a limit", label).help(
            "limits are figures of 0 or more (cosine: -1 to 1); times_floor holds factors of 1 to 100, at least one",
        ));
    }

    fn profiles(&mut self, written: &BTreeMap<Spanned<String>, FileProfile>) -> BTreeMap<String, Profile> {
        let mut profiles = BTreeMap::new();
        for (key, profile) in written {
            let name = key.get_ref().clone();
            let limits = profile.limits.as_ref().and_then(|limits| self.limits(limits)).unwrap_or_default();
            let times_floor = profile.times_floor.as_ref().and_then(|factors| {
                let checked = factors.get_ref().check();
                checked.map_err(|name| self.not_a_limit(factors.span(), name)).ok()
            });
            // A mean passes one wrong element, a cosine any factor.
            let bounds_every_element = limits.rel_linf.or(limits.max_abs).or(limits.rel_l2).is_some()
                || limits.atol.or(limits.rtol).is_some()
                || times_floor.is_some();
            if !bounds_every_element {
                self.findings.push(
                    Finding::error(
                        key.span(),
                        format!("profile `{name}` sees too little"),
                        "no limit that each element counts in",
                    )
                    .help("set `times_floor`, or one of rel_l2, rel_linf, max_abs, atol, rtol in `limits`"),
                );
            }
            if limits.outliers.is_some() && limits.atol.or(limits.rtol).is_none() {
                self.findings.push(Finding::error(
                    key.span(),
                    "`outliers` without `atol` or `rtol`",
                    "has no effect",
                ));
            }
            let description = profile.description.clone();
            profiles.insert(name.clone(), Profile { name, description, times_floor, limits });
        }
        profiles
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
                Some(Alias { candidates: without_places(names), when_identical_to: same })
            }
        };
        if let (Some(layout), Some(other)) =
            (&written.layout, written.candidate_layout.as_ref().or(written.reference_layout.as_ref()))
        {
            self.findings.push(
                Finding::error(layout.span(), "two layouts for one side", "stands for both sides")
                    .and(other.span(), "and so does this for one"),
            );
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
            let label = format!("`{candidate_layout}` and `{reference_layout}` name different axes");
            self.findings.push(Finding::error(span.clone(), "layouts that do not fit each other", label));
        }
        let mut limits = BTreeMap::new();
        for (profile, own) in &written.limits {
            if !profiles.contains_key(profile.get_ref()) {
                let help = suggestion(profile.get_ref(), profiles.keys().map(String::as_str));
                let message = format!("no profile `{}`", profile.get_ref());
                self.findings.push(Finding::error(profile.span(), message, "limits of a profile").help(help));
            }
            limits.extend(self.limits(own).map(|own| (profile.get_ref().clone(), own)));
        }
        Some(Rule {
            name: written.name.get_ref().clone(),
            candidates: without_places(candidates),
            reference,
            candidate_layout,
            reference_layout,
            may_be_unused: written.may_be_unused,
            reference_optional: written.reference_optional,
            alias,
            limits,
            span,
        })
    }

    /// The placeholders of each of two names must follow from those of the other.
    fn both_determined(
        &mut self,
        a: (&Spanned<String>, &Template),
        b: (&Spanned<String>, &Template),
        placeholders: &Placeholders,
    ) {
        let strange = |template: &Template, other: &Template| {
            template
                .placeholders()
                .any(|name| !declared(placeholders).contains(name) && other.placeholders().all(|o| o != name))
        };
        // A misspelt name keeps the other side's from following; only the misspelt one is named.
        let (strange_a, strange_b) = (strange(a.1, b.1), strange(b.1, a.1));
        if strange_a || !strange_b {
            self.determined(a.0, a.1, b.1, placeholders);
        }
        if strange_b || !strange_a {
            self.determined(b.0, b.1, a.1, placeholders);
        }
    }

    /// Every placeholder of `template` must follow from those of `other`.
    fn determined(
        &mut self,
        value: &Spanned<String>,
        template: &Template,
        other: &Template,
        placeholders: &Placeholders,
    ) {
        let known = follow(other.placeholders(), placeholders);
        let Some(unknown) = template.placeholders().find(|name| !known.contains(name)) else {
            return;
        };
        let finding = Finding::error(
            self.placeholder(value, unknown),
            format!("unknown placeholder `{unknown}`"),
            format!("does not follow from `{other}`"),
        )
        .help(suggestion(unknown, known.union(&declared(placeholders)).copied()));
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// Where a placeholder stands in a name.
    fn placeholder(&self, value: &Spanned<String>, name: &str) -> Range<usize> {
        let at = value.get_ref().find(&format!("{{{name}")).unwrap_or(0);
        let length = value.get_ref()[at..].find('}').map_or(0, |end| end + 1);
        self.inside(value, at..at + length)
    }

    fn ignore(
        &mut self,
        written: &FileIgnore,
        placeholders: &Placeholders,
        rules: &[Rule],
    ) -> Option<Ignore> {
        let reason = &written.reason;
        if reason.get_ref().trim().is_empty() {
            self.findings.push(
                Finding::error(reason.span(), "an ignore without a reason", "empty")
                    .help("say why nothing is lost when these tensors are not compared"),
            );
        }
        let names = self.templates(&written.names, Wildcards::Allowed)?;
        let used = rules.iter().flat_map(|rule| rule.candidates.iter().chain([&rule.reference]));
        let known = follow(used.flat_map(Template::placeholders), placeholders);
        for (value, template) in &names {
            if let Some(unknown) = template.placeholders().find(|name| !known.contains(name)) {
                let range = self.placeholder(value, unknown);
                let message = format!("unknown placeholder `{unknown}`");
                let help = suggestion(unknown, known.iter().copied());
                self.findings.push(Finding::error(range, message, "no rule has it").help(help));
            }
        }
        let mut when_identical_to = Vec::new();
        if let Some(same) = &written.when_identical_to {
            if written.side == Side::Candidate {
                let message = "`when_identical_to` on the candidate's side";
                self.findings.push(Finding::error(same.span(), message, "is for the reference's only").help(
                    "a candidate may still have to be computed when names are paired; ignore it by name",
                ));
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

/// The placeholders that the mapping declares.
fn declared(placeholders: &Placeholders) -> BTreeSet<&str> {
    let names = placeholders.iter();
    names.flat_map(|(name, flattened)| [name.as_str(), &flattened.outer, &flattened.inner]).collect()
}

/// The placeholders that follow from `given`.
fn follow<'a>(given: impl Iterator<Item = &'a str>, placeholders: &'a Placeholders) -> BTreeSet<&'a str> {
    let mut known: BTreeSet<&str> = given.collect();
    for (name, flattened) in placeholders {
        let (outer, inner) = (flattened.outer.as_str(), flattened.inner.as_str());
        if known.contains(name.as_str()) {
            known.extend([outer, inner]);
        }
        if known.contains(outer) && known.contains(inner) {
            known.insert(name);
        }
    }
    known
}
