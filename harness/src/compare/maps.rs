//! Both sides of a layer as maps, small enough to be looked at: a few channels of at most 64 by 64 cells.
//!
//! A cell that stands for several elements shows the one with the largest error, so that no single wrong element is lost.

use super::worst::Worst;
use crate::side::PerSide;
use crate::tensor::NamedAxis;

/// Rows and columns of cells at the most.
pub const MOST_CELLS: usize = 64;
/// Channels of a layer at the most.
const MOST_CHANNELS: usize = 8;
/// Cells of all channels of a layer at the most.
const CELLS_OF_LAYER: usize = 4 * MOST_CELLS * MOST_CELLS;
/// Elements with the largest error that are listed.
const WORST: usize = 10;
/// Bars of the histogram.
const BARS: usize = 61;

/// Both sides of a layer as maps.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerMaps {
    /// What the layer's pair is called.
    pub layer: String,
    /// The axes of the reference, slowest first, products split where their extents are known.
    pub axes: Vec<NamedAxis>,
    /// How each side's file is laid out: the axes of each of its extents.
    pub layouts: PerSide<Vec<Vec<String>>>,
    /// Which of the axes the rows of a map are.
    pub row_axis: usize,
    /// Which of the axes its columns are.
    pub column_axis: usize,
    /// Rows and columns of cells.
    pub cells: (usize, usize),
    /// Σ d² of every channel, an index of all other axes in row-major order; infinite where one side alone is not finite.
    pub errors: Vec<f64>,
    /// The channels with the largest errors, the largest first.
    pub channels: Vec<ChannelMap>,
    /// How many elements have which error.
    pub histogram: Histogram,
    /// The elements with the largest |d|, the largest first.
    pub worst: Vec<Worst>,
}

/// A channel of both sides.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelMap {
    /// Which of [`LayerMaps::errors`] it is.
    pub channel: usize,
    /// The candidate's values, row by row of cells.
    pub candidate: Vec<f32>,
    /// The reference's values.
    pub reference: Vec<f32>,
    /// Candidate minus reference, taken in f64.
    pub difference: Vec<f32>,
    /// The element that each cell shows: its row times the extent of the columns, plus its column. Empty where every
    /// element has a cell.
    pub elements: Vec<u32>,
}

/// How many elements have which error: bars of one width from `-most` to `most`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// The largest finite |d|.
    pub most: f64,
    /// Elements of each bar.
    pub counts: Vec<u64>,
    /// Elements without a finite error.
    pub others: u64,
}

/// |d|: 0 where both sides are the same, infinite where only one is finite.
fn error(a: f64, b: f64) -> f64 {
    match (a - b).abs() {
        _ if a == b || (a.is_nan() && b.is_nan()) => 0.0,
        d if d.is_nan() => f64::INFINITY,
        d => d,
    }
}

/// Two tensors of one shape, by element in row-major order.
pub(super) struct MappedPair<'a> {
    pub(super) axes: &'a [NamedAxis],
    pub(super) candidate: &'a dyn Fn(usize) -> f64,
    pub(super) reference: &'a dyn Fn(usize) -> f64,
}

/// What a layer's maps show, but for names and layouts.
pub(super) struct Mapped {
    pub(super) row_axis: usize,
    pub(super) column_axis: usize,
    pub(super) cells: (usize, usize),
    pub(super) errors: Vec<f64>,
    pub(super) channels: Vec<ChannelMap>,
    pub(super) histogram: Histogram,
    /// Elements, the one with the largest |d| first.
    pub(super) worst: Vec<usize>,
}

