//! `cargo xtask parity --compare-weights A B`.

use std::path::Path;
use std::process::ExitCode;

use harness::files::overwrite::FilesRead;

use super::requested_reports::RequestedReport;
use crate::encode::arguments;
use crate::gate::files_read::indices;
use crate::shell::console::say;
use crate::shell::failure::{CommandResult, Failure};
use crate::weights::parity::WeightParity;

/// How the comparison is shown.
#[derive(Clone, Copy)]
pub(super) struct ParityDetail {
    pub(super) quiet: bool,
    pub(super) verbose: bool,
}

/// Compares two checkpoints tensor by tensor; `reports` are of JSON.
pub(super) fn run([a, b]: [&Path; 2], shown: ParityDetail, reports: &[RequestedReport]) -> CommandResult {
    let [of_a, of_b] = [arguments::open(a)?, arguments::open(b)?];
    let mut read = FilesRead::default();
    read.extend([a, b]);
    read.extend([a, b].into_iter().flat_map(indices));
    read.extend(of_a.files().iter().chain(of_b.files()));
    reports.iter().try_for_each(|report| read.check(&report.path)).map_err(Failure::overwrites)?;
    let parity = WeightParity::of(&of_a, &of_b);
    if !(shown.quiet && parity.exit_code() == 0) {
        say(&parity.text(shown.verbose));
    }
    for report in reports {
        let text = serde_json::to_string_pretty(&parity).map_err(Failure::unreadable)? + "\n";
        report.put(&text).map_err(|error| Failure::write(&report.path, &error))?;
    }
    Ok(ExitCode::from(parity.exit_code()))
}
