//! Dense k x k convolutions as GEMMs whose left side is gathered from the image while it is packed.

use super::gemm::source::Lhs;
use crate::geometry::Axis;

/// The receptive fields of a convolution as a matrix: a row per output pixel, `[kernel y, kernel x, channels]` deep.
pub(crate) struct Im2col<'a> {
    image: &'a [f32],
    channels: usize,
    y: Axis,
    x: Axis,
}

impl<'a> Im2col<'a> {
    /// `image` is `[batch, y.input, x.input, channels]`.
    pub(crate) fn new(image: &'a [f32], channels: usize, y: Axis, x: Axis) -> Self {
        assert!(image.len().is_multiple_of(y.input * x.input * channels), "an image of whole pixels");
        Im2col { image, channels, y, x }
    }

    /// The axes, y and x.
    pub(crate) fn axes(&self) -> (Axis, Axis) {
        (self.y, self.x)
    }

    pub(crate) fn channels(&self) -> usize {
        self.channels
    }

    /// The pixel under a tap of an output pixel, each of them `(y, x)`; `None` in the padding. Taps may lie past the kernel.
    #[inline(always)]
    pub(crate) fn pixel(
        &self,
        image: usize,
        output: (usize, usize),
        tap: (usize, usize),
    ) -> Option<&'a [f32]> {
        let (y, x) = self.y.source(output.0, tap.0).zip(self.x.source(output.1, tap.1))?;
        let pixel = (image * self.y.input + y) * self.x.input + x;
        Some(&self.image[pixel * self.channels..][..self.channels])
    }
}

impl Lhs for Im2col<'_> {
    fn rows(&self) -> usize {
        self.image.len() / (self.y.input * self.x.input * self.channels) * self.y.output * self.x.output
    }

    fn depth(&self) -> usize {
        self.y.kernel * self.x.kernel * self.channels
    }

    #[inline(always)]
    fn row<'b>(&'b self, row: usize, start: usize, scratch: &'b mut [f32]) -> &'b [f32] {
        let (row, ox) = (row / self.x.output, row % self.x.output);
        let (batch, oy) = (row / self.y.output, row % self.y.output);
        let mut done = 0;
        while done < scratch.len() {
            let (tap, channel) = ((start + done) / self.channels, (start + done) % self.channels);
            let (ky, kx) = (tap / self.x.kernel, tap % self.x.kernel);
            let source = self.y.source(oy, ky).zip(self.x.source(ox, kx));
            // The pixels under the rest of a line of the kernel are contiguous.
            let taps = source.map_or(1, |(_, x)| (self.x.kernel - kx).min(self.x.input - x));
            let length = (taps * self.channels - channel).min(scratch.len() - done);
            let out = &mut scratch[done..done + length];
            match source {
                Some((y, x)) => {
                    let pixel = (batch * self.y.input + y) * self.x.input + x;
                    out.copy_from_slice(&self.image[pixel * self.channels + channel..][..length]);
                }
                None => out.fill(0.0),
            }
            done += length;
        }
        scratch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Padding;

    #[test]
    fn rows_are_receptive_fields_wherever_they_are_cut() {
        let (batch, height, width, channels) = (2, 5, 4, 3);
        let image = crate::testing::values(batch * height * width * channels, 1);
        for (kernel, stride, padding) in
            [(1, 1, Padding::Same), (3, 1, Padding::Same), (3, 2, Padding::Same), (5, 2, Padding::Symmetric)]
        {
            let axis = |size| Axis::new(padding, size, kernel, stride).unwrap();
            let (y, x) = (axis(height), axis(width));
            let patches = Im2col::new(&image, channels, y, x);
            assert_eq!(
                (patches.rows(), patches.depth()),
                (batch * y.output * x.output, kernel * kernel * channels)
            );
            for row in 0..patches.rows() {
                let (ox, line) = (row % x.output, row / x.output);
                let (oy, b) = (line % y.output, line / y.output);
                let mut expected = Vec::new();
                for (ky, kx) in (0..kernel).flat_map(|ky| (0..kernel).map(move |kx| (ky, kx))) {
                    let inside = |o: usize, k: usize, axis: &Axis| {
                        let at = (o * stride + k) as isize - axis.before as isize;
                        (0..axis.input as isize).contains(&at).then_some(at as usize)
                    };
                    for c in 0..channels {
                        expected.push(match (inside(oy, ky, &y), inside(ox, kx, &x)) {
                            (Some(iy), Some(ix)) => image[((b * height + iy) * width + ix) * channels + c],
                            _ => 0.0,
                        });
                    }
                }
                for start in 0..expected.len() {
                    for end in start + 1..=expected.len() {
                        let mut scratch = vec![f32::NAN; end - start];
                        let found = patches.row(row, start, &mut scratch);
                        assert_eq!(
                            found,
                            &expected[start..end],
                            "{kernel} / {stride}, row {row}, {start}..{end}"
                        );
                    }
                }
            }
        }
    }
}
