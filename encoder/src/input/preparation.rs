//! What is done to a picture between its file and the model.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::decode::read_picture;
use super::letterbox::letterbox;
use super::picture::{Picture, PictureReader, Transparency};
use super::resample::{Fraction, Interpolation, resample};
use crate::architecture::Architecture;
use crate::error::Error;
use crate::tap::TapTensor;

/// Whose resizing is reproduced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resizer {
    /// transformers' image processor on torchvision, its default ("fast").
    #[default]
    TorchVision,
    /// transformers' image processor on Pillow ("slow").
    Pillow,
    /// llama.cpp: bilinear without widening the filter, in the middle of a black picture. It reads files by stb_image.
    LlamaCpp,
}

impl Resizer {
    fn reader(self) -> PictureReader {
        match self {
            Resizer::TorchVision | Resizer::Pillow => PictureReader::Pillow,
            Resizer::LlamaCpp => PictureReader::StbImage,
        }
    }
}

/// A mean and a standard deviation of each channel, of values in [0, 1], which become (value - mean) / deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalisation {
    /// Of red, green and blue.
    pub mean: [f32; 3],
    /// Of red, green and blue; not 0.
    pub std: [f32; 3],
}

impl Normalisation {
    /// The smallest and the largest value that it makes of those in [0, 1], with room for rounding.
    pub(crate) fn range(self) -> [f32; 2] {
        const ROOM: f32 = 1e-5;
        let ends = |end: f32| (0..3).map(move |channel| (end - self.mean[channel]) / self.std[channel]);
        let (low, high) = (ends(0.0).fold(f32::MAX, f32::min), ends(1.0).fold(f32::MIN, f32::max));
        [low - ROOM * low.abs(), high + ROOM * high.abs()]
    }

    /// Normalises `[1, 3, height, width]`. torchvision does it at once with the division by 255, which rounds once less.
    fn apply(&self, tensor: &mut TapTensor, resizer: Resizer) {
        let plane = (tensor.data.len() / 3).max(1);
        for (channel, values) in tensor.data.chunks_exact_mut(plane).enumerate() {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            for value in values {
                *value = match resizer {
                    Resizer::TorchVision => ((*value * 255.0).round() - mean * 255.0) / (std * 255.0),
                    Resizer::Pillow | Resizer::LlamaCpp => (*value - mean) / std,
                };
            }
        }
    }
}

/// What is done to a picture before the model takes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preparation {
    /// Height and width that a picture is resized to; `None` leaves it at its own.
    pub size: Option<(usize, usize)>,
    /// How values between pixels are found, except by llama.cpp, which knows only bilinear.
    pub interpolation: Interpolation,
    /// Whose resizing is reproduced.
    pub resizer: Resizer,
    /// What becomes of transparency.
    pub transparency: Transparency,
    /// What is done to values after they are divided by 255; Gemma 3n's are left in [0, 1].
    pub normalisation: Option<Normalisation>,
}

impl Default for Preparation {
    /// A picture as it is.
    fn default() -> Preparation {
        Preparation {
            size: None,
            interpolation: Interpolation::Bilinear,
            resizer: Resizer::default(),
            transparency: Transparency::default(),
            normalisation: None,
        }
    }
}

/// One thing that was done to a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Treatment {
    /// It was turned or mirrored as its EXIF orientation, 2 to 8, asks for.
    Oriented(u8),
    /// It lies as in the file, though its EXIF orientation, 2 to 8, asks for something else.
    OrientationIgnored(u8),
    /// Some of it was transparent.
    Transparent(Transparency),
    /// So many values of 16-bit grey were more than 255 and became 255, as in Pillow.
    Clipped(usize),
    /// It was resized.
    Resized {
        /// Height and width before.
        from: (usize, usize),
        /// Height and width after.
        to: (usize, usize),
        /// How values between pixels were found.
        interpolation: Interpolation,
        /// Whose resizing it was.
        resizer: Resizer,
    },
    /// A mean was subtracted from its values, and they were divided by a deviation.
    Normalised(Normalisation),
}

impl fmt::Display for Treatment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Treatment::Oriented(orientation) => write!(f, "orientation {orientation} applied"),
            Treatment::OrientationIgnored(orientation) => {
                write!(f, "orientation {orientation} ignored, as llama.cpp does")
            }
            Treatment::Transparent(Transparency::OverWhite) => write!(f, "laid over white"),
            Treatment::Transparent(Transparency::Dropped) => write!(f, "transparency dropped"),
            Treatment::Clipped(values) => {
                write!(f, "{values} values of 16-bit grey clipped to 255, as Pillow does")
            }
            Treatment::Resized { from, to, interpolation, resizer } => {
                let name = interpolation.name();
                let way = match resizer {
                    Resizer::TorchVision => format!("{name}, as transformers' fast image processor"),
                    Resizer::Pillow => format!("{name}, as transformers' slow image processor"),
                    Resizer::LlamaCpp => "bilinear on black, as llama.cpp".to_string(),
                };
                write!(f, "resized {}x{} to {}x{} ({way})", from.0, from.1, to.0, to.1)
            }
            Treatment::Normalised(Normalisation { mean, std }) => {
                write!(f, "normalised by mean {mean:?} and deviation {std:?}")
            }
        }
    }
}

