//! Names that the mapping does not take, and would if they were read otherwise.

use std::collections::BTreeMap;

use crate::compare::comparison::Comparison;
use crate::compare::explanation::{Explanation, ExplanationKind};
use crate::compare::terms::Terms;
use crate::mapping::Mapping;
use crate::provenance::Dump;
use crate::side::Side;

/// Characters that programs separate the parts of a name by.
const SEPARATORS: &str = "_./";
/// Fewer names than this are no pattern.
const MIN_NAMES: usize = 3;
/// Prefixes that are told together.
const MAX_PREFIXES: usize = 3;
/// Numbers of runs that are told.
const MAX_RUNS: usize = 8;

/// What explains unmapped names, a line for each side.
pub(super) fn explain(terms: &Terms<'_>, candidate: &Dump, comparison: &Comparison) -> Vec<Explanation> {
    let sides = [(Side::Candidate, candidate.names()), (Side::Reference, terms.reference.dump().names())];
    let of_side = |(side, all): (Side, Vec<String>)| {
        let unmapped = comparison.unmapped.iter().filter(|unmapped| unmapped.side == side);
        let unmapped: Vec<&str> = unmapped.map(|unmapped| unmapped.name.as_str()).collect();
        if unmapped.len() < MIN_NAMES {
            return None;
        }
        let dump = match side {
            Side::Candidate => candidate,
            Side::Reference => terms.reference.dump(),
        };
        let names = UnpairedNames { mapping: terms.mapping, dump, side, all: &all, unmapped: &unmapped };
        names.separators().or_else(|| names.runs()).or_else(|| names.prefix())
    };
    sides.into_iter().filter_map(of_side).collect()
}

/// The names of a side.
struct UnpairedNames<'a> {
    mapping: &'a Mapping,
    dump: &'a Dump,
    side: Side,
    all: &'a [String],
    unmapped: &'a [&'a str],
}

