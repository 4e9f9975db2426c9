//! Pictures of every format against Pillow, and resized ones against the image processors of transformers.
//!
//! `fixtures/generate/pictures.py` makes the pictures and the expected pixels.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod fixtures;

use std::path::PathBuf;

use encoder::TapTensor;
use encoder::input::{
    Interpolation, MAX_PIXELS, Normalisation, PictureReader, Preparation, Resizer, Transparency, Treatment,
    read_image, read_picture,
};
use proptest::prelude::*;
use serde::Deserialize;

use fixtures::fixtures;

fn folder() -> PathBuf {
    fixtures().join("pictures")
}

#[derive(Deserialize)]
struct PictureIndex {
    pictures: Vec<IndexedPicture>,
    resized: Vec<IndexedResize>,
    letterboxed: Vec<IndexedResize>,
}

#[derive(Deserialize)]
struct IndexedPicture {
    file: String,
    mode: String,
    orientation: u8,
    over_white: String,
    dropped: String,
}

#[derive(Deserialize)]
struct IndexedResize {
    height: usize,
    width: usize,
    interpolation: Option<String>,
    backend: Option<String>,
    expected: String,
}

fn index() -> PictureIndex {
    serde_json::from_slice(&std::fs::read(folder().join("index.json")).unwrap()).unwrap()
}

/// How far pixels are from the expected ones.
struct Distance {
    largest: u8,
    /// Of a hundred values.
    equal: f64,
}

impl Distance {
    /// At most one level a value, and 99 % of the values equal.
    fn is_small(&self) -> bool {
        self.largest <= 1 && self.equal >= 99.0
    }

    fn between(found: &[u8], expected: &[u8]) -> Distance {
        assert_eq!(found.len(), expected.len());
        let apart = || found.iter().zip(expected).map(|(a, b)| a.abs_diff(*b));
        let equal = apart().filter(|difference| *difference == 0).count();
        Distance { largest: apart().max().unwrap(), equal: 100.0 * equal as f64 / found.len() as f64 }
    }
}

/// The pixels of a tensor in [0, 1], `[height, width, 3]`, and its height and width.
fn to_pixels(tensor: &TapTensor) -> (Vec<u8>, [usize; 2]) {
    let &[1, 3, height, width] = tensor.shape.as_slice() else { panic!("{:?}", tensor.shape) };
    let at = |index: usize| tensor.data[index % 3 * height * width + index / 3];
    ((0..tensor.data.len()).map(|index| (at(index) * 255.0).round() as u8).collect(), [height, width])
}

/// The expected pixels, which are kept as PNG: read without anything of this crate's own.
fn expected(name: &str) -> (Vec<u8>, [usize; 2]) {
    let image = image::open(folder().join("expected").join(name)).unwrap().into_rgb8();
    let extents = [image.height() as usize, image.width() as usize];
    (image.into_raw(), extents)
}

/// One line for each comparison, and whether all are near.
fn judge(lines: impl Iterator<Item = (String, Result<Distance, String>)>) {
    let mut far = Vec::new();
    for (name, distance) in lines {
        let line = match &distance {
            Ok(distance) => format!("{name:80} {:3} {:8.4} %", distance.largest, distance.equal),
            Err(problem) => format!("{name:80} {problem}"),
        };
        println!("{line}");
        if !distance.is_ok_and(|distance| distance.is_small()) {
            far.push(line);
        }
    }
    assert!(far.is_empty(), "farther than one level in 1 % of the values:\n{}", far.join("\n"));
}

fn compared(found: &TapTensor, name: &str) -> Result<Distance, String> {
    let ((found, shape), (expected, wanted)) = (to_pixels(found), expected(name));
    match shape == wanted {
        true => Ok(Distance::between(&found, &expected)),
        false => Err(format!("{shape:?}, expected {wanted:?}")),
    }
}

