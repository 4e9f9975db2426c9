//! The files that reports point at.

use std::path::{Component, Path};

/// A file as it is called below the current folder, with `/` between its parts; a file that lies elsewhere as it is.
pub(super) fn below(file: &str) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let path = Path::new(file);
    let path = path.strip_prefix(&here).unwrap_or(path);
    let parts = path.components().map(|part| match part {
        Component::RootDir => String::new(),
        part => part.as_os_str().to_string_lossy().into_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

/// The same as a reference of RFC 3986.
pub(super) fn uri(file: &str) -> String {
    let below = below(file);
    let mut out = if Path::new(&below).is_absolute() { "file://".to_string() } else { String::new() };
    for byte in below.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_below_the_current_folder_are_named_from_there() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(uri(&here.join("a b").join("c%.toml").display().to_string()), "a%20b/c%25.toml");
        assert_eq!(below("mappings/a.toml"), "mappings/a.toml");
        assert_eq!(uri("/elsewhere/a.toml"), "file:///elsewhere/a.toml");
    }
}
