//! Placeholders: how many blocks there are, and which names follow from which.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;

use super::Checker;
use crate::mapping::file::File;
use crate::mapping::mistake::{MappingMistake, MappingMistakeKind};
use crate::mapping::placeholder::{Flattened, LengthsSource, Placeholders};
use crate::mapping::template::{Template, Wildcards};
use crate::side::Side;

/// More blocks than any model has; keeps sums of lengths small.
const MAX_LENGTH: u64 = 1_000_000_000;

/// So many mistakes back one is looked for that is found again.
const RECENT: usize = 64;

impl Checker<'_> {
    pub(super) fn placeholders(&mut self, file: &File) -> Placeholders {
        let mut placeholders = Placeholders::new();
        for (name, written) in &file.placeholders {
            let [outer, inner] = written.flatten.get_ref().as_slice() else {
                let found = written.flatten.get_ref().len();
                self.mistake(written.flatten.span(), MappingMistakeKind::NotTwo { found });
                continue;
            };
            let bad = outer == inner
                || [outer, inner]
                    .iter()
                    .any(|part| file.placeholders.keys().any(|known| known.get_ref() == part.get_ref()));
            if bad {
                self.mistake(written.flatten.span(), MappingMistakeKind::PlaceholderOfItself);
                continue;
            }
            let lengths = match (&written.lengths, &written.lengths_from) {
                (Some(lengths), None) => self.lengths(lengths),
                (None, Some(from)) => self.lengths_from(from, outer.get_ref(), inner.get_ref()),
                _ => {
                    self.mistake(name.span(), MappingMistakeKind::LengthsNotTold);
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
            self.mistake(lengths.span(), MappingMistakeKind::AbsurdLengths);
            return None;
        }
        Some(LengthsSource::Given(lengths.get_ref().clone()))
    }

    fn lengths_from(&mut self, from: &Spanned<String>, outer: &str, inner: &str) -> Option<LengthsSource> {
        let template = self.template(Side::Reference, from, Wildcards::Refused)?;
        let used: BTreeSet<&str> = template.numbers().collect();
        if used != BTreeSet::from([outer, inner]) || template.words().next().is_some() {
            let (outer, inner) = (outer.to_string(), inner.to_string());
            self.mistake(from.span(), MappingMistakeKind::OtherPlaceholders { outer, inner });
            return None;
        }
        Some(LengthsSource::ReferenceNames(template))
    }

    /// The placeholders of each of two names must follow from those of the other.
    pub(super) fn both_determined(
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
    pub(super) fn determined(
        &mut self,
        value: &Spanned<String>,
        template: &Template,
        other: &Template,
        placeholders: &Placeholders,
    ) {
        // A number is not a word: what is counted is a number wherever it stands.
        let counted = declared(placeholders);
        let other_kind = template
            .words()
            .find(|name| counted.contains(name) || other.numbers().any(|number| number == *name))
            .or_else(|| template.numbers().find(|name| other.words().any(|word| word == *name)));
        if let Some(found) = other_kind {
            let place = self.span_of(value, found);
            self.mistake_once(place, MappingMistakeKind::WordAndNumber { found: found.to_string() });
            return;
        }
        let known = follow(other.placeholders(), placeholders);
        let Some(unknown) = template.placeholders().find(|name| !known.contains(name)) else {
            return;
        };
        let known = known.union(&declared(placeholders)).map(ToString::to_string).collect();
        let (found, other) = (unknown.to_string(), Some(other.clone()));
        let kind = MappingMistakeKind::UnknownPlaceholder { found, known, other };
        self.mistake_once(self.span_of(value, unknown), kind);
    }

    /// A mistake that each name of a rule's other side shows again.
    fn mistake_once(&mut self, place: Range<usize>, kind: MappingMistakeKind) {
        let mistake = MappingMistake { place, kind };
        // Those of one rule stand together.
        if !self.mistakes.iter().rev().take(RECENT).any(|recent| *recent == mistake) {
            self.mistakes.push(mistake);
        }
    }

    /// Where a placeholder stands in a name.
    pub(super) fn span_of(&self, value: &Spanned<String>, name: &str) -> Range<usize> {
        let (text, opening) = (value.get_ref(), format!("{{{name}"));
        let ends =
            |at: &usize| !text[at + opening.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
        let at = text.match_indices(&opening).map(|(at, _)| at).find(ends).unwrap_or(0);
        let length = text[at..].find('}').map_or(0, |end| end + 1);
        self.inside(value, at..at + length)
    }
}

/// The placeholders that the mapping declares.
fn declared(placeholders: &Placeholders) -> BTreeSet<&str> {
    let names = placeholders.iter();
    names.flat_map(|(name, flattened)| [name.as_str(), &flattened.outer, &flattened.inner]).collect()
}

/// The placeholders that follow from `given`.
pub(super) fn follow<'a>(
    given: impl Iterator<Item = &'a str>,
    placeholders: &'a Placeholders,
) -> BTreeSet<&'a str> {
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
