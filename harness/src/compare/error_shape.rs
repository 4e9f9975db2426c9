//! Where in a layer its error is.

/// Where in a layer its error is: shares of Σ d².
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ErrorShape {
    /// What the layer's pair is called.
    pub layer: String,
    /// The smallest place that holds nearly all of it, where an even spread would not put it there.
    pub place: Option<ErrorPlace>,
    /// By axis, all but those of one index.
    pub axes: Vec<AxisShares>,
    /// Of the outermost pixels, the next ones, and so on; empty where there is no map.
    pub rings: Vec<f64>,
    /// Of pixels by their row and column modulo 2; `None` where there is no map.
    pub phases: Option<[[f64; 2]; 2]>,
    /// Of groups of channels that follow each other; empty where there are fewer than two.
    pub groups: Vec<f64>,
    /// The map, where there is one.
    pub map: Option<ErrorMap>,
}

/// Shares of an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct AxisShares {
    /// The axis.
    pub axis: String,
    /// How many indices it has.
    pub extent: usize,
    /// The indices with the largest shares, the largest first.
    pub largest: Vec<(usize, f64)>,
}

/// A part of a layer with its share.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorPlace {
    /// The part.
    pub part: LayerPart,
    /// Its share of Σ d².
    pub share: f64,
    /// Its share of the elements.
    pub elements: f64,
}

/// A part of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerPart {
    /// Single elements.
    Elements {
        /// How many.
        count: usize,
        /// The index of the first.
        first: Vec<usize>,
    },
    /// Indices of an axis.
    Indices {
        /// The axis.
        axis: String,
        /// How many indices it has.
        extent: usize,
        /// The indices, ascending.
        indices: Vec<usize>,
    },
    /// Every second index of axes, from 0 or from 1.
    EverySecond(Vec<(String, usize)>),
    /// Edges of the map, so many pixels wide.
    Edges {
        /// How many pixels.
        pixels: usize,
        /// The first row, the last, the first column, the last.
        edges: [bool; 4],
    },
}

/// The error over height and width, summed over everything else.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorMap {
    /// The map's extents: rows and columns of pixels.
    pub pixels: (usize, usize),
    /// Rows of cells: mean d² of a cell's pixels, relative to the largest.
    pub cells: Vec<Vec<f64>>,
}

impl ErrorMap {
    /// Rows and columns of cells at the most.
    pub const MOST: usize = 16;

    /// Whether a quarter of it is right.
    pub fn is_partly_right(&self) -> bool {
        let cells = self.cells.iter().flatten();
        let right = cells.clone().filter(|energy| **energy < 1e-8).count();
        4 * right > cells.count()
    }

    /// Whether the error is gathered somewhere: most cells have less than a quarter of what the largest has.
    pub fn is_uneven(&self) -> bool {
        let cells = self.cells.iter().flatten();
        let low = cells.clone().filter(|energy| **energy < 0.25).count();
        2 * low > cells.count()
    }
}
