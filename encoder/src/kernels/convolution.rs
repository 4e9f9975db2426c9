//! Dense k x k convolutions as GEMMs whose left side is gathered from the image while it is packed.

use std::ops::Range;

use super::lhs::Lhs;

/// How zeros are added around an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// TensorFlow's SAME: `out = ceil(in / stride)`, the odd zero goes behind.
    Same,
    /// PyTorch's default in timm: `((stride - 1) + (k - 1)) / 2` zeros on both sides.
    Symmetric,
}

/// One axis of a convolution: sizes in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    /// Zeros before the first pixel.
    pub(crate) before: usize,
    pub(crate) input: usize,
    pub(crate) output: usize,
}

impl Axis {
    /// `None` when the padded input is smaller than the kernel.
    pub(crate) fn new(padding: Padding, input: usize, kernel: usize, stride: usize) -> Option<Axis> {
        if input == 0 || kernel == 0 {
            return None;
        }
        let (before, output) = match padding {
            Padding::Same => {
                let output = input.div_ceil(stride);
                let total = ((output - 1) * stride + kernel).saturating_sub(input);
                (total / 2, output)
            }
            Padding::Symmetric => {
                let before = ((stride - 1) + (kernel - 1)) / 2;
                let span = (input + 2 * before).checked_sub(kernel)?;
                (before, span / stride + 1)
            }
        };
        Some(Axis { kernel, stride, before, input, output })
    }

    /// The input pixels under some output pixels.
    pub(crate) fn sources(&self, outputs: Range<usize>) -> Range<usize> {
        let source = |padded: usize| padded.saturating_sub(self.before).min(self.input);
        let end = outputs.end.saturating_sub(1) * self.stride + self.kernel;
        source(outputs.start * self.stride)..source(end)
    }

    /// The taps of an output pixel that are not in the padding.
    pub(crate) fn taps(&self, output: usize) -> Range<usize> {
        let tap = |source: usize| source.saturating_sub(output * self.stride).min(self.kernel);
        tap(self.before)..tap(self.before + self.input)
    }

    /// The input pixel under tap `tap` of output pixel `output`, or `None` in the padding.
    #[inline(always)]
    pub(crate) fn source(&self, output: usize, tap: usize) -> Option<usize> {
        (output * self.stride + tap).checked_sub(self.before).filter(|i| *i < self.input)
    }
}

/// The receptive fields of a convolution as a matrix: a row per output pixel, `[kernel y, kernel x, channels]` deep.
pub(crate) struct Patches<'a> {
    image: &'a [f32],
    channels: usize,
    y: Axis,
    x: Axis,
}

impl<'a> Patches<'a> {
    /// `image` is `[batch, y.input, x.input, channels]`.
    pub(crate) fn new(image: &'a [f32], channels: usize, y: Axis, x: Axis) -> Self {
        assert!(image.len().is_multiple_of(y.input * x.input * channels), "an image of whole pixels");
        Patches { image, channels, y, x }
    }

    /// Where its axes run.
    pub(crate) fn axes(&self) -> (Axis, Axis) {
        (self.y, self.x)
    }

    pub(crate) fn channels(&self) -> usize {
        self.channels
    }

    /// The pixel under a tap of an output pixel, each of them `(y, x)`; `None` in the padding. Taps may lie behind the kernel.
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

impl Lhs for Patches<'_> {
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
            // The pixels under the rest of a line of the kernel lie one behind the other.
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

    #[test]
    fn same_padding_puts_the_odd_zero_behind() {
        struct Case {
            input: usize,
            kernel: usize,
            stride: usize,
            before: usize,
            output: usize,
        }
        let cases = [
            Case { input: 768, kernel: 3, stride: 2, before: 0, output: 384 },
            Case { input: 768, kernel: 5, stride: 2, before: 1, output: 384 },
            Case { input: 7, kernel: 3, stride: 2, before: 1, output: 4 },
            Case { input: 7, kernel: 5, stride: 1, before: 2, output: 7 },
            Case { input: 1, kernel: 3, stride: 2, before: 1, output: 1 },
        ];
        for c in cases {
            let axis = Axis::new(Padding::Same, c.input, c.kernel, c.stride).unwrap();
            assert_eq!(
                (axis.before, axis.output),
                (c.before, c.output),
                "input {} kernel {}",
                c.input,
                c.kernel
            );
        }
    }

    #[test]
    fn patches_are_the_receptive_fields_wherever_a_row_is_cut() {
        let (batch, height, width, channels) = (2, 5, 4, 3);
        let image = crate::testing::values(batch * height * width * channels, 1);
        for (kernel, stride, padding) in
            [(1, 1, Padding::Same), (3, 1, Padding::Same), (3, 2, Padding::Same), (5, 2, Padding::Symmetric)]
        {
            let axis = |size| Axis::new(padding, size, kernel, stride).unwrap();
            let (y, x) = (axis(height), axis(width));
            let patches = Patches::new(&image, channels, y, x);
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

    #[test]
    fn symmetric_padding_is_half_the_kernel() {
        let axis = Axis::new(Padding::Symmetric, 768, 3, 2).unwrap();
        assert_eq!((axis.before, axis.output), (1, 384));
        let axis = Axis::new(Padding::Symmetric, 7, 5, 2).unwrap();
        assert_eq!((axis.before, axis.output), (2, 4));
        assert_eq!(Axis::new(Padding::Symmetric, 0, 3, 1), None);
    }
}
