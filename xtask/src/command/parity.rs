use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use encoder::{TapSink, TapTensor};
use harness::comparison::{Comparison, Origin};
use harness::exit_code;
use harness::folder::DumpFolder;
use harness::mapping::Mapping;
use harness::provenance::{self, DumpManifest, Identity};
use harness::reference::Reference;
use harness::report::terminal::{self, Options};
use harness::run::{Session, Terms};
use harness::tensor::Tensor;

use crate::candidate::EncoderArguments;
use crate::console::{Failure, Outcome};
use crate::origins::Origins;
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
/// Exit codes: 0 all good, 1 numbers, 2 usage or mapping, 3 coverage, 4 shapes, 5 unreadable input.
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
    /// Tolerances: a profile of the mapping.
    #[arg(long, value_name = "NAME", default_value = "f32")]
    profile: String,
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
        let started = Instant::now();
        let mapping = Mapping::read(&self.mapping.clone().unwrap_or_else(paths::default_mapping))?;
        mapping.profile(&self.profile)?;
        let pool = self.encoder.pool()?;
        let references = match &self.reference {
            Some(reference) => vec![reference.clone()],
            None => set::committed()?,
        };
        let options = Options { colours: true, quiet: self.quiet, verbose: self.verbose };
        let mut comparisons = Vec::new();
        let mut encoding = Duration::ZERO;
        for path in references {
            let format = &mapping.reference;
            let reference = Reference::open(&path, &format.files, format.two_byte_integers)
                .map_err(Failure::unreadable)?;
            let terms = Terms { mapping: &mapping, profile: &self.profile, reference: &reference };
            let comparison = match &self.candidate {
                Some(folder) => self.compare_folder(&terms, &pool, folder)?,
                None => self.run_encoder(&terms, &pool, &mut encoding)?,
            };
            let text = terminal::comparison(&comparison, options);
            if !(self.quiet && comparison.exit_code() == exit_code::PASSED) {
                anstream::println!("{text}");
            }
            comparisons.push(comparison);
        }
        for path in &self.report {
            harness::report::json::write(path, &comparisons).map_err(|error| Failure::write(path, &error))?;
        }
        anstream::print!("{}", terminal::summary(&comparisons, options));
        self.cost(started.elapsed(), encoding, pool.current_num_threads());
        let code = exit_code::most_fundamental(comparisons.iter().map(Comparison::exit_code));
        for line in next_steps(code, &mapping) {
            anstream::println!("{line}");
        }
        Ok(ExitCode::from(code))
    }

    fn compare_folder(
        &self,
        terms: &Terms<'_>,
        pool: &rayon::ThreadPool,
        path: &Path,
    ) -> Result<Comparison, Failure> {
        let folder = DumpFolder::open(path, &terms.mapping.candidate.files).map_err(Failure::unreadable)?;
        let dump = DumpManifest::read(path).map_err(Failure::unreadable)?;
        let recorded = dump.as_ref().map_or(&[][..], |dump| &dump.tensors);
        let changed = pool.install(|| provenance::changed(path, recorded));
        let origins = Origins {
            candidate: dump.as_ref().map(DumpManifest::identity),
            path: Some(path),
            changed,
            strict: self.strict,
        };
        let settled = origins.settle(terms.reference, pool)?;
        let mut comparison = pool.install(|| terms.compare_folder(&folder));
        settled.note(&mut comparison);
        Ok(comparison)
    }

    fn run_encoder(
        &self,
        terms: &Terms<'_>,
        pool: &rayon::ThreadPool,
        encoding: &mut Duration,
    ) -> Result<Comparison, Failure> {
        let reference = terms.reference;
        let ours = |given: &Option<PathBuf>, of_the_set: Option<PathBuf>, option: &str| {
            given.clone().or(of_the_set).ok_or_else(|| {
                let folder = reference.folder().display();
                Failure::usage(
                    format!("{folder} has no manifest.json that says what the encoder is to run on: {option} is missing"),
                    format!("add {option} FILE, or compare a folder of dumps with --candidate DIR"),
                )
            })
        };
        let weights = ours(&self.weights, reference.weights(), "--weights")?;
        let input = ours(&self.input, reference.input(), "--input")?;
        let settings = reference.manifest().map(set::settings).transpose()?;
        let (model, hash) = pool.install(|| self.encoder.load(&weights, settings))?;
        let identity =
            Identity { weights: hash, input: provenance::hash_file(&input).map_err(Failure::unreadable)? };
        let origins =
            Origins { candidate: Some(identity), path: None, changed: Vec::new(), strict: self.strict };
        let settled = origins.settle(reference, pool)?;
        let image = encoder::input::read(&input).map_err(Failure::unreadable)?;
        let names = match image.shape.as_slice() {
            [_, _, height, width] => model.tap_names(*height, *width),
            _ => Vec::new(),
        };
        let started = Instant::now();
        let mut taps = Taps { session: terms.session(&names), comparing: Duration::ZERO };
        pool.install(|| model.encode(&image.shape, &image.data, &mut taps)).map_err(Failure::unreadable)?;
        *encoding += started.elapsed().saturating_sub(taps.comparing);
        let threads = pool.current_num_threads();
        let facts = [
            ("weights", weights.display().to_string()),
            ("input", input.display().to_string()),
            ("instruction set", model.isa().to_string()),
            ("threads", threads.to_string()),
        ];
        let mut comparison = taps.session.finish(Origin {
            title: format!("encoder in f32 ({}, {threads} threads)", model.isa()),
            folder: None,
            facts: facts.map(|(name, value)| (name.to_string(), value)).into(),
        });
        settled.note(&mut comparison);
        Ok(comparison)
    }

    fn cost(&self, total: Duration, encoding: Duration, threads: usize) {
        let mut cost = format!("{:.1} s", total.as_secs_f64());
        if self.candidate.is_none() {
            cost += &format!(", {:.2} s of it in the encoder on {threads} threads", encoding.as_secs_f64());
        }
        if let Some(bytes) = resources::peak_memory() {
            cost += &format!("; peak memory {:.0} MiB", bytes as f64 / f64::from(1 << 20));
        }
        anstream::println!("{cost}");
    }
}

