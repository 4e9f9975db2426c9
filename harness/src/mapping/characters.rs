//! Characters of a mapping that would steer a terminal.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::text::shown::steers;

/// Texts that may have several lines.
const OF_SEVERAL_LINES: [&str; 2] = ["reason", "description"];

/// Where the first text, or key, is that holds one; those of a text that is no TOML are not looked for.
pub(super) fn first_that_steers(text: &str) -> Option<Range<usize>> {
    // Where nothing is written by its number, what is not in the file is in none of its texts.
    let plain = |c: char| c == '\n' || c == '\r' || c == '\t' || !steers(c);
    let multiline = text.contains("\"\"\"") || text.contains("'''");
    if text.chars().all(plain) && !text.contains('\\') && !multiline {
        return None;
    }
    in_table(DeTable::parse(text).ok()?.get_ref())
}

fn in_table(table: &DeTable<'_>) -> Option<Range<usize>> {
    table.iter().find_map(|(key, value)| {
        let found = || in_value(value, OF_SEVERAL_LINES.contains(&key.get_ref().as_ref()));
        key.get_ref().contains(steers).then(|| key.span()).or_else(found)
    })
}

fn in_value(value: &Spanned<DeValue<'_>>, several_lines: bool) -> Option<Range<usize>> {
    match value.get_ref() {
        DeValue::String(text) => {
            let allowed = |c: char| several_lines && matches!(c, '\n' | '\r' | '\t');
            text.chars().any(|c| steers(c) && !allowed(c)).then(|| value.span())
        }
        DeValue::Array(values) => values.iter().find_map(|value| in_value(value, several_lines)),
        DeValue::Table(table) => in_table(table),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_keys_are_looked_through() {
        for (text, place) in [
            ("a = \"\\u001b[2J\"", 4..15),
            ("b = [\"x\", \"\\n\"]", 10..14),
            ("\"\\u001b\" = 1", 0..8),
            ("[[r]]\nn = { m = \"\\t\" }", 16..20),
        ] {
            assert_eq!(first_that_steers(text), Some(place), "{text}");
        }
        for text in ["a = \"\\\\u\"", "reason = \"\"\"one\ntwo\"\"\"", "reason = \"a\\nb\"", "a = 1\n"] {
            assert_eq!(first_that_steers(text), None, "{text}");
        }
        assert!(first_that_steers("name = \"\"\"one\ntwo\"\"\"").is_some());
    }
}
