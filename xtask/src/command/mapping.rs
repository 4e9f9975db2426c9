use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::console::{Outcome, say};
use crate::paths;

/// Work on a name mapping.
#[derive(clap::Args)]
pub(crate) struct Mapping {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Find mistakes in a mapping, each with line, column and a suggestion.
    ///
    /// Example: cargo xtask mapping check mappings/gemma3n.toml
    Check {
        /// The mapping (default: mappings/gemma3n.toml).
        file: Option<PathBuf>,
    },
}

impl Mapping {
    pub(crate) fn run(self) -> Outcome {
        let Action::Check { file } = self.action;
        let file = file.unwrap_or_else(paths::default_mapping);
        let mapping = harness::mapping::Mapping::read(&file)?;
        let profiles: Vec<&str> = mapping.profiles.keys().map(String::as_str).collect();
        say(&format!(
            "{}: good: {} rules, {} ignores, profiles {}",
            paths::shown(&file),
            mapping.rules.len(),
            mapping.ignores.len(),
            profiles.join(", ")
        ));
        Ok(ExitCode::SUCCESS)
    }
}
