use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use encoder::reference::Rounding;
use harness::compare::comparison::{Comparison, Origin, Run};
use harness::exit_code;
use harness::files::overwrite::FilesRead;
use harness::mapping::{Mapping, Profile};
use harness::report::document::ReportDocument;
use harness::report::terminal::{self, Detail, Options};

use super::compare_weights::{self, ParityDetail};
use super::requested_reports::{RequestedReport, RequestedReports};
use crate::committed::coverage::LockedCoverage;
use crate::committed::set;
use crate::encode::arguments::EncoderArguments;
use crate::encode::pictures::PictureArguments;
use crate::encode::settings;
use crate::gate::compare::{FolderSources, Gate, NamedInput};
use crate::gate::files_read::{FilesNamed, files_read};
use crate::gate::limits::{KnownOf, PortRun};
use crate::gate::local::{LocalJudgement, LocalSources, RoundingChoice};
use crate::gate::next_steps::{Situation, next_steps};
use crate::shell::console::{self, say};
use crate::shell::failure::{CommandResult, Failure};
use crate::shell::{bisect, ci, cost, paths, program};

/// Compare a port with its reference, layer by layer.
///
/// Without arguments: runs this project's encoder on every committed reference set.
///
/// Examples:
///   cargo xtask parity --candidate debug_ggml_output --reference debug_output --profile f16-weights
///   cargo xtask parity --candidate debug_ggml_output --weights mmproj.gguf --input photo.png
///   cargo xtask parity --reference fixtures/blocks --threads 1 --isa avx2
///   cargo xtask parity --candidate debug_ggml_output --reference debug_output --report html=parity.html
///   cargo xtask parity --report junit=parity.xml --report markdown=summary.md --quiet
///   cargo xtask parity --compare-weights model.safetensors mmproj-f16.gguf
///
/// Exit codes: 0 all good, 1 numbers, 2 usage or mapping, 3 coverage, 4 shapes, 5 unreadable input or
/// sides that do not belong together (of other weights, input or settings).
/// A file that is not as manifest.json or dump.json recorded it, missing from its folder or missing in the
/// record, is code 5 where nothing else is wrong; numbers that fail keep code 1. With --strict it is code 5
/// before any number is judged.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Parity {
    /// Folder of dumps to compare, instead of running the encoder. With --reference against it; with --weights and
    /// --input each part of the model by itself, computed from the dump's own tensors, without any reference.
    #[arg(long, value_name = "DIR")]
    candidate: Option<PathBuf>,
    /// Reference: a set with a manifest.json, or a folder of somebody's own dumps.
    #[arg(long, value_name = "DIR")]
    reference: Option<PathBuf>,
    /// Weights for the encoder (default: the set's), or with --candidate those that the port read: safetensors or GGUF.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Input for the encoder (default: the set's), or with --candidate that of the port: a picture or .npy.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Where the port's runtime rounds, for judging parts by themselves: auto, exact, ggml-f32, ggml-f16, ggml-f16-gpu, ggml-q8_0, f16-all,
    /// bf16-all, or bf16x3 and bf16 as this project's encoder. auto takes the one under which the first parts come nearest.
    #[arg(long, value_name = "MODEL", default_value = "auto", value_parser = rounding)]
    rounding: RoundingChoice,
    /// An earlier dump of the same port: a layer that still has its values, though layers before it changed, is named.
    #[arg(long, value_name = "DIR", requires = "candidate")]
    earlier: Option<PathBuf>,
    /// Known errors of this port, which `cargo xtask baseline measure --file FILE` made: a layer that is worse fails, though within
    /// its limit.
    #[arg(long, value_name = "FILE", requires_all = ["candidate", "reference"], conflicts_with = "weights")]
    baseline: Option<PathBuf>,
    /// The conditions that the port ran under, such as "cuda sm_89 fp16", where the same give the same bits.
    #[arg(long, value_name = "TEXT", requires = "baseline")]
    conditions: Option<String>,
    /// Tell everything about one part that is judged by itself: its name, such as blocks.2.4, or that of one of its
    /// tensors.
    #[arg(long, value_name = "LAYER", requires_all = ["candidate", "weights", "input"])]
    explain: Option<String>,
    /// Which candidate meets which reference (default: mappings/gemma3n.toml of the checkout, else that of the program).
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// Tolerances: a profile of the mapping (default: that of the encoder's precision, f32).
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Write a report: html=FILE (a page with maps of failing layers), json, jsonl, junit, markdown, sarif or
    /// model-explorer. FILE may be -,
    /// the standard output, once: what people read then goes to the standard error. Repeatable.
    #[arg(long, value_name = "FORMAT=PATH", value_parser = RequestedReport::parse)]
    report: Vec<RequestedReport>,
    /// Refuse sides of which it is not recorded what they were computed from, files changed since, and what makes a pass
    /// prove less than it seems to: sides that are copies, a mapping without `min_layers`, limits far over the noise floor or looser than those of the
    /// mapping that the program brings, references that it compares and yours leaves out.
    #[arg(long)]
    strict: bool,
    /// For git bisect run: exit code 0 where the numbers are right, 1 where they are wrong, and 125, which skips the
    /// commit, where nothing can be said of them.
    #[arg(long, conflicts_with = "compare_weights")]
    bisect: bool,
    /// Show only what needs attention.
    #[arg(long, conflicts_with = "verbose")]
    quiet: bool,
    /// Show every layer, reference names, everything that was ignored, and where the program's own files were found.
    #[arg(long)]
    verbose: bool,
    /// Compare two checkpoints tensor by tensor instead, of any containers: A the original, B what was made of it.
    #[arg(long, num_args = 2, value_names = ["A", "B"],
        conflicts_with_all = ["candidate", "reference", "weights", "input", "earlier", "mapping", "profile", "strict"])]
    compare_weights: Option<Vec<PathBuf>>,
    #[command(flatten)]
    pictures: PictureArguments,
    #[command(flatten)]
    encoder: EncoderArguments,
}

