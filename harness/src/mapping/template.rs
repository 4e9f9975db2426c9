//! Names with numbers and words in them: `block_{block}_norm`, `block_{block}_{what:word}`, and `*` for any text where that
//! is allowed.

use std::collections::BTreeMap;
use std::fmt;

use super::bindings::Bindings;
use super::matching::{MAX_DIGITS, TemplatePart, is_of_word, take, word_length};

/// A pattern that takes names apart and puts them together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<TemplatePart>,
}

/// What is wrong with a template's text, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// Byte range in the text.
    pub range: std::ops::Range<usize>,
    /// What is wrong.
    pub message: String,
}

/// Where a name stops fitting a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// The byte of the name from which on it does not fit.
    pub at: usize,
    /// What the template has there.
    pub expected: ExpectedPart,
}

/// What a template expects at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedPart {
    /// This text.
    Text(String),
    /// A number without leading zeros.
    Number(String),
    /// The number that the placeholder has already.
    SameNumber(String, u64),
    /// Letters and digits, a letter first.
    Word(String),
    /// The word that the placeholder has already.
    SameWord(String, String),
    /// The end of the name.
    End,
}

/// Whether a template may hold `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wildcards {
    /// `*` stands for any text.
    Allowed,
    /// `*` is an error.
    Refused,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// Unbalanced braces, a placeholder that is no `{name}`, `{name + 1}` or `{name:word}`, a number beside another or beside
    /// a digit, a word beside a number, a letter or a digit (where one ended and the next began could not be told), `*` where
    /// it is refused.
    pub fn parse(text: &str, wildcards: Wildcards) -> Result<Template, TemplateError> {
        let error = |range, message: &str| Err(TemplateError { range, message: message.to_string() });
        let mut parts: Vec<TemplatePart> = Vec::new();
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            let beside_a_number = matches!(parts.last(), Some(TemplatePart::Number { .. }));
            let beside_a_word = matches!(parts.last(), Some(TemplatePart::Word(_)));
            match c {
                '{' => {
                    let Some(length) = text[at..].find('}') else {
                        return error(at..text.len(), "`{` without `}`");
                    };
                    let range = at..at + length + 1;
                    let written = &text[at + 1..at + length];
                    let after = |is: fn(char) -> bool| matches!(parts.last(), Some(TemplatePart::Text(text)) if text.ends_with(is));
                    if let Some(name) = word(written) {
                        if beside_a_number || beside_a_word || after(is_of_word) {
                            return error(
                                range,
                                "a word directly after a placeholder, letter or digit; put a separator between them",
                            );
                        }
                        parts.push(TemplatePart::Word(name));
                        at += length + 1;
                        continue;
                    }
                    let Some((name, offset)) = placeholder(written) else {
                        return error(
                            range,
                            "expected a placeholder such as `{block}`, `{block + 1}` or `{what:word}`",
                        );
                    };
                    if beside_a_number || beside_a_word || after(|c| c.is_ascii_digit()) {
                        let message =
                            "a number directly after a word or another number; put a separator between them";
                        return error(range, message);
                    }
                    parts.push(TemplatePart::Number { name, offset });
                    at += length + 1;
                }
                '}' => return error(at..at + 1, "`}` without `{`"),
                '*' if wildcards == Wildcards::Refused => {
                    return error(
                        at..at + 1,
                        "`*` can stand only in the names of an ignore; a rule takes exact names",
                    );
                }
                '*' => {
                    // Two stars stand for what one stands for.
                    if parts.last() != Some(&TemplatePart::Any) {
                        parts.push(TemplatePart::Any);
                    }
                    at += 1;
                }
                _ => {
                    if beside_a_number && c.is_ascii_digit() {
                        return error(
                            at..at + 1,
                            "a digit directly after a placeholder; put a character between them",
                        );
                    }
                    if beside_a_word && is_of_word(c) {
                        return error(
                            at..at + 1,
                            "a letter or digit directly after a word; put a separator between them",
                        );
                    }
                    let rest = &text[at..];
                    let length = rest.find(['{', '}', '*']).unwrap_or(rest.len());
                    parts.push(TemplatePart::Text(rest[..length].to_string()));
                    at += length;
                }
            }
        }
        if parts.is_empty() {
            return error(0..0, "an empty name");
        }
        if let Some(name) = repeated_after_stars(&parts) {
            let message = "a placeholder that follows one `*` stands again after another, and matching would be ambiguous: \
                           remove one of the two";
            let at = text.rfind(&format!("{{{name}")).unwrap_or(0);
            return error(at..text[at..].find('}').map_or(text.len(), |end| at + end + 1), message);
        }
        Ok(Template { parts })
    }

    /// The parts, in order.
    pub(super) fn parts(&self) -> &[TemplatePart] {
        &self.parts
    }

    /// The template with one separator for all, as names of its side have it: each of `separators` becomes the first.
    #[must_use]
    pub fn with_one_separator(mut self, separators: &[char]) -> Template {
        let Some((first, _)) = separators.split_first() else { return self };
        for part in &mut self.parts {
            if let TemplatePart::Text(text) = part {
                *text = text.chars().map(|c| if separators.contains(&c) { *first } else { c }).collect();
            }
        }
        self
    }

    /// The numbers of a name that fits as far as it goes: the end of the template, text alone, is cut off. A number at the
    /// very end of such a name may have lost digits, so that it is not taken.
    pub fn matches_cut(&self, name: &str) -> Option<Bindings> {
        let last = self.parts.iter().rposition(|part| part.placeholder().is_some());
        (last.map_or(1, |last| last + 1)..=self.parts.len()).find_map(|kept| {
            let (TemplatePart::Text(text), before) = self.parts[..kept].split_last()? else { return None };
            let begins = |rest: &str| !rest.is_empty() && text.starts_with(rest);
            take(before, name, Bindings::default(), &begins)
        })
    }

    /// The placeholders, in order of appearance.
    pub fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(TemplatePart::placeholder)
    }

    /// Those of them that are numbers.
    pub fn numbers(&self) -> impl Iterator<Item = &str> {
        self.parts
            .iter()
            .filter(|part| !matches!(part, TemplatePart::Word(_)))
            .filter_map(TemplatePart::placeholder)
    }

    /// Those of them that are words.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.parts
            .iter()
            .filter(|part| matches!(part, TemplatePart::Word(_)))
            .filter_map(TemplatePart::placeholder)
    }

    /// The numbers of a name that fits as a whole.
    pub fn matches(&self, name: &str) -> Option<Bindings> {
        take(&self.parts, name, Bindings::default(), &|rest| rest.is_empty())
    }

    /// The numbers of a name that fits, or goes on with `_` after what fits.
    pub fn matches_start(&self, name: &str) -> Option<Bindings> {
        take(&self.parts, name, Bindings::default(), &|rest| rest.is_empty() || rest.starts_with('_'))
    }

    /// Where a name stops fitting; `None` when it fits as a whole.
    pub fn departure(&self, name: &str) -> Option<Departure> {
        if self.matches(name).is_some() {
            return None;
        }
        let (mut at, mut bound) = (0, Bindings::default());
        for part in &self.parts {
            let rest = &name[at..];
            at += match part {
                TemplatePart::Text(text) => match rest.strip_prefix(text.as_str()) {
                    Some(_) => text.len(),
                    None => {
                        let same = text.chars().zip(rest.chars()).take_while(|(a, b)| a == b);
                        let same: usize = same.map(|(c, _)| c.len_utf8()).sum();
                        let expected = ExpectedPart::Text(text[same..].to_string());
                        return Some(Departure { at: at + same, expected });
                    }
                },
                TemplatePart::Number { name: placeholder, .. } => {
                    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                    let known = bound.number(placeholder);
                    match take(std::slice::from_ref(part), &rest[..digits], bound, &str::is_empty) {
                        Some(more) => bound = more,
                        None => {
                            let expected = match known.filter(|_| digits > 0) {
                                Some(number) => ExpectedPart::SameNumber(placeholder.clone(), number),
                                None => ExpectedPart::Number(placeholder.clone()),
                            };
                            return Some(Departure { at, expected });
                        }
                    }
                    digits
                }
                TemplatePart::Word(placeholder) => {
                    let length = word_length(rest);
                    let known = bound.word(placeholder).map(String::from);
                    match take(std::slice::from_ref(part), &rest[..length], bound, &str::is_empty) {
                        Some(more) => bound = more,
                        None => {
                            let expected = match known.filter(|_| length > 0) {
                                Some(word) => ExpectedPart::SameWord(placeholder.clone(), word),
                                None => ExpectedPart::Word(placeholder.clone()),
                            };
                            return Some(Departure { at, expected });
                        }
                    }
                    length
                }
                // What follows is looked for in all of the rest, and is not there.
                TemplatePart::Any => break,
            };
        }
        Some(Departure { at, expected: ExpectedPart::End })
    }

    /// The name with these numbers; `None` where one is not given, or is below zero with its offset.
    pub fn render(&self, bindings: &Bindings) -> Option<String> {
        self.parts.iter().try_fold(String::new(), |mut out, part| {
            match part {
                TemplatePart::Text(text) => out.push_str(text),
                TemplatePart::Number { name, offset } => {
                    out.push_str(&bindings.number(name)?.checked_add_signed(*offset)?.to_string());
                }
                TemplatePart::Word(name) => out.push_str(bindings.word(name)?),
                TemplatePart::Any => return None,
            }
            Some(out)
        })
    }

    /// A name that fits, with every number `n` plus the placeholder's offset, a word that no model has, and nothing in the
    /// place of `*`.
    pub fn sample(&self, n: u64) -> String {
        let text = self.parts.iter().map(|part| match part {
            TemplatePart::Text(text) => text.clone(),
            TemplatePart::Number { offset, .. } => n.saturating_add_signed(*offset).to_string(),
            TemplatePart::Word(_) => "anyword".to_string(),
            TemplatePart::Any => String::new(),
        });
        text.collect()
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                TemplatePart::Text(text) => f.write_str(text)?,
                TemplatePart::Number { name, offset: 0 } => write!(f, "{{{name}}}")?,
                TemplatePart::Number { name, offset } if *offset < 0 => {
                    write!(f, "{{{name} - {}}}", offset.unsigned_abs())?
                }
                TemplatePart::Number { name, offset } => write!(f, "{{{name} + {offset}}}")?,
                TemplatePart::Word(name) => write!(f, "{{{name}:word}}")?,
                TemplatePart::Any => f.write_str("*")?,
            }
        }
        Ok(())
    }
}

