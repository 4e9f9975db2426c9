//! The encoder as the candidate: how it is loaded and run.

use std::path::Path;

use encoder::{Checkpoint, Isa, LoadOptions, Model, Padding, Settings};
use harness::provenance::{self, Hashed};

use crate::console::Failure;

/// Arguments of every command that runs the encoder.
#[derive(clap::Args, Clone)]
pub(crate) struct EncoderArguments {
    /// Worker threads (default: all cores); the result does not depend on it.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Padding of convolutions, which weights do not show (default: the set's, else same).
    #[arg(long, value_enum)]
    padding: Option<PaddingArgument>,
    /// Height and width that the fusion pools to (default: the set's, else 16x16).
    #[arg(long, value_name = "HxW", value_parser = resolution)]
    output_resolution: Option<(usize, usize)>,
    /// Instruction set of the kernels: portable, avx2, avx512 (default: the best this CPU has).
    #[arg(long, value_name = "ISA", value_parser = isa)]
    isa: Option<Isa>,
}

#[derive(clap::ValueEnum, Clone, Copy)]
enum PaddingArgument {
    Same,
    Symmetric,
}

fn resolution(text: &str) -> Result<(usize, usize), String> {
    let parse = |number: &str| number.parse().ok().filter(|n| *n > 0);
    match text.split_once('x').map(|(height, width)| (parse(height), parse(width))) {
        Some((Some(height), Some(width))) => Ok((height, width)),
        _ => Err("expected height x width, such as 16x16".to_string()),
    }
}

fn isa(text: &str) -> Result<Isa, String> {
    Isa::from_name(text).ok_or_else(|| format!("expected one of {}", Isa::ALL.map(Isa::name).join(", ")))
}

impl EncoderArguments {
    /// The thread pool that the run is confined to.
    pub(crate) fn pool(&self) -> Result<rayon::ThreadPool, Failure> {
        if self.threads == Some(0) {
            return Err(Failure::usage("--threads 0 leaves nobody to work", "leave it out to use all cores"));
        }
        rayon::ThreadPoolBuilder::new().num_threads(self.threads.unwrap_or(0)).build().map_err(|error| {
            Failure::usage(format!("cannot start the threads: {error}"), "try fewer with --threads")
        })
    }

    /// Loads the model with these settings, over those of a reference set where it has any; with it the weights' hash.
    pub(crate) fn load(&self, weights: &Path, set: Option<Settings>) -> Result<(Model, Hashed), Failure> {
        let set = set.unwrap_or_default();
        let settings = Settings {
            padding: match self.padding {
                None => set.padding,
                Some(PaddingArgument::Same) => Padding::Same,
                Some(PaddingArgument::Symmetric) => Padding::Symmetric,
            },
            output_resolution: self.output_resolution.unwrap_or(set.output_resolution),
            kv_stride: set.kv_stride,
        };
        let checkpoint = Checkpoint::open(weights).map_err(Failure::unreadable)?;
        let hash = provenance::hash_files(checkpoint.files()).map_err(Failure::unreadable)?;
        let model = Model::load(&checkpoint, &LoadOptions { settings, isa: self.isa })
            .map_err(Failure::unreadable)?;
        Ok((model, hash))
    }
}
