//! A part's values, made as small as they can be while the candidate still fails on them.

use std::collections::BTreeMap;
use std::ops::Range;

use encoder::Part;
use encoder::reference::Tensor64;

use crate::gate::local::computed::ComputedPart;
use crate::gate::local::oracle::Oracle;
use crate::shell::failure::Failure;

/// Values of a window and of the whole that are nearer than this are the same.
const SAME: f64 = 1e-12;

/// A part on inputs of its own.
pub(super) struct PartCase {
    /// What it takes, in its order.
    pub(super) inputs: Vec<(String, Tensor64)>,
    /// What it gives.
    pub(super) expected: Vec<(String, Tensor64)>,
    /// What the candidate gave of [`PartCase::expected`]'s last tensor that it has; NaN where its dump cannot tell, since its
    /// port saw more of the image there.
    pub(super) candidate: Option<(String, Tensor64)>,
    /// rel_l2 of the candidate where it can tell.
    pub(super) error: Option<f64>,
    /// What f32 sums may move of it at the most.
    pub(super) limit: f64,
}

/// `[batch, channels, height, width]`, and what is taken of it.
#[derive(Clone, Debug)]
struct MapWindow {
    image: usize,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl MapWindow {
    /// The whole of an image.
    fn of_image(image: usize, shape: &[usize; 4]) -> MapWindow {
        MapWindow { image, rows: 0..shape[2], columns: 0..shape[3] }
    }

    fn cut(&self, x: &Tensor64, shape: &[usize; 4]) -> Tensor64 {
        let [_, channels, height, width] = *shape;
        let mut data = Vec::with_capacity(channels * self.rows.len() * self.columns.len());
        for channel in 0..channels {
            let plane = &x.data[(self.image * channels + channel) * height * width..][..height * width];
            for row in self.rows.clone() {
                data.extend_from_slice(&plane[row * width..][self.columns.clone()]);
            }
        }
        Tensor64 { shape: vec![1, channels, self.rows.len(), self.columns.len()], data }
    }
}

fn map_shape(tensor: &Tensor64) -> Option<[usize; 4]> {
    <[usize; 4]>::try_from(tensor.shape.as_slice()).ok()
}

/// ‖a - b‖ / ‖b‖ where `a` is a number.
fn error_where_told(a: &Tensor64, b: &Tensor64) -> Option<f64> {
    let told = a.data.iter().zip(&b.data).filter(|(a, _)| !a.is_nan());
    let (difference, size) =
        told.fold((0.0, 0.0), |(difference, size), (a, b)| (difference + (a - b).powi(2), size + b * b));
    (size > 0.0).then(|| (difference / size).sqrt())
}

impl PartCase {
    /// The whole part, then the image that is off most, then ever smaller windows around its worst element, as long as the
    /// candidate is over `times` the part's floor there.
    pub(super) fn of(oracle: &Oracle<'_>, computed: &ComputedPart, times: f64) -> Result<PartCase, Failure> {
        let own =
            computed.outputs.iter().rev().find_map(|(name, _)| Some((name, oracle.tensors.tensor(name)?)));
        let limit = own
            .as_ref()
            .and_then(|(name, _)| computed.floors.get(*name))
            .map_or(f64::INFINITY, |floor| times * floor.figures.rel_l2);
        let candidate = own.map(|(name, tensor)| (name.clone(), Tensor64::clone(&tensor)));
        let expected = computed.outputs.clone();
        let of_name =
            |name: &String| expected.iter().find(|(given, _)| given == name).map(|(_, tensor)| tensor);
        let error = candidate.as_ref().and_then(|(name, own)| error_where_told(own, of_name(name)?));
        let inputs = computed.part.inputs.iter().filter_map(|name| {
            computed.inputs.tensors.get(name).map(|tensor| (name.clone(), tensor.clone()))
        });
        let mut case = PartCase { inputs: inputs.collect(), expected, candidate, error, limit };
        if !error.is_some_and(|error| error > limit) {
            return Ok(case);
        }
        let Some(mut window) = case.worst_image() else { return Ok(case) };
        loop {
            let Some(smaller) = case_of(oracle, computed, &window, limit)? else { return Ok(case) };
            case = smaller;
            let Some(next) = halved(computed, &case, &window) else { return Ok(case) };
            window = next;
        }
    }

