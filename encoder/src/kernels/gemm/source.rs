//! Left-hand sides of the GEMM.

/// A left-hand side (`[rows, depth]`, usually activations) that can be read row by row.
pub(crate) trait Lhs: Sync {
    fn rows(&self) -> usize;
    fn depth(&self) -> usize;
    /// Elements `start..start + scratch.len()` of a row, either in place or written to `scratch`.
    fn row<'a>(&'a self, row: usize, start: usize, scratch: &'a mut [f32]) -> &'a [f32];
}

/// A dense row-major matrix.
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    depth: usize,
}

impl<'a> Matrix<'a> {
    /// `data` is `[rows, depth]`.
    pub(crate) fn new(data: &'a [f32], depth: usize) -> Self {
        assert!(
            depth > 0 && data.len().is_multiple_of(depth),
            "{} elements do not make rows of {depth}",
            data.len()
        );
        Matrix { data, depth }
    }
}

impl Lhs for Matrix<'_> {
    fn rows(&self) -> usize {
        self.data.len() / self.depth
    }

    fn depth(&self) -> usize {
        self.depth
    }

    #[inline(always)]
    fn row<'a>(&'a self, row: usize, start: usize, scratch: &'a mut [f32]) -> &'a [f32] {
        &self.data[row * self.depth + start..][..scratch.len()]
    }
}

/// A dense matrix whose columns are read as rows.
pub(crate) struct TransposedValues<'a> {
    data: &'a [f32],
    columns: usize,
}

impl<'a> TransposedValues<'a> {
    /// `data` is `[depth, columns]`.
    pub(crate) fn new(data: &'a [f32], columns: usize) -> Self {
        assert!(
            columns > 0 && data.len().is_multiple_of(columns),
            "{} elements do not make rows of {columns}",
            data.len()
        );
        TransposedValues { data, columns }
    }
}

impl Lhs for TransposedValues<'_> {
    fn rows(&self) -> usize {
        self.columns
    }

    fn depth(&self) -> usize {
        self.data.len() / self.columns
    }

    #[inline(always)]
    fn row<'a>(&'a self, row: usize, start: usize, scratch: &'a mut [f32]) -> &'a [f32] {
        for (out, source) in
            scratch.iter_mut().zip(self.data[start * self.columns..].chunks_exact(self.columns))
        {
            *out = source[row];
        }
        scratch
    }
}
