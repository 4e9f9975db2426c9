//! Sentences about where the error of a layer is.

use super::count;
use crate::compare::error_shape::{ErrorPlace, LayerPart};

/// A share from which it is nearly all: it would be rounded to 100 %.
const ALL: f64 = 0.995;

/// Where nearly all of an error is.
pub fn error_place(place: &ErrorPlace) -> String {
    let ErrorPlace { part, share, .. } = place;
    let much = match *share {
        share if share >= ALL => "nearly all".to_string(),
        share => format!("{:.0} %", 100.0 * share),
    };
    format!("{much} of the error is in {}", layer_part(part))
}

fn layer_part(part: &LayerPart) -> String {
    match part {
        LayerPart::Elements { count: 1, first } => format!("one element, {first:?}"),
        LayerPart::Elements { count, first } => format!("{count} elements, such as {first:?}"),
        LayerPart::Indices { axis, extent, indices } => some_indices(axis, *extent, indices),
        LayerPart::EverySecond(phases) => {
            let of = |(axis, phase): &(String, usize)| format!("{}, from {phase}", axis_noun(axis).0);
            format!("every second {}", phases.iter().map(of).collect::<Vec<_>>().join(" and every second "))
        }
        LayerPart::Edges { pixels, edges } => some_edges(*pixels, *edges),
    }
}

fn some_indices(axis: &str, extent: usize, indices: &[usize]) -> String {
    let (one, many) = axis_noun(axis);
    match indices {
        [0] if extent > 1 => format!("the first of {extent} {many}"),
        [last] if last + 1 == extent => format!("the last of {extent} {many} ({last})"),
        [index] => format!("1 of {extent} {many} ({index})"),
        [first, .., last] if last - first + 1 == indices.len() => {
            format!("{many} {first} to {last} of {extent}")
        }
        some if some.len() <= 6 => {
            let listed: Vec<String> = some.iter().map(ToString::to_string).collect();
            format!("{} of {extent} {many} ({})", some.len(), listed.join(", "))
        }
        [first, ..] => format!("{} of {extent} {many}, such as {one} {first}", indices.len()),
        [] => format!("no {one}"),
    }
}

fn some_edges(pixels: usize, edges: [bool; 4]) -> String {
    let ends = |first: bool, last: bool| match (first, last) {
        (true, true) => Some("first and last"),
        (true, false) => Some("first"),
        (false, true) => Some("last"),
        (false, false) => None,
    };
    let several = |noun: &str, ends: &str| {
        let plural = pixels > 1 || ends.contains("and");
        if plural { format!("{noun}s") } else { noun.to_string() }
    };
    let wide = if pixels > 1 { format!(" {pixels}") } else { String::new() };
    let (of_rows, of_columns) = (ends(edges[0], edges[1]), ends(edges[2], edges[3]));
    match (of_rows, of_columns) {
        (Some("first and last"), Some("first and last")) => {
            format!("the outer ring of {}", count(pixels, "pixel"))
        }
        (Some(rows), Some(columns)) if rows == columns => {
            format!("the {rows}{wide} {} and {}", several("row", rows), several("column", columns))
        }
        (Some(rows), Some(columns)) => format!(
            "the {rows}{wide} {} and the {columns}{wide} {}",
            several("row", rows),
            several("column", columns)
        ),
        (Some(rows), None) => format!("the {rows}{wide} {}", several("row", rows)),
        (None, Some(columns)) => format!("the {columns}{wide} {}", several("column", columns)),
        (None, None) => "no edge".to_string(),
    }
}

/// What one index of an axis is called, and several.
pub(super) fn axis_noun(axis: &str) -> (String, String) {
    let noun = match axis {
        "b" | "n" | "batch" => "picture",
        "c" | "ch" | "channel" | "channels" => "channel",
        "h" | "height" => "row",
        "w" | "width" => "column",
        "t" | "token" | "tokens" | "(h w)" => "token",
        other => return (format!("index of {other}"), format!("indices of {other}")),
    };
    (noun.to_string(), format!("{noun}s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_in_words() {
        let edges = |pixels, edges: [u8; 4]| LayerPart::Edges { pixels, edges: edges.map(|edge| edge == 1) };
        let indices = |axis: &str, indices: &[usize]| LayerPart::Indices {
            axis: axis.to_string(),
            extent: 64,
            indices: indices.to_vec(),
        };
        let second = |phases: &[(&str, usize)]| {
            LayerPart::EverySecond(phases.iter().map(|(axis, phase)| (axis.to_string(), *phase)).collect())
        };
        let parts = [
            LayerPart::Elements { count: 1, first: vec![0, 3, 2] },
            LayerPart::Elements { count: 5, first: vec![0, 3, 2] },
            edges(1, [0, 1, 0, 1]),
            edges(2, [0, 1, 0, 1]),
            edges(1, [1, 1, 1, 1]),
            edges(2, [1, 0, 0, 1]),
            edges(1, [0, 0, 1, 1]),
            edges(1, [0, 1, 0, 0]),
            edges(1, [1, 1, 0, 1]),
            indices("c", &[17]),
            indices("c", &[32, 33, 34, 35]),
            indices("h", &[63]),
            indices("t", &[0]),
            indices("heads", &[1, 5]),
            indices("c", &[1, 3, 5, 7, 9, 11, 13]),
            second(&[("w", 1)]),
            second(&[("h", 0), ("w", 1)]),
        ];
        let told = parts.map(|part| error_place(&ErrorPlace { part, share: 0.9689, elements: 0.1 }));
        insta::assert_snapshot!(told.join("\n"));
    }
}
