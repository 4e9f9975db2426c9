use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use harness::baseline::{Baseline as Errors, LayerErrors, Trend};
use harness::exit_code;
use harness::mapping::Mapping;
use harness::tolerances::{Figures, Measured, Tolerances};

use crate::candidate::EncoderArguments;
use crate::compare::Compare;
use crate::console::{Failure, Outcome, say};
use crate::measure::{SetMeasure, THREADS, measure};
use crate::{baselines, paths, set};

/// Keep the encoder's errors from growing under their tolerances.
///
/// Tolerances are k times a measured floor; known errors are a ratchet below them. Nothing is written where CI is set.
///
/// Example: cargo xtask baseline measure, then cargo xtask baseline review
#[derive(clap::Args)]
pub(crate) struct Baseline {
    /// A profile of the mapping.
    #[arg(long, value_name = "NAME", default_value = "f32", global = true)]
    profile: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Derive the tolerance of every layer of every committed set: k times the larger of the reference's noise floor and
    /// the spread over instruction sets and thread counts.
    Derive {
        /// Multiple of the floor of rel_l2.
        #[arg(long, default_value_t = 4.0)]
        k_rel_l2: f64,
        /// Multiple of the floor of rel_linf.
        #[arg(long, default_value_t = 5.0)]
        k_rel_linf: f64,
    },
    /// Measure the encoder's errors on every committed set, for a review.
    Measure,
    /// Show measured errors beside the accepted ones, and accept or reject them layer by layer.
    Review {
        /// Accept this layer (repeatable).
        #[arg(long, value_name = "LAYER")]
        accept: Vec<String>,
        /// Accept every layer.
        #[arg(long, conflicts_with = "reject_all")]
        accept_all: bool,
        /// Reject every layer that is not accepted.
        #[arg(long)]
        reject_all: bool,
    },
}

impl Baseline {
    pub(crate) fn run(self) -> Outcome {
        match &self.action {
            Action::Derive { k_rel_l2, k_rel_linf } => {
                self.derive(Figures { rel_l2: *k_rel_l2, rel_linf: *k_rel_linf })
            }
            Action::Measure => self.measure(),
            Action::Review { accept, accept_all, reject_all } => {
                self.review(accept, *accept_all, *reject_all)
            }
        }
    }

    fn measured(&self) -> Result<Vec<SetMeasure>, Failure> {
        if baselines::in_ci() {
            return Err(Failure::usage(
                "CI is set: nothing is written",
                "run this where you work, and commit what it writes",
            ));
        }
        let mapping = Mapping::read(&paths::default_mapping())?;
        let encoder = EncoderArguments::default();
        let compare = Compare {
            mapping: &mapping,
            profile: mapping.profile(&self.profile)?,
            pool: &encoder.pool()?,
            encoder: &encoder,
            strict: false,
        };
        set::committed()?.iter().map(|path| measure(&compare, path)).collect()
    }

    fn derive(&self, k: Figures) -> Outcome {
        for set in self.measured()? {
            let layers = set.layers.iter().map(|layer| {
                let errors = &layer.errors;
                Tolerances::derive(&errors.name, &errors.reference, layer.noise_floor, layer.spread, k)
            });
            let tolerances = Tolerances {
                schema_version: harness::tolerances::SCHEMA_VERSION,
                set: set.set.clone(),
                profile: self.profile.clone(),
                measured: conditions(&set),
                k,
                layers: layers.collect(),
            };
            let path = baselines::tolerances_path(&set.set, &self.profile);
            // What the loader would refuse is not written.
            tolerances.check(&path, &baselines::today()).map_err(|error| {
                Failure::usage(error.to_string(), "try a smaller --k-rel-l2 or --k-rel-linf")
            })?;
            tolerances.write(&path).map_err(Failure::unreadable)?;
            say(&format!("{}: {} layers", paths::shown(&path), tolerances.layers.len()));
        }
        say("next: git diff baselines, then cargo xtask parity");
        Ok(ExitCode::SUCCESS)
    }

    fn measure(&self) -> Outcome {
        for set in self.measured()? {
            let errors = Errors {
                schema_version: harness::baseline::SCHEMA_VERSION,
                set: set.set.clone(),
                profile: self.profile.clone(),
                measured: conditions(&set),
                layers: set.layers.into_iter().map(|layer| layer.errors).collect(),
            };
            let path = baselines::pending_path(&set.set, &self.profile);
            errors.write(&path).map_err(Failure::unreadable)?;
            say(&format!("{}: {} layers", paths::shown(&path), errors.layers.len()));
        }
        say("next: cargo xtask baseline review");
        Ok(ExitCode::SUCCESS)
    }

