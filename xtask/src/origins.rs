//! Whether both sides of a comparison were computed from the same weights, input and settings, and are as recorded.

use std::path::{Path, PathBuf};

use harness::comparison::Comparison;
use harness::manifest;
use harness::mapping::Side;
use harness::provenance::{self, Identity, InputTensor, ProvenanceError};
use harness::recorded::is_as_recorded;
use harness::reference::Reference;

use crate::candidate::read_input;
use crate::console::Failure;
use crate::paths;

/// What is known of the candidate.
pub(crate) struct Origins<'a> {
    /// What it was computed from, where that is recorded.
    pub(crate) candidate: Option<Identity>,
    /// Its folder, where it has one.
    pub(crate) path: Option<&'a Path>,
    /// How its files differ from what was recorded.
    pub(crate) not_as_recorded: Vec<String>,
    /// Refuse what is not known.
    pub(crate) strict: bool,
}

/// Both sides may be compared.
pub(crate) struct Settled {
    input: Option<String>,
    not_as_recorded: Vec<String>,
    remarks: Vec<String>,
}

impl Origins<'_> {
    /// Refuses sides that do not belong together, before any number is judged.
    pub(crate) fn settle(self, reference: &Reference, pool: &rayon::ThreadPool) -> Result<Settled, Failure> {
        let mut remarks = Vec::new();
        let mut not_as_recorded = self.not_as_recorded;
        let mut known = reference.identity();
        let sides = [
            (Side::Candidate, self.candidate.is_some(), self.path.unwrap_or(reference.folder())),
            (Side::Reference, known.is_some(), reference.folder()),
        ];
        for (side, known, path) in sides {
            if !known && self.strict {
                let unknown = ProvenanceError::Unknown { side, path: path.to_path_buf() };
                let again = match side {
                    Side::Candidate => "dump anew with `cargo xtask encode --dump DIR`",
                    Side::Reference => "name a set with a manifest.json, such as those in fixtures/",
                };
                return Err(Failure::unreadable(unknown).help(format!("{again}, or leave --strict out")));
            }
            if !known {
                remarks.push(format!("what weights and input the {side} is of is not recorded"));
            }
        }
        if let Some(identity) = &mut known
            && let Some(path) = input_of(reference)
        {
            if is_as_recorded(&path, &identity.input.sha256).map_err(Failure::unreadable)? {
                let input = read_input(&path)?;
                identity.input_tensor = Some(InputTensor::of(&input.shape, &input.data));
            } else {
                let (file, record) = (&identity.input.file, manifest::FILE_NAME);
                not_as_recorded.push(format!("reference {file}: not as {record} recorded it"));
            }
        }
        if self.strict
            && let Some(identity) = &known
        {
            not_as_recorded.extend(changed_weights(reference, identity)?);
        }
        let input = match (&self.candidate, &known) {
            (Some(candidate), Some(known)) => {
                provenance::check(candidate, known).map_err(|error| {
                    Failure::unreadable(error).help(next_step(reference, known, self.path.is_some()))
                })?;
                Some(known.input.file.clone())
            }
            _ => None,
        };
        if let Some((differences, record)) = pool.install(|| reference.differences()) {
            not_as_recorded.extend(differences.sentences(Side::Reference, record));
        }
        if self.strict
            && let Some(first) = not_as_recorded.first()
        {
            return Err(Failure::unusable(first)
                .help("write it again, or leave --strict out to see what the numbers say"));
        }
        Ok(Settled { input, not_as_recorded, remarks })
    }
}

/// The input's file of a reference set, where it is there.
fn input_of(reference: &Reference) -> Option<PathBuf> {
    reference.input().filter(|path| path.is_file())
}

/// Weights that lie beside the reference and are not those it was made with. A comparison does not read them, and hashing
/// them takes longer than all else.
fn changed_weights(reference: &Reference, identity: &Identity) -> Result<Option<String>, Failure> {
    let Some(path) = reference.weights().filter(|path| path.is_file()) else { return Ok(None) };
    let changed = !is_as_recorded(&path, &identity.weights.sha256).map_err(Failure::unreadable)?;
    let (file, record) = (&identity.weights.file, manifest::FILE_NAME);
    Ok(changed.then(|| format!("reference {file}: not as {record} recorded it")))
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
    let options = [("padding", "--padding"), ("output resolution", "--output-resolution")];
    let options = options.map(|(setting, option)| {
        known.settings.get(setting).map_or(String::new(), |value| format!(" {option} {value}"))
    });
    format!(
        "compare with the reference that it belongs to, or dump anew: cargo xtask encode --weights {} --input {}{} \
         --dump DIR",
        shown(reference.weights(), "WEIGHTS"),
        shown(reference.input(), "INPUT"),
        options.concat()
    )
}

impl Settled {
    /// Puts what is known into the report.
    pub(crate) fn note(self, comparison: &mut Comparison) {
        comparison.input = self.input;
        comparison.not_as_recorded = self.not_as_recorded;
        comparison.remarks.splice(0..0, self.remarks);
    }
}
