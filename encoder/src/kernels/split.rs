//! Numbers cut into pieces of bf16, two neighbours in depth packed into one word.

use crate::precision::Pieces;

/// The widest rows of [`pairs_of_rows`]: two of the widest vectors.
const MAX_WIDTH: usize = 32;

/// The nearest bf16, ties to even, in the upper half of an f32; NaN stays NaN.
#[inline(always)]
pub(crate) fn round_to_bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) & 0xffff_0000;
    // Rounding up the mantissa of a NaN could end in another number.
    f32::from_bits(if x.is_nan() { bits | 0x0040_0000 } else { rounded })
}

/// Cuts each of `rest` into its nearest bf16, written to `piece`, and what is left of it, exactly.
#[inline(always)]
fn cut(rest: &mut [f32], piece: &mut [f32]) {
    for (rest, piece) in rest.iter_mut().zip(piece) {
        *piece = round_to_bf16(*rest);
        *rest -= *piece;
    }
}

/// Two bf16 numbers in one word, the first in the lower half.
#[inline(always)]
pub(crate) fn pair(first: f32, second: f32) -> u32 {
    (first.to_bits() >> 16) | (second.to_bits() & 0xffff_0000)
}

/// Cuts `row` (an even number of elements, overwritten) into `pieces` pieces; `write(piece, pairs)` takes each piece,
/// largest first, as elements that are bf16 numbers.
#[inline(always)]
pub(crate) fn split(row: &mut [f32], piece: &mut [f32], pieces: usize, mut write: impl FnMut(usize, &[f32])) {
    let piece = &mut piece[..row.len()];
    for index in 0..pieces {
        cut(row, piece);
        write(index, piece);
    }
}

/// Rows of `width` elements (`[depth, width]`) as `[pieces, pairs, width]`, where a pair
/// is of two neighbouring rows; zeros up to the pairs that `out` has room for.
#[inline(always)]
pub(crate) fn pairs_of_rows(rows: &[f32], width: usize, pieces: Pieces, out: &mut [u32]) {
    let count = pieces.count();
    let piece = out.len() / count;
    let (mut two, mut rest) = ([[0.0; MAX_WIDTH]; 2], rows);
    for place in (0..piece).step_by(width) {
        for row in &mut two {
            let length = width.min(rest.len());
            row[..length].copy_from_slice(&rest[..length]);
            row[length..width].fill(0.0);
            rest = &rest[length..];
        }
        for index in 0..count {
            let out = &mut out[index * piece + place..][..width];
            let [first, second] = &mut two;
            for ((out, first), second) in out.iter_mut().zip(first).zip(second) {
                let (a, b) = (round_to_bf16(*first), round_to_bf16(*second));
                *out = pair(a, b);
                *first -= a;
                *second -= b;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::values;

    #[test]
    fn rounds_as_the_half_crate_does() {
        let special = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE, 1e-40, f32::MAX];
        let ties = [0x3f80_8000, 0x3f81_8000, 0x3f80_7fff, 0x3f80_8001].map(f32::from_bits);
        for x in values(10_000, 1).into_iter().chain(special).chain(ties) {
            let expected = half::bf16::from_f32(x).to_f32();
            assert_eq!(round_to_bf16(x).to_bits(), expected.to_bits(), "{x:e}");
        }
        for nan in [0x7fff_ffff, 0xffff_ffff, 0x7f80_0001].map(f32::from_bits) {
            assert!(round_to_bf16(nan).is_nan());
        }
    }

    #[test]
    fn pieces_add_up_to_the_number() {
        let row = values(64, 2);
        let mut rest = row.clone();
        let mut sum = vec![0.0f64; 64];
        split(&mut rest, &mut [0.0; 64], 3, |index, piece| {
            for (sum, piece) in sum.iter_mut().zip(piece) {
                assert_eq!(piece.to_bits() & 0xffff, 0, "no bf16 number");
                *sum += f64::from(*piece);
            }
            // A piece holds 8 bits and the sign of the rest another.
            let left = 2f64.powi(-9 * (index as i32 + 1));
            assert!(sum.iter().zip(&row).all(|(sum, x)| (sum - f64::from(*x)).abs() <= left), "{index}");
        });
        assert_eq!(sum, row.iter().map(|x| f64::from(*x)).collect::<Vec<_>>());
    }

    #[test]
    fn pairs_keep_their_order() {
        assert_eq!(pair(1.0, -2.0), 0xc000_3f80);
    }
}
