//! Where the error of a layer is: a sentence, and a map of shades where there are colours, else of digits.

use std::fmt::Write;

use owo_colors::{OwoColorize, XtermColors};

use super::{Detail, Report};
use crate::compare::comparison::{Comparison, Layer};
use crate::compare::error_shape::{ErrorMap, ErrorPlace, ErrorShape, LayerPart};
use crate::report::words;

/// The greys of a terminal of 256 colours, from the darkest on.
const GREYS: (u8, u8) = (232, 24);

impl Report {
    /// Where the error of the first failing layer is.
    pub(super) fn first_error_shape(&mut self, comparison: &Comparison, layer: &Layer) {
        let shape = comparison.error_shapes.iter().find(|shape| shape.layer == layer.pair_name());
        // An error that is as large everywhere has nothing to show.
        let is_partly_right = |shape: &ErrorShape| shape.map.as_ref().is_some_and(ErrorMap::is_partly_right);
        let shows = |shape: &&ErrorShape| shape.place.is_some() || is_partly_right(shape);
        let shape = shape.filter(|shape| shows(shape) || self.shows(Detail::Verbose));
        if let Some(shape) = shape {
            self.error_shape(shape);
        }
    }

    /// Where the error of the other layers is in which one begins.
    pub(super) fn other_error_shapes(&mut self, comparison: &Comparison) {
        if !self.shows(Detail::Verbose) {
            return;
        }
        let first = comparison.first_failure().map(Layer::pair_name);
        for shape in comparison.error_shapes.iter().filter(|shape| Some(shape.layer.as_str()) != first) {
            let name = self.strong(&shape.layer);
            self.line(format!("  {name}"));
            self.error_shape(shape);
        }
    }

    /// The sentence, where there is one to say, and the map, where it shows something or everything is shown.
    fn error_shape(&mut self, shape: &ErrorShape) {
        if let Some(place) = &shape.place {
            self.wrapped(4, &words::error_place(place));
        }
        let is_told = matches!(&shape.place, Some(ErrorPlace { part: LayerPart::Elements { .. }, .. }));
        let shows = |map: &&ErrorMap| (map.is_uneven() && !is_told) || self.shows(Detail::Verbose);
        if let Some(map) = shape.map.as_ref().filter(shows) {
            self.error_map(map);
        }
    }

    fn error_map(&mut self, map: &ErrorMap) {
        let (rows, columns) = map.pixels;
        let scale =
            if self.options.colours { "light where it is large" } else { "9 the largest, 0 under a tenth" };
        self.wrapped(4, &format!("its error over {rows} x {columns} pixels, {scale}:"));
        match self.options.colours {
            true => map.cells.chunks(2).for_each(|pair| self.line(format!("      {}", half_blocks(pair)))),
            false => {
                for row in &map.cells {
                    let digits: String = row.iter().map(|energy| digit(*energy)).collect();
                    self.line(format!("      {digits}"));
                }
            }
        }
    }
}

/// Two rows of cells in one line: the upper in the colour of the sign, the lower in that behind it.
fn half_blocks(rows: &[Vec<f64>]) -> String {
    let grey = |energy: f64| {
        let (darkest, greys) = GREYS;
        let step = (energy.sqrt() * f64::from(greys - 1)).round();
        XtermColors::from(darkest + step.clamp(0.0, f64::from(greys - 1)) as u8)
    };
    let mut out = String::new();
    let [upper, lower @ ..] = rows else { return out };
    for (at, energy) in upper.iter().enumerate() {
        let below = lower.first().and_then(|row| row.get(at));
        // Writing to a string does not fail.
        let _ = match below {
            Some(below) => write!(out, "{}", "▀".color(grey(*energy)).on_color(grey(*below))),
            None => write!(out, "{}", "▀".color(grey(*energy))),
        };
    }
    out
}

/// The root of a cell's mean square, of the largest: as the error itself is, not its square.
fn digit(energy: f64) -> char {
    char::from(b'0' + (10.0 * energy.sqrt()).floor().clamp(0.0, 9.0) as u8)
}
