//! The settings of an image processor, beside the weights.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::normalisation::Normalisation;
use super::preparation::Preparation;
use super::resample::Interpolation;
use crate::bounds::{self, RESIZED_EXTENT};
use crate::error::Error;
use crate::regular;

const EXPECTED: &str = "settings of an image processor that resizes to a fixed size and divides by 255";

impl Preparation {
    /// What `preprocessor_config.json` or `processor_config.json` beside the weights asks for, if there is either; the
    /// weights are a file or a folder.
    ///
    /// # Errors
    /// A file that cannot be read, is not the settings of an image processor, or asks for what is not done here.
    pub fn beside(weights: &Path) -> Result<Option<Preparation>, Error> {
        for path in Preparation::files_beside(weights).into_iter().filter(|path| path.is_file()) {
            let text = regular::read(&path, EXPECTED, bounds::TEXT_BYTES)?;
            let format = |found| Error::Format { path: path.clone(), expected: EXPECTED, found };
            let file: Value = serde_json::from_slice(&text).map_err(|error| format(error.to_string()))?;
            // `processor_config.json` has the settings of each processor under its own name, and perhaps none for pictures.
            let top_level = ["size", "image_processor_type"].iter().any(|key| file.get(key).is_some());
            let settings = match file.get("image_processor") {
                Some(settings) => settings.clone(),
                None if top_level => file,
                None => continue,
            };
            let settings: ImageProcessorSettings =
                serde_json::from_value(settings).map_err(|error| format(error.to_string()))?;
            return Ok(Some(settings.preparation().map_err(format)?));
        }
        Ok(None)
    }

    /// Where [`beside`](Self::beside) looks.
    #[must_use]
    pub fn files_beside(weights: &Path) -> [PathBuf; 2] {
        let folder = if weights.is_dir() { Some(weights) } else { weights.parent() };
        ["preprocessor_config.json", "processor_config.json"]
            .map(|name| folder.unwrap_or(Path::new("")).join(name))
    }
}

/// The settings that decide about pixels. What is not given is as in transformers' `SiglipImageProcessor`.
#[derive(Deserialize)]
struct ImageProcessorSettings {
    size: FixedSize,
    resample: Option<u8>,
    do_resize: Option<bool>,
    do_center_crop: Option<bool>,
    do_pad: Option<bool>,
    do_rescale: Option<bool>,
    rescale_factor: Option<f64>,
    do_normalize: Option<bool>,
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
}

#[derive(Deserialize)]
struct FixedSize {
    height: usize,
    width: usize,
}

impl ImageProcessorSettings {
    fn preparation(&self) -> Result<Preparation, String> {
        let interpolation = match self.resample {
            Some(2) => Interpolation::Bilinear,
            None | Some(3) => Interpolation::Bicubic,
            Some(other) => return Err(format!("resample {other}, where 2 is bilinear and 3 bicubic")),
        };
        let FixedSize { height, width } = self.size;
        if ![height, width].iter().all(|extent| (1..=RESIZED_EXTENT).contains(extent)) {
            return Err(format!("size {height}x{width}, where each extent is at most {RESIZED_EXTENT}"));
        }
        for (name, wanted) in [("do_center_crop", self.do_center_crop), ("do_pad", self.do_pad)] {
            if wanted == Some(true) {
                return Err(name.to_string());
            }
        }
        let factor = self.rescale_factor.unwrap_or(1.0 / 255.0);
        if self.do_rescale == Some(false) || (factor * 255.0 - 1.0).abs() > 1e-6 {
            return Err(format!("do_rescale {:?} by {factor}", self.do_rescale.unwrap_or(true)));
        }
        let size = self.do_resize.unwrap_or(true).then_some((height, width));
        let normalisation = self.normalisation()?;
        Ok(Preparation { size, interpolation, normalisation, ..Preparation::GEMMA_3N })
    }

