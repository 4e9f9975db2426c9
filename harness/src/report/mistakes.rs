//! Files that cannot be used, as people read it: every mistake underlined.

use super::{boxes, words};
use crate::mapping::MappingError;
use crate::reference::ReferenceError;
use crate::reference::manifest::ManifestError;

/// A mapping that cannot be used.
pub fn mapping(error: &MappingError, colours: bool) -> String {
    match error {
        MappingError::Invalid { path, text, mistakes } => {
            let path = path.display().to_string();
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
            let path = path.display().to_string();
            let shown = |mistake| boxes::render(&path, text, words::document_mistake(mistake), colours);
            mistakes.iter().map(shown).collect()
        }
        ManifestError::Io { .. } => format!("{error}\n"),
    }
}

/// The error with every mistake of a manifest on a line of its own, for where no text can be underlined.
pub fn reference_in_lines(error: &ReferenceError) -> String {
    let ReferenceError::Manifest(ManifestError::Invalid { path, text, mistakes }) = error else {
        return error.to_string();
    };
    let line = |mistake: &crate::text::document::DocumentMistake| {
        let (line, column) = crate::mapping::position(text, mistake.place.start);
        let words::InFile { message, labels, help, .. } = words::document_mistake(mistake);
        let label = labels.first().map(|(_, label)| format!(": {label}")).unwrap_or_default();
        let help = help.map(|help| format!("; {help}")).unwrap_or_default();
        format!("{}:{line}:{column}: {message}{label}{help}", path.display())
    };
    mistakes.iter().map(line).collect::<Vec<_>>().join("\n")
}
