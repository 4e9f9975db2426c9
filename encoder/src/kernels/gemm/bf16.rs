//! Numbers split into terms of bf16, two neighbours in depth packed into one word.

use crate::precision::SplitTerms;
use crate::simd::{MAX_LANES, Simd};

/// Splits two vectors into terms, largest first, each the nearest bf16 of what is left: words of both, lane by lane
/// or of neighbouring lanes. What is left is exact, unless the number rounds to infinity.
#[inline(always)]
fn split<S: Simd, const TERMS: usize>(
    simd: S,
    (mut first, mut second): (S::V, S::V),
    neighbours: bool,
) -> [S::V; TERMS] {
    if TERMS == 1 {
        let words = match neighbours {
            true => simd.rounded_pairs_of_neighbours(first, second),
            false => simd.rounded_pairs(first, second),
        };
        return [words; TERMS];
    }
    let mut words = [first; TERMS];
    for words in &mut words {
        let (a, b) = (simd.round_to_bf16(first), simd.round_to_bf16(second));
        *words = if neighbours { simd.pairs_of_neighbours(a, b) } else { simd.pairs(a, b) };
        (first, second) = (simd.sub(first, a), simd.sub(second, b));
    }
    words
}

/// A row as `[terms, pairs]`, a pair being of two neighbours in it; zeros up to `pairs`. The terms are `stride` words apart.
#[inline(always)]
pub(crate) fn pairs_of_row<S: Simd>(
    simd: S,
    row: &[f32],
    terms: SplitTerms,
    pairs: usize,
    stride: usize,
    out: &mut [u32],
) {
    match terms {
        SplitTerms::One => split_row::<S, 1>(simd, row, pairs, stride, out),
        SplitTerms::Two => split_row::<S, 2>(simd, row, pairs, stride, out),
        SplitTerms::Three => split_row::<S, 3>(simd, row, pairs, stride, out),
    }
}

#[inline(always)]
fn split_row<S: Simd, const TERMS: usize>(
    simd: S,
    row: &[f32],
    pairs: usize,
    stride: usize,
    out: &mut [u32],
) {
    assert!(row.len() <= 2 * pairs, "{} elements in {pairs} pairs", row.len());
    let mut part = [0.0; 2 * MAX_LANES];
    for start in (0..pairs).step_by(S::LANES) {
        let rest = &row[row.len().min(2 * start)..];
        let elements = if rest.len() >= 2 * S::LANES {
            rest
        } else {
            part.fill(0.0);
            part[..rest.len()].copy_from_slice(rest);
            &part
        };
        let count = S::LANES.min(pairs - start);
        let two = (simd.load(elements), simd.load(&elements[S::LANES..]));
        for (term, words) in split::<S, TERMS>(simd, two, true).into_iter().enumerate() {
            let out = &mut out[term * stride + start..][..count];
            // Words are only moved, whatever they would be as numbers.
            simd.store_partial(words, bytemuck::cast_slice_mut(out));
        }
    }
}

/// A row as `[terms, length]` of f32, each term the nearest bf16 of what is left; zeros up to `length`.
#[inline(always)]
pub(crate) fn terms_of_row<S: Simd>(simd: S, row: &[f32], terms: SplitTerms, length: usize, out: &mut [f32]) {
    assert!(row.len() <= length, "{} elements in {length}", row.len());
    for start in (0..length).step_by(S::LANES) {
        let count = S::LANES.min(length - start);
        let present = row.len().min(start + count).saturating_sub(start);
        let mut rest = match present {
            0 => simd.splat(0.0),
            _ => simd.load_partial(&row[start..start + present]),
        };
        for term in out.chunks_exact_mut(length).take(terms.count()) {
            let nearest = simd.round_to_bf16(rest);
            simd.store_partial(nearest, &mut term[start..start + count]);
            rest = simd.sub(rest, nearest);
        }
    }
}