    fn normalisation(&self) -> Result<Option<Normalisation>, String> {
        let (mean, std) = (self.image_mean.unwrap_or([0.5; 3]), self.image_std.unwrap_or([0.5; 3]));
        match self.do_normalize.unwrap_or(true) {
            true => Normalisation::of(mean, std),
            false => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Gemma 3n's checkpoints have beside what is of no matter here.
    const GEMMA_3N: &str = r#"{
        "do_convert_rgb": null, "do_normalize": false, "do_rescale": true, "do_resize": true,
        "feature_extractor_type": "Gemma3nAudioFeatureExtractor", "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": "SiglipImageProcessorFast", "image_seq_length": 256, "image_std": [0.5, 0.5, 0.5],
        "resample": 2, "rescale_factor": 0.00392156862745098, "size": {"height": 768, "width": 768}
    }"#;

    fn beside(name: &str, content: &str) -> Result<Option<Preparation>, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), content).unwrap();
        let found = Preparation::beside(folder.path());
        assert_eq!(
            found.as_ref().ok(),
            Preparation::beside(&folder.path().join("model.safetensors")).as_ref().ok(),
            "a folder of weights, and a file in it"
        );
        found.map_err(|error| error.to_string())
    }

    #[test]
    fn the_settings_of_gemma_3n_are_its_preparation() {
        assert_eq!(beside("preprocessor_config.json", GEMMA_3N), Ok(Some(Preparation::GEMMA_3N)));
        let nested = format!(r#"{{"image_processor": {GEMMA_3N}, "processor_class": "Gemma3nProcessor"}}"#);
        assert_eq!(beside("processor_config.json", &nested), Ok(Some(Preparation::GEMMA_3N)));
        assert_eq!(beside("processor_config.json", r#"{"processor_class": "Gemma3nProcessor"}"#), Ok(None));
        assert_eq!(beside("config.json", GEMMA_3N), Ok(None));
    }

    #[test]
    fn settings_that_ask_for_something_else_are_refused() {
        let changes = [
            (r#""resample": 2"#, r#""resample": 1"#),
            (r#""size": {"height": 768, "width": 768}"#, r#""size": {"shortest_edge": 768}"#),
            (r#""size": {"height": 768, "width": 768}"#, r#""size": {"height": 768, "width": 100000}"#),
            (r#""do_rescale": true"#, r#""do_rescale": false"#),
            ("0.00392156862745098", "0.5"),
            (r#""do_resize": true"#, r#""do_resize": true, "do_center_crop": true"#),
            ("}", ""),
        ];
        let refusals = changes.map(|(from, to)| {
            let message = beside("preprocessor_config.json", &GEMMA_3N.replace(from, to)).unwrap_err();
            message.rsplit_once(", found ").unwrap().1.to_string()
        });
        insta::assert_snapshot!(refusals.join("\n"), @r"
        resample 1, where 2 is bilinear and 3 bicubic
        missing field `height`
        size 768x100000, where each extent is at most 4096
        do_rescale false by 0.00392156862745098
        do_rescale true by 0.5
        do_center_crop
        EOF while parsing an object at line 6 column 4
        ");
    }

    #[test]
    fn other_filters_and_none() {
        let bicubic = GEMMA_3N.replace(r#""resample": 2"#, r#""resample": 3"#);
        let expected = Preparation { interpolation: Interpolation::Bicubic, ..Preparation::GEMMA_3N };
        assert_eq!(beside("preprocessor_config.json", &bicubic), Ok(Some(expected)));
        let none = GEMMA_3N.replace(r#""do_resize": true"#, r#""do_resize": false"#);
        let expected = Preparation { size: None, ..Preparation::GEMMA_3N };
        assert_eq!(beside("preprocessor_config.json", &none), Ok(Some(expected)));
        let identity = GEMMA_3N
            .replace(r#""do_normalize": false"#, r#""do_normalize": true"#)
            .replace(r#""image_mean": [0.5, 0.5, 0.5]"#, r#""image_mean": [0.0, 0.0, 0.0]"#)
            .replace(r#""image_std": [0.5, 0.5, 0.5]"#, r#""image_std": [1.0, 1.0, 1.0]"#);
        assert_eq!(beside("preprocessor_config.json", &identity), Ok(Some(Preparation::GEMMA_3N)));
    }

    #[test]
    fn a_mean_and_a_deviation_that_are_asked_for() {
        let asked = GEMMA_3N.replace(r#""do_normalize": false"#, r#""do_normalize": true"#);
        let halves = Some(Normalisation { mean: [0.5; 3], std: [0.5; 3] });
        let expected = Preparation { normalisation: halves, ..Preparation::GEMMA_3N };
        assert_eq!(beside("preprocessor_config.json", &asked), Ok(Some(expected)));
        // transformers' own, where nothing is said.
        let unsaid = r#"{"size": {"height": 768, "width": 768}, "resample": 2}"#;
        assert_eq!(beside("preprocessor_config.json", unsaid), Ok(Some(expected)));
        let nothing = asked.replace(r#""image_std": [0.5, 0.5, 0.5]"#, r#""image_std": [0.5, 0.0, 0.5]"#);
        let message = beside("preprocessor_config.json", &nothing).unwrap_err();
        assert!(message.contains("image_std [0.5, 0.0, 0.5], by which nothing can be divided"), "{message}");
    }
}
