//! The example program, on a committed set.

mod fixtures;
#[expect(dead_code, reason = "its main function")]
#[path = "../examples/tokens.rs"]
mod tokens;

use fixtures::fixtures;
use tokens::PictureEncoder;

#[test]
fn the_example_encodes_pictures_of_any_size() {
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("model.safetensors");
    std::fs::copy(fixtures().join("blocks/model.safetensors"), &weights).unwrap();
    let settings = r#"{"size": {"height": 64, "width": 48}, "resample": 2, "do_normalize": false}"#;
    std::fs::write(folder.path().join("preprocessor_config.json"), settings).unwrap();
    let encoder = PictureEncoder::load(&weights).unwrap();
    for name in ["420.jpg", "orientation-6.png", "transparent.gif"] {
        let (tokens, treatments) = encoder.encode(&fixtures().join("pictures").join(name)).unwrap();
        assert_eq!(tokens.shape, [1, 256, 48], "{name}");
        let resized = "to 64x48 (bilinear, as transformers' fast image processor)";
        assert!(treatments.last().unwrap().to_string().ends_with(resized), "{name}");
    }
}
