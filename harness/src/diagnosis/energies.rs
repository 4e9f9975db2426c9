//! Sums of d² and b² over a layer, by index of each axis and by pixel of its map, in one pass.

use super::aligned::AlignedPair;
use crate::compare::error_shape::{AxisShares, ErrorMap, ErrorPlace, ErrorShape};
use crate::tensor::NamedAxis;

/// Elements with the largest d² that are kept.
const LARGEST: usize = 8;
/// Indices of an axis that are reported.
const REPORTED: usize = 8;
/// Rings of a map that are reported.
const RINGS: usize = 4;
/// Groups of channels that are reported.
const GROUPS: usize = 8;

/// Sums of d² and b² over a layer.
pub(super) struct Energies {
    pub(super) axes: Vec<NamedAxis>,
    pub(super) elements: usize,
    /// Σ d².
    pub(super) error: f64,
    /// Σ b².
    pub(super) size: f64,
    /// Both for each index of each axis.
    pub(super) by_index: Vec<Vec<(f64, f64)>>,
    pub(super) map: Option<MapEnergies>,
    /// The elements with the largest d², the largest first.
    pub(super) largest: Vec<(usize, f64)>,
    /// b² of those.
    of_reference: Vec<(usize, f64)>,
}

/// Both sums for each pixel of a map.
pub(super) struct MapEnergies {
    pub(super) row_axis: usize,
    pub(super) column_axis: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Row by row.
    pub(super) pixels: Vec<(f64, f64)>,
}

impl Energies {
    pub(super) fn of(pair: &AlignedPair<'_>) -> Option<Energies> {
        let (a, b) = pair.flat()?;
        let axes = pair.axes.clone();
        let mut by_index: Vec<Vec<(f64, f64)>> =
            axes.iter().map(|axis| vec![(0.0, 0.0); axis.extent]).collect();
        let mut map = MapEnergies::of(&axes);
        let (mut error, mut size) = (0.0, 0.0);
        let mut largest: Vec<(usize, f64)> = Vec::new();
        for flat in 0..a.len() {
            let b = b.at(flat);
            let (d2, b2) = ((a.at(flat) - b).powi(2), b * b);
            error += d2;
            size += b2;
            for (axis, sums) in axes.iter().zip(&mut by_index) {
                let sums = &mut sums[axis.index(flat)];
                *sums = (sums.0 + d2, sums.1 + b2);
            }
            if let Some(map) = &mut map {
                let (row, column) = (axes[map.row_axis].index(flat), axes[map.column_axis].index(flat));
                let sums = &mut map.pixels[row * map.columns + column];
                *sums = (sums.0 + d2, sums.1 + b2);
            }
            if d2 > 0.0 && (largest.len() < LARGEST || d2 > largest[LARGEST - 1].1) {
                let at = largest.partition_point(|(_, square)| *square >= d2);
                largest.insert(at, (flat, d2));
                largest.truncate(LARGEST);
            }
        }
        let of_reference = largest.iter().map(|(at, _)| (*at, b.at(*at).powi(2))).collect();
        Some(Energies { axes, elements: a.len(), error, size, by_index, map, largest, of_reference })
    }

    /// b² of one of the elements with the largest d².
    pub(super) fn square_of_reference(&self, at: usize) -> f64 {
        self.of_reference.iter().find(|(known, _)| *known == at).map_or(0.0, |(_, square)| *square)
    }

    /// The shares of the whole, with the place that holds nearly all of it.
    pub(super) fn shape(&self, layer: &str, place: Option<ErrorPlace>) -> ErrorShape {
        ErrorShape {
            layer: layer.to_string(),
            place,
            axes: self.axis_shares(),
            rings: self.map.as_ref().map(|map| map.rings(self.error)).unwrap_or_default(),
            phases: self.map.as_ref().map(|map| map.phases(self.error)),
            groups: self.groups(),
            map: self.map.as_ref().and_then(MapEnergies::cells),
        }
    }

    fn axis_shares(&self) -> Vec<AxisShares> {
        let of_axis = |(axis, sums): (&NamedAxis, &Vec<(f64, f64)>)| {
            let mut largest: Vec<(usize, f64)> =
                sums.iter().enumerate().map(|(index, (error, _))| (index, error / self.error)).collect();
            largest.sort_by(|(_, a), (_, b)| b.total_cmp(a));
            largest.truncate(REPORTED);
            AxisShares { axis: axis.name.clone(), extent: axis.extent, largest }
        };
        let axes = self.axes.iter().zip(&self.by_index).filter(|(axis, _)| axis.extent > 1);
        axes.map(of_axis).collect()
    }

    /// Channels in groups that follow each other, as heads do.
    fn groups(&self) -> Vec<f64> {
        let Some(at) = self.axes.iter().position(NamedAxis::is_channels) else { return Vec::new() };
        let sums = &self.by_index[at];
        let groups =
            (2..=GROUPS).rev().find(|groups| sums.len() >= 2 * groups && sums.len().is_multiple_of(*groups));
        let Some(groups) = groups else { return Vec::new() };
        let of_group = |group: &[(f64, f64)]| group.iter().map(|(error, _)| error).sum::<f64>() / self.error;
        sums.chunks(sums.len() / groups).map(of_group).collect()
    }
}

impl MapEnergies {
    fn of(axes: &[NamedAxis]) -> Option<MapEnergies> {
        let row_axis = axes.iter().position(NamedAxis::is_rows)?;
        let column_axis = axes.iter().position(NamedAxis::is_columns)?;
        let (rows, columns) = (axes[row_axis].extent, axes[column_axis].extent);
        let pixels = vec![(0.0, 0.0); rows * columns];
        (rows * columns > 1).then_some(MapEnergies { row_axis, column_axis, rows, columns, pixels })
    }

    fn rings(&self, error: f64) -> Vec<f64> {
        let rings = RINGS.min(self.rows.min(self.columns).div_ceil(2));
        let mut shares = vec![0.0; rings];
        for (at, (square, _)) in self.pixels.iter().enumerate() {
            let (row, column) = (at / self.columns, at % self.columns);
            let ring = row.min(column).min(self.rows - 1 - row).min(self.columns - 1 - column);
            if let Some(share) = shares.get_mut(ring) {
                *share += square / error;
            }
        }
        shares
    }

    fn phases(&self, error: f64) -> [[f64; 2]; 2] {
        let mut shares = [[0.0; 2]; 2];
        for (at, (square, _)) in self.pixels.iter().enumerate() {
            shares[at / self.columns % 2][at % self.columns % 2] += square / error;
        }
        shares
    }

    /// Mean d² of the pixels of each cell, relative to the largest; `None` where all are 0.
    fn cells(&self) -> Option<ErrorMap> {
        let (rows, columns) = (self.rows.min(ErrorMap::MOST), self.columns.min(ErrorMap::MOST));
        let mut sums = vec![vec![(0.0, 0.0); columns]; rows];
        for (at, (square, _)) in self.pixels.iter().enumerate() {
            let (row, column) = (at / self.columns, at % self.columns);
            let (sum, count) = &mut sums[row * rows / self.rows][column * columns / self.columns];
            (*sum, *count) = (*sum + square, *count + 1.0);
        }
        let mean = |(sum, count): &(f64, f64)| sum / count;
        let most = sums.iter().flatten().map(mean).fold(0.0, f64::max);
        let relative = |row: &Vec<(f64, f64)>| row.iter().map(|cell| mean(cell) / most).collect();
        let cells = sums.iter().map(relative).collect();
        (most > 0.0).then_some(ErrorMap { pixels: (self.rows, self.columns), cells })
    }
}