/// A placeholder that first stands after a `*` and again after a further one. What it stands for would depend on where the
/// first `*` ends, so that a name could not be taken from left to right.
fn repeated_after_stars(parts: &[TemplatePart]) -> Option<&str> {
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    let mut stars = 0;
    for part in parts {
        if *part == TemplatePart::Any {
            stars += 1;
        }
        let Some(name) = part.placeholder() else { continue };
        let since = *first.entry(name).or_insert(stars);
        if since > 0 && since < stars {
            return Some(name);
        }
    }
    None
}

/// `name:word`.
fn word(text: &str) -> Option<String> {
    let (name, kind) = text.split_once(':')?;
    let name = name.trim();
    (kind.trim() == "word" && is_name(name)).then(|| name.to_string())
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `name`, `name + 3` or `name - 3`.
fn placeholder(text: &str) -> Option<(String, i64)> {
    let end = text.find(['+', '-']).unwrap_or(text.len());
    let name = text[..end].trim();
    let offset = match text[end..].split_at_checked(1) {
        None => 0,
        Some((sign, number)) => {
            let number = number.trim();
            let plain = !number.is_empty()
                && number.len() <= MAX_DIGITS
                && number.bytes().all(|b| b.is_ascii_digit());
            let number: i64 = plain.then(|| number.parse().ok())??;
            if sign == "-" { -number } else { number }
        }
    };
    is_name(name).then(|| (name.to_string(), offset))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mapping::bindings::Bound;

    fn template(text: &str) -> Template {
        Template::parse(text, Wildcards::Allowed).unwrap()
    }

    fn bindings(pairs: &[(&str, u64)]) -> Bindings {
        pairs.iter().map(|(name, value)| (name.to_string(), Bound::Number(*value))).collect()
    }

    #[test]
    fn numbers_are_taken_whole() {
        let t = template("blocks_{stage}_{index}_norm");
        assert_eq!(t.matches("blocks_2_19_norm"), Some(bindings(&[("index", 19), ("stage", 2)])));
        for name in
            ["blocks_2_norm", "blocks_2_x_norm", "blocks_2_01_norm", "blocks_2_1234567890_norm", "blocks_2_1"]
        {
            assert_eq!(t.matches(name), None, "{name}");
        }
    }

    #[test]
    fn trap_02_layer_1_is_not_layer_10() {
        assert_eq!(template("layer{i}").matches("layer10"), Some(bindings(&[("i", 10)])));
        assert_eq!(template("layer1").matches("layer10"), None);
        assert_eq!(template("layer{i}").matches("my_layer1"), None);
    }

    #[test]
    fn offsets_go_both_ways() {
        let t = template("block_{block + 1}");
        assert_eq!(t.matches("block_1"), Some(bindings(&[("block", 0)])));
        assert_eq!(t.matches("block_0"), None);
        assert_eq!(t.render(&bindings(&[("block", 4)])).unwrap(), "block_5");
        assert_eq!(template("block_{block-1}").render(&bindings(&[("block", 0)])), None);
        assert_eq!(template("block_{block-1}").to_string(), "block_{block - 1}");
    }

    #[test]
    fn one_placeholder_has_one_value() {
        assert!(template("{a}_{a}").matches("3_3").is_some());
        assert!(template("{a}_{a}").matches("3_4").is_none());
    }

    #[test]
    fn words_are_what_stands_between_separators() {
        let t = template("blocks_{i}_{what:word}_proj");
        let found = t.matches("blocks_3_query_proj").unwrap();
        assert_eq!((found.number("i"), found.word("what")), (Some(3), Some("query")));
        for name in ["blocks_3__proj", "blocks_3_q_k_proj", "blocks_3_7_proj", "blocks_3_a-b_proj"] {
            assert_eq!(t.matches(name), None, "{name}");
        }
        assert_eq!(template("{side:word}.{i}").render(&t.matches("blocks_3_q2_proj").unwrap()), None);
        let same = template("{a:word}_{a:word}");
        assert!(same.matches("q_q").is_some());
        let (at, expected) = same.departure("q_k").map(|found| (found.at, found.expected)).unwrap();
        assert_eq!((at, expected), (2, ExpectedPart::SameWord("a".into(), "q".into())));
        assert_eq!(same.to_string(), "{a:word}_{a:word}");
    }

    #[test]
    fn stars_take_any_text() {
        let t = template("* (*)*");
        assert!(t.matches("concat_norm (permuted) (cont)").is_some());
        assert!(t.matches("concat_norm").is_none());
        assert!(template("blocks_{s}_*_norm").matches("blocks_1_é_norm").is_some());
    }

    #[test]
    fn starts() {
        let t = template("blocks_{stage}_{index}");
        assert_eq!(t.matches_start("blocks_1_12_attn"), Some(bindings(&[("index", 12), ("stage", 1)])));
        assert_eq!(t.matches_start("blocks_1_12x"), None);
    }

    #[test]
    fn where_a_name_stops_fitting() {
        let t = template("block_{block}_attn_{block}");
        let of = |name: &str| t.departure(name).map(|departure| (departure.at, departure.expected));
        assert_eq!(of("block_3_attn_3"), None);
        assert_eq!(of("block_3_atn_3"), Some((10, ExpectedPart::Text("tn_".into()))));
        assert_eq!(of("block_x_attn_3"), Some((6, ExpectedPart::Number("block".into()))));
        assert_eq!(of("block_3_attn_4"), Some((13, ExpectedPart::SameNumber("block".into(), 3))));
        assert_eq!(of("block_3_attn_3_norm"), Some((14, ExpectedPart::End)));
        assert_eq!(of("blé"), Some((2, ExpectedPart::Text("ock_".into()))));
        assert_eq!(template("a*b").departure("axc"), Some(Departure { at: 1, expected: ExpectedPart::End }));
    }

    #[test]
    fn errors_say_where() {
        let cases =
            [("", 0..0), ("a{b", 1..3), ("a}b", 1..2), ("{a}{b}", 3..6), ("{a}1", 3..4), ("1{a}", 1..4)];
        let words = [
            ("a{b:word}", 1..9),
            ("{a:word}b", 8..9),
            ("{a}{b:word}", 3..11),
            ("{a:word}{b}", 8..11),
            ("{a:text}", 0..8),
        ];
        let more = [("{}", 0..2), ("{a + }", 0..6), ("{a + b}", 0..7), ("{1a}", 0..4), ("a*", 1..2)];
        for (text, range) in cases.into_iter().chain(more).chain(words) {
            assert_eq!(Template::parse(text, Wildcards::Refused).unwrap_err().range, range, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_matched(a in 0u64..999_999_990, b in 0u64..999_999_990, offset in -5i64..5) {
            let sign = if offset < 0 { '-' } else { '+' };
            let t = template(&format!("x_{{a}}_y{{b {sign} {}}}.z", offset.abs()));
            let numbers = bindings(&[("a", a), ("b", b)]);
            if let Some(name) = t.render(&numbers) {
                prop_assert_eq!(t.matches(&name), Some(numbers));
            }
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in "([a-z0-9{}*+ é-]|:word){0,20}", name in "[a-z0-9 é]{0,20}") {
            if let Ok(template) = Template::parse(&text, Wildcards::Allowed) {
                let _ = template.matches(&name);
                prop_assert_eq!(Template::parse(&template.to_string(), Wildcards::Allowed), Ok(template));
            }
        }
    }
}