#[test]
fn every_format_has_pillows_pixels() {
    let index = index();
    assert!(index.pictures.len() >= 50);
    judge(index.pictures.iter().flat_map(|picture| {
        let ways = [
            (Transparency::OverWhite, "over white", &picture.over_white),
            (Transparency::Dropped, "dropped", &picture.dropped),
        ];
        ways.map(|(transparency, way, expected)| {
            let preparation = Preparation { transparency, ..Preparation::default() };
            let read = preparation.read(&folder().join(&picture.file));
            let distance = read
                .map_err(|error| error.to_string())
                .and_then(|prepared| compared(&prepared.tensor, expected));
            (format!("{} ({}) {way}", picture.file, picture.mode), distance)
        })
    }));
}

#[test]
fn orientations_are_applied_and_said() {
    let oriented = index().pictures.into_iter().filter(|picture| picture.orientation > 1);
    let oriented: Vec<IndexedPicture> = oriented.collect();
    assert!(oriented.len() >= 10, "every orientation in JPEG, and one in PNG, WebP and TIFF");
    for IndexedPicture { file, orientation, .. } in oriented {
        let read =
            read_picture(&folder().join(&file), PictureReader::Pillow, Transparency::OverWhite).unwrap();
        assert_eq!(read.orientation, Some(orientation), "{file}");
    }
}

/// The committed picture at another size.
fn resized(resize: &IndexedResize) -> (String, Result<Distance, String>) {
    let IndexedResize { height, width, expected, .. } = resize;
    let preparation = Preparation {
        size: Some((*height, *width)),
        interpolation: match resize.interpolation.as_deref() {
            None | Some("bilinear") => Interpolation::Bilinear,
            Some("bicubic") => Interpolation::Bicubic,
            Some(other) => panic!("{other}"),
        },
        resizer: match resize.backend.as_deref() {
            None => Resizer::LlamaCpp,
            Some("torchvision") => Resizer::TorchVision,
            Some("pillow") => Resizer::Pillow,
            Some(other) => panic!("{other}"),
        },
        transparency: Transparency::OverWhite,
        normalisation: None,
    };
    let prepared = preparation.read(&folder().join("rgb.png")).unwrap();
    (prepared.treatments[0].to_string(), compared(&prepared.tensor, expected))
}

#[test]
fn resizing_has_the_pixels_of_transformers() {
    let index = index();
    assert_eq!(index.resized.len(), 24, "two filters, two processors, six sizes");
    judge(index.resized.iter().map(resized));
}

#[test]
fn resizing_has_the_pixels_of_llama_cpp() {
    let index = index();
    assert_eq!(index.letterboxed.len(), 6);
    judge(index.letterboxed.iter().map(resized));
}

#[test]
fn a_picture_of_the_right_size_is_left_as_it_is() {
    let path = folder().join("rgb.png");
    let plain = read_image(&path).unwrap();
    let preparation = Preparation { size: Some((23, 31)), ..Preparation::GEMMA_3N };
    let prepared = preparation.read(&path).unwrap();
    assert_eq!((prepared.tensor.shape, prepared.tensor.data), (plain.shape, plain.data));
    assert_eq!(prepared.treatments, []);
}

/// stb_image lets pixels lie as they are in the file, and keeps the high byte of 16 bits.
#[test]
fn files_are_read_as_llama_cpp_reads_them() {
    let read = |name: &str| {
        let path = folder().join(name);
        read_picture(&path, PictureReader::StbImage, Transparency::Dropped).unwrap()
    };
    let (as_it_lies, turned) = (read("rgb.png"), read("orientation-6.png"));
    assert_eq!(as_it_lies.picture, turned.picture);
    assert_eq!(turned.orientation, Some(6));
    let wide = image::open(folder().join("grey-16-bit.png")).unwrap().into_luma16();
    let high: Vec<u8> = wide.iter().flat_map(|value| [(value >> 8) as u8; 3]).collect();
    let grey = read("grey-16-bit.png");
    assert_eq!((grey.picture.pixels, grey.clipped), (high, 0));
}