impl MappedPair<'_> {
    /// The maps; `None` of a tensor without two axes.
    pub(super) fn mapped(&self) -> Option<Mapped> {
        let (row_axis, column_axis) = self.map_axes()?;
        let others: Vec<usize> =
            (0..self.axes.len()).filter(|axis| *axis != row_axis && *axis != column_axis).collect();
        let extent = |axis: usize| self.axes[axis].extent;
        let count: usize = others.iter().map(|axis| extent(*axis)).product();
        let (rows, columns) = (extent(row_axis), extent(column_axis));
        let mut errors = vec![0.0; count];
        let mut most = 0.0f64;
        let mut worst: Vec<(usize, f64)> = Vec::new();
        for flat in 0..count * rows * columns {
            let error = error((self.candidate)(flat), (self.reference)(flat));
            let channel = others.iter().fold(0, |at, axis| at * extent(*axis) + self.axes[*axis].index(flat));
            errors[channel] += error * error;
            if error.is_finite() {
                most = most.max(error);
            }
            if error > 0.0 && (worst.len() < WORST || error > worst[WORST - 1].1) {
                let at = worst.partition_point(|(_, known)| *known >= error);
                worst.insert(at, (flat, error));
                worst.truncate(WORST);
            }
        }
        let cells = (rows.min(MOST_CELLS), columns.min(MOST_CELLS));
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|a, b| errors[*b].total_cmp(&errors[*a]));
        order.truncate(MOST_CHANNELS.min(CELLS_OF_LAYER / (cells.0 * cells.1)));
        let start = |channel: usize| {
            let (mut rest, mut start) = (channel, 0);
            for axis in others.iter().rev() {
                start += rest % extent(*axis) * self.axes[*axis].stride;
                rest /= extent(*axis);
            }
            start
        };
        let channels = order
            .into_iter()
            .map(|channel| self.channel(channel, start(channel), (row_axis, column_axis), cells))
            .collect();
        let histogram = self.histogram(count * rows * columns, most);
        let worst = worst.into_iter().map(|(flat, _)| flat).collect();
        Some(Mapped { row_axis, column_axis, cells, errors, channels, histogram, worst })
    }

    /// Rows and columns where the axes are called so, else the last two axes of more than one index.
    fn map_axes(&self) -> Option<(usize, usize)> {
        let position = |of: fn(&NamedAxis) -> bool| self.axes.iter().position(of);
        if let (Some(rows), Some(columns)) = (position(NamedAxis::is_rows), position(NamedAxis::is_columns)) {
            return Some((rows, columns));
        }
        let mut long = (0..self.axes.len()).rev().filter(|axis| self.axes[*axis].extent > 1);
        let last = long.next().or(self.axes.len().checked_sub(1))?;
        let before = long.next().or_else(|| (0..self.axes.len()).rev().find(|axis| *axis != last))?;
        Some((before, last))
    }

    fn channel(
        &self,
        channel: usize,
        start: usize,
        (row_axis, column_axis): (usize, usize),
        cells: (usize, usize),
    ) -> ChannelMap {
        let (rows, columns) = (&self.axes[row_axis], &self.axes[column_axis]);
        let mut shown: Vec<Option<(u32, f64)>> = vec![None; cells.0 * cells.1];
        for row in 0..rows.extent {
            for column in 0..columns.extent {
                let flat = start + row * rows.stride + column * columns.stride;
                let error = error((self.candidate)(flat), (self.reference)(flat));
                let cell = row * cells.0 / rows.extent * cells.1 + column * cells.1 / columns.extent;
                if shown[cell].is_none_or(|(_, known)| error > known) {
                    shown[cell] = Some(((row * columns.extent + column) as u32, error));
                }
            }
        }
        let elements: Vec<u32> = shown.iter().map(|cell| cell.map_or(0, |(element, _)| element)).collect();
        let flat = |element: &u32| {
            let (row, column) = (*element as usize / columns.extent, *element as usize % columns.extent);
            start + row * rows.stride + column * columns.stride
        };
        let values = |of: &dyn Fn(usize) -> f64| elements.iter().map(|at| of(flat(at)) as f32).collect();
        let is_whole = cells == (rows.extent, columns.extent);
        ChannelMap {
            channel,
            candidate: values(self.candidate),
            reference: values(self.reference),
            difference: values(&|flat| (self.candidate)(flat) - (self.reference)(flat)),
            elements: if is_whole { Vec::new() } else { elements },
        }
    }

    fn histogram(&self, elements: usize, most: f64) -> Histogram {
        let mut histogram = Histogram { counts: vec![0; BARS], most, others: 0 };
        for flat in 0..elements {
            let d = (self.candidate)(flat) - (self.reference)(flat);
            if !d.is_finite() {
                histogram.others += 1;
                continue;
            }
            // From -1 to 1; all are in the middle where there is no error.
            let at = if most > 0.0 { d / most } else { 0.0 };
            let bar = (0.5 * (at + 1.0) * BARS as f64) as usize;
            histogram.counts[bar.min(BARS - 1)] += 1;
        }
        histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::layout::Layout;

    fn mapped(layout: &str, shape: &[usize], candidate: &[f64], reference: &[f64]) -> Mapped {
        let layout = Layout::parse(layout).unwrap();
        let axes = layout.named_axes(shape, (&layout, shape)).unwrap();
        let (candidate, reference) = (|at: usize| candidate[at], |at: usize| reference[at]);
        MappedPair { axes: &axes, candidate: &candidate, reference: &reference }.mapped().unwrap()
    }

    #[test]
    fn channels_come_by_their_error_and_keep_their_elements() {
        let reference: Vec<f64> = (0..24).map(f64::from).collect();
        let mut candidate = reference.clone();
        candidate[3] += 1.0;
        candidate[20] -= 2.0;
        let found = mapped("b c h w", &[1, 2, 3, 4], &candidate, &reference);
        assert_eq!((found.row_axis, found.column_axis, found.cells), (2, 3, (3, 4)));
        assert_eq!(found.errors, [1.0, 4.0]);
        assert_eq!(found.worst, [20, 3]);
        assert_eq!(found.channels.iter().map(|map| map.channel).collect::<Vec<_>>(), [1, 0]);
        assert_eq!(found.channels[0].difference[8], -2.0);
        assert_eq!(found.channels[0].candidate[8], 18.0);
        assert!(found.channels[0].elements.is_empty());
        // -2 is in the first bar, 1 at three quarters, the others in the middle.
        let counts = &found.histogram.counts;
        assert_eq!((counts[0], counts[45], counts[30]), (1, 1, 22));
    }

    #[test]
    fn channels_last_are_found_too() {
        let reference: Vec<f64> = (0..24).map(f64::from).collect();
        let mut candidate = reference.clone();
        // Row 1, column 2, channel 1 of [b, h, w, c] = [1, 3, 4, 2].
        candidate[(4 + 2) * 2 + 1] += 1.0;
        let found = mapped("b h w c", &[1, 3, 4, 2], &candidate, &reference);
        assert_eq!(found.errors, [0.0, 1.0]);
        assert_eq!((found.channels[0].channel, found.channels[0].difference[4 + 2]), (1, 1.0));
    }

    #[test]
    fn one_wrong_element_of_a_large_map_is_shown() {
        let reference = vec![1.0; 200 * 130];
        let mut candidate = reference.clone();
        candidate[77 * 130 + 101] = 1.5;
        let found = mapped("b c h w", &[1, 1, 200, 130], &candidate, &reference);
        assert_eq!(found.cells, (64, 64));
        let map = &found.channels[0];
        let cell = map.difference.iter().position(|d| *d != 0.0).unwrap();
        assert_eq!((map.elements[cell], map.difference[cell]), (77 * 130 + 101, 0.5));
    }

    #[test]
    fn what_is_not_finite_on_one_side_comes_first() {
        let reference = vec![1.0, f64::NAN, f64::INFINITY, 2.0];
        let candidate = vec![f64::NAN, f64::NAN, f64::INFINITY, 3.0];
        let found = mapped("t c", &[2, 2], &candidate, &reference);
        assert_eq!(found.worst, [0, 3]);
        assert_eq!(found.errors, [f64::INFINITY]);
        assert_eq!(found.histogram.others, 3);
    }
}
