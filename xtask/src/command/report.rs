//! `cargo xtask report`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use harness::exit_code;
use harness::files::regular;
use harness::report::difference::difference;
use harness::report::document::ReportDocument;
use harness::report::{Format, json};

use crate::shell::console::{self, say};
use crate::shell::failure::{CommandResult, Failure};
use crate::shell::paths;

/// Work on reports that `parity --report json=FILE` wrote.
#[derive(clap::Args)]
pub(crate) struct ReportCommand {
    #[command(subcommand)]
    action: ReportAction,
}

#[derive(Subcommand)]
enum ReportAction {
    /// Show a report in another format.
    ///
    /// A page has maps of layers only where `parity --report html=FILE` writes it itself.
    ///
    /// Example: cargo xtask report show parity.json --as markdown
    Show {
        /// The JSON report.
        file: PathBuf,
        /// The format: json, jsonl, html, junit, markdown, sarif, model-explorer.
        #[arg(long = "as", value_name = "FORMAT", value_parser = format)]
        format: Format,
    },
    /// Say which layers got worse, better, are new or gone; exit code 1 where one is worse or gone.
    ///
    /// Example: cargo xtask report diff before.json after.json
    Diff {
        /// The earlier JSON report.
        before: PathBuf,
        /// The later one.
        after: PathBuf,
    },
    /// Print the JSON schema of reports.
    ///
    /// Example: cargo xtask report schema > docs/report.schema.json
    Schema,
}

fn format(text: &str) -> Result<Format, String> {
    let known = Format::ALL.map(Format::name).join(", ");
    Format::from_name(text).ok_or_else(|| format!("expected one of {known}"))
}

impl ReportCommand {
    pub(crate) fn run(self) -> CommandResult {
        match self.action {
            ReportAction::Show { file, format } => {
                let text = format.render(&read(&file)?).map_err(Failure::unreadable)?;
                console::hand_over(&text);
                Ok(ExitCode::SUCCESS)
            }
            ReportAction::Diff { before, after } => {
                let found = difference(&read(&before)?, &read(&after)?);
                say(&found.render());
                let worse = if found.is_worse() { exit_code::NUMBERS } else { exit_code::PASSED };
                Ok(ExitCode::from(worse))
            }
            ReportAction::Schema => {
                say(&json::schema());
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

fn read(path: &Path) -> Result<ReportDocument, Failure> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", paths::shown(path));
    let text = regular::read_text(path).map_err(|error| Failure::unusable(named(&error)))?;
    json::parse(&text).map_err(|error| {
        Failure::unusable(named(&error)).help("write it with cargo xtask parity --report json=FILE")
    })
}
