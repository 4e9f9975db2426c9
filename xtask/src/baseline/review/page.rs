//! A review as one page: old and new errors beside each other.

use std::fmt::Write;

use harness::limits::known_errors::{Difference, KnownError};
use harness::text::shown::escaped;

use super::error_rows::{ErrorChange, ErrorRow, error_rows, old_and_new};

const STYLE: &str = "\
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color-scheme:light dark}\
table{border-collapse:collapse;width:100%;margin:0 0 2rem}\
th,td{padding:.25rem .75rem;text-align:left;border-bottom:1px solid #8884}\
td.n{text-align:right;font-variant-numeric:tabular-nums}\
.worse td{background:#d73a4930}.better td{background:#2da44e26}.new td{background:#0969da1f}\
.bar{display:inline-block;height:.6rem;background:#0969da;vertical-align:middle}\
.worse .bar{background:#d73a49}.better .bar{background:#2da44e}\
@media(max-width:40rem){.bars{display:none}}";

/// Decades of change that fill a bar.
const DECADES: f64 = 2.0;

/// The page of what waits: for each set its name, and the layers that differ.
pub(super) fn page(sets: &[(String, &[Difference])]) -> String {
    let waiting: usize = sets.iter().map(|(_, layers)| layers.len()).sum();
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>Errors that wait for a review</title><style>{STYLE}</style></head>\n\
         <body><main><h1>Errors that wait for a review: {waiting}</h1>\n"
    );
    for (set, layers) in sets {
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "<h2>{}</h2>\n<table><thead><tr><th scope=\"col\">layer</th><th scope=\"col\">under</th>\
             <th scope=\"col\">rel_l2, known</th><th scope=\"col\">measured</th><th scope=\"col\">rel_linf, known</th>\
             <th scope=\"col\">measured</th><th scope=\"col\">change</th><th scope=\"col\" class=\"bars\">times</th></tr></thead>\n<tbody>",
            text(set)
        );
        for layer in *layers {
            for (number, row) in error_rows(layer).iter().enumerate() {
                let name = if number == 0 { text(&layer.name) } else { String::new() };
                out.push_str(&table_row(&name, row));
            }
        }
        out.push_str("</tbody></table>\n");
    }
    out.push_str("</main></body></html>\n");
    out
}

fn table_row(name: &str, row: &ErrorRow) -> String {
    let class = match row.change {
        ErrorChange::Worse(_) | ErrorChange::LayerGone | ErrorChange::Lost => "worse",
        ErrorChange::Better(_) => "better",
        ErrorChange::NewLayer | ErrorChange::NewlyMeasured => "new",
        ErrorChange::Same => "same",
    };
    let figures = |of: fn(&KnownError) -> f64| {
        old_and_new(row, of).map(|figure| format!("<td class=\"n\">{figure}</td>")).concat()
    };
    let times = row.old.as_ref().zip(row.new.as_ref()).and_then(|(old, new)| {
        let times = (new.rel_l2 / old.rel_l2).max(new.rel_linf / old.rel_linf);
        (times.is_finite() && times > 0.0).then_some(times)
    });
    let bar = times.map_or(String::new(), |times| {
        let width = (times.log10().abs() / DECADES).min(1.0) * 6.0;
        format!("<span class=\"bar\" style=\"width:{width:.2}rem\"></span> {times:.2}")
    });
    format!(
        "<tr class=\"{class}\"><th scope=\"row\">{name}</th><td>{}</td>{}{}<td>{}</td><td class=\"bars\">{bar}</td></tr>\n",
        text(&row.conditions),
        figures(|error| error.rel_l2),
        figures(|error| error.rel_linf),
        row.change.word()
    )
}

/// Text from files: no control character, no markup.
fn text(text: &str) -> String {
    escaped(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use harness::limits::known_errors::LayerErrors;

    use super::*;

    #[test]
    fn old_and_new_stand_beside_each_other() {
        let error = |rel_l2: f64| KnownError {
            rel_l2,
            rel_linf: 1e-6,
            date: "2026-12-01".into(),
            program: "port".into(),
        };
        let layer = |rel_l2: f64| LayerErrors {
            name: "<b>a".into(),
            reference: "ref".into(),
            errors: BTreeMap::from([("cpu".to_string(), error(rel_l2))]),
        };
        let difference = |old: Option<f64>, new: Option<f64>| Difference {
            name: "<b>a".into(),
            reference: "ref".into(),
            old: old.map(layer),
            new: new.map(layer),
        };
        let layers = [
            difference(Some(1e-6), Some(2e-6)),
            difference(Some(1e-6), Some(2e-7)),
            difference(None, Some(1e-6)),
            difference(Some(1e-6), None),
        ];
        let page = page(&[("set & co".to_string(), &layers)]);
        assert!(page.contains("Errors that wait for a review: 4") && page.contains("set &amp; co"));
        assert!(page.contains("&lt;b&gt;a") && !page.contains("<b>"));
        for (class, word) in
            [("worse", "WORSE rel_l2"), ("better", "better rel_l2"), ("new", "new"), ("worse", "GONE")]
        {
            let row = page.lines().find(|line| line.contains(&format!("<td>{word}</td>"))).unwrap();
            assert!(row.starts_with(&format!("<tr class=\"{class}\">")), "{row}");
        }
        assert!(page.contains("</span> 2.00") && page.contains("</span> 1.00"));
    }
}
