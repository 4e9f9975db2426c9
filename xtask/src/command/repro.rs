use std::path::PathBuf;
use std::process::ExitCode;

use super::parity::rounding;
use crate::encode::arguments::EncoderArguments;
use crate::encode::pictures::PictureArguments;
use crate::gate::compare::{Gate, NamedInput};
use crate::gate::local::{LocalSources, RoundingChoice};
use crate::shell::console::say;
use crate::shell::failure::CommandResult;
use crate::shell::paths;

/// Write one part of a port as a case of its own, made as small as it can be while the port still fails on it.
///
/// The folder gets the part's inputs as the port dumped them, its weights, what it should give, what the dump has,
/// a Rust test without dependencies and the same part in PyTorch.
///
/// Examples:
///   cargo xtask repro blocks.2.4 --candidate debug_ggml_output --weights mmproj.gguf --input photo.png --out case
///   uv run case/twin.py
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Repro {
    /// The part, such as blocks.2.4, or a tensor of it.
    #[arg(value_name = "LAYER")]
    layer: String,
    /// The port's dump.
    #[arg(long, value_name = "DIR")]
    candidate: PathBuf,
    /// Weights as the port read them: safetensors or GGUF.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// The port's input: a picture or .npy.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// New or empty folder to write.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Where the port's runtime rounds: auto, exact, ggml-f32, ggml-f16, ggml-f16-gpu, ggml-q8_0, f16-all, bf16-all, or bf16x3 and bf16 as
    /// this project's encoder.
    #[arg(long, value_name = "MODEL", default_value = "auto", value_parser = rounding)]
    rounding: RoundingChoice,
    /// Which candidate meets which tensor (default: mappings/gemma3n.toml of the checkout, else that of the program).
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    #[command(flatten)]
    pictures: PictureArguments,
    #[command(flatten)]
    encoder: EncoderArguments,
}

impl Repro {
    pub(crate) fn run(self) -> CommandResult {
        let mapping = paths::mapping(self.mapping.as_deref())?;
        let profile = mapping.profile(self.encoder.precision().name())?;
        let pool = self.encoder.pool()?;
        let gate = Gate::new(&mapping, profile, &pool, &self.encoder);
        let sources = LocalSources {
            candidate: &self.candidate,
            weights: &self.weights,
            input: NamedInput { path: &self.input, pictures: self.pictures },
            settings: encoder::Settings::default(),
            rounding: self.rounding,
            earlier: None,
            explained: None,
            with_progress: false,
        };
        gate.repro(sources, &self.layer, &self.out)?.iter().for_each(|line| say(line));
        Ok(ExitCode::SUCCESS)
    }
}
