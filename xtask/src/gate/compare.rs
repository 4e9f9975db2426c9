//! One comparison: the encoder, or a folder of dumps, with a reference.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use encoder::{Architecture, Precision, TapSink, TapTensor, WithInner};
use harness::compare::comparison::{Comparison, Origin};
use harness::compare::kept_maps::MapLimits;
use harness::compare::other_mapping::OtherMapping;
use harness::compare::remark::{Remark, RemarkKind};
use harness::compare::session::Session;
use harness::compare::terms::{KnownInput, Terms};
use harness::diagnosis;
use harness::exit_code;
use harness::mapping::{Mapping, Profile};
use harness::provenance::sha256::{hash_file, hash_files};
use harness::provenance::{Dump, DumpRecord, Identity, InputTensor};
use harness::reference::Reference;
use harness::report::words;
use harness::tensor::{Dtype, Tensor};

use super::background::OpenedBackground;
use super::limits::{JudgedBy, KnownOf};
use super::origins::Origins;
use super::trials;
use crate::committed::conditions::conditions;
use crate::encode::arguments::{AskedTaps, EncoderArguments, as_candidate, check_memory};
use crate::encode::input::{prepared, read_input};
use crate::encode::pictures::PictureArguments;
use crate::encode::{settings, weight_tensors};
use crate::shell::failure::Failure;
use crate::shell::paths;

/// The profile of ports that compute in bf16 throughout.
const BF16_RUNS: &str = "bf16-all";

/// How comparisons are made.
pub(crate) struct Gate<'a> {
    pub(crate) mapping: &'a Mapping,
    pub(crate) profile: &'a Profile,
    pub(crate) pool: &'a rayon::ThreadPool,
    pub(crate) encoder: &'a EncoderArguments,
    /// Refuse sides whose origin is not recorded.
    pub(crate) strict: bool,
    /// How many layers are kept as maps.
    pub(crate) maps: MapLimits,
}

/// An input that a user named, and what is done to it if it is a picture.
#[derive(Clone, Copy)]
pub(crate) struct NamedInput<'a> {
    pub(crate) path: &'a Path,
    pub(crate) pictures: PictureArguments,
}

/// A folder of dumps with what it is compared with.
#[derive(Clone, Copy)]
pub(crate) struct FolderSources<'a> {
    pub(crate) candidate: &'a Path,
    pub(crate) reference: &'a Path,
    /// The weights as the port read them, where they are named.
    pub(crate) weights: Option<&'a Path>,
    /// An earlier dump of the same port.
    pub(crate) earlier: Option<&'a Path>,
    /// What its errors are held against, where they are known.
    pub(crate) known: KnownOf<'a>,
}

/// What a set was made from.
pub(crate) struct SetSources {
    pub(crate) weights: Option<PathBuf>,
    pub(crate) input: Option<PathBuf>,
    pub(crate) settings: encoder::Settings,
}

/// What the encoder is run on.
struct Sources {
    weights: PathBuf,
    input: PathBuf,
}

impl<'a> Gate<'a> {
    /// A gate that takes sides of any origin and keeps no maps.
    pub(crate) fn new(
        mapping: &'a Mapping,
        profile: &'a Profile,
        pool: &'a rayon::ThreadPool,
        encoder: &'a EncoderArguments,
    ) -> Gate<'a> {
        Gate { mapping, profile, pool, encoder, strict: false, maps: MapLimits::default() }
    }
}

