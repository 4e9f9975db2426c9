use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use encoder::Precision;
use harness::exit_code;
use harness::limits::derived::{DerivedTolerances, MeasuredWith};
use harness::limits::known_errors::KnownErrors;
use harness::limits::metric::Figures;
use harness::limits::subject::Subject;
use harness::mapping::Mapping;
use harness::report::words;

use super::port_baseline::{self, PortSources};
use super::review_decisions::ReviewDecisions;
use crate::baseline::measure::{SetMeasure, THREADS, measure};
use crate::baseline::review::{self, Review};
use crate::committed::coverage::CoverageReview;
use crate::committed::figures::{self, FigureFile};
use crate::committed::port_baseline::PortBaseline;
use crate::committed::set;
use crate::encode::arguments::EncoderArguments;
use crate::gate::compare::Gate;
use crate::gate::limits;
use crate::shell::console::say;
use crate::shell::failure::{CommandResult, Failure};
use crate::shell::{ci, dates, paths};

/// Keep errors from growing under their limits: those of a port of yours, or this project's encoder.
///
/// With --file, of a port: `measure` writes its errors beside FILE, `review` accepts them into FILE, which belongs into your
/// repository, and `parity --baseline FILE` fails where a layer is worse. Without, of the encoder on the committed sets:
/// tolerances are k times a measured floor; known errors are a ratchet below them. Nothing is written where CI is set, unless
/// to `false` or `0`.
///
/// Example: cargo xtask baseline measure --file known.json --candidate dump --reference my-set
#[derive(clap::Args)]
pub(crate) struct BaselineCommand {
    /// A profile of the mapping; of the encoder a precision, which is one: f32, bf16x3, bf16.
    #[arg(long, value_name = "NAME", default_value = "f32", global = true)]
    profile: String,
    /// The known errors of a port of yours.
    #[arg(long, value_name = "FILE", global = true)]
    file: Option<PathBuf>,
    #[command(subcommand)]
    action: Option<BaselineAction>,
}

#[derive(Subcommand)]
enum BaselineAction {
    /// Derive the tolerance of every layer of every committed set: k times the larger of the reference's noise floor in
    /// that precision and the spread over instruction sets. Waivers are kept.
    Derive {
        /// Multiple of the floor of rel_l2 (default: 4 in f32, 2 in the others).
        #[arg(long, value_parser = multiple)]
        k_rel_l2: Option<f64>,
        /// Multiple of the floor of rel_linf (default: 5 in f32, 3 in the others).
        #[arg(long, value_parser = multiple)]
        k_rel_linf: Option<f64>,
        #[command(flatten)]
        chosen: Chosen,
    },
    /// Measure errors for a review: with --file those of a port, else those of the encoder on every committed set.
    Measure {
        #[command(flatten)]
        chosen: Chosen,
        #[command(flatten)]
        port: PortSources,
    },
    /// Show measured errors beside the accepted ones, and accept or reject them layer by layer.
    ///
    /// On a terminal each layer waits for a key: a or the right arrow accepts it, r or the left arrow rejects it, j and k
    /// or down and up move, A and R decide all that are left. Elsewhere the flags decide.
    Review {
        #[command(flatten)]
        decisions: ReviewDecisions,
        /// Take what is no longer there off coverage.json, the list of what the gate must compare.
        #[arg(long)]
        accept_coverage: bool,
    },
}

/// Which sets an action is on.
#[derive(clap::Args)]
struct Chosen {
    /// Only this committed set (repeatable); the figures of the other sets stay as they are.
    #[arg(long = "set", value_name = "NAME")]
    sets: Vec<String>,
}

impl Chosen {
    fn paths(&self) -> Result<Vec<PathBuf>, Failure> {
        let committed = set::committed()?;
        if let Some(unknown) = self.sets.iter().find(|set| !committed.iter().any(|path| name(path) == **set))
        {
            let known = committed.iter().map(|path| name(path)).collect::<Vec<_>>().join(", ");
            return Err(Failure::usage(
                format!("--set {unknown}: no such committed set"),
                format!("one of {known}"),
            ));
        }
        let wanted = |path: &PathBuf| self.sets.is_empty() || self.sets.contains(&name(path));
        Ok(committed.into_iter().filter(wanted).collect())
    }
}

/// What a committed set is called: its folder.
fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn multiple(text: &str) -> Result<f64, String> {
    let most = harness::limits::derived::MAX_FACTOR;
    match text.parse() {
        Ok(k) if (1.0..=most).contains(&k) => Ok(k),
        _ => Err(format!("expected a number from 1 (a tolerance at its floor) to {most}")),
    }
}

