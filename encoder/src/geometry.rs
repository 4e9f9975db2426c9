//! Where a convolution's kernel is applied to an image.

use std::ops::Range;

/// How zeros are added around an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// TensorFlow's SAME: `out = ceil(in / stride)`, the odd zero goes after the last pixel.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_padding_puts_the_odd_zero_last() {
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
    fn symmetric_padding_is_half_the_kernel() {
        let axis = Axis::new(Padding::Symmetric, 768, 3, 2).unwrap();
        assert_eq!((axis.before, axis.output), (1, 384));
        let axis = Axis::new(Padding::Symmetric, 7, 5, 2).unwrap();
        assert_eq!((axis.before, axis.output), (2, 4));
        assert_eq!(Axis::new(Padding::Symmetric, 0, 3, 1), None);
    }
}
