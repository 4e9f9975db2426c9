//! What a comparison is judged by: derived tolerances and known errors of its reference, read once, and what is missing.

use std::path::Path;

use encoder::{Isa, Precision};
use harness::compare::comparison::{Comparison, Layer};
use harness::compare::remark::{Remark, RemarkKind};
use harness::compare::terms::{KnownInput, Terms};
use harness::limits::derived::DerivedTolerances;
use harness::limits::file::FigureKind;
use harness::limits::known_errors::KnownErrors;
use harness::limits::subject::Subject;
use harness::mapping::{Mapping, Profile};
use harness::reference::Reference;

use crate::committed::conditions::are_conditions;
use crate::committed::coverage::LockedCoverage;
use crate::committed::figures::{self, FigureFile};
use crate::committed::port_baseline::PortBaseline;
use crate::committed::set;
use crate::shell::failure::Failure;
use crate::shell::{dates, paths};

/// Whose errors a candidate's are held against.
#[derive(Clone, Copy)]
pub(crate) enum KnownOf<'a> {
    /// No one's: the candidate is not the encoder in the profile's own precision, and nobody named a file.
    Nobody,
    /// The encoder's, in the checkout's baselines.
    Encoder,
    /// Those of the user's own port.
    Port(PortRun<'a>),
}

/// A run of a user's port that is held against an earlier one.
#[derive(Clone, Copy)]
pub(crate) struct PortRun<'a> {
    /// The file of known errors.
    pub(crate) baseline: &'a Path,
    /// The conditions that it ran under, as its user declares them: backend, device, threads.
    pub(crate) conditions: Option<&'a str>,
}

/// The errors that a candidate is known to have.
enum Known {
    /// Nobody asked for any.
    NotAsked,
    /// None are kept for this reference.
    None,
    /// These of the encoder.
    OfEncoder(KnownErrors),
    /// These of the user's port.
    OfPort(KnownErrors),
}

/// What a comparison is judged by.
pub(crate) struct JudgedBy<'a> {
    mapping: &'a Mapping,
    profile: &'a Profile,
    reference: &'a Reference,
    /// What figures of the reference are of, where it is a set.
    subject: Option<Subject>,
    tolerances: Option<DerivedTolerances>,
    known: Known,
    /// What must be compared of the reference, where it is one of the checkout's sets.
    locked: Option<LockedCoverage>,
    /// The reference's input, where the candidate dumped its own.
    input: Option<KnownInput>,
}

impl<'a> JudgedBy<'a> {
    /// Reads what is kept for a reference under a profile, and the candidate's known errors.
    pub(crate) fn resolve(
        mapping: &'a Mapping,
        profile: &'a Profile,
        reference: &'a Reference,
        known: KnownOf<'_>,
    ) -> Result<JudgedBy<'a>, Failure> {
        let subject = figures::subject(reference, &profile.name)?;
        let tolerances = tolerances(reference, &profile.name)?;
        let known = match known {
            KnownOf::Nobody => Known::NotAsked,
            KnownOf::Encoder => match errors(reference, &profile.name, tolerances.as_ref())? {
                None => Known::None,
                Some(errors) => Known::OfEncoder(errors),
            },
            KnownOf::Port(run) => {
                let subject = subject.as_ref().ok_or_else(|| no_set(reference))?;
                Known::OfPort(PortBaseline { file: run.baseline }.read(subject)?)
            }
        };
        let committed = reference.manifest_path().is_some_and(|(root, _)| set::is_committed(root));
        let locked = match committed && matches!(known, Known::OfEncoder(_)) {
            true => LockedCoverage::read()?,
            false => None,
        };
        Ok(JudgedBy { mapping, profile, reference, subject, tolerances, known, locked, input: None })
    }

    /// With the input that the reference was computed from.
    pub(crate) fn with_input(self, input: Option<KnownInput>) -> JudgedBy<'a> {
        JudgedBy { input, ..self }
    }

    /// The terms of a comparison under these conditions.
    pub(crate) fn terms<'t>(&'t self, conditions: &'t str) -> Terms<'t> {
        Terms {
            mapping: self.mapping,
            profile: self.profile,
            reference: self.reference,
            tolerances: self.tolerances.as_ref(),
            input: self.input.as_ref(),
            known: match &self.known {
                Known::OfEncoder(known) | Known::OfPort(known) => Some((known, conditions)),
                Known::NotAsked | Known::None => None,
            },
        }
    }

    /// Holds a comparison against the files that it was judged by: a layer that they do not know is a matter of coverage,
    /// and so are an entry that the encoder does not meet and a file that a committed set should have.
    pub(crate) fn note(&self, comparison: &mut Comparison) {
        let Some(subject) = &self.subject else { return };
        self.note_entries(comparison);
        if Precision::from_name(&self.profile.name).is_none() {
            return;
        }
        let set = subject.set.clone();
        if figures::is_another(self.reference, subject) {
            comparison.remarks.push(RemarkKind::AnotherSet { set }.into());
            return;
        }
        let committed = self.reference.manifest_path().is_some_and(|(root, _)| set::is_committed(root));
        let absent = [
            (FigureFile::Tolerances, self.tolerances.is_none()),
            (FigureFile::Errors, matches!(self.known, Known::None)),
        ];
        for (file, _) in absent.into_iter().filter(|(_, absent)| committed && *absent) {
            let (of, profile) = (file.kind(), self.profile.name.clone());
            let again = file.again_for(&profile, &set);
            let kind = RemarkKind::NoFigures { of, set: set.clone(), profile };
            comparison.remarks.push(Remark::advised(kind, again));
            if paths::is_default(self.mapping) {
                comparison.expect_entries(of, std::iter::empty(), self.is_of_the_encoder());
            }
        }
    }

    /// Whether the candidate is the encoder: of others, what a folder lacks is missing already.
    fn is_of_the_encoder(&self) -> bool {
        matches!(self.known, Known::None | Known::OfEncoder(_))
    }

    fn note_entries(&self, comparison: &mut Comparison) {
        let ours = self.is_of_the_encoder();
        if let Known::OfPort(errors) = &self.known {
            let entries = errors.layers.iter().map(|l| (l.name.as_str(), l.reference.as_str()));
            comparison.expect_entries(FigureKind::KnownErrors, entries, true);
        }
        if paths::is_default(self.mapping) {
            if let Some(tolerances) = &self.tolerances {
                let entries = tolerances.layers.iter().map(|l| (l.name.as_str(), l.reference.as_str()));
                comparison.expect_entries(FigureFile::Tolerances.kind(), entries, ours);
            }
            if let Known::OfEncoder(errors) = &self.known {
                let entries = errors.layers.iter().map(|l| (l.name.as_str(), l.reference.as_str()));
                comparison.expect_entries(FigureFile::Errors.kind(), entries, ours);
            }
            if let (Some(locked), Some(subject), true) = (&self.locked, &self.subject, ours) {
                let entries = locked.pairs(&subject.set, &subject.profile);
                comparison.expect_entries(FigureKind::Coverage, entries, ours);
            }
        } else if let Some(tolerances) = &self.tolerances {
            let unknown = |layer: &&Layer| tolerances.layer(layer.pair_name(), &layer.reference).is_none();
            let layers = comparison.computed().filter(unknown).count();
            if layers > 0 {
                comparison.remarks.push(RemarkKind::NotDerived { layers }.into());
            }
        }
    }
}