pub(super) fn rounding(text: &str) -> Result<RoundingChoice, String> {
    if text == "auto" {
        return Ok(RoundingChoice::Auto);
    }
    let known = || Rounding::OF_RUNTIMES.map(Rounding::name).join(", ");
    Rounding::from_name(text)
        .map(RoundingChoice::Fixed)
        .ok_or_else(|| format!("expected one of auto, {}", known()))
}

/// What a report says of a reference with which nothing could be compared.
fn without_comparison(reference: &Path, failure: &Failure) -> Comparison {
    let title = paths::shown(reference);
    Comparison {
        reference: Origin { title, folder: Some(reference.to_path_buf()), ..Origin::default() },
        obstacle: Some(failure.obstacle()),
        ..Comparison::default()
    }
}

impl Parity {
    pub(crate) fn run(self) -> CommandResult {
        if let Some([a, b]) = self.compare_weights.as_deref() {
            return self.compare_weights(a, b);
        }
        match self.bisect {
            true => Ok(bisect::code(self.judge())),
            false => self.judge().map(ExitCode::from),
        }
    }

    /// Makes all comparisons, and their reports; the exit code.
    fn judge(&self) -> Result<u8, Failure> {
        let reports = RequestedReports(&self.report);
        reports.prepare(|| self.files_read())?;
        let mapping = paths::mapping(self.mapping.as_deref());
        let resources = mapping.as_ref().map(paths::resources).unwrap_or_default();
        let compared = mapping.and_then(|mapping| self.compare(&mapping));
        compared.inspect_err(|failure| {
            // A report of an earlier run must not be taken for one of this run.
            let fixtures = paths::fixtures().unwrap_or_default();
            let instead = without_comparison(self.reference.as_deref().unwrap_or(&fixtures), failure);
            let next = failure.remedy().map(|step| program::told(step).into_owned()).into_iter().collect();
            let run = Run { comparisons: vec![instead], resources, next };
            let document = ReportDocument::of(&run);
            // The failure itself is what there is to tell.
            let _ = reports.stream_newest(&run);
            let _ = reports.write(&document);
            ci::annotate(&document);
        })
    }

    fn compare_weights(&self, a: &Path, b: &Path) -> CommandResult {
        if self.encoder.chooses_a_model() {
            return Err(Failure::usage(
                "--compare-weights runs no encoder: its options have nothing to act on",
                "leave them out",
            ));
        }
        let is_json = |report: &&RequestedReport| report.format.name() == "json";
        if let Some(other) = self.report.iter().find(|report| !is_json(report)) {
            let message = format!("--report {}: checkpoints are reported as json alone", other.format.name());
            return Err(Failure::usage(message, "ask for json=PATH"));
        }
        RequestedReports(&self.report).prepare(FilesRead::default)?;
        let shown = ParityDetail { quiet: self.quiet, verbose: self.verbose };
        self.encoder.pool()?.install(|| compare_weights::run([a, b], shown, &self.report))
    }