impl UnpairedNames<'_> {
    /// Whether a rule takes a name.
    fn is_paired(&self, name: &str) -> bool {
        let mut templates = self.mapping.rules.iter().flat_map(|rule| rule.names(self.side));
        templates.any(|template| template.matches(name).is_some())
    }

    /// Whether a rule or an ignore takes a name.
    fn is_taken(&self, name: &str) -> bool {
        let ignores = self.mapping.ignores.iter().filter(|ignore| ignore.side == self.side);
        let mut ignored = ignores.flat_map(|ignore| &ignore.names);
        self.is_paired(name) || ignored.any(|template| template.matches(name).is_some())
    }

    /// An explanation of those unmapped names that `fits` says fit, where most do.
    fn explanation(&self, kind: ExplanationKind, fits: impl Fn(&str) -> bool) -> Option<Explanation> {
        let explains: Vec<String> =
            self.unmapped.iter().filter(|name| fits(name)).map(ToString::to_string).collect();
        let tried = self.unmapped.len();
        (2 * explains.len() > tried).then_some(Explanation { kind, explains, tried, ties: Vec::new() })
    }

    /// Other separators than the mapping's.
    fn separators(&self) -> Option<Explanation> {
        if !self.mapping.format(self.side).naming.separators.is_empty() {
            return None;
        }
        let texts = self.mapping.rules.iter().flat_map(|rule| rule.names(self.side));
        let text: String = texts.map(|template| template.sample(0)).collect();
        let first = SEPARATORS.chars().max_by_key(|c| text.matches(*c).count())?;
        let others = SEPARATORS.chars().filter(|c| *c != first);
        let separators: String = std::iter::once(first).chain(others).collect();
        let canonical = |name: &str| -> String {
            name.chars().map(|c| if SEPARATORS.contains(c) { first } else { c }).collect()
        };
        let kind = ExplanationKind::Separators { side: self.side, separators };
        self.explanation(kind, |name| self.is_taken(&canonical(name)))
    }

    /// The number of a run at the end of every name, or at its beginning.
    fn runs(&self) -> Option<Explanation> {
        let behind = self.runs_by(numbered_behind, |separator| format!("{{name}}{separator}{{call}}"));
        behind.or_else(|| self.runs_by(numbered_in_front, |separator| format!("{{call}}{separator}{{name}}")))
    }

    fn runs_by(
        &self,
        split: fn(&str) -> Option<RunName<'_>>,
        pattern: impl Fn(char) -> String,
    ) -> Option<Explanation> {
        let numbered = |name: &str| split(name).filter(|numbered| self.is_taken(numbered.rest)).is_some();
        let found: Vec<&str> = self.unmapped.iter().copied().filter(|name| numbered(name)).collect();
        let mut numbers: Vec<u64> =
            found.iter().filter_map(|name| split(name)).map(|numbered| numbered.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.truncate(MAX_RUNS);
        let first = found.first()?;
        let whole = self.mapping.format(self.side).naming.patterns.first()?;
        // The separator as the dump has it, which the mapping may take for another.
        let key = self.dump.key(first);
        let stem = key.strip_suffix(".npy").unwrap_or(key);
        let before = whole.split("{name}").next().unwrap_or_default();
        let written = split(stem.strip_prefix(before).unwrap_or(stem)).or_else(|| split(first))?;
        let pattern = whole.replace("{name}", &pattern(written.separator));
        let kind = ExplanationKind::Runs { side: self.side, pattern, numbers };
        self.explanation(kind, numbered)
    }

    /// A prefix with the separators that the dump's own names have.
    fn as_written(&self, prefix: &str) -> String {
        let naming = &self.mapping.format(self.side).naming;
        let written = self.unmapped.iter().find(|name| name.starts_with(prefix)).and_then(|name| {
            let key = self.dump.key(name);
            let at = (0..key.len())
                .find(|at| key.get(*at..).is_some_and(|rest| naming.canonical(rest).starts_with(name)))?;
            key.get(at..at + prefix.len()).map(String::from)
        });
        written.unwrap_or_else(|| prefix.to_string())
    }

    /// What all names begin with before the mapping's begin.
    fn prefix(&self) -> Option<Explanation> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for name in self.unmapped {
            let ends = name.char_indices().filter(|(_, c)| SEPARATORS.contains(*c));
            let prefix =
                ends.map(|(at, c)| name.split_at(at + c.len_utf8())).find(|(_, rest)| self.is_paired(rest));
            if let Some((prefix, _)) = prefix {
                *counts.entry(prefix).or_default() += 1;
            }
        }
        let mut prefixes: Vec<(&str, usize)> = counts.into_iter().collect();
        prefixes.sort_by_key(|(prefix, count)| (std::cmp::Reverse(*count), prefix.len()));
        prefixes.truncate(MAX_PREFIXES);
        let mut naming = self.mapping.format(self.side).naming.clone();
        naming.prefixes = prefixes.iter().map(|(prefix, _)| prefix.to_string()).collect();
        if naming.prefixes.is_empty() {
            return None;
        }
        // As the store would: taken off where all names have one; the empty one lets others be.
        if naming.stripped(self.all).is_none() {
            naming.prefixes.push(String::new());
        }
        let stripped = naming.stripped(self.all)?;
        let names: BTreeMap<&str, String> = self.all.iter().map(String::as_str).zip(stripped).collect();
        let prefixes = naming.prefixes.iter().map(|prefix| match prefix.as_str() {
            "" => String::new(),
            prefix => self.as_written(prefix),
        });
        let prefixes = prefixes.collect();
        let kind = ExplanationKind::Prefix { side: self.side, prefixes };
        self.explanation(kind, |name| names.get(name).is_some_and(|name| self.is_taken(name)))
    }
}

/// A name with the number of a run.
struct RunName<'a> {
    rest: &'a str,
    separator: char,
    number: u64,
}

fn numbered_behind(name: &str) -> Option<RunName<'_>> {
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (rest, number) = name.split_at(name.len() - digits);
    let separator = rest.chars().last().filter(|c| !c.is_ascii_alphanumeric())?;
    Some(RunName { rest: rest.strip_suffix(separator)?, separator, number: number.parse().ok()? })
}

fn numbered_in_front(name: &str) -> Option<RunName<'_>> {
    let (number, rest) = name.split_at(name.bytes().take_while(u8::is_ascii_digit).count());
    let separator = rest.chars().next().filter(|c| !c.is_ascii_alphanumeric())?;
    Some(RunName { rest: rest.strip_prefix(separator)?, separator, number: number.parse().ok()? })
}
