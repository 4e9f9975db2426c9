//! Text out of files, so that it is shown and never steers what shows it: names, types, versions, paths.

use std::borrow::Cow;
use std::path::Path;

use crate::bounds;

/// Whether a character would do something else than be shown: control characters, and those that turn the direction of what
/// follows or separate lines.
pub(crate) fn steers(c: char) -> bool {
    let direction = ['\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}'];
    c.is_control()
        || direction.contains(&c)
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

/// Text with every character that would steer a terminal written as Rust does it: `\u{1b}`, `\n`.
pub fn escaped(text: &str) -> Cow<'_, str> {
    match text.contains(steers) {
        false => Cow::Borrowed(text),
        true => Cow::Owned(with_escapes(text, steers)),
    }
}

/// [`escaped`], and cut where it is long: for messages that quote what a file holds.
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(bounds::QUOTED) {
        None => escaped(text).into_owned(),
        Some((end, _)) => format!("{}… ({} bytes)", escaped(&text[..end]), text.len()),
    }
}

/// A path, [`escaped`].
pub fn path(path: &Path) -> String {
    escaped(&path.to_string_lossy()).into_owned()
}

/// What this program writes to a terminal: lines and colours stay, whatever else would steer it is escaped.
pub fn for_terminal(text: &str) -> Cow<'_, str> {
    let other = |c: char| steers(c) && c != '\n' && c != '\t';
    if !text.contains(other) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(other) {
        let (before, from) = rest.split_at(at);
        out += before;
        let length = colour(from).unwrap_or_else(|| from.chars().next().map_or(0, char::len_utf8));
        let (found, after) = from.split_at(length);
        match colour(found) {
            Some(_) => out += found,
            None => out += &with_escapes(found, other),
        }
        rest = after;
    }
    out += rest;
    Cow::Owned(out)
}

/// Bytes of the escape sequence for a colour or weight that a text begins with.
fn colour(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("\u{1b}[")?;
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == ';'))?;
    rest[end..].starts_with('m').then_some("\u{1b}[".len() + end + 1)
}

/// A text whose characters keep their places, with every one that would steer a terminal replaced: for excerpts of files, in
/// which places are counted in bytes.
pub fn in_place(text: &str) -> Cow<'_, str> {
    let other = |c: char| steers(c) && c != '\n' && c != '\t' && c != '\r';
    if !text.contains(other) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| match (other(c), c.len_utf8()) {
        (false, _) => c,
        (true, 1) => '?',
        (true, 2) => '\u{b7}',
        (true, _) => '\u{fffd}',
    };
    Cow::Owned(text.chars().map(shown).collect())
}

/// Text in which lines stay and whatever else would steer or hide what is shown is replaced: for formats that have escapes of
/// their own for everything else.
pub(crate) fn in_lines(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' => '\n',
        c if steers(c) => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// Text with the characters that `which` names escaped.
fn with_escapes(text: &str, which: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match which(c) {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    out
}

/// A JSON document whose texts, keys among them, are [`escaped`].
pub fn escape_json(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => {
            if let Cow::Owned(shown) = escaped(text) {
                *text = shown;
            }
        }
        serde_json::Value::Array(list) => list.iter_mut().for_each(escape_json),
        serde_json::Value::Object(fields) => {
            if fields.keys().any(|key| matches!(escaped(key), Cow::Owned(_))) {
                let old = std::mem::take(fields);
                fields.extend(old.into_iter().map(|(key, value)| (escaped(&key).into_owned(), value)));
            }
            fields.values_mut().for_each(escape_json);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_steers_is_escaped_and_the_rest_is_as_it_was() {
        assert_eq!(escaped("blocks_1_é"), "blocks_1_é");
        assert_eq!(escaped("a\u{1b}[2J\nPASS\u{202e}"), r"a\u{1b}[2J\nPASS\u{202e}");
        assert_eq!(quoted(&"x".repeat(9_000)), format!("{}… (9000 bytes)", "x".repeat(bounds::QUOTED)));
        assert_eq!(path(Path::new("a\nb")), r"a\nb");
    }

    #[test]
    fn colours_and_lines_reach_the_terminal_and_nothing_else() {
        assert_eq!(
            for_terminal("\u{1b}[1;31merror\u{1b}[0m: a\nb\tc"),
            "\u{1b}[1;31merror\u{1b}[0m: a\nb\tc"
        );
        assert_eq!(for_terminal("a\u{1b}[2Jb\u{1b}]0;x\u{7}"), r"a\u{1b}[2Jb\u{1b}]0;x\u{7}");
        assert_eq!(for_terminal("\u{1b}[31\r"), r"\u{1b}[31\r");
    }

    #[test]
    fn documents_are_escaped_as_a_whole() {
        let mut value = serde_json::json!({"a\u{1b}": ["b\n", {"c": "d\u{7}"}], "e": 1});
        escape_json(&mut value);
        assert_eq!(value, serde_json::json!({"a\\u{1b}": ["b\\n", {"c": "d\\u{7}"}], "e": 1}));
    }

    proptest! {
        #[test]
        fn nothing_that_steers_is_left(text in "[a\u{1b}\\[2Jm;\n\r\u{9b}\u{202e}\u{2028}é]{0,30}") {
            prop_assert!(!escaped(&text).contains(steers));
            let shown = for_terminal(&text);
            let plain = shown.replace("\u{1b}[", "").replace(['\n', '\t'], "");
            prop_assert!(!plain.contains(steers), "{:?}", shown);
            prop_assert_eq!(in_place(&text).len(), text.len());
        }
    }
}
