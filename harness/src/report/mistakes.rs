//! Files that cannot be used, as people read it: every mistake underlined.

use std::path::Path;

use super::{boxes, words};
use crate::compare::obstacle::LocatedMistake;
use crate::mapping::{MappingError, position};
use crate::reference::manifest::ManifestError;
use crate::text::shown;

/// A mapping that cannot be used.
pub fn mapping(error: &MappingError, colours: bool) -> String {
    match error {
        MappingError::Invalid { path, text, mistakes } => {
            let path = shown::path(path);
            let shown = |mistake| boxes::render(&path, text, words::mapping_mistake(mistake, text), colours);
            mistakes.iter().map(shown).collect()
        }
        MappingError::Profile { found, known, .. } => {
            let known = known.iter().map(String::as_str);
            format!("{error}; {}\n", words::suggestion(found, known))
        }
        MappingError::Io { .. } => format!("{error}\n"),
    }
}

/// A manifest that cannot be used.
pub fn manifest(error: &ManifestError, colours: bool) -> String {
    match error {
        ManifestError::Invalid { path, text, mistakes } => {
            let path = shown::path(path);
            let shown = |mistake| boxes::render(&path, text, words::document_mistake(mistake), colours);
            mistakes.iter().map(shown).collect()
        }
        ManifestError::Io { .. } => format!("{error}\n"),
    }
}

/// The mistakes of a mapping, each where it is; none where the file as a whole is at fault.
pub fn in_mapping(error: &MappingError) -> Vec<LocatedMistake> {
    let MappingError::Invalid { path, text, mistakes } = error else { return Vec::new() };
    mistakes.iter().map(|mistake| located(path, text, words::mapping_mistake(mistake, text))).collect()
}

/// The mistakes of a manifest, each where it is; none where the file as a whole is at fault.
pub fn in_manifest(error: &ManifestError) -> Vec<LocatedMistake> {
    let ManifestError::Invalid { path, text, mistakes } = error else { return Vec::new() };
    mistakes.iter().map(|mistake| located(path, text, words::document_mistake(mistake))).collect()
}

/// A mistake for where no text can be underlined.
fn located(path: &Path, text: &str, found: words::InFile) -> LocatedMistake {
    let words::InFile { message, labels, help, .. } = found.escaped();
    let start = labels.first().map_or(0, |(place, _)| place.start);
    let (line, column) = position(text, start);
    let label = labels.first().map(|(_, label)| format!(": {label}")).unwrap_or_default();
    let help = help.map(|help| format!("; {help}")).unwrap_or_default();
    let message = format!("{message}{label}{help}");
    LocatedMistake { file: shown::path(path), line, column, message }
}