/// What to type or edit next, by exit code.
fn next_steps(code: u8, mapping: &Mapping) -> Vec<String> {
    let mapping = paths::shown(&mapping.path);
    let text = match code {
        exit_code::NUMBERS => {
            "next: look at the first failing layer; what comes after it inherits its error\n      \
             --verbose shows the reference's names, --report json=FILE every figure"
                .to_string()
        }
        exit_code::COVERAGE => format!(
            "next: dump what is missing, or say in {mapping} what belongs together\n      \
             cargo xtask mapping check {mapping}"
        ),
        exit_code::SHAPE => format!(
            "next: was the port given the same input as the reference? If it stores an axis\n      \
             elsewhere, say so in {mapping}: candidate_layout = \"b c w h\""
        ),
        exit_code::UNREADABLE => "next: write the unreadable files again, into an empty folder\n      \
             cargo xtask encode --dump DIR writes those of this project's encoder"
            .to_string(),
        _ => return Vec::new(),
    };
    text.lines().map(String::from).collect()
}

/// Compares each tensor as soon as the encoder has it.
struct Taps<'a> {
    session: Session<'a>,
    comparing: Duration,
}

impl TapSink for Taps<'_> {
    fn wants(&self, name: &str) -> bool {
        self.session.wants(name)
    }

    fn record(
        &mut self,
        name: &str,
        tensor: TapTensor,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let started = Instant::now();
        let shape = tensor.shape.clone();
        let tensor = Tensor::from_f32(tensor.shape, tensor.data)
            .ok_or_else(|| format!("{name}: shape {shape:?} does not hold the elements"))?;
        self.session.record(name, tensor);
        self.comparing += started.elapsed();
        Ok(())
    }
}