/// Known errors are of a set.
pub(crate) fn no_set(reference: &Reference) -> Failure {
    Failure::usage(
        format!(
            "{}: known errors are kept of a set, which has a manifest.json that tells it from others",
            paths::shown(reference.folder())
        ),
        "make one of the reference: cargo xtask set make --help",
    )
}

/// The derived tolerances of a reference, where it is a set that has some.
pub(crate) fn tolerances(reference: &Reference, profile: &str) -> Result<Option<DerivedTolerances>, Failure> {
    let Some(subject) = kept(reference, profile, FigureFile::Tolerances)? else { return Ok(None) };
    let path = FigureFile::Tolerances.path(&subject);
    let fail = figures::unusable(FigureFile::Tolerances, &subject);
    let tolerances = DerivedTolerances::read(&path, &subject, &dates::days_until)
        .map_err(|error| fail(error.to_string()))?;
    // Of f32 the manifest holds the floors; those of other precisions `fixtures check` computes anew.
    if profile == Precision::F32.name() {
        for layer in &tolerances.layers {
            let floor = reference.noise_floor(&layer.reference).map(|floor| floor.figures);
            if floor != Some(layer.noise_floor) {
                let message = format!(
                    "{}: `{}`: expected the noise floor of the set's manifest, found another",
                    path.display(),
                    layer.name
                );
                return Err(fail(message));
            }
        }
    }
    Ok(Some(tolerances))
}

/// The errors that the encoder is known to have on a reference, where it is a set that they are known of. None may be over
/// its layer's tolerance: a ratchet there holds nothing.
pub(crate) fn errors(
    reference: &Reference,
    profile: &str,
    tolerances: Option<&DerivedTolerances>,
) -> Result<Option<KnownErrors>, Failure> {
    let Some(subject) = kept(reference, profile, FigureFile::Errors)? else { return Ok(None) };
    let path = FigureFile::Errors.path(&subject);
    let fail = figures::unusable(FigureFile::Errors, &subject);
    let read = KnownErrors::read(&path, &subject, &dates::days_until);
    let errors = read.map_err(|error| fail(error.to_string()))?;
    check_errors(&errors, tolerances, &path).map_err(fail)?;
    Ok(Some(errors))
}

/// What the figures of a reference are of, where such a file of them is kept.
fn kept(reference: &Reference, profile: &str, file: FigureFile) -> Result<Option<Subject>, Failure> {
    let Some(subject) = figures::subject(reference, profile)? else { return Ok(None) };
    if paths::baselines().is_none() || !figures::is_there(&file.path(&subject))? {
        return Ok(None);
    }
    Ok((!figures::is_another(reference, &subject)).then_some(subject))
}

/// Refuses known errors over their tolerances, and conditions that the encoder does not know.
pub(crate) fn check_errors(
    errors: &KnownErrors,
    tolerances: Option<&DerivedTolerances>,
    path: &Path,
) -> Result<(), String> {
    for layer in &errors.layers {
        if let Some(unknown) = layer.errors.keys().find(|conditions| !are_conditions(conditions)) {
            let known = Isa::ALL.map(Isa::name).join(", ");
            return Err(format!(
                "{}: `{}`: expected an architecture and an instruction set ({known}), found `{unknown}`",
                path.display(),
                layer.name
            ));
        }
    }
    match tolerances {
        Some(tolerances) => errors.check_within(tolerances, path).map_err(|error| error.to_string()),
        None => Ok(()),
    }
}
