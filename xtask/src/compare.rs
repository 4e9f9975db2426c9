//! One comparison: the encoder, or a folder of dumps, with a reference.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use encoder::{Precision, TapSink, TapTensor};
use harness::baseline::Baseline;
use harness::comparison::{Comparison, Origin};
use harness::folder::DumpFolder;
use harness::mapping::{Mapping, Profile, Side};
use harness::provenance::{self, DumpManifest, Identity, InputTensor};
use harness::recorded::{Differences, hash_file, hash_files};
use harness::reference::Reference;
use harness::run::{Session, Terms};
use harness::tolerances::Tolerances;

use crate::baselines::{self, Judged};
use crate::candidate::{EncoderArguments, PATH, as_candidate, read_input, settings_by_name, tap_names};
use crate::console::Failure;
use crate::origins::Origins;
use crate::{paths, set};

/// A folder of dumps that cannot be used, with what to do.
fn unusable_dump(error: impl std::error::Error) -> Failure {
    Failure::unreadable(error)
        .help("is the path right? Dump the port again; the encoder's own dump: cargo xtask encode --help")
}

/// How comparisons are made.
pub(crate) struct Compare<'a> {
    pub(crate) mapping: &'a Mapping,
    pub(crate) profile: &'a Profile,
    pub(crate) pool: &'a rayon::ThreadPool,
    pub(crate) encoder: &'a EncoderArguments,
    /// Refuse sides whose origin is not recorded.
    pub(crate) strict: bool,
}

