//! What is done to a picture between its file and the model.

use std::fmt;
use std::path::Path;

use super::decode::read_picture;
use super::letterbox::letterbox;
use super::normalisation::Normalisation;
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
            normalisation.apply(&mut tensor, self.resizer == Resizer::TorchVision);
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

const EXPECTED_PIXELS: &str = "a picture of at least 2 x 2 pixels, which llama.cpp can resize";