/// Multiples of the floor. In f32 a program may sum in any order. Where operands are rounded to bf16 that rounding rules,
/// and sums that differ in f32 round some operands the other way: most show in the maximum of a layer.
fn multiples(precision: Precision) -> Figures {
    match precision {
        Precision::F32 => Figures { rel_l2: 4.0, rel_linf: 5.0 },
        Precision::Bf16x3 | Precision::Bf16 => Figures { rel_l2: 2.0, rel_linf: 3.0 },
    }
}

impl BaselineCommand {
    pub(crate) fn run(self) -> CommandResult {
        if let Some(file) = &self.file {
            return self.run_on_port(&PortBaseline { file });
        }
        let mapping = paths::mapping(None)?;
        let known = || Precision::ALL.map(Precision::name).join(", ");
        let precision = Precision::from_name(&self.profile).ok_or_else(|| {
            Failure::usage(
                format!("profile `{}` is no precision of the encoder, which baselines are of", self.profile),
                format!("--profile one of {}", known()),
            )
        })?;
        let encoder = EncoderArguments::default();
        let pool = encoder.pool()?;
        let compare = Gate::new(&mapping, mapping.profile(&self.profile)?, &pool, &encoder);
        let files = FigureFiles { compare, precision };
        match &self.action {
            None => files.show(&mapping),
            Some(BaselineAction::Derive { k_rel_l2, k_rel_linf, chosen }) => {
                let k = multiples(precision);
                let k = Figures {
                    rel_l2: k_rel_l2.unwrap_or(k.rel_l2),
                    rel_linf: k_rel_linf.unwrap_or(k.rel_linf),
                };
                files.derive(k, chosen)
            }
            Some(BaselineAction::Measure { chosen, .. }) => files.measure(chosen),
            Some(BaselineAction::Review { decisions, accept_coverage }) => {
                files.review(decisions, *accept_coverage)
            }
        }
    }

    fn run_on_port(&self, baseline: &PortBaseline<'_>) -> CommandResult {
        match &self.action {
            Some(BaselineAction::Measure { chosen, port }) if chosen.sets.is_empty() => {
                port.measure(baseline, &self.profile)
            }
            Some(BaselineAction::Review { decisions, accept_coverage: false }) => {
                port_baseline::review(baseline, decisions)
            }
            _ => Err(Failure::usage(
                "--file: of a port errors are measured and reviewed, and no committed set is chosen",
                format!("{}, then {}", baseline.measure_again(), baseline.review_again()),
            )),
        }
    }
}

/// The files of the committed sets in one precision.
struct FigureFiles<'a> {
    compare: Gate<'a>,
    precision: Precision,
}