    /// The image of the batch that is off most, as a window of the input; `None` of inputs that are no maps.
    fn worst_image(&self) -> Option<MapWindow> {
        let (name, own) = self.candidate.as_ref()?;
        let (_, expected) = self.expected.iter().find(|(given, _)| given == name)?;
        let images = *own.shape.first()?;
        let of_image = own.data.len() / images.max(1);
        let off = |image: usize| -> f64 {
            let range = image * of_image..(image + 1) * of_image;
            own.data[range.clone()].iter().zip(&expected.data[range]).map(|(a, b)| (a - b).powi(2)).sum()
        };
        let image = (0..images).max_by(|a, b| off(*a).total_cmp(&off(*b)))?;
        let [(_, input)] = self.inputs.as_slice() else { return None };
        Some(MapWindow::of_image(image, &map_shape(input)?))
    }
}

/// A window of the input of half the size, around the worst element, in steps of the part's stride.
fn halved(whole: &ComputedPart, case: &PartCase, window: &MapWindow) -> Option<MapWindow> {
    let (name, own) = case.candidate.as_ref()?;
    let (_, expected) = case.expected.iter().find(|(given, _)| given == name)?;
    let (_, input) = case.inputs.first()?;
    let ([_, _, height, width], [_, _, rows, columns]) = (map_shape(expected)?, map_shape(input)?);
    let off = |at: usize| match own.data[at].is_nan() {
        true => -1.0,
        false => (own.data[at] - expected.data[at]).abs(),
    };
    let worst = (0..own.data.len()).max_by(|a, b| off(*a).total_cmp(&off(*b)))?;
    let (row, column) = (worst / width % height, worst % width);
    let whole_input = map_shape(whole.inputs.tensors.values().next()?)?;
    let axis = |at: usize, outputs: usize, taken: &Range<usize>, whole: usize| {
        let stride = taken.len().div_ceil(outputs);
        // The zeros around a map go by its size modulo the stride: a window has the same.
        let size = taken.len() / 2 / stride * stride + whole % stride;
        let middle = taken.start + at * stride;
        let start = middle.saturating_sub(size / 2).min(whole.saturating_sub(size)) / stride * stride;
        start..start + size
    };
    let rows = axis(row, height, &(window.rows.start..window.rows.start + rows), whole_input[2]);
    let columns =
        axis(column, width, &(window.columns.start..window.columns.start + columns), whole_input[3]);
    let next = MapWindow { image: window.image, rows, columns };
    let is_smaller = next.rows.len() < window.rows.len() || next.columns.len() < window.columns.len();
    (is_smaller && !next.rows.is_empty() && !next.columns.is_empty()).then_some(next)
}

/// The part on a window of its input; `None` where what the window gives cannot be held against what the candidate gave, or is
/// not off there.
fn case_of(
    oracle: &Oracle<'_>,
    whole: &ComputedPart,
    window: &MapWindow,
    limit: f64,
) -> Result<Option<PartCase>, Failure> {
    let part: &Part = &whole.part;
    let [name] = part.inputs.as_slice() else { return Ok(None) };
    let Some((input, shape)) =
        whole.inputs.tensors.get(name).and_then(|input| Some((input, map_shape(input)?)))
    else {
        return Ok(None);
    };
    let cut = window.cut(input, &shape);
    let inputs: BTreeMap<String, Tensor64> = [(name.clone(), cut.clone())].into();
    let Ok(expected) = oracle.model.run_part(part, &inputs) else { return Ok(None) };
    let Some(candidate) = told_in(oracle, whole, window, &expected) else { return Ok(None) };
    let of_name = expected.iter().find(|(given, _)| *given == candidate.0).map(|(_, tensor)| tensor);
    let error = of_name.and_then(|expected| error_where_told(&candidate.1, expected));
    if !error.is_some_and(|error| error > limit) {
        return Ok(None);
    }
    let inputs = vec![(name.clone(), cut)];
    Ok(Some(PartCase { inputs, expected, candidate: Some(candidate), error, limit }))
}

/// What the candidate gave of a window: NaN where the part gives something else on the window than it does on the whole.
fn told_in(
    oracle: &Oracle<'_>,
    whole: &ComputedPart,
    window: &MapWindow,
    expected: &[(String, Tensor64)],
) -> Option<(String, Tensor64)> {
    let (name, own) =
        whole.outputs.iter().rev().find_map(|(name, _)| Some((name, oracle.tensors.tensor(name)?)))?;
    let (_, on_whole) = whole.outputs.iter().find(|(given, _)| given == name)?;
    let (_, on_window) = expected.iter().find(|(given, _)| given == name)?;
    let (large, small) = (map_shape(on_whole)?, map_shape(on_window)?);
    let input = map_shape(whole.inputs.tensors.values().next()?)?;
    let (down, across) = (input[2].div_ceil(large[2]), input[3].div_ceil(large[3]));
    let (top, left) = (window.rows.start / down, window.columns.start / across);
    if top + small[2] > large[2] || left + small[3] > large[3] {
        return None;
    }
    let place = MapWindow { image: window.image, rows: top..top + small[2], columns: left..left + small[3] };
    let (own, on_whole) = (place.cut(&own, &large), place.cut(on_whole, &large));
    let largest = on_whole.data.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    let is_same = |a: f64, b: f64| (a - b).abs() <= SAME * largest;
    let values = own.data.iter().zip(on_whole.data.iter().zip(&on_window.data));
    let told: Vec<f64> = values.map(|(own, (a, b))| if is_same(*a, *b) { *own } else { f64::NAN }).collect();
    let any = told.iter().any(|x| !x.is_nan());
    any.then(|| (name.clone(), Tensor64 { shape: on_window.shape.clone(), data: told }))
}
