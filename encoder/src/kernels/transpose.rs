//! Matrices transposed: NCHW to channels-last and back.

use rayon::prelude::*;

use crate::simd::tile::CACHE_LINE;

/// `[_, rows, columns]` to `[_, columns, rows]`, in parallel; the columns in a line of the cache together.
pub(crate) fn transpose(input: &[f32], rows: usize, columns: usize, out: &mut [f32]) {
    assert_eq!(input.len(), out.len(), "elements of a matrix and of its transpose");
    if input.is_empty() {
        return;
    }
    assert!(input.len().is_multiple_of(rows * columns), "matrices of {rows} x {columns}");
    let images = input.par_chunks(rows * columns).zip(out.par_chunks_mut(rows * columns));
    images.for_each(|(input, out)| {
        out.par_chunks_mut(CACHE_LINE * rows).enumerate().for_each(|(task, out)| {
            for (place, row) in input.chunks_exact(columns).enumerate() {
                for (line, x) in out.chunks_exact_mut(rows).zip(&row[task * CACHE_LINE..]) {
                    line[place] = *x;
                }
            }
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{around, values};

    #[test]
    fn rows_become_columns_of_each_image() {
        let sizes = [[1, 2, 3], around(CACHE_LINE), around(2 * CACHE_LINE)].concat();
        transpose(&[], 3, 0, &mut []);
        for (images, rows, columns) in [1, 3].iter().flat_map(|images| {
            sizes.iter().flat_map(|rows| sizes.iter().map(|columns| (*images, *rows, *columns)))
        }) {
            let input = values(images * rows * columns, 1);
            let mut out = vec![f32::NAN; input.len()];
            transpose(&input, rows, columns, &mut out);
            for (i, x) in input.iter().enumerate() {
                let (image, row, column) = (i / (rows * columns), i / columns % rows, i % columns);
                let found = out[(image * columns + column) * rows + row];
                assert_eq!(found, *x, "[{rows}, {columns}]: image {image}, row {row}, column {column}");
            }
        }
    }
}