impl Gate<'_> {
    /// Opens a reference as the mapping describes it.
    pub(crate) fn reference(&self, path: &Path) -> Result<Reference, Failure> {
        let format = &self.mapping.reference;
        Reference::open(path, &format.naming, format.read_as)
            .map_err(|error| Failure::from(error).or_help(|| paths::unreadable_help(path)))
    }

    /// What a reference was made from, where it is a set; files that are not there are left out.
    pub(crate) fn set_of(&self, path: &Path) -> Result<Option<SetSources>, Failure> {
        let reference = self.reference(path)?;
        let Some(manifest) = reference.manifest() else { return Ok(None) };
        let settings = settings::of_manifest(manifest)?;
        let there = |path: Option<PathBuf>| path.filter(|path| path.is_file());
        Ok(Some(SetSources {
            weights: there(reference.weights()),
            input: there(reference.input()),
            settings,
        }))
    }

    pub(super) fn dump(&self, path: &Path) -> Result<(Dump, Option<DumpRecord>), Failure> {
        let format = &self.mapping.candidate;
        Dump::open(path, &format.naming, format.read_as)
            .map_err(|error| Failure::found(error).or_help(|| paths::unreadable_help(path)))
    }

    /// An earlier dump, where one is named.
    pub(super) fn earlier(&self, path: Option<&Path>) -> Result<Option<Dump>, Failure> {
        Ok(path.map(|path| self.dump(path)).transpose()?.map(|(dump, _)| dump))
    }

    /// Compares a folder of dumps.
    pub(crate) fn folder(&self, sources: FolderSources<'_>) -> Result<Comparison, Failure> {
        let reference = &self.reference(sources.reference)?;
        let (dump, record) = self.dump(sources.candidate)?;
        let origins = Origins {
            candidate: record.as_ref().map(|record| record.identity(&settings::OF_VERSION_1)),
            dump: Some(&dump),
            strict: self.strict,
        };
        let sides = origins.settle(reference, self.pool)?;
        let limits = JudgedBy::resolve(self.mapping, self.profile, reference, sources.known)?
            .with_input(self.known_input(&dump, reference)?);
        let conditions = match sources.known {
            KnownOf::Port(run) => run.conditions.unwrap_or_default(),
            KnownOf::Encoder | KnownOf::Nobody => "",
        };
        let mut comparison = self.pool.install(|| limits.terms(conditions).compare_dump(&dump));
        let computed =
            record.as_ref().and_then(|record| Precision::from_name(record.facts.get("precision")?));
        if let (Some(computed), Some(judged)) = (computed, Precision::from_name(&self.profile.name))
            && computed < judged
        {
            let advice = format!("--profile {computed} judges it as what it is");
            let (computed, judged) = (computed.to_string(), judged.to_string());
            let kind = RemarkKind::CoarserThanJudged { computed, judged };
            comparison.remarks.push(Remark::advised(kind, advice));
        }
        self.pool.install(|| sides.note(Some(&dump), reference, &mut comparison));
        limits.note(&mut comparison);
        let terms = limits.terms(conditions);
        if let Some(shipped) = self.shipped()? {
            self.hold_to(&shipped, &dump.names(), &terms, &mut comparison);
        }
        self.refuse_weak(&comparison)?;
        let of_set = reference.weights();
        let weights: Vec<&Path> = sources.weights.into_iter().chain(of_set.as_deref()).collect();
        let opened = OpenedBackground::open(self.encoder, &weights, self.earlier(sources.earlier)?);
        self.pool.install(|| {
            opened.with(|background| diagnosis::explain(&terms, &dump, background, &mut comparison));
        });
        let tried = self.pool.install(|| trials::explain(self.encoder, &terms, &dump, &comparison))?;
        comparison.explanations.extend(tried);
        comparison.keep_one_cause_of_each();
        self.advise_on_profile(&mut comparison);
        self.pool.install(|| terms.keep_maps(&dump, self.maps, &mut comparison));
        Ok(comparison)
    }

    /// Names the profile that fits, where values or figures show one.
    fn advise_on_profile(&self, comparison: &mut Comparison) {
        for remark in &mut comparison.remarks {
            if let RemarkKind::WithinProfile { profile, .. } = &remark.kind {
                remark.advice = Some(format!("if that is what the port runs: --profile {profile}"));
            }
        }
        let unjudged = self.profile.name != BF16_RUNS && self.mapping.profiles.contains_key(BF16_RUNS);
        for remark in comparison.remarks.iter_mut().filter(|_| unjudged) {
            if matches!(remark.kind, RemarkKind::NarrowValues { dtype: Dtype::Bf16, .. }) {
                remark.advice = Some(format!("--profile {BF16_RUNS} judges such runs"));
            }
        }
    }

    /// The mapping that the program brings, where another one is used.
    fn shipped(&self) -> Result<Option<Mapping>, Failure> {
        match paths::is_default(self.mapping) {
            true => Ok(None),
            false => paths::mapping(None).map(Some),
        }
    }

    /// Says where a mapping of the user's own asks for less than the one that the program brings.
    fn hold_to(&self, shipped: &Mapping, names: &[String], own: &Terms<'_>, comparison: &mut Comparison) {
        // A profile of the user's own has no limits to hold it to.
        let Ok(profile) = shipped.profile(&self.profile.name) else { return };
        let terms = Terms { mapping: shipped, profile, ..*own };
        let name = shipped.path.display().to_string();
        let other = OtherMapping { terms, name: &name, candidates: names };
        comparison.remarks.extend(other.remarks(own, comparison));
    }

    /// Refuses, where that is asked for, a comparison that passes and proves less than it seems to.
    pub(super) fn refuse_weak(&self, comparison: &Comparison) -> Result<(), Failure> {
        if !self.strict || comparison.exit_code() != exit_code::PASSED {
            return Ok(());
        }
        let weak = comparison.remarks.iter().filter(|remark| remark.kind.weakens_a_pass());
        let weak: Vec<String> = weak.map(words::remark).collect();
        match weak.is_empty() {
            true => Ok(()),
            false => Err(Failure::usage(
                format!("--strict: every layer passes, and that proves little: {}", weak.join("; ")),
                "mend that, or leave --strict out",
            )),
        }
    }

    /// The reference's input, where the candidate dumped its own to hold it against.
    fn known_input(&self, dump: &Dump, reference: &Reference) -> Result<Option<KnownInput>, Failure> {
        let dumped = dump.names().iter().any(|name| self.mapping.input.candidate.contains(name));
        let Some(path) = reference.input().filter(|path| dumped && path.is_file()) else { return Ok(None) };
        let TapTensor { shape, data } = read_input(&path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Tensor::from_f32(shape, data).map(|tensor| KnownInput { name, tensor }))
    }

    /// Runs the encoder, on the reference's own weights and input unless others are given, and compares every tensor as
    /// soon as it is there; with it the time that the encoder took.
    pub(crate) fn encoder(
        &self,
        reference: &Path,
        weights: Option<&Path>,
        named_input: Option<NamedInput<'_>>,
    ) -> Result<(Comparison, Duration), Failure> {
        let reference = &self.reference(reference)?;
        let named = weights.is_some();
        let Sources { weights, input } = sources(reference, weights, named_input.map(|input| input.path))?;
        let set = reference.manifest().map(settings::of_manifest).transpose()?;
        let settings = self.encoder.settings(set.unwrap_or_default());
        // A set may be of a model without what a release should have.
        let checkpoint = match named {
            true => self.encoder.open_named(&weights)?,
            false => self.encoder.open(&weights)?,
        };
        let hashed = hash_file(&input).map_err(|error| {
            let restore = match paths::is_of_a_set(&input) {
                true => {
                    "restore the set with `git restore fixtures`, or name another input with --input FILE"
                }
                false => "is the path right? --input FILE names another input",
            };
            Failure::unreadable(error).help(restore)
        })?;
        let mut normalisation = None;
        let image = match named_input {
            // The pictures of sets are as they are.
            None => read_input(&input)?,
            Some(NamedInput { path, pictures }) => {
                let architecture = Architecture::read(&checkpoint, &settings).map_err(Failure::unreadable)?;
                let preparation = pictures.choose(&weights, &checkpoint, &architecture)?.preparation;
                normalisation = preparation.normalisation;
                prepared(path, &preparation)?.tensor
            }
        };
        let identity = Identity {
            weights: Some(hash_files(checkpoint.files()).map_err(Failure::unreadable)?),
            weight_tensors: if named { Some(weight_tensors::of(&checkpoint, &settings)?) } else { None },
            input: Some(hashed),
            input_tensor: Some(InputTensor::of(&image.shape, &image.data)),
            settings: settings::by_name(&settings),
        };
        let origins = Origins { candidate: Some(identity), dump: None, strict: self.strict };
        let sides = origins.settle(reference, self.pool)?;
        let mut model = self.pool.install(|| self.encoder.load(&checkpoint, Some(settings)))?;
        model.take_normalised(normalisation);
        let asked = AskedTaps::by_mapping(&model, &image, self.mapping);
        // Known errors are of the profile's own precision.
        let is_own = self.profile.name == model.precision().name();
        let known = if is_own { KnownOf::Encoder } else { KnownOf::Nobody };
        let limits = JudgedBy::resolve(self.mapping, self.profile, reference, known)?;
        let conditions = conditions(model.isa(), self.encoder.strict_fma());
        let session = limits.terms(&conditions).session(&asked.names).with_maps(self.maps);
        let sink = ComparingTaps { session, comparing: Duration::ZERO };
        let mut taps = WithInner { asked: asked.inner, sink };
        check_memory(&model, &image.shape)?;
        let started = Instant::now();
        self.pool
            .install(|| model.encode(&image.shape, &image.data, &mut taps))
            .map_err(Failure::unreadable)?;
        let taps = taps.sink;
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
        self.pool.install(|| sides.note(None, reference, &mut comparison));
        limits.note(&mut comparison);
        if let Some(shipped) = self.shipped()? {
            let names = AskedTaps::by_mapping(&model, &image, &shipped).names;
            self.hold_to(&shipped, &names, &limits.terms(&conditions), &mut comparison);
        }
        self.refuse_weak(&comparison)?;
        Ok((comparison, time))
    }
}

/// What to run the encoder on: what is given, else the reference's own.
fn sources(reference: &Reference, weights: Option<&Path>, input: Option<&Path>) -> Result<Sources, Failure> {
    let ours = |given: Option<&Path>, of_the_set: Option<PathBuf>, option: &str| {
        given.map(Path::to_path_buf).or(of_the_set).ok_or_else(|| {
            let folder = reference.folder().display();
            Failure::usage(
                format!(
                    "{folder} has no manifest.json that says what to run the encoder on: {option} is missing"
                ),
                format!("add {option} FILE, or compare a folder of dumps with --candidate DIR"),
            )
        })
    };
    let weights = ours(weights, reference.weights(), "--weights")?;
    let input = ours(input, reference.input(), "--input")?;
    Ok(Sources { weights, input })
}

/// Compares each tensor as soon as the encoder has it.
struct ComparingTaps<'a> {
    session: Session<'a>,
    comparing: Duration,
}

impl TapSink for ComparingTaps<'_> {
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
