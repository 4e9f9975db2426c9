//! Which names a template takes, from left to right and without going back: in time that grows with the name's length times
//! the template's.

use super::bindings::{Bindings, Bound};

/// More digits than any index has.
pub(super) const MAX_DIGITS: usize = 9;

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TemplatePart {
    /// This text.
    Text(String),
    /// A decimal number without leading zeros: the placeholder's value plus an offset.
    Number { name: String, offset: i64 },
    /// Letters and digits, a letter first: what stands between two separators.
    Word(String),
    /// Any text.
    Any,
}

impl TemplatePart {
    /// The placeholder's name.
    pub(super) fn placeholder(&self) -> Option<&str> {
        match self {
            TemplatePart::Number { name, .. } | TemplatePart::Word(name) => Some(name),
            TemplatePart::Text(_) | TemplatePart::Any => None,
        }
    }
}

/// Takes a name apart; `done` says whether the rest of the name may be left over.
///
/// Between two `*` the parts are taken where they first fit. A later place would leave less of the name to those that follow,
/// and no placeholder ties them to it: [`Template::parse`](super::template::Template::parse) refuses such.
pub(super) fn take(
    parts: &[TemplatePart],
    name: &str,
    bound: Bindings,
    done: &dyn Fn(&str) -> bool,
) -> Option<Bindings> {
    let mut stretches = parts.split(|part| *part == TemplatePart::Any);
    let (rest, mut bound) = prefix(stretches.next()?, name, bound)?;
    let mut stretches = stretches.peekable();
    if stretches.peek().is_none() {
        return done(rest).then_some(bound);
    }
    let mut rest = rest;
    while let Some(stretch) = stretches.next() {
        let is_last = stretches.peek().is_none();
        let fits = |at: usize| {
            let found = prefix(stretch, &rest[at..], bound.clone())?;
            (!is_last || done(found.0)).then_some(found)
        };
        (rest, bound) = starts(stretch, rest).find_map(fits)?;
    }
    Some(bound)
}

/// The places of a text where a stretch can begin.
fn starts<'a>(stretch: &'a [TemplatePart], text: &'a str) -> impl Iterator<Item = usize> + 'a {
    let first = match stretch.first() {
        Some(TemplatePart::Text(first)) => first.as_str(),
        _ => "",
    };
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let from = next?;
        let at = from + text.get(from..)?.find(first)?;
        next = Some(at + text[at..].chars().next().map_or(1, char::len_utf8));
        Some(at)
    })
}

/// What is left of a name that begins with these parts, none of which is a `*`.
fn prefix<'n>(parts: &[TemplatePart], name: &'n str, mut bound: Bindings) -> Option<(&'n str, Bindings)> {
    let mut rest = name;
    for part in parts {
        rest = match part {
            TemplatePart::Text(text) => rest.strip_prefix(text.as_str())?,
            TemplatePart::Number { name: placeholder, offset } => {
                let digits = rest.bytes().take(MAX_DIGITS + 1).take_while(u8::is_ascii_digit).count();
                let leading_zero = digits > 1 && rest.starts_with('0');
                if digits == 0 || digits > MAX_DIGITS || leading_zero {
                    return None;
                }
                let (digits, after) = rest.split_at(digits);
                let value = digits.parse::<u64>().ok()?.checked_add_signed(-offset)?;
                bound.bind(placeholder, Bound::Number(value)).then_some(after)?
            }
            TemplatePart::Word(placeholder) => {
                let (word, after) = rest.split_at(word_length(rest));
                let bound_so = !word.is_empty() && bound.bind(placeholder, Bound::Word(word.to_string()));
                bound_so.then_some(after)?
            }
            TemplatePart::Any => return None,
        };
    }
    Some((rest, bound))
}

/// Whether a character can be part of a word.
pub(super) fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric()
}

/// Bytes of the word at the start of a text; 0 where there is none.
pub(super) fn word_length(text: &str) -> usize {
    let first = text.starts_with(|c: char| c.is_ascii_alphabetic());
    if first { text.find(|c| !is_of_word(c)).unwrap_or(text.len()) } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::super::template::{Template, Wildcards};
    use super::*;

    fn template(text: &str) -> Template {
        Template::parse(text, Wildcards::Allowed).unwrap()
    }

    /// What [`take`] should find: every end of every `*` is tried.
    fn slow(parts: &[TemplatePart], name: &str, bound: Bindings) -> Option<Bindings> {
        let Some((part, rest)) = parts.split_first() else { return name.is_empty().then_some(bound) };
        if *part == TemplatePart::Any {
            let mut ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
            return ends.find_map(|at| slow(rest, &name[at..], bound.clone()));
        }
        let (after, bound) = prefix(std::slice::from_ref(part), name, bound)?;
        slow(rest, after, bound)
    }

    #[test]
    fn stars_take_no_more_time_than_text() {
        let many = "*a".repeat(50_000);
        for (pattern, name) in [
            ("*a*a*a*a*a*a*a*ab".to_string(), "a".repeat(120)),
            ("*a*a*a*a*a*a*a*ab".to_string(), "a".repeat(5_000)),
            ("*".repeat(100_000), "x".repeat(1_000)),
            (many.clone(), "a".repeat(50_000)),
            (format!("{many}b"), "a".repeat(60_000)),
            ("*{n}x".to_string(), "1".repeat(5_000)),
        ] {
            let started = Instant::now();
            let found = template(&pattern).matches(&name);
            assert!(started.elapsed() < Duration::from_secs(2), "{}", &pattern[..10]);
            assert_eq!(found.is_some(), !pattern.ends_with(['b', 'x']), "{}", &pattern[..5]);
        }
    }

    #[test]
    fn a_placeholder_that_ties_two_stars_is_refused() {
        for text in ["*{a}_*_{a}", "x*{w:word}-*.{w:word}*"] {
            let error = Template::parse(text, Wildcards::Allowed).unwrap_err();
            assert!(error.message.contains("after another"), "{error}");
            assert_eq!(error.range.start, text.rfind('{').unwrap());
        }
        for (text, name) in [("{a}*{a}", "3_3"), ("{a}_*_{a}*{a}", "3__3_x3"), ("*{a}_{a}*", "x4_4y")] {
            assert!(template(text).matches(name).is_some(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn names_are_taken_as_if_every_end_were_tried(
            text in "(a|b|_|\\*|\\{n\\}|\\{m \\+ 1\\}|\\{w:word\\}|\\{n\\}_){1,7}",
            name in "[ab_12]{0,12}",
        ) {
            if let Ok(template) = Template::parse(&text, Wildcards::Allowed) {
                let expected = slow(template.parts(), &name, Bindings::default());
                prop_assert_eq!(template.matches(&name), expected, "{} of {}", text, name);
            }
        }
    }
}