impl FigureFiles<'_> {
    fn option(&self) -> String {
        figures::option(self.precision.name())
    }

    fn measured(&self, chosen: &Chosen) -> Result<Vec<SetMeasure>, Failure> {
        ci::refuse()?;
        chosen.paths()?.iter().map(|path| measure(&self.compare, self.precision, path)).collect()
    }

    fn derive(&self, k: Figures, chosen: &Chosen) -> CommandResult {
        let mut derived: Vec<(PathBuf, DerivedTolerances, Vec<String>)> = Vec::new();
        for set in self.measured(chosen)? {
            let layers = set.layers.iter().map(|layer| {
                let errors = &layer.errors;
                DerivedTolerances::derive(&errors.name, &errors.reference, layer.noise_floor, layer.spread, k)
            });
            let mut tolerances = DerivedTolerances {
                schema_version: harness::limits::derived::SCHEMA_VERSION,
                subject: set.subject.clone(),
                measured: MeasuredWith {
                    date: dates::today_as_text(),
                    versions: set.versions.clone(),
                    instruction_sets: set.conditions.clone(),
                    threads: THREADS.to_vec(),
                },
                k,
                layers: layers.collect(),
            };
            let path = FigureFile::Tolerances.path(&set.subject);
            let remarks = carry_over(&mut tolerances, &path)?;
            // What the loader would refuse is not written, and then nothing is: sets belong together.
            tolerances.check(&path, &dates::days_until).map_err(|error| {
                Failure::usage(
                    error.to_string(),
                    "nothing was written; a larger --k-rel-l2 or --k-rel-linf where a tolerance is under its floor, a \
                     smaller one where it is over the bound, or a waiver",
                )
            })?;
            // What is known, and what was measured just now: known or not, the gate will meet it.
            let known =
                self.accepted(&set.subject)?.map(|known| (known, FigureFile::Errors.path(&set.subject)));
            let measured = set.errors(None);
            for (errors, path) in known.into_iter().chain([(measured, path.clone())]) {
                limits::check_errors(&errors, Some(&tolerances), &path).map_err(|error| {
                    Failure::usage(
                        format!("{error}; nothing was written"),
                        "a larger --k-rel-l2 or --k-rel-linf, or look for what made the errors grow",
                    )
                })?;
            }
            derived.push((path, tolerances, remarks));
        }
        for (path, tolerances, remarks) in derived {
            tolerances.write(&path).map_err(Failure::unwritable)?;
            say(&format!("{}: {} layers", paths::shown(&path), tolerances.layers.len()));
            remarks.iter().for_each(|line| say(line));
        }
        say(&format!("next: git diff baselines, then cargo xtask parity{}", self.parity_option()));
        Ok(ExitCode::SUCCESS)
    }

    fn parity_option(&self) -> String {
        match self.precision {
            Precision::F32 => String::new(),
            other => format!(" --precision {other}"),
        }
    }

    /// What was accepted of a set, where it can be read and is of this reference.
    fn accepted(&self, subject: &Subject) -> Result<Option<KnownErrors>, Failure> {
        let path = FigureFile::Errors.path(subject);
        Ok(match figures::is_there(&path)? {
            true => KnownErrors::parse(&path).ok().filter(|errors| errors.subject == *subject),
            false => None,
        })
    }

    fn measure(&self, chosen: &Chosen) -> CommandResult {
        let mut waiting = 0;
        for set in self.measured(chosen)? {
            let measured = set.errors(figures::hash(&FigureFile::Errors.path(&set.subject))?);
            let (pending, accepted) =
                (FigureFile::Pending.path(&set.subject), FigureFile::Errors.path(&set.subject));
            let old = self.accepted(&set.subject)?;
            let (errors, differences) = match &old {
                Some(old) => {
                    let errors = measured.with_conditions_of(old);
                    let differences = old.differences(&errors).len();
                    (errors, differences)
                }
                None => (measured.clone(), measured.layers.len()),
            };
            if differences > 0 {
                errors.write(&pending).map_err(Failure::unwritable)?;
            } else if figures::is_there(&pending)? {
                // What an earlier measurement found is no more so.
                std::fs::remove_file(&pending).map_err(|error| Failure::write(&pending, &error))?;
            }
            let layers = errors.layers.len();
            let shown = match differences {
                0 => paths::shown(&accepted),
                _ => paths::shown(&pending),
            };
            say(&format!("{shown}: {differences} of {layers} layers wait"));
            waiting += differences;
        }
        match waiting {
            0 => say("every error is the one that is known"),
            _ => say(&format!("next: cargo xtask baseline review{}", self.option())),
        }
        Ok(ExitCode::SUCCESS)
    }

    fn review(&self, decisions: &ReviewDecisions, accept_coverage: bool) -> CommandResult {
        let flags = decisions.flags();
        if flags.decide() || accept_coverage {
            ci::refuse()?;
        }
        let mut reviews = Vec::new();
        for path in set::committed()? {
            let reference = self.compare.reference(&path)?;
            reviews.extend(Review::open(&reference, self.precision.name())?);
        }
        if let Some(html) = &decisions.html {
            review::write_page(&reviews, html)?;
        }
        let option = self.option();
        let nothing = reviews.is_empty();
        let waits = !nothing && review::run(reviews, &flags)?;
        // Known errors that were accepted just now are what the list is of.
        let reviewed = CoverageReview::open()?;
        if nothing && reviewed.is_none() {
            say(&format!("nothing waits for a review; next: cargo xtask baseline measure{option}"));
            return Ok(ExitCode::SUCCESS);
        }
        let shrinks = reviewed.map_or(Ok(false), |review| settle_coverage(review, accept_coverage))?;
        if waits {
            say(&format!(
                "next: cargo xtask baseline review{option} --accept-all\n      \
                 or, instead of --accept-all: --reject-all, --accept SET/LAYER, --reject SET/LAYER"
            ));
            return Ok(ExitCode::from(exit_code::NUMBERS));
        }
        if shrinks {
            say(
                "next: git restore fixtures baselines; where that is meant: cargo xtask baseline review --accept-coverage",
            );
            return Ok(ExitCode::from(exit_code::COVERAGE));
        }
        say("next: git diff baselines");
        Ok(ExitCode::SUCCESS)
    }

    /// Which sets have what, in every precision, and what to do next.
    fn show(&self, mapping: &Mapping) -> CommandResult {
        let mut next: Vec<String> = Vec::new();
        let mut failure = None;
        let sets = set::committed()?;
        let width = sets.iter().map(|path| name(path).len()).max().unwrap_or(0);
        say(&format!(
            "{:width$} {:8} {:>10} {:>12} {:>8}",
            "set", "profile", "tolerances", "known errors", "waiting"
        ));
        for path in sets {
            for precision in Precision::ALL {
                let profile = mapping.profile(precision.name())?;
                let row = self.row(&path, &profile.name);
                let (set, figures, todo) = match row {
                    Ok(row) => row,
                    Err(broken) => {
                        failure = failure.or(Some(broken));
                        (name(&path), ["unusable".to_string(), String::new(), String::new()], None)
                    }
                };
                let [tolerances, errors, waiting] = figures;
                say(&format!("{set:width$} {:8} {tolerances:>10} {errors:>12} {waiting:>8}", profile.name));
                next.extend(todo.filter(|todo| !next.contains(todo)));
            }
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        if CoverageReview::open()?.is_some() {
            let review = "cargo xtask baseline review";
            say(&format!("{}: differs from the known errors that are there", CoverageReview::shown()));
            next.extend((!next.iter().any(|next| next.starts_with(review))).then(|| review.to_string()));
        }
        match next.as_slice() {
            [] => say("next: cargo xtask parity"),
            next => next.iter().for_each(|next| say(&format!("next: {next}"))),
        }
        Ok(ExitCode::SUCCESS)
    }

    /// A set's name, its layers with tolerances, with known errors and waiting, and what to do.
    fn row(&self, path: &Path, profile: &str) -> Result<(String, [String; 3], Option<String>), Failure> {
        let reference = self.compare.reference(path)?;
        let tolerances = limits::tolerances(&reference, profile)?;
        let review = Review::open(&reference, profile)?;
        let waiting = review.map(|review| review.differences.len());
        let errors = match limits::errors(&reference, profile, tolerances.as_ref()) {
            Err(_) if waiting.is_some() => None,
            errors => errors?.map(|errors| errors.layers.len()),
        };
        let (option, set) = (figures::option(profile), name(path));
        let tolerances = tolerances.map(|tolerances| tolerances.layers.len());
        let todo = match (tolerances, errors, waiting) {
            (Some(tolerances), Some(errors), None) if tolerances != errors => {
                Some(FigureFile::Errors.again_for(profile, &set))
            }
            (None, ..) => Some(FigureFile::Tolerances.again_for(profile, &set)),
            (_, _, Some(_)) => Some(format!("cargo xtask baseline review{option}")),
            (_, None, None) => Some(FigureFile::Errors.again_for(profile, &set)),
            _ => None,
        };
        let count = |count: Option<usize>| count.map_or("-".to_string(), |count| count.to_string());
        Ok((set, [count(tolerances), count(errors), count(waiting)], todo))
    }
}

