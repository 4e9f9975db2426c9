//! Whether tensors can show that something was moved: a symmetric or constant picture cannot.

use crate::metrics::Metrics;
use crate::pairing::Pair;
use crate::run::Terms;
use crate::tensor::{Tensor, Values};
use crate::verdict::judge;

/// What gets moved when a tensor is laid out wrongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movement {
    /// Height and width.
    ExchangedAxes,
    /// The order of the channels.
    ReversedChannels,
    /// Every pixel one to the right; the left column repeats.
    ShiftedPixels,
    /// The row in the middle is zero.
    ZeroedRow,
}

/// Extents of `[B, C, H, W]`, or of `[B, T, C]` with tokens in rows.
#[derive(Clone, Copy)]
struct Grid {
    batch: usize,
    channels: usize,
    height: usize,
    width: usize,
    tokens: bool,
}

impl Grid {
    fn of(shape: &[usize], (height, width): (usize, usize)) -> Option<Grid> {
        match *shape {
            [batch, channels, height, width] => Some(Grid { batch, channels, height, width, tokens: false }),
            [batch, tokens, channels] if height.checked_mul(width) == Some(tokens) => {
                Some(Grid { batch, channels, height, width, tokens: true })
            }
            _ => None,
        }
    }

    fn index(self, [b, c, y, x]: [usize; 4]) -> usize {
        match self.tokens {
            false => ((b * self.channels + c) * self.height + y) * self.width + x,
            true => ((b * self.height + y) * self.width + x) * self.channels + c,
        }
    }

    /// The elements, each taken from where `source` says; 0 where it says nothing.
    fn rearranged(self, values: &Values, source: impl Fn([usize; 4]) -> Option<[usize; 4]>) -> Vec<f32> {
        let mut out = vec![0.0; values.len()];
        let pixels = (0..self.height).flat_map(|y| (0..self.width).map(move |x| (y, x)));
        for (b, c) in (0..self.batch).flat_map(|b| (0..self.channels).map(move |c| (b, c))) {
            for (y, x) in pixels.clone() {
                if let Some(source) = source([b, c, y, x]) {
                    out[self.index([b, c, y, x])] = values.get(self.index(source)) as f32;
                }
            }
        }
        out
    }
}

impl Movement {
    /// Those that a fixture's input must be able to show.
    pub const PROBES: [Movement; 3] =
        [Movement::ExchangedAxes, Movement::ReversedChannels, Movement::ShiftedPixels];

    /// The tensor after the movement, in f32; tokens stand in rows of a map of `resolution`. `None` where there is nothing
    /// to move, or no such axis.
    pub fn of(self, tensor: &Tensor, resolution: (usize, usize)) -> Option<Tensor> {
        let grid = Grid::of(tensor.shape(), resolution)?;
        let moved = |source: &dyn Fn([usize; 4]) -> Option<[usize; 4]>| {
            Tensor::from_f32(tensor.shape().to_vec(), grid.rearranged(tensor.values(), source))
        };
        match self {
            Movement::ExchangedAxes if grid.height == grid.width && grid.height > 1 => {
                moved(&|[b, c, y, x]| Some([b, c, x, y]))
            }
            // An oblong map shows it in its shape.
            Movement::ExchangedAxes if grid.height != grid.width && !grid.tokens => {
                let swapped = Grid { height: grid.width, width: grid.height, ..grid };
                let mut values = vec![0.0; tensor.values().len()];
                for (i, value) in values.iter_mut().enumerate() {
                    let (rest, x) = (i / swapped.width, i % swapped.width);
                    let (map, y) = (rest / swapped.height, rest % swapped.height);
                    let at = grid.index([map / grid.channels, map % grid.channels, x, y]);
                    *value = tensor.values().get(at) as f32;
                }
                Tensor::from_f32(vec![grid.batch, grid.channels, swapped.height, swapped.width], values)
            }
            Movement::ExchangedAxes => None,
            Movement::ReversedChannels if grid.channels > 1 => {
                moved(&|[b, c, y, x]| Some([b, grid.channels - 1 - c, y, x]))
            }
            Movement::ReversedChannels => None,
            Movement::ShiftedPixels => moved(&|[b, c, y, x]| Some([b, c, y, x.saturating_sub(1)])),
            Movement::ZeroedRow => moved(&|[b, c, y, x]| (y != grid.height / 2).then_some([b, c, y, x])),
        }
    }
}

