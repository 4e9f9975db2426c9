//! JSON documents that people write by hand: every mistake at once, each with its place.

use std::collections::BTreeSet;
use std::ops::Range;

use jsonc_parser::ast::{Array, Object, ObjectProp, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::shown::{escape_json, escaped};
use crate::bounds;

/// What is wrong at a place of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentMistake {
    /// Bytes of the text.
    pub place: Range<usize>,
    /// What is wrong there.
    pub kind: DocumentMistakeKind,
}

/// What can be wrong in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentMistakeKind {
    /// It is not JSON.
    Syntax(String),
    /// An object lacks a key.
    Missing(&'static str),
    /// An object has a key that nothing reads.
    Unknown {
        /// The key.
        found: String,
        /// Those that are read.
        known: Vec<&'static str>,
    },
    /// Two keys, or two elements, of one name.
    Repeated(String),
    /// So many mistakes follow that are not told.
    More {
        /// How many.
        more: usize,
    },
    /// A value is not what it should be.
    Expected {
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
}

/// Reads a document and collects what is wrong with it.
pub(crate) struct Document<'a> {
    text: &'a str,
    pub(crate) mistakes: Vec<DocumentMistake>,
}

/// An object of a document whose keys are read one after the other.
pub(crate) struct Fields<'d, 'a> {
    object: &'d Object<'a>,
    known: &'static [&'static str],
}

/// Runs `read` on the one object that a text holds; every mistake where there is any.
pub(crate) fn read<T>(
    text: &str,
    read: impl FnOnce(&mut Document<'_>, &Object<'_>) -> Option<T>,
) -> Result<T, Vec<DocumentMistake>> {
    let syntax = |offset: usize, message: String| {
        let place =
            offset..offset + text.get(offset..).and_then(|t| t.chars().next()).map_or(0, char::len_utf8);
        vec![DocumentMistake { place, kind: DocumentMistakeKind::Syntax(message) }]
    };
    // Bounds the depth to which objects are nested.
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        let message = error.to_string();
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        return Err(syntax(offset(text, error.line(), error.column()), message.to_string()));
    }
    let strict = ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let parsed = parse_to_ast(text, &CollectOptions::default(), &strict)
        .map_err(|error| syntax(error.range().start, error.kind().to_string()))?;
    let mut document = Document { text, mistakes: Vec::new() };
    let value = match parsed.value {
        Some(Value::Object(object)) => read(&mut document, &object),
        other => {
            let place = other.as_ref().map_or(0..0, place_of);
            let found = other.as_ref().map_or("nothing".to_string(), |value| document.shown(value));
            document.expected(place, "an object", found);
            None
        }
    };
    match value {
        Some(value) if document.mistakes.is_empty() => Ok(value),
        _ => Err(document.told()),
    }
}

/// The byte of a line and column, both from 1, as serde_json counts them.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let mut at = (start + column.saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn place_of(value: &Value<'_>) -> Range<usize> {
    let range = value.range();
    range.start..range.end
}

impl<'a> Document<'a> {
    pub(crate) fn mistake(&mut self, place: Range<usize>, kind: DocumentMistakeKind) {
        self.mistakes.push(DocumentMistake { place, kind });
    }

    /// The first mistakes of the document, and how many more there are.
    fn told(mut self) -> Vec<DocumentMistake> {
        self.mistakes.sort_by_key(|mistake| mistake.place.start);
        if let Some(more) = self.mistakes.len().checked_sub(bounds::MISTAKES).filter(|more| *more > 0) {
            let place = self.mistakes[bounds::MISTAKES].place.clone();
            self.mistakes.truncate(bounds::MISTAKES);
            self.mistake(place, DocumentMistakeKind::More { more });
        }
        self.mistakes
    }

    pub(crate) fn expected(&mut self, place: Range<usize>, expected: &'static str, found: impl Into<String>) {
        self.mistake(place, DocumentMistakeKind::Expected { expected, found: found.into() });
    }

    /// A value as it is written, cut where it is long.
    fn shown(&self, value: &Value<'_>) -> String {
        match value {
            Value::Object(_) => "an object".to_string(),
            Value::Array(_) => "a list".to_string(),
            _ => {
                let text = self.text.get(place_of(value)).unwrap_or_default();
                match text.char_indices().nth(60) {
                    Some((end, _)) => format!("{}…", &text[..end]),
                    None => text.to_string(),
                }
            }
        }
    }

