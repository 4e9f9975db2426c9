use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::shell::console::say;
use crate::shell::failure::CommandResult;
use crate::shell::paths;

/// Work on a name mapping.
#[derive(clap::Args)]
pub(crate) struct MappingCommand {
    #[command(subcommand)]
    action: MappingAction,
}

#[derive(Subcommand)]
enum MappingAction {
    /// Find mistakes in a mapping, each with line, column and a suggestion.
    ///
    /// Example: cargo xtask mapping check mappings/gemma3n.toml
    Check {
        /// The mapping (default: mappings/gemma3n.toml).
        file: Option<PathBuf>,
    },
}

impl MappingCommand {
    pub(crate) fn run(self) -> CommandResult {
        let MappingAction::Check { file } = self.action;
        let mapping = paths::mapping(file.as_deref())?;
        let profiles: Vec<&str> = mapping.profiles.keys().map(String::as_str).collect();
        say(&format!(
            "{}: good: {} rules, {} ignores, profiles {}",
            paths::shown(&mapping.path),
            mapping.rules.len(),
            mapping.ignores.len(),
            profiles.join(", ")
        ));
        Ok(ExitCode::SUCCESS)
    }
}