/// Rows of `width` elements, `[depth, width]`, as `[terms, pairs, width]`, a pair being of two neighbouring rows; zeros up
/// to the pairs that `out` has room for. `width` is a multiple of `S::LANES`.
#[inline(always)]
pub(crate) fn pairs_of_rows<S: Simd>(
    simd: S,
    rows: &[f32],
    width: usize,
    terms: SplitTerms,
    out: &mut [u32],
) {
    match terms {
        SplitTerms::One => split_rows::<S, 1>(simd, rows, width, out),
        SplitTerms::Two => split_rows::<S, 2>(simd, rows, width, out),
        SplitTerms::Three => split_rows::<S, 3>(simd, rows, width, out),
    }
}

#[inline(always)]
fn split_rows<S: Simd, const TERMS: usize>(simd: S, rows: &[f32], width: usize, out: &mut [u32]) {
    assert!(width.is_multiple_of(S::LANES) && rows.len().is_multiple_of(width), "rows of {width}");
    let term = out.len() / TERMS;
    assert!(
        out.len().is_multiple_of(TERMS * width) && rows.len() <= 2 * term,
        "{} elements in rows of {width} as pairs in {} words",
        rows.len(),
        out.len()
    );
    let zeros = [0.0; MAX_LANES];
    for start in (0..term).step_by(S::LANES) {
        let (pair, column) = (start / width, start % width);
        let first = 2 * pair * width + column;
        let of = |place: usize| rows.get(place..).filter(|rest| rest.len() >= S::LANES).unwrap_or(&zeros);
        let two = (simd.load(of(first)), simd.load(of(first + width)));
        for (index, words) in split::<S, TERMS>(simd, two, false).into_iter().enumerate() {
            let out = &mut out[index * term + start..][..S::LANES];
            // Words are only moved, whatever they would be as numbers.
            simd.store(words, bytemuck::cast_slice_mut(out));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, Kernel};
    use crate::testing::{Failures, on_each_isa, values};

    on_each_isa!(
        rounds_as_the_half_crate_does,
        a_row_is_split_at_every_length,
        rows_are_paired_at_every_width_and_depth
    );

    /// Rounded as such, in pairs with itself, and in pairs of neighbours.
    struct Rounded<'a>(&'a [f32]);
    impl Kernel for Rounded<'_> {
        type Output = [Vec<f32>; 3];
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let mut all = [const { Vec::new() }; 3];
            for x in self.0.chunks_exact(S::LANES) {
                let v = simd.load(x);
                all[0].extend(&simd.lanes(simd.round_to_bf16(v))[..S::LANES]);
                let words = |v| simd.lanes(v).map(f32::to_bits);
                for word in &words(simd.rounded_pairs(v, v))[..S::LANES] {
                    assert_eq!(word >> 16, word & 0xffff, "one number, twice");
                    all[1].push(f32::from_bits(word & 0xffff_0000));
                }
                for word in &words(simd.rounded_pairs_of_neighbours(v, v))[..S::LANES / 2] {
                    all[2].extend([f32::from_bits(word << 16), f32::from_bits(word & 0xffff_0000)]);
                }
            }
            all
        }
    }

    fn rounds_as_the_half_crate_does(isa: Isa, failures: &mut Failures) {
        let special = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE, 1e-40, f32::MAX];
        let ties = [0x3f80_8000, 0x3f81_8000, 0x3f80_7fff, 0x3f80_8001].map(f32::from_bits);
        let nans = [0x7fff_ffff, 0xffff_ffff, 0x7f80_0001].map(f32::from_bits);
        let mut all: Vec<f32> =
            values(10_000, 1).into_iter().chain(special).chain(ties).chain(nans).collect();
        all.resize(all.len().next_multiple_of(MAX_LANES), 1.0);

        for (way, rounded) in isa.run(Rounded(&all)).into_iter().enumerate() {
            failures.equal(rounded.len(), all.len(), String::new);
            for (x, found) in all.iter().zip(rounded) {
                let expected = half::bf16::from_f32(*x).to_f32();
                // The instruction of AVX512-BF16 takes denormals as zero.
                let instruction = way > 0 && matches!(isa, Isa::Avx512Bf16 | Isa::Amx);
                let zero = instruction && x.is_subnormal() && found == 0.0;
                let same = found.to_bits() == expected.to_bits() || (x.is_nan() && found.is_nan());
                failures.check(same || zero, || {
                    format!("way {way}: {x:e} becomes {found:e}, expected {expected:e}")
                });
            }
        }
    }

    struct Row<'a>(&'a [f32], SplitTerms, [usize; 2], &'a mut [u32]);
    impl Kernel for Row<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            let Row(row, terms, [pairs, stride], out) = self;
            pairs_of_row(simd, row, terms, pairs, stride, out);
        }
    }

    struct Rows<'a>(&'a [f32], usize, SplitTerms, &'a mut [u32]);
    impl Kernel for Rows<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            let Rows(rows, width, terms, out) = self;
            pairs_of_rows(simd, rows, width, terms, out);
        }
    }

    const TERMS: [SplitTerms; 3] = [SplitTerms::One, SplitTerms::Two, SplitTerms::Three];
    /// Marks words that must not be written.
    const UNTOUCHED: u32 = 0x7fc1_7fc1;

    /// Each term of a number leaves no more than 8 bits and a sign allow.
    fn check_terms(
        words: impl Iterator<Item = u32>,
        [first, second]: [f32; 2],
        case: &str,
        failures: &mut Failures,
    ) {
        let (mut rest, mut left) = ([first, second].map(f64::from), 1.0);
        for word in words {
            for (rest, bits) in rest.iter_mut().zip([word << 16, word & 0xffff_0000]) {
                *rest -= f64::from(f32::from_bits(bits));
            }
            left /= 512.0;
            let bound = |x: f32| f64::from(x.abs()).max(f64::from(f32::MIN_POSITIVE)) * 2.0 * left;
            let holds = rest[0].abs() <= bound(first) && rest[1].abs() <= bound(second);
            failures.check(holds, || format!("{case}: {rest:?} left"));
        }
        failures.check(left > 1e-7 || rest == [0.0; 2], || {
            format!("{case}: expected three terms to hold everything, {rest:?} is left")
        });
    }

    fn a_row_is_split_at_every_length(isa: Isa, failures: &mut Failures) {
        for (length, terms) in (0..=4 * MAX_LANES + 3).flat_map(|n| TERMS.map(|terms| (n, terms))) {
            let row = values(length, 2);
            for (pairs, gap) in [(length.div_ceil(2), 0), (length.div_ceil(2) + 5, 3)] {
                let stride = pairs + gap;
                let mut out = vec![UNTOUCHED; terms.count() * stride];
                isa.run(Row(&row, terms, [pairs, stride], &mut out));
                for place in 0..stride {
                    let words = out.iter().skip(place).step_by(stride.max(1)).copied();
                    let case = format!("{length} elements, {terms:?}, pair {place} of {pairs}");
                    let element = |i: usize| row.get(i).copied().unwrap_or(0.0);
                    match place < pairs {
                        true => {
                            check_terms(words, [element(2 * place), element(2 * place + 1)], &case, failures)
                        }
                        false => failures.check(words.clone().all(|word| word == UNTOUCHED), || case.clone()),
                    }
                }
            }
        }
    }

    fn rows_are_paired_at_every_width_and_depth(isa: Isa, failures: &mut Failures) {
        let widths = [1, 2, 3].map(|vectors| vectors * MAX_LANES);
        for width in widths {
            for (depth, pairs) in [(1, 1), (2, 1), (5, 3), (6, 3), (7, 16), (64, 32)] {
                for terms in TERMS {
                    let rows = values(depth * width, 3);
                    let mut out = vec![UNTOUCHED; terms.count() * pairs * width];
                    isa.run(Rows(&rows, width, terms, &mut out));
                    for place in 0..pairs * width {
                        let words = out.iter().skip(place).step_by(pairs * width).copied();
                        let (pair, column) = (place / width, place % width);
                        let element = |row: usize| rows.get(row * width + column).copied().unwrap_or(0.0);
                        let case =
                            format!("{depth} rows of {width}, {terms:?}, pair {pair} of column {column}");
                        check_terms(words, [element(2 * pair), element(2 * pair + 1)], &case, failures);
                    }
                }
            }
        }
    }
}
