//! Arguments of every command that runs the encoder, and how it is loaded with them.

use std::collections::BTreeSet;
use std::path::Path;

use encoder::{Checkpoint, Isa, LoadOptions, Model, Padding, Precision, Settings, TapTensor};
use harness::mapping::{Mapping, Rule};
use harness::provenance::settings;
use harness::side::Side;
use harness::tensor::Tensor;

use super::settings::by_name;
use crate::shell::console::tell;
use crate::shell::failure::Failure;
use crate::shell::{memory, paths};

/// Arguments of every command that runs the encoder.
#[derive(clap::Args, Clone, Default)]
pub(crate) struct EncoderArguments {
    /// Worker threads (default: the physical cores); the result does not depend on it.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Padding of convolutions, which weights do not show (default: the set's, else same).
    #[arg(long, value_enum)]
    padding: Option<PaddingArgument>,
    /// Height and width that the fusion pools to (default: the set's, else 16x16).
    #[arg(long, value_name = "HxW", value_parser = resolution)]
    output_resolution: Option<(usize, usize)>,
    /// Instruction set of the kernels: portable, avx2, avx512, avx512bf16, amx (default: the best this CPU has).
    #[arg(long, value_name = "ISA", value_parser = isa)]
    isa: Option<Isa>,
    /// How exactly dense products are computed: f32, bf16x3, bf16 (default: f32).
    #[arg(long, value_name = "P", value_parser = precision)]
    precision: Option<Precision>,
    /// Reach f32 by fused multiply-adds alone, also where a matrix unit is faster and as exact.
    #[arg(long)]
    strict_fma: bool,
}

#[derive(clap::ValueEnum, Clone, Copy)]
enum PaddingArgument {
    Same,
    Symmetric,
}

fn resolution(text: &str) -> Result<(usize, usize), String> {
    let parse = |number: &str| number.parse().ok().filter(|n| (1..=256).contains(n));
    match text.split_once('x').map(|(height, width)| (parse(height), parse(width))) {
        Some((Some(height), Some(width))) => Ok((height, width)),
        _ => Err("expected height x width, each from 1 to 256, such as 16x16".to_string()),
    }
}

fn isa(text: &str) -> Result<Isa, String> {
    Isa::from_name(text).ok_or_else(|| format!("expected one of {}", Isa::ALL.map(Isa::name).join(", ")))
}

fn precision(text: &str) -> Result<Precision, String> {
    Precision::from_name(text)
        .ok_or_else(|| format!("expected one of {}", Precision::ALL.map(Precision::name).join(", ")))
}

impl EncoderArguments {
    /// The precision of dense products.
    pub(crate) fn precision(&self) -> Precision {
        self.precision.unwrap_or_default()
    }

    /// The precision, where one is given.
    pub(crate) fn chosen_precision(&self) -> Option<Precision> {
        self.precision
    }

    /// Whether f32 is reached by fused multiply-adds alone.
    pub(crate) fn strict_fma(&self) -> bool {
        self.strict_fma
    }

    /// Threads to run with: as many as asked for, else as there are physical cores to be had.
    pub(crate) fn threads(&self) -> usize {
        let available = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or_else(|| num_cpus::get_physical().clamp(1, available()))
    }

    /// What keeps the encoder from the best instructions that the CPU has, if anything does.
    pub(crate) fn cap(&self) -> Result<Option<Isa>, Failure> {
        match self.isa {
            Some(isa) => Ok(Some(isa)),
            None => Isa::cap().map_err(refused),
        }
    }

