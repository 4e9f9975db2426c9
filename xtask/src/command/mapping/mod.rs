//! `cargo xtask mapping`.

mod explain;
mod suggest;

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
    Suggest(suggest::Suggest),
    Explain(explain::Explain),
    /// Print the JSON schema of mapping files, for editors.
    ///
    /// Example: cargo xtask mapping schema > mappings/mapping.schema.json
    Schema,
}

impl MappingCommand {
    pub(crate) fn run(self) -> CommandResult {
        match self.action {
            MappingAction::Check { file } => check(file),
            MappingAction::Suggest(command) => command.run(),
            MappingAction::Explain(command) => command.run(),
            MappingAction::Schema => {
                say(&harness::mapping::schema());
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

fn check(file: Option<PathBuf>) -> CommandResult {
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