    fn review(&self, accept: &[String], accept_all: bool, reject_all: bool) -> Outcome {
        let mut waiting = Vec::new();
        for path in set::committed()? {
            let set = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let pending = baselines::pending_path(&set, &self.profile);
            if pending.is_file() {
                let new = Errors::read(&pending).map_err(Failure::unreadable)?;
                let accepted = baselines::errors_path(&set, &self.profile);
                let old = match accepted.is_file() {
                    true => Errors::read(&accepted).map_err(Failure::unreadable)?,
                    false => Errors { layers: Vec::new(), ..new.clone() },
                };
                waiting.push(Review { pending, accepted, old, new });
            }
        }
        if waiting.is_empty() {
            say("nothing waits for a review; next: cargo xtask baseline measure");
            return Ok(ExitCode::SUCCESS);
        }
        let unknown =
            |name: &&String| !waiting.iter().any(|review| review.new.layers.iter().any(|l| l.name == **name));
        if let Some(name) = accept.iter().find(unknown) {
            return Err(Failure::usage(
                format!("--accept {name}: no such layer waits"),
                "cargo xtask baseline review",
            ));
        }
        let decided = accept_all || reject_all || !accept.is_empty();
        let ask = !decided && !baselines::in_ci() && std::io::stdin().is_terminal();
        let mut rest: Option<bool> = None;
        for review in &waiting {
            let mut taken: Vec<&str> = Vec::new();
            say(&paths::shown(&review.accepted));
            for new in &review.new.layers {
                let old = review.old.layer(&new.name, &new.reference);
                if old.is_some_and(|old| old.largest == new.largest && old.smallest == new.smallest) {
                    continue;
                }
                say(&line(old, new));
                let yes = match rest {
                    _ if accept.contains(&new.name) || accept_all => true,
                    Some(all) => all,
                    None if ask => match prompt()? {
                        Answer::Accept => true,
                        Answer::Reject => false,
                        Answer::AcceptRest => *rest.insert(true),
                        Answer::RejectRest => *rest.insert(false),
                    },
                    None => false,
                };
                if yes {
                    taken.push(&new.name);
                }
            }
            if decided || ask {
                review.settle(&taken)?;
            }
        }
        if decided || ask {
            say("next: git diff baselines");
            return Ok(ExitCode::SUCCESS);
        }
        say("next: cargo xtask baseline review --accept-all, --accept LAYER or --reject-all");
        Ok(ExitCode::from(exit_code::NUMBERS))
    }
}

/// A set whose measured errors wait.
struct Review {
    pending: PathBuf,
    accepted: PathBuf,
    old: Errors,
    new: Errors,
}

impl Review {
    fn settle(&self, taken: &[&str]) -> Result<(), Failure> {
        if baselines::in_ci() {
            return Err(Failure::usage(
                "CI is set: nothing is written",
                "review where you work, and commit the result",
            ));
        }
        if !taken.is_empty() {
            let merged = self.old.with_accepted(&self.new, &|layer| taken.contains(&layer.name.as_str()));
            merged.write(&self.accepted).map_err(Failure::unreadable)?;
        }
        std::fs::remove_file(&self.pending).map_err(|error| Failure::write(&self.pending, &error))?;
        say(&format!("  {} of {} layers accepted", taken.len(), self.new.layers.len()));
        Ok(())
    }
}

enum Answer {
    Accept,
    Reject,
    AcceptRest,
    RejectRest,
}

fn prompt() -> Result<Answer, Failure> {
    loop {
        anstream::print!("    [a]ccept, [r]eject, accept a[l]l others, reject all others and [q]uit: ");
        let mut answer = String::new();
        let read = std::io::stdout().flush().and_then(|()| std::io::stdin().read_line(&mut answer));
        match read.map(|bytes| (bytes, answer.trim())) {
            Ok((0, _)) | Err(_) => return Ok(Answer::RejectRest),
            Ok((_, "a")) => return Ok(Answer::Accept),
            Ok((_, "r")) => return Ok(Answer::Reject),
            Ok((_, "l")) => return Ok(Answer::AcceptRest),
            Ok((_, "q")) => return Ok(Answer::RejectRest),
            Ok(_) => {}
        }
    }
}

/// Old and new side by side.
fn line(old: Option<&LayerErrors>, new: &LayerErrors) -> String {
    let (a, b) = (old.map(|old| old.largest), new.largest);
    let figure = |of: fn(&Figures) -> f64| match &a {
        Some(a) => format!("{:.1e} -> {:.1e}", of(a), of(&b)),
        None => format!("     - -> {:.1e}", of(&b)),
    };
    let word = match old.map(|old| old.trend(new.largest, true)) {
        None => "new",
        Some(Trend::Worse(_)) => "WORSE",
        Some(Trend::Better(_)) => "better",
        Some(Trend::Same) => "",
    };
    format!("  {:38} {:>17} {:>17} {word}", new.name, figure(|f| f.rel_l2), figure(|f| f.rel_linf))
}

fn conditions(set: &SetMeasure) -> Measured {
    Measured {
        date: baselines::today(),
        versions: set.versions.clone(),
        instruction_sets: set.isas.iter().map(ToString::to_string).collect(),
        threads: THREADS.to_vec(),
    }
}