    /// What each part of the candidate is judged from by itself, where that is asked for.
    fn local(&self, gate: &Gate<'_>) -> Result<Option<LocalSources<'_>>, Failure> {
        let help = "add --weights FILE (as the port read them) and --input FILE to judge each part by itself, or --reference \
                    DIR to compare with a reference";
        match (&self.candidate, &self.weights, &self.input) {
            (Some(candidate), Some(weights), Some(input)) => {
                let input = NamedInput { path: input, pictures: self.pictures };
                let settings = match &self.reference {
                    Some(reference) => gate.set_of(reference)?.map(|set| set.settings),
                    None => None,
                };
                Ok(Some(LocalSources {
                    candidate,
                    weights,
                    input,
                    settings: settings.unwrap_or_default(),
                    rounding: self.rounding,
                    earlier: self.earlier.as_deref(),
                    explained: self.explain.as_deref(),
                    with_progress: !self.quiet,
                }))
            }
            (Some(_), None, None) if self.reference.is_some() => Ok(None),
            (Some(_), ..) => Err(Failure::usage("--candidate: there is nothing to compare it with", help)),
            (None, None, None) => Ok(None),
            (None, ..) if self.reference.is_some() => Ok(None),
            (None, ..) => Err(Failure::usage(
                "--weights and --input: expected --reference DIR with them, or --candidate DIR",
                help,
            )),
        }
    }

    /// What the errors of a folder are held against.
    fn known(&self) -> KnownOf<'_> {
        match self.baseline.as_deref() {
            Some(baseline) => KnownOf::Port(PortRun { baseline, conditions: self.conditions.as_deref() }),
            None => KnownOf::Nobody,
        }
    }

    fn references(&self) -> Result<Vec<PathBuf>, Failure> {
        match &self.reference {
            Some(reference) => Ok(vec![reference.clone()]),
            None => {
                let sets = set::committed()?;
                LockedCoverage::required()?.require(&sets)?;
                Ok(sets)
            }
        }
    }

