//! Whether both sides of a comparison were computed from the same weights, input and settings, and are as recorded.

use std::path::PathBuf;

use encoder::Checkpoint;
use harness::compare::comparison::Comparison;
use harness::compare::remark::{Remark, RemarkKind};
use harness::provenance::sha256::is_as_recorded;
use harness::provenance::{
    self, Dump, Identity, InputTensor, RecordDifference, RecordDifferenceKind, RoundedWeights, WeightTensors,
    settings,
};
use harness::reference::{Reference, manifest};
use harness::report::words;
use harness::side::Side;
use harness::text::facts::Facts;

use crate::encode::input::read_input;
use crate::encode::settings::OF_VERSION_1;
use crate::encode::{self, weight_tensors};
use crate::shell::failure::Failure;
use crate::shell::paths;

/// What is known of the candidate.
pub(crate) struct Origins<'a> {
    /// What it was computed from, where that is recorded.
    pub(crate) candidate: Option<Identity>,
    /// Its tensors, where they are on disk.
    pub(crate) dump: Option<&'a Dump>,
    /// Refuse what is not known.
    pub(crate) strict: bool,
}

/// Two sides that may be compared.
pub(crate) struct Sides {
    input: Option<String>,
    /// Files beside the tensors that are not as they were recorded.
    changed: Vec<RecordDifference>,
    remarks: Vec<Remark>,
}

impl Origins<'_> {
    /// Refuses sides that do not belong together, before any number is judged.
    pub(crate) fn settle(self, reference: &Reference, pool: &rayon::ThreadPool) -> Result<Sides, Failure> {
        let mut known = reference.identity(&OF_VERSION_1);
        let whole = known.as_ref().is_some_and(Identity::is_whole);
        let mut remarks = self.unknown_origins(reference, whole)?;
        let mut changed = Vec::new();
        if let Some(identity) = &mut known
            && let Some(input) = &identity.input
            && let Some(path) = input_of(reference)
        {
            if is_as_recorded(&path, &input.sha256).map_err(Failure::unreadable)? {
                // It is the recorded file; of other models it may be of any kind, and only its hash is compared.
                let image = read_input(&path).ok();
                identity.input_tensor = image.map(|image| InputTensor::of(&image.shape, &image.data));
            } else {
                changed.push(changed_file(&input.file));
            }
        }
        if self.strict
            && let Some(identity) = &known
        {
            changed.extend(changed_weights(reference, identity)?);
        }
        let rounded = match (&self.candidate, &mut known) {
            (Some(candidate), Some(identity)) => name_tensors(candidate, identity, reference)?,
            _ => Vec::new(),
        };
        let of = self.candidate.as_ref().and_then(|candidate| candidate.weight_tensors.as_ref());
        let of = of.map_or(0, WeightTensors::len);
        remarks.extend(rounded.iter().map(|RoundedWeights { dtype, tensors }| {
            RemarkKind::RoundedWeights { dtype: *dtype, tensors: tensors.len(), of }.into()
        }));
        let input = match (&self.candidate, &known) {
            (Some(candidate), Some(known)) => {
                provenance::check(candidate, known, &rounded).map_err(|error| {
                    Failure::found(error).help(next_step(reference, known, self.dump.is_some()))
                })?;
                known.input.as_ref().filter(|_| candidate.input.is_some()).map(|input| input.file.clone())
            }
            _ => None,
        };
        let sides = Sides { input, changed, remarks };
        if self.strict
            && let Some(first) = pool.install(|| sides.not_as_recorded(self.dump, reference)).first()
        {
            let facts = Facts::of("not_as_recorded", [("files", first.files.join(", "))])
                .with("side", first.side.to_string())
                .with("record", first.record);
            return Err(Failure::unusable(words::record_difference(first))
                .about(facts)
                .help("write it again, or leave --strict out to see what the numbers say"));
        }
        Ok(sides)
    }

    /// Sides of which it is not recorded what they were computed from; refused where that is asked for.
    fn unknown_origins(&self, reference: &Reference, known: bool) -> Result<Vec<Remark>, Failure> {
        let candidate = self.dump.map_or(reference.folder(), |dump| dump.store().location());
        let sides = [
            (Side::Candidate, self.candidate.as_ref().is_some_and(Identity::is_whole), candidate),
            (Side::Reference, known, reference.folder()),
        ];
        let mut remarks = Vec::new();
        for (side, _, path) in sides.into_iter().filter(|(_, known, _)| !known) {
            if self.strict {
                let record = provenance::FILE_NAME;
                let message = format!(
                    "{side} {} has no {record} that says what weights and input it was computed from; --strict asks for one",
                    path.display()
                );
                let how = match side {
                    Side::Candidate => {
                        "let the port write one beside its tensors (fixtures/README.md shows it)"
                    }
                    Side::Reference => "name a set with a manifest.json",
                };
                let facts = Facts::of("origin_unknown", [("side", side.to_string())])
                    .with("folder", path.display().to_string());
                return Err(Failure::unusable(message)
                    .about(facts)
                    .help(format!("{how}, or leave --strict out")));
            }
            remarks.push(RemarkKind::OriginUnknown { side }.into());
        }
        Ok(remarks)
    }
}

