//! `cargo xtask baseline --file FILE`: the known errors of a port.

use std::path::PathBuf;
use std::process::ExitCode;

use harness::exit_code;

use super::review_decisions::ReviewDecisions;
use crate::baseline::review::{self, Review};
use crate::committed::figures;
use crate::committed::port_baseline::PortBaseline;
use crate::encode::arguments::EncoderArguments;
use crate::gate::compare::{FolderSources, Gate};
use crate::gate::limits::{self, KnownOf};
use crate::shell::console::say;
use crate::shell::failure::{CommandResult, Failure};
use crate::shell::{ci, paths, program};

/// A port whose errors are measured.
#[derive(clap::Args)]
pub(super) struct PortSources {
    /// What the port dumped.
    #[arg(long, value_name = "DIR", requires_all = ["file", "reference"])]
    candidate: Option<PathBuf>,
    /// The reference, a set with a manifest.json.
    #[arg(long, value_name = "DIR", requires = "candidate")]
    reference: Option<PathBuf>,
    /// The conditions that it ran under, such as "cuda sm_89 fp16", where the same give the same bits. Without, errors may be about
    /// twice what was measured.
    #[arg(long, value_name = "TEXT", requires = "candidate")]
    conditions: Option<String>,
    /// Which candidate meets which reference.
    #[arg(long, value_name = "FILE", requires = "candidate")]
    mapping: Option<PathBuf>,
}

impl PortSources {
    /// Compares the port with its reference, and puts its errors beside the accepted ones.
    pub(super) fn measure(&self, baseline: &PortBaseline<'_>, profile: &str) -> CommandResult {
        ci::refuse()?;
        let (Some(candidate), Some(path)) = (&self.candidate, &self.reference) else {
            return Err(Failure::usage(
                "--file: expected the port's dump and its reference",
                "add --candidate DIR --reference DIR",
            ));
        };
        let mapping = paths::mapping(self.mapping.as_deref())?;
        let encoder = EncoderArguments::default();
        let pool = encoder.pool()?;
        let gate = Gate::new(&mapping, mapping.profile(profile)?, &pool, &encoder);
        let reference = gate.reference(path)?;
        let subject = figures::subject(&reference, profile)?.ok_or_else(|| limits::no_set(&reference))?;
        let (weights, earlier, known) = (None, None, KnownOf::Nobody);
        let sources = FolderSources { candidate, reference: path, weights, earlier, known };
        let measured = baseline.measured(&gate.folder(sources)?, subject, self.conditions.as_deref())?;
        let [waiting, of] = baseline.propose(measured)?;
        match waiting {
            0 => say("every error is the one that is known"),
            _ => {
                say(&format!("{}: {waiting} of {of} layers wait", paths::shown(&baseline.pending())));
                say(&program::told(&format!("next: {}", baseline.review_again())));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Shows what waits, and accepts what is to be.
pub(super) fn review(baseline: &PortBaseline<'_>, decisions: &ReviewDecisions) -> CommandResult {
    let flags = decisions.flags();
    if flags.decide() {
        ci::refuse()?;
    }
    let Some(waiting) = Review::of_port(baseline)? else {
        let next = format!("nothing waits for a review; next: {}", baseline.measure_again());
        say(&program::told(&next));
        return Ok(ExitCode::SUCCESS);
    };
    let waiting = vec![waiting];
    if let Some(html) = &decisions.html {
        review::write_page(&waiting, html)?;
    }
    match review::run(waiting, &flags)? {
        true => {
            say(&program::told(&format!(
                "next: {} --accept-all\n      \
                 or, instead of --accept-all: --reject-all, --accept LAYER, --reject LAYER",
                baseline.review_again()
            )));
            Ok(ExitCode::from(exit_code::NUMBERS))
        }
        false => {
            say(&format!("next: commit {}", paths::shown(baseline.file)));
            Ok(ExitCode::SUCCESS)
        }
    }
}
