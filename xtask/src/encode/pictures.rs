//! What is done to pictures before the encoder takes them, as it is asked for or as the weights suggest.

use std::path::{Path, PathBuf};

use encoder::input::{Preparation, Resizer, Transparency};
use encoder::{Architecture, Checkpoint};

use crate::shell::failure::Failure;

/// What is done to pictures; an `.npy` is taken as it is.
#[derive(clap::Args, Clone, Copy, Default)]
pub(crate) struct PictureArguments {
    /// Height and width that pictures are resized to, or `none` for their own (default: what preprocessor_config.json
    /// or processor_config.json beside the weights says, else 768x768 for a model of Gemma 3n's size, else none).
    #[arg(long, value_name = "HxW", value_parser = resize)]
    resize: Option<WantedSize>,
    /// Whose resizing is reproduced: fast and slow are transformers' image processors, on torchvision and on Pillow;
    /// llama.cpp puts the whole picture in the middle of a black one, and ignores its orientation (default: fast).
    #[arg(long, value_enum, value_name = "P")]
    processor: Option<ProcessorArgument>,
    /// What becomes of transparency: white below it, as transformers' image processors do, or dropped, as where
    /// llama.cpp or transformers' load_image read the file (default: white, with --processor llama.cpp drop).
    #[arg(long, value_enum, value_name = "T")]
    transparency: Option<TransparencyArgument>,
}

/// A size that is asked for.
#[derive(Clone, Copy)]
enum WantedSize {
    /// Each picture's own.
    Own,
    /// Height and width.
    Fixed(usize, usize),
}

#[derive(clap::ValueEnum, Clone, Copy)]
enum ProcessorArgument {
    Fast,
    Slow,
    #[value(name = "llama.cpp")]
    LlamaCpp,
}

#[derive(clap::ValueEnum, Clone, Copy)]
enum TransparencyArgument {
    White,
    Drop,
}

fn resize(text: &str) -> Result<WantedSize, String> {
    let parse = |number: &str| number.parse().ok().filter(|n| (1..=4096).contains(n));
    match text.split_once('x').map(|(height, width)| (parse(height), parse(width))) {
        Some((Some(height), Some(width))) => Ok(WantedSize::Fixed(height, width)),
        _ if text == "none" => Ok(WantedSize::Own),
        _ => Err("expected height x width, each from 1 to 4096, such as 768x768, or none".to_string()),
    }
}

/// Why pictures get the size that they get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SizeReason {
    /// `--resize` says so.
    Asked,
    /// A file beside the weights says so.
    BesideWeights,
    /// The model has the size of Gemma 3n's, or another.
    Model,
}

/// What is done to pictures, and why they get their size.
#[derive(Clone, Copy)]
pub(crate) struct ChosenPreparation {
    pub(crate) preparation: Preparation,
    pub(crate) reason: SizeReason,
}

impl PictureArguments {
    /// Whether anything is asked for.
    pub(crate) fn are_given(self) -> bool {
        self.resize.is_some() || self.processor.is_some() || self.transparency.is_some()
    }

    /// What is done to pictures that a model of these weights takes.
    pub(crate) fn choose(
        self,
        weights: &Path,
        checkpoint: &Checkpoint,
        architecture: &Architecture,
    ) -> Result<ChosenPreparation, Failure> {
        let beside = match self.resize {
            // A size that is given needs no file, and a broken one shall not be in its way.
            Some(_) => Preparation::beside(weights).ok().flatten(),
            None => Preparation::beside(weights).map_err(|error| {
                Failure::unreadable(error).help("--resize HxW says what to do instead, --resize none nothing")
            })?,
        };
        let reason = match (self.resize, beside) {
            (Some(_), _) => SizeReason::Asked,
            (None, Some(_)) => SizeReason::BesideWeights,
            (None, None) => SizeReason::Model,
        };
        let mut preparation = beside
            .unwrap_or_else(|| Preparation::of_architecture(architecture))
            .with_facts_of(checkpoint)
            .map_err(Failure::unreadable)?;
        match self.resize {
            Some(WantedSize::Fixed(height, width)) => preparation.size = Some((height, width)),
            Some(WantedSize::Own) => preparation.size = None,
            None => {}
        }
        if preparation.size.is_none() && self.processor.is_some() {
            return Err(Failure::usage(
                "--processor says how pictures are resized, and they are not",
                "add --resize HxW, or leave --processor out",
            ));
        }
        match self.processor {
            Some(ProcessorArgument::Fast) => preparation.resizer = Resizer::TorchVision,
            Some(ProcessorArgument::Slow) => preparation.resizer = Resizer::Pillow,
            Some(ProcessorArgument::LlamaCpp) => {
                preparation.resizer = Resizer::LlamaCpp;
                preparation.transparency = Transparency::Dropped;
            }
            None => {}
        }
        match self.transparency {
            Some(TransparencyArgument::White) => preparation.transparency = Transparency::OverWhite,
            Some(TransparencyArgument::Drop) => preparation.transparency = Transparency::Dropped,
            None => {}
        }
        Ok(ChosenPreparation { preparation, reason })
    }
}

/// The files beside the weights that say what is done to pictures, which a command reads.
pub(crate) fn settings_beside(weights: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    Preparation::files_beside(weights).into_iter()
}