impl Compare<'_> {
    /// Opens a reference as the mapping describes it.
    pub(crate) fn reference(&self, path: &Path) -> Result<Reference, Failure> {
        let format = &self.mapping.reference;
        Reference::open(path, &format.files, format.two_byte_integers)
            .map_err(|error| Failure::unreadable(error).help(PATH))
    }

    /// Compares a folder of dumps.
    pub(crate) fn folder(&self, candidate: &Path, reference: &Path) -> Result<Comparison, Failure> {
        let reference = &self.reference(reference)?;
        let folder = DumpFolder::open(candidate, &self.mapping.candidate.files).map_err(unusable_dump)?;
        let dump = DumpManifest::read(candidate).map_err(unusable_dump)?;
        let not_as_recorded = dump.as_ref().map(|dump| {
            let differences =
                self.pool.install(|| Differences::of(candidate, &dump.tensors, &folder.npy_files()));
            differences.sentences(Side::Candidate, provenance::FILE_NAME)
        });
        let origins = Origins {
            candidate: dump.as_ref().map(DumpManifest::identity),
            path: Some(candidate),
            not_as_recorded: not_as_recorded.unwrap_or_default(),
            strict: self.strict,
        };
        let settled = origins.settle(reference, self.pool)?;
        let tolerances = baselines::tolerances(reference, &self.profile.name)?;
        let terms = Terms {
            mapping: self.mapping,
            profile: self.profile,
            reference,
            tolerances: tolerances.as_ref(),
            // What is known are this project's errors, not those of others.
            baseline: None,
        };
        let mut comparison = self.pool.install(|| terms.compare_folder(&folder));
        let computed_in = dump.as_ref().and_then(|dump| Precision::from_name(dump.facts.get("precision")?));
        if let (Some(computed), Some(judged)) = (computed_in, Precision::from_name(&self.profile.name))
            && computed < judged
        {
            comparison.remarks.push(format!(
                "the dump says that it was computed in {computed}, and is judged as {judged}; --profile {computed} judges it \
                 as what it is"
            ));
        }
        settled.note(&mut comparison);
        self.judged(reference, tolerances.as_ref(), None).note(&mut comparison)?;
        Ok(comparison)
    }

    /// Runs the encoder, on the reference's own weights and input unless others are given, and compares every tensor as
    /// soon as it is there; with it the time that the encoder took.
    pub(crate) fn encoder(
        &self,
        reference: &Path,
        weights: Option<&Path>,
        input: Option<&Path>,
    ) -> Result<(Comparison, Duration), Failure> {
        let reference = &self.reference(reference)?;
        let ours = |given: Option<&Path>, of_the_set: Option<PathBuf>, option: &str| {
            given.map(Path::to_path_buf).or(of_the_set).ok_or_else(|| {
                let folder = reference.folder().display();
                Failure::usage(
                    format!("{folder} has no manifest.json that says what to run the encoder on: {option} is missing"),
                    format!("add {option} FILE, or compare a folder of dumps with --candidate DIR"),
                )
            })
        };
        let weights = ours(weights, reference.weights(), "--weights")?;
        let input = ours(input, reference.input(), "--input")?;
        let settings =
            self.encoder.settings(reference.manifest().map(set::settings).transpose()?.unwrap_or_default());
        let checkpoint = self.encoder.open(&weights)?;
        let hashed = hash_file(&input).map_err(|error| {
            Failure::unreadable(error)
                .help("restore the set with `git restore fixtures`, or name another input with --input FILE")
        })?;
        let image = read_input(&input)?;
        let identity = Identity {
            weights: hash_files(checkpoint.files()).map_err(Failure::unreadable)?,
            input: hashed,
            input_tensor: Some(InputTensor::of(&image.shape, &image.data)),
            settings: settings_by_name(&settings),
        };
        let origins = Origins {
            candidate: Some(identity),
            path: None,
            not_as_recorded: Vec::new(),
            strict: self.strict,
        };
        let settled = origins.settle(reference, self.pool)?;
        let model = self.pool.install(|| self.encoder.load(&checkpoint, Some(settings)))?;
        let names = tap_names(&model, &image);
        let tolerances = baselines::tolerances(reference, &self.profile.name)?;
        // Known errors are of the profile's own precision.
        let own = self.profile.name == model.precision().name();
        let baseline = if own {
            Some(baselines::errors(reference, &self.profile.name, tolerances.as_ref())?)
        } else {
            None
        };
        let baseline = baseline.as_ref().map(Option::as_ref);
        let conditions = baselines::conditions(model.isa(), self.encoder.strict_fma());
        let terms = Terms {
            mapping: self.mapping,
            profile: self.profile,
            reference,
            tolerances: tolerances.as_ref(),
            baseline: baseline.flatten().map(|baseline| (baseline, conditions.as_str())),
        };
        let mut taps = Taps { session: terms.session(&names), comparing: Duration::ZERO };
        let started = Instant::now();
        self.pool
            .install(|| model.encode(&image.shape, &image.data, &mut taps))
            .map_err(Failure::unreadable)?;
        let time = started.elapsed().saturating_sub(taps.comparing);
        let threads = self.pool.current_num_threads();
        let facts = [
            ("weights", weights.display().to_string()),
            ("input", input.display().to_string()),
            ("instruction set", model.isa().to_string()),
            ("precision", model.precision().to_string()),
            ("arithmetic", model.arithmetic()),
            ("threads", threads.to_string()),
        ];
        let mut comparison = taps.session.finish(Origin {
            title: format!("encoder in {} ({}, {threads} threads)", model.precision(), model.isa()),
            folder: None,
            facts: facts.map(|(name, value)| (name.to_string(), value)).into(),
        });
        settled.note(&mut comparison);
        self.judged(reference, tolerances.as_ref(), baseline).note(&mut comparison)?;
        Ok((comparison, time))
    }

    fn judged<'a>(
        &'a self,
        reference: &'a Reference,
        tolerances: Option<&'a Tolerances>,
        errors: Option<Option<&'a Baseline>>,
    ) -> Judged<'a> {
        let canonical = |path: &Path| std::fs::canonicalize(path).ok();
        let default_mapping = canonical(&self.mapping.path) == canonical(&paths::default_mapping());
        Judged { reference, profile: &self.profile.name, tolerances, errors, default_mapping }
    }
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
        self.session.record(name, as_candidate(name, tensor)?);
        self.comparing += started.elapsed();
        Ok(())
    }
}
