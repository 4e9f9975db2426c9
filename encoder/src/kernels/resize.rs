//! Changes of resolution: nearest and bilinear interpolation, average pooling.

use rayon::prelude::*;

/// Nearest-neighbour source pixel, `floor(output * input_size / output_size)`: PyTorch's `nearest`.
pub(crate) fn nearest(output: usize, input_size: usize, output_size: usize) -> usize {
    output * input_size / output_size
}

/// Source pixels and the weight of the second: PyTorch's `bilinear` with `align_corners=False`, no antialiasing.
pub(crate) fn linear(output: usize, input_size: usize, output_size: usize) -> (usize, usize, f64) {
    let scale = input_size as f64 / output_size as f64;
    let position = ((output as f64 + 0.5) * scale - 0.5).max(0.0);
    let first = (position as usize).min(input_size - 1);
    let second = (first + 1).min(input_size - 1);
    (first, second, position - first as f64)
}

/// An image `[batch, height, width, channels]` to `[batch, to.0, to.1, channels]`, bilinear.
pub(crate) fn bilinear(
    image: &[f32],
    (height, width): (usize, usize),
    channels: usize,
    to: (usize, usize),
    out: &mut [f32],
) {
    out.par_chunks_mut(to.1 * channels).enumerate().for_each(|(line, out)| {
        let (batch, oy) = (line / to.0, line % to.0);
        let (y0, y1, v) = linear(oy, height, to.0);
        for (ox, out) in out.chunks_exact_mut(channels).enumerate() {
            let (x0, x1, u) = linear(ox, width, to.1);
            let pixel =
                |y: usize, x: usize| &image[((batch * height + y) * width + x) * channels..][..channels];
            let corners = [pixel(y0, x0), pixel(y0, x1), pixel(y1, x0), pixel(y1, x1)];
            let weights =
                [(1.0 - v) * (1.0 - u), (1.0 - v) * u, v * (1.0 - u), v * u].map(|weight| weight as f32);
            for (c, out) in out.iter_mut().enumerate() {
                *out = (corners[0][c] * weights[0] + corners[1][c] * weights[1])
                    + (corners[2][c] * weights[2] + corners[3][c] * weights[3]);
            }
        }
    });
}

/// Average pooling of `[batch, height, width, channels]` with kernel = stride, to `[batch, to.0, to.1, channels]`;
/// `to` divides the size.
pub(crate) fn average_pool(
    image: &[f32],
    (height, width): (usize, usize),
    channels: usize,
    to: (usize, usize),
    out: &mut [f32],
) {
    let (ky, kx) = (height / to.0, width / to.1);
    let count = (ky * kx) as f32;
    out.par_chunks_mut(to.1 * channels).enumerate().for_each(|(line, out)| {
        let (batch, oy) = (line / to.0, line % to.0);
        for (ox, out) in out.chunks_exact_mut(channels).enumerate() {
            out.fill(0.0);
            for y in oy * ky..(oy + 1) * ky {
                for x in ox * kx..(ox + 1) * kx {
                    let pixel = &image[((batch * height + y) * width + x) * channels..][..channels];
                    for (out, value) in out.iter_mut().zip(pixel) {
                        *out += *value;
                    }
                }
            }
            for out in out {
                *out /= count;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_repeats_pixels() {
        let sources: Vec<_> = (0..5).map(|o| nearest(o, 3, 5)).collect();
        assert_eq!(sources, [0, 0, 1, 1, 2]);
    }

    #[test]
    fn linear_clamps_at_both_ends() {
        assert_eq!(linear(0, 4, 8), (0, 1, 0.0));
        assert_eq!(linear(1, 4, 8), (0, 1, 0.25));
        let (first, second, weight) = linear(7, 4, 8);
        assert_eq!((first, second), (3, 3));
        assert_eq!(weight, 0.25);
        assert_eq!(linear(2, 1, 5).0, 0);
    }

    #[test]
    fn average_pool_by_hand() {
        let image: Vec<f32> = (0..8).map(|i| i as f32).collect();
        let mut out = [0.0; 2];
        average_pool(&image, (2, 4), 1, (1, 2), &mut out);
        assert_eq!(out, [2.5, 4.5]);
    }

    #[test]
    fn bilinear_by_hand() {
        let mut out = [0.0; 4];
        bilinear(&[0.0, 10.0], (1, 2), 1, (1, 4), &mut out);
        assert_eq!(out, [0.0, 2.5, 7.5, 10.0]);
    }
}