/// How far a movement takes a reference from itself, in multiples of the pair's tolerance: it shows above 1. Infinite where
/// it changes the shape. Both are laid out as the reference is: the layout of the candidate does not matter.
pub fn distance(terms: &Terms<'_>, pair: &Pair, moved: &Tensor, reference: &Tensor) -> f64 {
    if moved.shape() != reference.shape() {
        return f64::INFINITY;
    }
    let (a, b) = (moved.values(), reference.values());
    let metrics = Metrics::of(a, b, (moved.dtype(), reference.dtype()));
    let floor = terms.reference.noise_floor(&pair.reference);
    judge(&metrics, a, b, &terms.tolerance(pair), floor).used()
}

impl std::fmt::Display for Movement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Movement::ExchangedAxes => "exchanged axes",
            Movement::ReversedChannels => "reversed channels",
            Movement::ShiftedPixels => "a shift by one pixel",
            Movement::ZeroedRow => "a zeroed row",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(shape: &[usize]) -> Tensor {
        let n = shape.iter().product::<usize>();
        Tensor::from_f32(shape.to_vec(), (0..n).map(|i| i as f32).collect()).unwrap()
    }

    fn values(tensor: Option<Tensor>) -> Vec<f64> {
        let tensor = tensor.unwrap();
        (0..tensor.values().len()).map(|i| tensor.values().get(i)).collect()
    }

    #[test]
    fn every_movement_by_hand() {
        let map = counting(&[1, 2, 2, 2]);
        let of = |movement: Movement| values(movement.of(&map, (2, 2)));
        assert_eq!(of(Movement::ExchangedAxes), [0., 2., 1., 3., 4., 6., 5., 7.]);
        assert_eq!(of(Movement::ReversedChannels), [4., 5., 6., 7., 0., 1., 2., 3.]);
        assert_eq!(of(Movement::ShiftedPixels), [0., 0., 2., 2., 4., 4., 6., 6.]);
        assert_eq!(of(Movement::ZeroedRow), [0., 1., 0., 0., 4., 5., 0., 0.]);
    }

    #[test]
    fn a_constant_picture_shows_no_movement_of_its_pixels() {
        let constant = Tensor::from_f32(vec![1, 2, 3, 3], [[1.0; 9], [2.0; 9]].concat()).unwrap();
        for movement in [Movement::ExchangedAxes, Movement::ShiftedPixels] {
            assert_eq!(values(movement.of(&constant, (3, 3))), values(Some(constant.clone())), "{movement}");
        }
    }

    #[test]
    fn tokens_are_rows_of_pixels() {
        let tokens = counting(&[1, 4, 2]);
        assert_eq!(values(Movement::ExchangedAxes.of(&tokens, (2, 2))), [0., 1., 4., 5., 2., 3., 6., 7.]);
        assert_eq!(values(Movement::ReversedChannels.of(&tokens, (2, 2))), [1., 0., 3., 2., 5., 4., 7., 6.]);
        assert_eq!(Movement::ExchangedAxes.of(&tokens, (1, 4)), None);
        assert_eq!(Movement::ShiftedPixels.of(&tokens, (3, 3)), None);
    }

    #[test]
    fn an_oblong_map_changes_its_shape() {
        let swapped = Movement::ExchangedAxes.of(&counting(&[1, 1, 2, 3]), (1, 1)).unwrap();
        assert_eq!(swapped.shape(), [1, 1, 3, 2]);
        assert_eq!(values(Some(swapped)), [0., 3., 1., 4., 2., 5.]);
    }

    #[test]
    fn trap_12_a_symmetric_tensor_cannot_show_exchanged_axes() {
        let symmetric = Tensor::from_f32(vec![1, 1, 2, 2], vec![1.0, 2.0, 2.0, 1.0]).unwrap();
        assert!(Movement::ExchangedAxes.of(&symmetric, (1, 1)).unwrap().same_values(&symmetric));
    }
}
