use std::path::PathBuf;
use std::process::ExitCode;

use crate::encode::arguments;
use crate::shell::console::say;
use crate::shell::failure::{CommandResult, Failure};
use crate::weights::inspection::Inspection;

/// Say what a checkpoint is: architecture, types, what is missing, what is not used.
///
/// Exit codes: 0 a whole model, 3 tensors missing, 4 shapes that do not fit, 5 unreadable or of a type
/// that is not supported.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Inspect {
    /// Weights: a safetensors or GGUF file, the index of a sharded checkpoint, or a folder with one of them.
    #[arg(value_name = "FILE")]
    weights: PathBuf,
    /// List every tensor, with its name in the file.
    #[arg(long)]
    verbose: bool,
    /// Print it as JSON, with every tensor.
    #[arg(long, conflicts_with = "verbose")]
    json: bool,
}

impl Inspect {
    pub(crate) fn run(self) -> CommandResult {
        let checkpoint = arguments::open(&self.weights)?;
        let inspection = Inspection::of(&self.weights, &checkpoint);
        let text = match self.json {
            true => serde_json::to_string_pretty(&inspection).map_err(Failure::unreadable)?,
            false => inspection.text(self.verbose),
        };
        say(&text);
        Ok(ExitCode::from(inspection.exit_code()))
    }
}
