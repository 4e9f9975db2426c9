//! One page that shows everything and needs no network: style, script and data are in it.
//!
//! The data are one block of JSON; the script puts every text of it into the page as text. The page's policy lets nothing
//! run but this script, whatever a name holds.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::document::{DocumentMaps, ReportDocument};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPTS: [&str; 4] =
    [include_str!("page.js"), include_str!("layers.js"), include_str!("detail.js"), include_str!("maps.js")];

#[derive(Serialize)]
struct PageData<'a> {
    document: &'a ReportDocument,
    maps: &'a [DocumentMaps],
}

/// The page.
///
/// # Errors
/// When its data cannot be written as JSON.
pub(super) fn render(document: &ReportDocument) -> Result<String, serde_json::Error> {
    let data = serde_json::to_string(&PageData { document, maps: &document.maps })?;
    let script = format!("(() => {{\n\"use strict\";\n{}start();\n}})();\n", SCRIPTS.concat());
    let hash = |text: &str| format!("sha256-{}", STANDARD.encode(Sha256::digest(text)));
    let parts = [
        ("{{style-hash}}", hash(STYLE)),
        ("{{script-hash}}", hash(&script)),
        ("{{style}}", STYLE.to_string()),
        ("{{data}}", escaped(&data)),
        ("{{script}}", script),
    ];
    let mut page = String::with_capacity(PAGE.len() + data.len() + data.len() / 8);
    let mut rest = PAGE;
    for (mark, text) in parts {
        let (before, after) = rest.split_once(mark).unwrap_or((rest, ""));
        page.push_str(before);
        page.push_str(&text);
        rest = after;
    }
    page.push_str(rest);
    Ok(page)
}

/// JSON for a block of a page, in which nothing can end the block or begin a comment.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + json.len() / 16);
    for c in json.chars() {
        match c {
            // In JSON these stand in strings alone.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_its_place_in_the_page_in_this_order() {
        let places = ["{{style-hash}}", "{{script-hash}}", "{{style}}", "{{data}}", "{{script}}"]
            .map(|mark| PAGE.find(mark).unwrap());
        assert!(places.is_sorted(), "{places:?}");
        assert_eq!(PAGE.matches("{{").count(), places.len());
        // Browsers take the hash over text whose lines end so.
        assert!(![PAGE, STYLE, &SCRIPTS.concat()].iter().any(|text| text.contains('\r')));
    }
}