/// Shows how what the gate must compare has changed, and writes what may be written; whether anything that is gone was not
/// accepted.
fn settle_coverage(review: CoverageReview, accept: bool) -> Result<bool, Failure> {
    let shown = CoverageReview::shown();
    say(&shown);
    review.gone.iter().for_each(|line| say(&format!("  GONE {line}")));
    review.new.iter().for_each(|line| say(&format!("  new  {line}")));
    let shrinks = !review.gone.is_empty() && !accept;
    if ci::is_set() {
        say("  CI is set: nothing is written");
    } else if accept || !review.new.is_empty() {
        review.settle(accept)?;
    }
    Ok(shrinks)
}

/// Carries waivers over from the file that is there; what became of each, and what it was measured on that this run was not.
fn carry_over(tolerances: &mut DerivedTolerances, path: &Path) -> Result<Vec<String>, Failure> {
    if !figures::is_there(path)? {
        return Ok(Vec::new());
    }
    let old = match DerivedTolerances::parse(path) {
        Ok(old) => old,
        Err(error) => return Ok(vec![format!("  no waiver was carried over: {error}")]),
    };
    let mut lines = Vec::new();
    let measured = &tolerances.measured.instruction_sets;
    let lost: Vec<&str> = old
        .measured
        .instruction_sets
        .iter()
        .filter(|isa| !measured.contains(isa))
        .map(String::as_str)
        .collect();
    if !lost.is_empty() {
        lines.push(format!("  not measured again on {}: their spread no longer counts", lost.join(", ")));
    }
    for carried in tolerances.keep_waivers(&old, &dates::days_until) {
        let what = format!("waiver of {} of {} ({})", carried.metric, carried.layer, carried.waiver.reason);
        lines.push(match carried.dropped {
            Some(why) => format!("  dropped: {what}: {}", words::dropped_waiver(&why)),
            None => format!("  kept until {}: {what}", carried.waiver.expires),
        });
    }
    Ok(lines)
}
