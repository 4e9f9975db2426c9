//! What a text log prints of a tensor.

use crate::tensor::Dtype;

/// A number as it is printed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrintedNumber {
    /// Its value.
    pub value: f64,
    /// Half a unit of its last digit: what printing may have changed.
    pub half_unit: f64,
}

/// What a log says of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct PrintedTensor {
    /// Extents, slowest first.
    pub shape: Vec<usize>,
    /// The type of its elements.
    pub dtype: Dtype,
    /// The elements that are printed, by their position in row-major order.
    pub elements: Vec<(usize, PrintedNumber)>,
    /// The sum of all elements.
    pub sum: Option<PrintedNumber>,
}

impl PrintedNumber {
    /// Reads a number, such as `-1.2500` or `nan`.
    pub(super) fn parse(text: &str) -> Option<PrintedNumber> {
        let text = text.trim();
        if text.contains("nan") {
            return Some(PrintedNumber { value: f64::NAN, half_unit: 0.0 });
        }
        let value: f64 = text.parse().ok()?;
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse().ok()?),
            None => (text, 0i32),
        };
        let decimals = mantissa.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let digit = exponent.saturating_sub(i32::try_from(decimals).ok()?);
        let half_unit = if value.is_finite() { 0.5 * 10f64.powi(digit) } else { 0.0 };
        half_unit.is_finite().then_some(PrintedNumber { value, half_unit })
    }
}
