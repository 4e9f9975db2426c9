//! Resizing as llama.cpp does it for Gemma 3n: the whole picture in the middle of a black one of the wanted size.
//!
//! Its bilinear interpolation lays the corners of both pictures on each other, does not widen its filter where a picture
//! shrinks, and cuts off fractions (`tools/mtmd/mtmd-image.cpp`, `img_tool::resize`).

use super::picture::Picture;

/// Resizes a picture with both extents at least 2, and centres it.
pub(super) fn letterbox(picture: &Picture, (height, width): (usize, usize)) -> Picture {
    if (picture.height, picture.width) == (height, width) {
        return picture.clone();
    }
    let scale = f32::min(width as f32 / picture.width as f32, height as f32 / picture.height as f32);
    let inner = |extent: usize, most: usize| ceil(extent as f32 * scale).clamp(1, most);
    let resized = stretch(picture, (inner(picture.height, height), inner(picture.width, width)));
    let (top, left) = ((height - resized.height) / 2, (width - resized.width) / 2);
    let mut pixels = vec![0; 3 * width * height];
    let rows = pixels.chunks_exact_mut(3 * width).skip(top);
    for (to, from) in rows.zip(resized.pixels.chunks_exact(3 * resized.width)) {
        to[3 * left..][..from.len()].copy_from_slice(from);
    }
    Picture { height, width, pixels }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an extent of a picture")]
fn ceil(extent: f32) -> usize {
    extent.ceil() as usize
}

/// Where an output pixel lies: the pixel before it and how far it is to the next.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positions are within the picture"
)]
fn place(position: usize, input: usize, output: usize) -> (usize, f32) {
    let ratio = (input - 1) as f32 / output as f32;
    let place = ratio * position as f32;
    let before = (place as usize).min(input - 2);
    (before, place - before as f32)
}

fn stretch(picture: &Picture, (height, width): (usize, usize)) -> Picture {
    let columns: Vec<(usize, f32)> = (0..width).map(|x| place(x, picture.width, width)).collect();
    let mix = |from: u8, to: u8, part: f32| f32::from(from) + (f32::from(to) - f32::from(from)) * part;
    let mut pixels = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        let (row, below) = place(y, picture.height, height);
        let rows = [row, row + 1].map(|row| &picture.pixels[3 * row * picture.width..][..3 * picture.width]);
        for (column, right) in &columns {
            for channel in 0..3 {
                let at = 3 * column + channel;
                let [top, bottom] = rows.map(|row| mix(row[at], row[at + 3], *right));
                pixels.push(cut(top + (bottom - top) * below));
            }
        }
    }
    Picture { height, width, pixels }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two values of 8 bits")]
fn cut(value: f32) -> u8 {
    value as u8
}