    fn profile<'a>(&self, mapping: &'a Mapping) -> Result<&'a Profile, Failure> {
        let profile = self.profile.as_deref().unwrap_or(self.encoder.precision().name());
        Ok(mapping.profile(profile)?)
    }

    /// Every file that this run reads, where a report may stand in for one of them.
    fn files_read(&self) -> FilesRead {
        let mapping = paths::mapping_file(self.mapping.as_deref());
        let named = FilesNamed {
            mapping: mapping.as_deref(),
            candidate: self.candidate.as_deref(),
            earlier: self.earlier.as_deref(),
            weights: self.weights.as_deref(),
            input: self.input.as_deref(),
            baseline: self.baseline.as_deref(),
        };
        files_read(named, self.reference.as_deref())
    }

    fn compare(&self, mapping: &Mapping) -> Result<u8, Failure> {
        let started = Instant::now();
        let profile = self.profile(mapping)?;
        let pool = self.encoder.pool()?;
        if self.candidate.is_some() && self.weights.is_none() && self.encoder.chooses_a_model() {
            return Err(Failure::usage(
                "--candidate compares a folder: options of the encoder have nothing to act on",
                "leave them out, or leave --candidate out to run the encoder",
            ));
        }
        if self.input.is_none() && self.pictures.are_given() {
            return Err(Failure::usage(
                "--resize, --processor and --transparency act on the picture of --input, and none is given",
                "add --input FILE, or leave them out: the inputs of sets are as they are",
            ));
        }
        let gate = Gate { strict: self.strict, ..Gate::new(mapping, profile, &pool, &self.encoder) };
        let local = self.local(&gate)?;
        let references = match (&local, &self.reference) {
            (Some(_), None) => Vec::new(),
            _ => self.references()?,
        };
        let options = self.options(references.len() + usize::from(local.is_some()));
        let reports = RequestedReports(&self.report);
        let maps = reports.map_limits(references.len() + usize::from(local.is_some()));
        let gate = Gate { maps, ..gate };
        let mut run = Run { resources: paths::resources(mapping), ..Run::default() };
        if options.detail == Detail::Verbose {
            run.resources.iter().for_each(|(name, place)| say(&format!("{name}: {place}")));
        }
        let mut encoding = Duration::ZERO;
        let mut remedies = Vec::new();
        let judged_locally = local.is_some();
        let mut shapes_are_explained = false;
        if let Some(sources) = local {
            let LocalJudgement { comparison, advice, shapes_are_explained: explained, part } =
                gate.local(sources)?;
            self.say(&comparison, options);
            part.iter().for_each(|line| say(line));
            shapes_are_explained = explained;
            remedies.extend(advice);
            run.comparisons.push(comparison);
            reports.stream_newest(&run)?;
        }
        for path in &references {
            let made = match &self.candidate {
                Some(candidate) => {
                    let (weights, earlier) = (self.weights.as_deref(), self.earlier.as_deref());
                    let sources =
                        FolderSources { candidate, reference: path, weights, earlier, known: self.known() };
                    gate.folder(sources).map(|comparison| (comparison, Duration::ZERO))
                }
                None => {
                    let named = |path| NamedInput { path, pictures: self.pictures };
                    gate.encoder(path, self.weights.as_deref(), self.input.as_deref().map(named))
                }
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
                    without_comparison(path, &failure)
                }
            };
            self.say(&comparison, options);
            run.comparisons.push(comparison);
            reports.stream_newest(&run)?;
        }
        say(&terminal::summary(&run, options));
        self.cost(started.elapsed(), encoding, pool.current_num_threads());
        let situation = Situation {
            profile: &profile.name,
            mapping,
            committed: !references.is_empty() && references.iter().all(|path| paths::is_of_a_set(path)),
            encoder: self.candidate.is_none(),
            local: judged_locally,
            shapes_are_explained,
            baseline: self.baseline.as_deref(),
            parts: self.way_to_parts(&gate, &references),
        };
        let steps = remedies.into_iter().chain(next_steps(&run, &situation));
        run.next = steps.map(|step| program::told(&step).into_owned()).collect();
        let document = ReportDocument::of(&run);
        reports.write(&document)?;
        run.next.iter().for_each(|step| say(&format!("next: {}", step.replace('\n', "\n      "))));
        ci::annotate(&document);
        if run.exit_code() == exit_code::PASSED && options.detail == Detail::Normal {
            say("--verbose shows every layer, --report html=FILE every figure");
        }
        Ok(run.exit_code())
    }

    /// What judges each part of the candidate by itself, where it was held against a reference alone.
    fn way_to_parts(&self, gate: &Gate<'_>, references: &[PathBuf]) -> Option<String> {
        let (Some(candidate), None, [reference]) = (&self.candidate, &self.weights, references) else {
            return None;
        };
        // A mapping of one's own may be of another model.
        paths::is_default(gate.mapping).then_some(())?;
        let candidate = paths::shown(candidate);
        let set = gate.set_of(reference).ok().flatten();
        let of_set =
            set.as_ref().and_then(|set| Some((set.weights.as_ref()?, set.input.as_ref()?, set.settings)));
        // No option names another stride of keys and values.
        let usual = encoder::Settings::default().kv_stride;
        let of_set = of_set.filter(|(.., settings)| settings.kv_stride == usual);
        let Some((weights, input, settings)) = of_set else {
            return Some(format!("cargo xtask parity --candidate {candidate} --weights FILE --input FILE"));
        };
        let options = settings::options(&settings);
        Some(format!(
            "cargo xtask parity --candidate {candidate} --weights {} --input {}{options}",
            paths::shown(weights),
            paths::shown(input)
        ))
    }

    fn options(&self, references: usize) -> Options {
        let detail = match (self.quiet, self.verbose) {
            (true, _) => Detail::Quiet,
            (_, true) => Detail::Verbose,
            _ => Detail::Normal,
        };
        Options { colours: console::has_colours(), detail, several: references > 1 }
    }

    /// Prints a comparison; with `--quiet` only where there is something to say.
    fn say(&self, comparison: &Comparison, options: Options) {
        let passed = comparison.exit_code() == exit_code::PASSED;
        let worth_saying = !comparison.warnings.is_empty() || !comparison.remarks.is_empty();
        if options.detail == Detail::Quiet && passed && !worth_saying {
            return;
        }
        say(&terminal::comparison(comparison, options));
        if !(passed && options.several) {
            say("");
        }
    }

    fn cost(&self, total: Duration, encoding: Duration, threads: usize) {
        let mut text = format!("{:.1} s", total.as_secs_f64());
        if self.candidate.is_none() {
            text += &format!(", {:.2} s of it in the encoder on {threads} threads", encoding.as_secs_f64());
        }
        if let Some(bytes) = cost::peak_memory() {
            text += &format!("; peak memory {:.0} MiB", bytes as f64 / f64::from(1 << 20));
        }
        say(&text);
    }
}
