use std::path::PathBuf;
use std::process::ExitCode;

use clap_complete::Shell;

use crate::shell::console::{hand_over, say};
use crate::shell::failure::{CommandResult, Failure};
use crate::shell::{paths, program};

/// Print completions for a shell, or write manual pages.
///
/// Examples:
///   parity-gate completions bash > ~/.local/share/bash-completion/completions/parity-gate
///   parity-gate completions --man ~/.local/share/man/man1
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(required_unless_present = "man")]
    shell: Option<Shell>,
    /// Write a manual page for each command into this folder.
    #[arg(long, value_name = "DIR", conflicts_with = "shell")]
    man: Option<PathBuf>,
}

impl Completions {
    /// `command` is the program's whole command line.
    pub(crate) fn run(self, command: clap::Command) -> CommandResult {
        // The name of a file, and of what a shell completes.
        let name = if program::is_of_the_checkout() { "xtask" } else { program::name() };
        let mut command = command.name(name).bin_name(name);
        if let Some(shell) = self.shell {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, name, &mut script);
            hand_over(&program::told(&String::from_utf8_lossy(&script)));
        }
        if let Some(folder) = self.man {
            std::fs::create_dir_all(&folder).map_err(|error| Failure::write(&folder, &error))?;
            clap_mangen::generate_to(command, &folder).map_err(|error| Failure::write(&folder, &error))?;
            say(&format!("{}: manual pages, from {name}.1 on", paths::shown(&folder)));
        }
        Ok(ExitCode::SUCCESS)
    }
}
