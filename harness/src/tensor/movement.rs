//! What gets moved when a tensor is laid out wrongly, so that it can be asked whether a set would show it: a symmetric or
//! constant picture cannot.

use ndarray::{Array4, ArrayView4, Axis, Ix4, Slice};

use super::{Tensor, Values};

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

/// Which axes of a tensor are the map's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `[B, C, H, W]`.
    Map,
    /// `[B, T, C]`, tokens in rows of the map.
    Tokens,
}

impl Movement {
    /// Those that a set's input must be able to show.
    pub const PROBES: [Movement; 3] =
        [Movement::ExchangedAxes, Movement::ReversedChannels, Movement::ShiftedPixels];

    /// The tensor after the movement, in f32; tokens stand in rows of a map of `resolution` (height, width). `None` where
    /// there is nothing to move, or no such axis.
    pub fn of(self, tensor: &Tensor, resolution: (usize, usize)) -> Option<Tensor> {
        if tensor.is_empty() {
            return None;
        }
        let values = tensor.to_f32();
        let (kind, maps) = match (tensor.shape(), resolution) {
            ([_, _, _, _], _) => (Kind::Map, values.into_dimensionality::<Ix4>().ok()?),
            (&[batch, tokens, channels], (height, width)) if height.checked_mul(width) == Some(tokens) => {
                let rows = values.into_shape_with_order((batch, height, width, channels)).ok()?;
                (Kind::Tokens, rows.permuted_axes([0, 3, 1, 2]))
            }
            _ => return None,
        };
        let moved = self.moved(kind, maps.view())?;
        let moved = match kind {
            Kind::Map => moved.into_dyn(),
            Kind::Tokens => {
                let rows = moved.permuted_axes([0, 2, 3, 1]);
                rows.as_standard_layout().into_owned().into_shape_with_order(tensor.shape()).ok()?
            }
        };
        Some(Tensor::new(super::Dtype::F32, Values::F32(moved.into_shared())))
    }

    /// The maps `[B, C, H, W]` after the movement.
    fn moved(self, kind: Kind, maps: ArrayView4<'_, f32>) -> Option<Array4<f32>> {
        let (_, channels, height, width) = maps.dim();
        match self {
            Movement::ExchangedAxes => {
                // An oblong map shows it in its shape; tokens of one cannot be told.
                let shows = if height == width { height > 1 } else { kind == Kind::Map };
                shows.then(|| maps.permuted_axes([0, 1, 3, 2]).to_owned())
            }
            Movement::ReversedChannels => (channels > 1).then(|| {
                let mut reversed = maps;
                reversed.invert_axis(Axis(1));
                reversed.to_owned()
            }),
            Movement::ShiftedPixels => (width > 1).then(|| {
                let mut shifted = maps.to_owned();
                let pixels = maps.slice_axis(Axis(3), Slice::from(..-1));
                shifted.slice_axis_mut(Axis(3), Slice::from(1..)).assign(&pixels);
                shifted
            }),
            Movement::ZeroedRow => {
                let mut zeroed = maps.to_owned();
                zeroed.index_axis_mut(Axis(2), height / 2).fill(0.0);
                Some(zeroed)
            }
        }
    }
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
        tensor.unwrap().iter().collect()
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
        assert_eq!(Movement::ShiftedPixels.of(&counting(&[2, 4, 1, 1]), (1, 1)), None, "one pixel");
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
        assert_eq!(Movement::ExchangedAxes.of(&symmetric, (1, 1)).unwrap(), symmetric);
    }
}