/// A file beside the reference's tensors that is not as its manifest recorded it.
fn changed_file(file: &str) -> RecordDifference {
    RecordDifference {
        side: Side::Reference,
        kind: RecordDifferenceKind::Changed,
        files: vec![file.to_string()],
        record: manifest::FILE_NAME,
    }
}

/// The input's file of a reference set, where it is there.
fn input_of(reference: &Reference) -> Option<PathBuf> {
    reference.input().filter(|path| path.is_file())
}

/// Weights that lie beside the reference and are not those it was made with. A comparison does not read them, and hashing
/// them takes longer than all else.
fn changed_weights(reference: &Reference, identity: &Identity) -> Result<Option<RecordDifference>, Failure> {
    let (Some(path), Some(weights)) = (reference.weights().filter(|path| path.is_file()), &identity.weights)
    else {
        return Ok(None);
    };
    let changed = !is_as_recorded(&path, &weights.sha256).map_err(Failure::unreadable)?;
    Ok(changed.then(|| changed_file(&weights.file)))
}

/// Reads the tensors of the reference's weights where files differ and the candidate's tensors are known: another file may
/// hold the same ones, or those that a converter has rounded, which are returned. Weights that are not there, or not those
/// that were recorded, are known by their file alone.
fn name_tensors(
    candidate: &Identity,
    reference_identity: &mut Identity,
    reference: &Reference,
) -> Result<Vec<RoundedWeights>, Failure> {
    let (Some(ours), Some(known)) = (&candidate.weights, &reference_identity.weights) else {
        return Ok(Vec::new());
    };
    let same_file = ours.sha256.eq_ignore_ascii_case(&known.sha256);
    let asked = !same_file && reference_identity.weight_tensors.is_none();
    let path = reference.weights().filter(|path| asked && path.is_file());
    let (Some(tensors), Some(path)) = (&candidate.weight_tensors, path) else { return Ok(Vec::new()) };
    if !is_as_recorded(&path, &known.sha256).map_err(Failure::unreadable)? {
        return Ok(Vec::new());
    }
    let settings = reference.manifest().map(encode::settings::of_manifest).transpose()?;
    let checkpoint = Checkpoint::open(&path).map_err(Failure::unreadable)?;
    let exact = weight_tensors::of(&checkpoint, &settings.unwrap_or_default())?;
    let rounded = weight_tensors::rounded(&checkpoint, &exact, tensors)?;
    reference_identity.weight_tensors = Some(exact);
    Ok(rounded)
}

/// What to do about sides that do not belong together.
fn next_step(reference: &Reference, known: &Identity, folder: bool) -> String {
    if !folder {
        return "leave out what differs from the set (--weights, --input, --padding, --output-resolution); were the \
                set's own files changed? cargo xtask fixtures check"
            .to_string();
    }
    let shown =
        |path: Option<PathBuf>, unknown: &str| path.map_or(unknown.to_string(), |path| paths::shown(&path));
    let options = [("padding", "--padding"), ("output_resolution", "--output-resolution")];
    let options = options.map(|(setting, option)| {
        known
            .settings
            .get(setting)
            .map_or(String::new(), |value| format!(" {option} {}", settings::text(value)))
    });
    format!(
        "compare with the reference that it belongs to, or dump the port again from its weights and input; this project's \
         encoder: cargo xtask encode --weights {} --input {}{} --dump DIR",
        shown(reference.weights(), "WEIGHTS"),
        shown(reference.input(), "INPUT"),
        options.concat()
    )
}

impl Sides {
    /// How the files of both sides differ from their records. Tensors that were compared have been read already.
    fn not_as_recorded(&self, dump: Option<&Dump>, reference: &Reference) -> Vec<RecordDifference> {
        let candidate = dump.into_iter().flat_map(|dump| dump.differences(Side::Candidate));
        let reference = reference.dump().differences(Side::Reference);
        candidate.chain(self.changed.iter().cloned()).chain(reference).collect()
    }

    /// Puts what is known into the report of a comparison that was made.
    pub(crate) fn note(self, dump: Option<&Dump>, reference: &Reference, comparison: &mut Comparison) {
        comparison.not_as_recorded = self.not_as_recorded(dump, reference);
        comparison.input = self.input;
        comparison.remarks.splice(0..0, self.remarks);
    }
}
