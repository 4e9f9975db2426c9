use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use harness::comparison::Run;
use harness::exit_code;
use harness::mapping::Mapping;
use harness::report::terminal::{self, Options};

use crate::candidate::EncoderArguments;
use crate::compare::Compare;
use crate::console::{Failure, Outcome, say};
use crate::next_steps::next_steps;
use crate::{paths, resources, set};

/// Compare a port with its reference, layer by layer.
///
/// Without arguments: runs this project's encoder on every committed reference set.
///
/// Examples:
///   cargo xtask parity --candidate debug_ggml_output --reference debug_output --profile f16-weights
///   cargo xtask parity --reference fixtures/blocks --threads 1 --isa avx2
///   cargo xtask parity --report json=parity.json --quiet
///
/// Exit codes: 0 all good, 1 numbers, 2 usage or mapping, 3 coverage, 4 shapes, 5 unreadable input or
/// sides that do not belong together (of other weights, input or settings).
/// A file that is not as manifest.json or dump.json recorded it, missing from its folder or missing in the
/// record, is code 5 where nothing else is wrong; numbers that fail keep code 1. With --strict it is code 5
/// before any number is judged.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Parity {
    /// Folder of dumps to compare, instead of running the encoder.
    #[arg(long, value_name = "DIR", requires = "reference", conflicts_with_all = ["weights", "input"])]
    candidate: Option<PathBuf>,
    /// Reference: a set with a manifest.json, or a folder of somebody's own dumps.
    #[arg(long, value_name = "DIR")]
    reference: Option<PathBuf>,
    /// Weights for the encoder (default: the set's).
    #[arg(long, value_name = "FILE", requires = "reference")]
    weights: Option<PathBuf>,
    /// Input for the encoder, image or .npy (default: the set's).
    #[arg(long, value_name = "FILE", requires = "reference")]
    input: Option<PathBuf>,
    /// Which candidate meets which reference (default: mappings/gemma3n.toml).
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// Tolerances: a profile of the mapping (default: that of the encoder's precision, f32).
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Write a report; json is the format there is. Repeatable.
    #[arg(long, value_name = "FORMAT=PATH", value_parser = report)]
    report: Vec<PathBuf>,
    /// Refuse sides of which it is not recorded what they were computed from, and files changed since.
    #[arg(long)]
    strict: bool,
    /// Show only what needs attention.
    #[arg(long, conflicts_with = "verbose")]
    quiet: bool,
    /// Show also reference names and everything that was ignored.
    #[arg(long)]
    verbose: bool,
    #[command(flatten)]
    encoder: EncoderArguments,
}

fn report(text: &str) -> Result<PathBuf, String> {
    match text.split_once('=') {
        Some(("json", path)) if !path.is_empty() => Ok(PathBuf::from(path)),
        _ => Err("expected json=PATH, such as json=parity.json".to_string()),
    }
}

impl Parity {
    pub(crate) fn run(self) -> Outcome {
        self.compare().inspect_err(|failure| {
            // A report of an earlier run must not stand for this one.
            let instead = failure.instead_of(self.reference.as_deref().unwrap_or(&paths::fixtures()));
            let run = Run { comparisons: vec![instead] };
            for path in &self.report {
                // The failure itself is what there is to tell.
                let _ = harness::report::json::write(path, &run);
            }
        })
    }

    fn compare(&self) -> Outcome {
        let started = Instant::now();
        let mapping = Mapping::read(&self.mapping.clone().unwrap_or_else(paths::default_mapping))?;
        let profile = self.profile.as_deref().unwrap_or(self.encoder.precision().name());
        let profile = mapping.profile(profile)?;
        let pool = self.encoder.pool()?;
        if self.candidate.is_some() && self.encoder.chooses_a_model() {
            return Err(Failure::usage(
                "--candidate compares a folder: options of the encoder have nothing to act on",
                "leave them out, or leave --candidate out to run the encoder",
            ));
        }
        let references = match &self.reference {
            Some(reference) => vec![reference.clone()],
            None => set::committed()?,
        };
        let options = Options { colours: true, quiet: self.quiet, verbose: self.verbose };
        let compare =
            Compare { mapping: &mapping, profile, pool: &pool, encoder: &self.encoder, strict: self.strict };
        let mut run = Run::default();
        let mut encoding = Duration::ZERO;
        let mut remedies = Vec::new();
        for path in &references {
            let made = match &self.candidate {
                Some(folder) => compare.folder(folder, path).map(|comparison| (comparison, Duration::ZERO)),
                None => compare.encoder(path, self.weights.as_deref(), self.input.as_deref()),
            };
            let comparison = match made {
                Ok((comparison, time)) => {
                    encoding += time;
                    comparison
                }
                // With one reference there is nothing else to tell.
                Err(failure) if references.len() == 1 => return Err(failure),
                Err(failure) => {
                    let remedy = failure.remedy().map(String::from);
                    remedies.extend(remedy.filter(|remedy| !remedies.contains(remedy)));
                    failure.instead_of(path)
                }
            };
            let text = terminal::comparison(&comparison, options);
            let worth_saying = !comparison.warnings.is_empty() || !comparison.remarks.is_empty();
            if !self.quiet || comparison.exit_code() != exit_code::PASSED || worth_saying {
                say(&text);
                say("");
            }
            run.comparisons.push(comparison);
        }
        say(&terminal::summary(&run, options));
        self.cost(started.elapsed(), encoding, pool.current_num_threads());
        for path in &self.report {
            harness::report::json::write(path, &run).map_err(|error| Failure::write(path, &error))?;
        }
        remedies.iter().for_each(|remedy| say(&format!("next: {remedy}")));
        next_steps(&run, &profile.name, &mapping).iter().for_each(|step| say(step));
        Ok(ExitCode::from(run.exit_code()))
    }

    fn cost(&self, total: Duration, encoding: Duration, threads: usize) {
        let mut cost = format!("{:.1} s", total.as_secs_f64());
        if self.candidate.is_none() {
            cost += &format!(", {:.2} s of it in the encoder on {threads} threads", encoding.as_secs_f64());
        }
        if let Some(bytes) = resources::peak_memory() {
            cost += &format!("; peak memory {:.0} MiB", bytes as f64 / f64::from(1 << 20));
        }
        say(&cost);
    }
}
