//! Feature maps, channels last.

use rayon::prelude::*;

use super::buffers::{Buffer, Buffers};

/// `[batch, height, width, channels]`, row-major.
#[derive(Clone)]
pub(super) struct Activation {
    pub(super) batch: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
    pub(super) data: Buffer,
}

impl Activation {
    /// Of any content: whoever takes it writes it all.
    pub(super) fn new(buffers: &Buffers, [batch, height, width, channels]: [usize; 4]) -> Self {
        Activation { batch, height, width, channels, data: buffers.take(batch * height * width * channels) }
    }

    /// Pixels of all images.
    pub(super) fn pixels(&self) -> usize {
        self.batch * self.height * self.width
    }

    /// `input` is `[batch, channels, height, width]`.
    pub(super) fn from_nchw(
        buffers: &Buffers,
        [batch, channels, height, width]: [usize; 4],
        input: &[f32],
    ) -> Self {
        let mut x = Activation::new(buffers, [batch, height, width, channels]);
        transpose(input, channels, height * width, &mut x.data);
        x
    }

    /// `[batch, channels, height, width]`.
    pub(super) fn to_nchw(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.data.len()];
        transpose(&self.data, self.height * self.width, self.channels, &mut out);
        out
    }
}

/// `[_, rows, columns]` to `[_, columns, rows]`.
fn transpose(input: &[f32], rows: usize, columns: usize, out: &mut [f32]) {
    out.par_chunks_mut(rows).enumerate().for_each(|(line, out)| {
        let (image, column) = (line / columns, line % columns);
        let input = &input[image * rows * columns..][..rows * columns];
        for (out, row) in out.iter_mut().zip(input.chunks_exact(columns)) {
            *out = row[column];
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nchw_goes_there_and_back() {
        let shape = [2, 3, 2, 5];
        let input: Vec<f32> = (0..60).map(|i| i as f32).collect();
        let x = Activation::from_nchw(&Buffers::default(), shape, &input);
        // image 1, y 1, x 4, channel 2
        assert_eq!(x.data[((2 + 1) * 5 + 4) * 3 + 2], input[((3 + 2) * 2 + 1) * 5 + 4]);
        assert_eq!(x.to_nchw(), input);
    }
}