/// The bits that transformers' fast image processor has for one pixel, whose values are 150, 109 and 81.
#[test]
fn normalised_values_have_the_bits_of_transformers() {
    let normalisation = Normalisation { mean: [0.481, 0.5, 0.1], std: [0.268, 0.5, 0.9] };
    let preparation = Preparation { normalisation: Some(normalisation), ..Preparation::default() };
    let prepared = preparation.read(&folder().join("rgb.png")).unwrap();
    let TapTensor { shape, data } = prepared.tensor;
    let bits = |channel: usize| data[(channel * shape[2] + 3) * shape[3] + 5].to_bits();
    assert_eq!([0, 1, 2].map(bits), [0x3ecc_de10, 0xbe14_9495, 0x3e77_a24d]);
    assert_eq!(
        prepared.treatments[0].to_string(),
        "normalised by mean [0.481, 0.5, 0.1] and deviation [0.268, 0.5, 0.9]"
    );
}

#[test]
fn what_was_done_is_said() {
    let preparation = Preparation { size: Some((16, 16)), ..Preparation::GEMMA_3N };
    let said = |name: &str, preparation: Preparation| {
        let treatments = preparation.read(&folder().join(name)).unwrap().treatments;
        treatments.iter().map(Treatment::to_string).collect::<Vec<_>>().join(", ")
    };
    insta::assert_snapshot!(
        [
            said("orientation-6.jpg", preparation),
            said("rgba.png", Preparation { resizer: Resizer::Pillow, ..preparation }),
            said("rgba.png", Preparation { transparency: Transparency::Dropped, size: None, ..preparation }),
            said("grey-16-bit.png", preparation),
            said("orientation-6.jpg", Preparation { resizer: Resizer::LlamaCpp, ..preparation }),
        ]
        .join("\n"),
        @r"
    orientation 6 applied, resized 17x10 to 16x16 (bilinear, as transformers' fast image processor)
    laid over white, resized 23x31 to 16x16 (bilinear, as transformers' slow image processor)
    transparency dropped
    521 values of 16-bit grey clipped to 255, as Pillow does, resized 23x31 to 16x16 (bilinear, as transformers' fast image processor)
    orientation 6 ignored, as llama.cpp does, resized 10x17 to 16x16 (bilinear on black, as llama.cpp)
    "
    );
}

/// The messages with the folder left out, which differs from machine to machine.
fn refusals(folder: &std::path::Path, names: &[&str]) -> String {
    let refusal = |name: &&str| {
        let read = read_picture(&folder.join(name), PictureReader::Pillow, Transparency::OverWhite);
        let message = read.map(|_| ()).expect_err(name).to_string();
        assert!(message.contains(name), "{message}");
        message.replace(&format!("{}{}", folder.display(), std::path::MAIN_SEPARATOR), "")
    };
    names.iter().map(refusal).collect::<Vec<_>>().join("\n")
}

/// A JPEG, a GIF and a BMP that say that they are as large as their format allows.
fn inflate(name: &str, bytes: &mut [u8]) {
    match name {
        "huge.jpg" => {
            let frame = bytes.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
            bytes[frame + 5..frame + 9].fill(0xfd);
        }
        "huge.gif" => bytes[6..10].fill(0xff),
        "huge.bmp" => bytes[18..26].copy_from_slice(&[0x60, 0xea, 0, 0, 0x60, 0xea, 0, 0]),
        other => panic!("{other}"),
    }
}

#[test]
fn a_picture_is_bounded_before_it_is_decoded() {
    let copies = tempfile::tempdir().unwrap();
    std::fs::copy(folder().join("huge.png"), copies.path().join("huge.png")).unwrap();
    for (name, original) in [("huge.jpg", "420.jpg"), ("huge.gif", "palette.gif"), ("huge.bmp", "rgb.bmp")] {
        let mut bytes = std::fs::read(folder().join(original)).unwrap();
        inflate(name, &mut bytes);
        std::fs::write(copies.path().join(name), bytes).unwrap();
    }
    let names = ["huge.png", "huge.jpg", "huge.gif", "huge.bmp"];
    insta::assert_snapshot!(refusals(copies.path(), &names), @r"
    huge.png: expected a picture of at most 178956970 pixels, found 23000 x 23000 = 529000000 pixels
    huge.jpg: expected a picture of at most 178956970 pixels, found 65021 x 65021 = 4227730441 pixels
    huge.gif: expected a picture of at most 178956970 pixels, found 65535 x 65535 = 4294836225 pixels
    huge.bmp: expected a picture of at most 178956970 pixels, found 60000 x 60000 = 3600000000 pixels
    ");
}

#[test]
fn what_is_no_whole_picture_is_refused() {
    let copies = tempfile::tempdir().unwrap();
    let cut = |name: &str, part: usize| {
        let bytes = std::fs::read(folder().join(name)).unwrap();
        std::fs::write(copies.path().join(name), &bytes[..bytes.len() * part / 100]).unwrap();
    };
    let names = [
        "420.jpg",
        "progressive.jpg",
        "rgb.png",
        "lossy.webp",
        "lossless.webp",
        "palette.gif",
        "rgb.bmp",
        "rgb-lzw.tif",
    ];
    for name in names {
        cut(name, 70);
    }
    let kept = ["palette.tif"];
    std::fs::copy(folder().join(kept[0]), copies.path().join(kept[0])).unwrap();
    std::fs::write(copies.path().join("other.ico"), [0, 0, 1, 0, 1, 0, 16, 16, 0, 0]).unwrap();
    std::fs::write(copies.path().join("weights.safetensors"), [8, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    let others = ["palette.tif", "other.ico", "weights.safetensors"];
    insta::assert_snapshot!(refusals(copies.path(), &[names.as_slice(), &others].concat()), @r"
    420.jpg: expected a whole JPEG picture, found one that is cut short
    progressive.jpg: expected a whole JPEG picture, found one that is cut short
    rgb.png: expected a whole PNG picture, found one that is cut short
    lossy.webp: expected a whole WebP picture, found a damaged one: Format error decoding WebP: Corrupt bitstream
    lossless.webp: expected a whole WebP picture, found a damaged one: Format error decoding WebP: Corrupt bitstream
    palette.gif: expected a whole GIF picture, found a damaged one: Format error decoding Gif: Unexpected End of File
    rgb.bmp: expected a whole BMP picture, found one that is cut short
    rgb-lzw.tif: expected a whole TIFF picture, found one that is cut short
    palette.tif: expected a whole TIFF picture, found one of a kind that is not read: The decoder for Tiff does not support the format features Photometric interpretation RGBPalette with bits per sample [8] is unsupported
    other.ico: expected a PNG, JPEG, WebP, GIF, BMP or TIFF picture, found Ico
    weights.safetensors: expected a PNG, JPEG, WebP, GIF, BMP or TIFF picture, found a file of another kind
    ");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is done to a picture's bytes, reading it ends with pixels or with an error that names the file.
    #[test]
    fn damaged_pictures_are_read_or_refused(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 0..6),
        kept in prop::option::of(any::<prop::sample::Index>()),
        reader in prop::sample::select(vec![PictureReader::Pillow, PictureReader::StbImage]),
        transparency in prop::sample::select(vec![Transparency::OverWhite, Transparency::Dropped]),
    ) {
        let pictures = index().pictures;
        let file = &which.get(&pictures).file;
        let mut bytes = std::fs::read(folder().join(file)).unwrap();
        for (at, value, in_header) in changes {
            let range = if in_header { bytes.len().min(64) } else { bytes.len() };
            bytes[at.index(range)] = value;
        }
        if let Some(kept) = kept {
            bytes.truncate(kept.index(bytes.len()));
        }
        let copies = tempfile::tempdir().unwrap();
        let path = copies.path().join(file);
        std::fs::write(&path, bytes).unwrap();
        match read_picture(&path, reader, transparency) {
            Ok(read) => {
                let picture = read.picture;
                prop_assert_eq!(picture.pixels.len(), 3 * picture.height * picture.width);
                prop_assert!((picture.height * picture.width) as u64 <= MAX_PIXELS);
            }
            Err(error) => prop_assert!(error.to_string().contains(file.as_str()), "{}", error),
        }
    }
}