/// A picture as the model takes it.
#[derive(Clone, Debug)]
pub struct PreparedPicture {
    /// `[1, 3, height, width]`, in [0, 1] unless it was normalised.
    pub tensor: TapTensor,
    /// What was done to it, in that order.
    pub treatments: Vec<Treatment>,
}

impl Preparation {
    /// What Gemma 3n's image processor does.
    pub const GEMMA_3N: Preparation = Preparation {
        size: Some((768, 768)),
        interpolation: Interpolation::Bilinear,
        resizer: Resizer::TorchVision,
        transparency: Transparency::OverWhite,
        normalisation: None,
    };

    /// What suits a model whose checkpoint does not say: a model with the channels of Gemma 3n's encoder gets
    /// [`GEMMA_3N`](Self::GEMMA_3N), any other pictures as they are.
    #[must_use]
    pub fn of_architecture(architecture: &Architecture) -> Preparation {
        /// Channels of its vision tokens.
        const CHANNELS: usize = 2048;
        match architecture.fusion {
            Some(fusion) if fusion.output == CHANNELS => Preparation::GEMMA_3N,
            _ => Preparation::default(),
        }
    }

    /// What `preprocessor_config.json` or `processor_config.json` beside the weights asks for, if there is either; the
    /// weights are a file or a folder.
    ///
    /// # Errors
    /// A file that cannot be read, is not the settings of an image processor, or asks for what is not done here.
    pub fn beside(weights: &Path) -> Result<Option<Preparation>, Error> {
        for path in Preparation::files_beside(weights).into_iter().filter(|path| path.is_file()) {
            let text = std::fs::read(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
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

    /// Reads a picture and does this to it.
    ///
    /// # Errors
    /// As [`read_picture`]; a picture of one pixel's height or width that llama.cpp could not resize.
    pub fn read(&self, path: &Path) -> Result<PreparedPicture, Error> {
        let reader = self.resizer.reader();
        let decoded = read_picture(path, reader, self.transparency)?;
        let oriented = match reader {
            PictureReader::Pillow => Treatment::Oriented,
            PictureReader::StbImage => Treatment::OrientationIgnored,
        };
        let mut treatments: Vec<Treatment> = decoded.orientation.map(oriented).into_iter().collect();
        if decoded.transparent {
            treatments.push(Treatment::Transparent(self.transparency));
        }
        if decoded.clipped > 0 {
            treatments.push(Treatment::Clipped(decoded.clipped));
        }
        let mut picture = decoded.picture;
        let from = (picture.height, picture.width);
        if let Some(to) = self.size.filter(|to| *to != from) {
            if self.resizer == Resizer::LlamaCpp && from.0.min(from.1) < 2 {
                let found = format!("{} x {} pixels", from.1, from.0);
                return Err(Error::Format { path: path.to_path_buf(), expected: EXPECTED_PIXELS, found });
            }
            picture = self.resize(picture, to);
            let (interpolation, resizer) = (self.interpolation, self.resizer);
            treatments.push(Treatment::Resized { from, to, interpolation, resizer });
        }
        let mut tensor = picture.to_tensor();
        if let Some(normalisation) = self.normalisation {
            normalisation.apply(&mut tensor, self.resizer);
            treatments.push(Treatment::Normalised(normalisation));
        }
        Ok(PreparedPicture { tensor, treatments })
    }

    fn resize(&self, picture: Picture, to: (usize, usize)) -> Picture {
        match self.resizer {
            Resizer::TorchVision => resample(picture, to, self.interpolation, Fraction::TorchVision),
            Resizer::Pillow => resample(picture, to, self.interpolation, Fraction::Pillow),
            Resizer::LlamaCpp => letterbox(&picture, to),
        }
    }
}

/// Reads a picture at its own size: upright 8-bit RGB / 255, laid over white where it is transparent, batch 1.
///
/// # Errors
/// As [`read_picture`].
pub fn read_image(path: &Path) -> Result<TapTensor, Error> {
    Ok(Preparation::default().read(path)?.tensor)
}

const EXPECTED: &str = "settings of an image processor that resizes to a fixed size and divides by 255";
const EXPECTED_PIXELS: &str = "a picture of at least 2 x 2 pixels, which llama.cpp can resize";

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

/// The largest height or width that pictures are resized to.
const MAX_EXTENT: usize = 4096;

impl ImageProcessorSettings {
    fn preparation(&self) -> Result<Preparation, String> {
        let interpolation = match self.resample {
            Some(2) => Interpolation::Bilinear,
            None | Some(3) => Interpolation::Bicubic,
            Some(other) => return Err(format!("resample {other}, where 2 is bilinear and 3 bicubic")),
        };
        let FixedSize { height, width } = self.size;
        if ![height, width].iter().all(|extent| (1..=MAX_EXTENT).contains(extent)) {
            return Err(format!("size {height}x{width}, where each extent is at most {MAX_EXTENT}"));
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
        if !self.do_normalize.unwrap_or(true) || (mean, std) == ([0.0; 3], [1.0; 3]) {
            return Ok(None);
        }
        if !std.iter().all(|std| std.is_normal() && *std > 0.0) || !mean.iter().all(|mean| mean.is_finite()) {
            return Err(format!(
                "image_mean {mean:?} and image_std {std:?}, by which nothing can be divided"
            ));
        }
        Ok(Some(Normalisation { mean, std }))
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