    /// Refuses what no model could be loaded or run with.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.strict_fma && self.precision() != Precision::F32 {
            let message =
                format!("--strict-fma is a way to reach f32, found --precision {}", self.precision());
            return Err(Failure::usage(message, "leave one of them out"));
        }
        let help = "leave it out to use all cores";
        match self.threads {
            Some(0) => return Err(Failure::usage("--threads 0 leaves no thread to run on", help)),
            Some(threads) if threads > 1024 => {
                let message = format!("--threads {threads}: expected at most 1024");
                return Err(Failure::usage(message, help));
            }
            _ => {}
        }
        Isa::choose(self.isa).map(drop).map_err(refused)
    }

    /// The thread pool that the run is confined to.
    pub(crate) fn pool(&self) -> Result<rayon::ThreadPool, Failure> {
        self.check()?;
        rayon::ThreadPoolBuilder::new().num_threads(self.threads()).build().map_err(|error| {
            Failure::usage(format!("cannot start the threads: {error}"), "try fewer with --threads")
        })
    }

    /// Whether any of what a model is loaded with is given.
    pub(crate) fn chooses_a_model(&self) -> bool {
        self.padding.is_some()
            || self.output_resolution.is_some()
            || self.isa.is_some()
            || self.precision.is_some()
            || self.strict_fma
    }

    /// Threads and instruction set, as they are written on a command line.
    pub(crate) fn threads_and_isa(&self) -> Vec<String> {
        let threads = format!("--threads={}", self.threads());
        [threads].into_iter().chain(self.isa.map(|isa| format!("--isa={isa}"))).collect()
    }

    /// Opens the weights.
    pub(crate) fn open(&self, weights: &Path) -> Result<Checkpoint, Failure> {
        open(weights)
    }

    /// Opens weights that a user named, and warns of what is known to be wrong with them.
    pub(crate) fn open_named(&self, weights: &Path) -> Result<Checkpoint, Failure> {
        let checkpoint = self.open(weights)?;
        for warning in checkpoint.warnings() {
            tell(&format!("\x1b[1;33mwarning\x1b[0m: {}: {warning}", weights.display()));
        }
        Ok(checkpoint)
    }

    /// These settings, over those of a reference set.
    pub(crate) fn settings(&self, set: Settings) -> Settings {
        Settings {
            padding: match self.padding {
                None => set.padding,
                Some(PaddingArgument::Same) => Padding::Same,
                Some(PaddingArgument::Symmetric) => Padding::Symmetric,
            },
            output_resolution: self.output_resolution.unwrap_or(set.output_resolution),
            kv_stride: set.kv_stride,
        }
    }

    /// Refuses settings that are not those of a set: what is computed with others is not to be held against it.
    pub(crate) fn check_agreement(&self, set: Settings) -> Result<(), Failure> {
        let [ours, theirs] = [self.settings(set), set].map(|settings| by_name(&settings));
        match ours.into_iter().zip(theirs.into_values()).find(|((_, ours), theirs)| ours != theirs) {
            None => Ok(()),
            Some(((name, ours), theirs)) => {
                let (option, ours, theirs) =
                    (name.replace('_', "-"), settings::text(&ours), settings::text(&theirs));
                let message = format!(
                    "--{option} {ours}: the set's is {theirs}, and what runs is held against its output"
                );
                Err(Failure::usage(message, format!("leave --{option} out, or make a set with it")))
            }
        }
    }

    /// Loads the model with these settings, over those of a reference set where it has any.
    pub(crate) fn load(&self, checkpoint: &Checkpoint, set: Option<Settings>) -> Result<Model, Failure> {
        self.check()?;
        let settings = self.settings(set.unwrap_or_default());
        let options =
            LoadOptions { settings, isa: self.isa, precision: self.precision(), strict_fma: self.strict_fma };
        Model::load(checkpoint, &options).map_err(Failure::unreadable)
    }
}

/// Refuses a run on an input that takes more memory than there is.
pub(crate) fn check_memory(model: &Model, shape: &[usize]) -> Result<(), Failure> {
    match shape {
        // Of an input that the model does not take, the model says so.
        [pictures, ..] if shape.len() == 4 => {
            let checked = memory::check(&format!("encoding {shape:?}"), model.working_memory(shape));
            let help =
                if *pictures > 1 { "take fewer pictures at once: --batch" } else { "take a smaller picture" };
            checked.map_err(|failure| failure.help(help))
        }
        _ => Ok(()),
    }
}

/// Opens weights.
pub(crate) fn open(weights: &Path) -> Result<Checkpoint, Failure> {
    Checkpoint::open(weights)
        .map_err(|error| Failure::unreadable(error).or_help(|| paths::unreadable_help(weights)))
}

/// Why an instruction set cannot be had.
fn refused(error: encoder::Error) -> Failure {
    let help = match error {
        encoder::Error::UnknownIsa { .. } => "set it to one of them, or unset it",
        _ => "leave --isa out to take the best that it has",
    };
    Failure::usage(error.to_string(), help)
}

/// The taps of a model on an input that a run is asked for.
pub(crate) struct AskedTaps {
    /// Their names, in the order of execution.
    pub(crate) names: Vec<String>,
    /// Whether inner ones are among them.
    pub(crate) inner: bool,
}

impl AskedTaps {
    /// All taps, of the inner ones those that are `wanted`.
    pub(crate) fn of(model: &Model, input: &TapTensor, wanted: impl Fn(&str) -> bool) -> AskedTaps {
        let &[_, _, height, width] = input.shape.as_slice() else {
            return AskedTaps { names: Vec::new(), inner: false };
        };
        let outer: BTreeSet<String> = model.tap_names(height, width).into_iter().collect();
        let mut names = model.tap_names_with_inner(height, width);
        names.retain(|name| outer.contains(name) || wanted(name));
        let inner = names.len() > outer.len();
        AskedTaps { names, inner }
    }

    /// All taps, of the inner ones those that a rule of the mapping takes.
    pub(crate) fn by_mapping(model: &Model, input: &TapTensor, mapping: &Mapping) -> AskedTaps {
        let takes = |rule: &Rule, name: &str| {
            rule.names(Side::Candidate).iter().any(|template| template.matches(name).is_some())
        };
        AskedTaps::of(model, input, |name| mapping.rules.iter().any(|rule| takes(rule, name)))
    }
}

/// An intermediate tensor of the encoder as the harness holds it.
pub(crate) fn as_candidate(
    name: &str,
    tap: TapTensor,
) -> Result<Tensor, Box<dyn std::error::Error + Send + Sync>> {
    let shape = tap.shape.clone();
    let unfit = || format!("{name}: shape {shape:?} does not hold the elements").into();
    Tensor::from_f32(tap.shape, tap.data).ok_or_else(unfit)
}