    /// The fields of an object: keys that are not known and keys that are there twice are mistakes.
    pub(crate) fn fields<'d, 'v>(
        &mut self,
        object: &'d Object<'v>,
        known: &'static [&'static str],
    ) -> Fields<'d, 'v> {
        let mut seen = BTreeSet::new();
        for property in &object.properties {
            let (name, place) = (property.name.as_str(), self.name_place(property));
            if !known.contains(&name) {
                let (found, known) = (name.to_string(), known.to_vec());
                self.mistake(place, DocumentMistakeKind::Unknown { found, known });
            } else if !seen.insert(name.to_string()) {
                self.mistake(place, DocumentMistakeKind::Repeated(name.to_string()));
            }
        }
        Fields { object, known }
    }

    fn name_place(&self, property: &ObjectProp<'_>) -> Range<usize> {
        let start = property.range.start;
        let value = property.value.range().start;
        let name = self.text.get(start..value).and_then(|text| text.rfind('"')).map_or(0, |end| end + 1);
        start..start + name
    }

    /// A value that must be there.
    fn required<'d, 'v>(&mut self, fields: &Fields<'d, 'v>, key: &'static str) -> Option<&'d Value<'v>> {
        let found = fields.get(key);
        if found.is_none() {
            let range = fields.object.range;
            self.mistake(range.start..range.start + 1, DocumentMistakeKind::Missing(key));
        }
        found
    }

    fn kind<'d, 'v, T>(
        &mut self,
        value: &'d Value<'v>,
        expected: &'static str,
        of: impl FnOnce(&'d Value<'v>) -> Option<T>,
    ) -> Option<T> {
        let found = of(value);
        if found.is_none() {
            let shown = self.shown(value);
            self.expected(place_of(value), expected, shown);
        }
        found
    }

    /// A text that must be there; what would steer a terminal is escaped.
    pub(crate) fn text(&mut self, fields: &Fields<'_, '_>, key: &'static str) -> Option<String> {
        let value = self.required(fields, key)?;
        self.kind(value, "a text", |value| Some(escaped(&value.as_string_lit()?.value).into_owned()))
    }

    /// A text that need not be there.
    pub(crate) fn optional_text(&mut self, fields: &Fields<'_, '_>, key: &'static str) -> Option<String> {
        fields.get(key)?;
        self.text(fields, key)
    }

    /// A whole number that must be there.
    pub(crate) fn whole_number(&mut self, fields: &Fields<'_, '_>, key: &'static str) -> Option<u64> {
        let value = self.required(fields, key)?;
        self.number(value, "a whole number")
    }

    fn number<T: std::str::FromStr>(&mut self, value: &Value<'_>, expected: &'static str) -> Option<T> {
        self.kind(value, expected, |value| value.as_number_lit()?.value.parse().ok())
    }

    /// A figure within bounds that must be there.
    pub(crate) fn figure(
        &mut self,
        fields: &Fields<'_, '_>,
        key: &'static str,
        expected: &'static str,
        sound: impl Fn(f64) -> bool,
    ) -> Option<f64> {
        let value = self.required(fields, key)?;
        self.kind(value, expected, |value| value.as_number_lit()?.value.parse().ok().filter(|x| sound(*x)))
    }

    /// An object that must be there.
    pub(crate) fn object<'d, 'v>(
        &mut self,
        fields: &Fields<'d, 'v>,
        key: &'static str,
    ) -> Option<&'d Object<'v>> {
        let value = self.required(fields, key)?;
        self.kind(value, "an object", Value::as_object)
    }

    /// An object that need not be there.
    pub(crate) fn optional_object<'d, 'v>(
        &mut self,
        fields: &Fields<'d, 'v>,
        key: &'static str,
    ) -> Option<&'d Object<'v>> {
        fields.get(key)?;
        self.object(fields, key)
    }

    /// A list that must be there.
    pub(crate) fn list<'d, 'v>(
        &mut self,
        fields: &Fields<'d, 'v>,
        key: &'static str,
    ) -> Option<&'d Array<'v>> {
        let value = self.required(fields, key)?;
        self.kind(value, "a list", Value::as_array)
    }

    /// A list of whole numbers that must be there.
    pub(crate) fn extents(&mut self, fields: &Fields<'_, '_>, key: &'static str) -> Option<Vec<usize>> {
        let list = self.list(fields, key)?;
        let numbers: Vec<Option<usize>> =
            list.elements.iter().map(|value| self.number(value, "a whole number")).collect();
        numbers.into_iter().collect()
    }

    /// An element of a list, which must be an object.
    pub(crate) fn element<'d, 'v>(&mut self, value: &'d Value<'v>) -> Option<&'d Object<'v>> {
        self.kind(value, "an object", Value::as_object)
    }

    /// A value as serde_json has it.
    pub(crate) fn value(&self, value: &Value<'_>) -> serde_json::Value {
        let text = self.text.get(place_of(value)).unwrap_or_default();
        let mut value = serde_json::from_str(text).unwrap_or_default();
        escape_json(&mut value);
        value
    }
}

impl<'d, 'v> Fields<'d, 'v> {
    /// The value of a key that is known.
    pub(crate) fn get(&self, key: &'static str) -> Option<&'d Value<'v>> {
        debug_assert!(self.known.contains(&key), "{key} is read, but not known");
        let mut found = self.object.properties.iter().filter(|property| property.name.as_str() == key);
        found.next().map(|property| &property.value)
    }

    /// Where a key's value stands; of one that is not there, where the object begins.
    pub(crate) fn place(&self, key: &'static str) -> Range<usize> {
        let start = self.object.range.start;
        self.get(key).map_or(start..start + 1, place_of)
    }
}
