//! Pictures in all formats, as both libraries read them that are reproduced.
#![no_main]

use encoder::input::{MAX_PIXELS, PictureReader, Transparency, read_picture};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(folder) = tempfile::tempdir() else { return };
    let path = folder.path().join("picture");
    if std::fs::write(&path, bytes).is_err() {
        return;
    }
    let readers = [
        (PictureReader::Pillow, Transparency::OverWhite),
        (PictureReader::StbImage, Transparency::Dropped),
    ];
    let read = readers.map(|(reader, transparency)| read_picture(&path, reader, transparency));
    let [upright, as_it_lies] = &read;
    assert_eq!(upright.is_ok(), as_it_lies.is_ok(), "what one of them can read the other can");
    for decoded in read.iter().flatten() {
        let picture = &decoded.picture;
        assert!(picture.height > 0 && picture.width > 0);
        assert!((picture.height * picture.width) as u64 <= MAX_PIXELS);
        assert_eq!(picture.pixels.len(), picture.height * picture.width * 3);
    }
    if let [Ok(upright), Ok(as_it_lies)] = &read {
        let extents = |height: usize, width: usize| (height.min(width), height.max(width));
        assert_eq!(upright.orientation, as_it_lies.orientation);
        assert_eq!(
            extents(upright.picture.height, upright.picture.width),
            extents(as_it_lies.picture.height, as_it_lies.picture.width)
        );
    }
});
