//! Where derived tolerances and known errors are kept, one folder for each reference set, and whether they still are of it.

use std::path::{Path, PathBuf};

use encoder::{Isa, Precision};
use harness::baseline::{Baseline, BaselineError, KnownError};
use harness::comparison::{Comparison, Layer};
use harness::figures::Figures;
use harness::recorded;
use harness::reference::Reference;
use harness::subject::Subject;
use harness::tolerances::{Tolerances, TolerancesError};

use crate::console::Failure;
use crate::{paths, set};

/// What of a set's figures is kept in a file.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Derived tolerances.
    Tolerances,
    /// Known errors.
    Errors,
    /// Errors that wait for a review.
    Pending,
}

impl Kind {
    /// The file of a set under a profile; both names are plain.
    pub(crate) fn path(self, subject: &Subject) -> PathBuf {
        let kind = match self {
            Kind::Tolerances => "tolerances.json",
            Kind::Errors => "errors.json",
            Kind::Pending => "errors.json.new",
        };
        paths::baselines().join(&subject.set).join(format!("{}.{kind}", subject.profile))
    }

    /// What people call what it holds.
    fn name(self) -> &'static str {
        match self {
            Kind::Tolerances => "derived tolerances",
            Kind::Errors | Kind::Pending => "known errors",
        }
    }

    /// The command that makes that of one set: of others it would forget what only other machines can measure.
    pub(crate) fn again_for(self, profile: &str, set: &str) -> String {
        format!("{} --set {set}", self.again(profile))
    }

    /// The command that makes it anew.
    pub(crate) fn again(self, profile: &str) -> String {
        let action = match self {
            Kind::Tolerances => "derive",
            Kind::Errors | Kind::Pending => "measure",
        };
        format!("cargo xtask baseline {action}{}", option(profile))
    }
}

/// The option that names a profile, where it is not the one that is taken by itself.
pub(crate) fn option(profile: &str) -> String {
    match profile {
        "f32" => String::new(),
        other => format!(" --profile {other}"),
    }
}

/// The day in UTC.
fn today() -> jiff::civil::Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// The day in UTC, such as `2026-11-24`.
pub(crate) fn today_as_text() -> String {
    today().to_string()
}

/// Days from today until a date such as `2026-12-31`; `None` where the text is no date of the calendar.
pub(crate) fn days_until(text: &str) -> Option<i64> {
    let date: jiff::civil::Date = text.parse().ok()?;
    (date.to_string() == text).then(|| date.duration_since(today()).as_hours() / 24)
}

/// Whether this is continuous integration, where nothing may be written.
pub(crate) fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false" && ci != "0")
}

/// Refuses to write where `CI` is set.
pub(crate) fn refuse_in_ci() -> Result<(), Failure> {
    match in_ci() {
        true => Err(Failure::usage(
            "CI is set: nothing is written",
            "run this where you work, and commit what it writes",
        )),
        false => Ok(()),
    }
}

/// The conditions under which the encoder gives the same bits: the kernels, and what the compiler made of portable ones.
pub(crate) fn conditions(isa: Isa, strict_fma: bool) -> String {
    let fused = if isa == Isa::Portable && cfg!(target_feature = "fma") { " with fma" } else { "" };
    let strict = if isa == Isa::Amx && strict_fma { " by fma alone" } else { "" };
    format!("{} {isa}{fused}{strict}", std::env::consts::ARCH)
}

/// Whether a text is one that [`conditions`] makes, on this or another architecture.
fn are_conditions(text: &str) -> bool {
    let mut words = text.splitn(3, ' ');
    let arch = words.next().unwrap_or_default();
    let isa = words.next().and_then(Isa::from_name);
    let of_isa = match words.next() {
        None => isa.is_some(),
        Some("with fma") => isa == Some(Isa::Portable),
        Some("by fma alone") => isa == Some(Isa::Amx),
        Some(_) => false,
    };
    // Only the portable kernels are for other architectures.
    let other = isa == Some(Isa::Portable) && set::is_plain(arch);
    of_isa && (arch == "x86_64" || other)
}

/// What figures of a reference under a profile are of; `None` of what is no set. Refuses a name that would lead astray.
pub(crate) fn subject(reference: &Reference, profile: &str) -> Result<Option<Subject>, Failure> {
    let (Some(manifest), Some((root, path))) = (reference.manifest(), reference.manifest_path()) else {
        return Ok(None);
    };
    let set = set::name(manifest, root)?.to_string();
    if !set::is_plain(profile) {
        return Err(Failure::usage(
            format!(
                "profile `{profile}`: expected letters, digits, `-`, `_` and `.`: files are named after it"
            ),
            "give the profile another name in the mapping",
        ));
    }
    let manifest_sha256 = recorded::hash_file(&path).map_err(Failure::unreadable)?.sha256;
    Ok(Some(Subject { set, profile: profile.to_string(), manifest_sha256 }))
}

/// Whether a file is there. What stands in its place and is none is no absence.
pub(crate) fn is_there(path: &Path) -> Result<bool, Failure> {
    let found = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => error.to_string(),
        Ok(_) => match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => return Ok(true),
            Ok(metadata) if metadata.is_dir() => "a folder".to_string(),
            Ok(_) => "neither file nor folder".to_string(),
            Err(error) => format!("a link that leads nowhere ({error})"),
        },
    };
    Err(Failure::usage(
        format!("{}: expected a file or nothing, found {found}", paths::shown(path)),
        "git restore baselines, or remove what is there",
    ))
}

/// Whether a set outside the checkout's has the name of one, but is another.
fn is_another(reference: &Reference, subject: &Subject) -> bool {
    let Some((root, _)) = reference.manifest_path() else { return false };
    let committed = paths::fixtures().join(&subject.set).join(harness::manifest::FILE_NAME);
    !set::is_committed(root)
        && recorded::hash_file(&committed).is_ok_and(|hashed| hashed.sha256 != subject.manifest_sha256)
}

/// A failure to read such a file, with what to do.
fn unusable(kind: Kind, subject: &Subject) -> impl Fn(String) -> Failure + use<'_> {
    move |message| {
        let again = kind.again_for(&subject.profile, &subject.set);
        Failure::usage(
            message,
            format!("git restore baselines, mend the entry, or {again} and look at the difference"),
        )
    }
}

/// The derived tolerances of a reference, where it is a set that has some.
pub(crate) fn tolerances(reference: &Reference, profile: &str) -> Result<Option<Tolerances>, Failure> {
    let Some(subject) = subject(reference, profile)? else { return Ok(None) };
    let path = Kind::Tolerances.path(&subject);
    if !is_there(&path)? || is_another(reference, &subject) {
        return Ok(None);
    }
    let fail = unusable(Kind::Tolerances, &subject);
    let read = Tolerances::read(&path, &subject, &days_until);
    let tolerances = read.map_err(|error: TolerancesError| fail(error.to_string()))?;
    // Of f32 the manifest holds the floors; those of other precisions `fixtures check` computes anew.
    if profile == Precision::F32.name() {
        for layer in &tolerances.layers {
            let floor = reference.noise_floor(&layer.reference).map(|floor| floor.figures());
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
    tolerances: Option<&Tolerances>,
) -> Result<Option<Baseline>, Failure> {
    let Some(subject) = subject(reference, profile)? else { return Ok(None) };
    let path = Kind::Errors.path(&subject);
    if !is_there(&path)? || is_another(reference, &subject) {
        return Ok(None);
    }
    let read = Baseline::read(&path, &subject, &days_until);
    let fail = unusable(Kind::Errors, &subject);
    let errors = read.map_err(|error: BaselineError| fail(error.to_string()))?;
    check_errors(&errors, tolerances, &path).map_err(fail)?;
    Ok(Some(errors))
}

/// Refuses known errors over their tolerances, and conditions that the encoder does not know.
pub(crate) fn check_errors(
    errors: &Baseline,
    tolerances: Option<&Tolerances>,
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
        let tolerance = tolerances.and_then(|tolerances| tolerances.layer(&layer.name, &layer.reference));
        let Some(Figures { rel_l2, rel_linf }) = tolerance.map(|entry| entry.tolerance) else { continue };
        let over = |(_, known): &(&String, &KnownError)| known.rel_l2 > rel_l2 || known.rel_linf > rel_linf;
        if let Some((conditions, known)) = layer.errors.iter().find(over) {
            return Err(format!(
                "{}: `{}`: expected known errors within the tolerance ({rel_l2:.3e}, {rel_linf:.3e}), found {:.3e}, \
                 {:.3e} on {conditions}",
                path.display(),
                layer.name,
                known.rel_l2,
                known.rel_linf
            ));
        }
    }
    Ok(())
}

/// What a comparison was judged by.
pub(crate) struct Judged<'a> {
    pub(crate) reference: &'a Reference,
    pub(crate) profile: &'a str,
    pub(crate) tolerances: Option<&'a Tolerances>,
    /// Of a candidate that they are known of.
    pub(crate) errors: Option<Option<&'a Baseline>>,
    /// Whether the pairs are those of the default mapping, which the files are of.
    pub(crate) default_mapping: bool,
}

impl Judged<'_> {
    /// Holds a comparison against the files that it was judged by: a layer that they do not know is a matter of coverage,
    /// and so are an entry that the encoder does not meet and a file that a committed set should have.
    pub(crate) fn note(&self, comparison: &mut Comparison) -> Result<(), Failure> {
        let Some(subject) = subject(self.reference, self.profile)? else { return Ok(()) };
        // What a folder lacks is missing already.
        let ours = self.errors.is_some();
        if self.default_mapping {
            if let Some(tolerances) = self.tolerances {
                let entries = tolerances.layers.iter().map(|l| (l.name.as_str(), l.reference.as_str()));
                comparison.expect_entries(Kind::Tolerances.name(), entries, ours);
            }
            if let Some(Some(errors)) = self.errors {
                let entries = errors.layers.iter().map(|l| (l.name.as_str(), l.reference.as_str()));
                comparison.expect_entries(Kind::Errors.name(), entries, ours);
            }
        } else if let Some(tolerances) = self.tolerances {
            let known = |layer: &&Layer| tolerances.layer(layer.pair_name(), &layer.reference).is_none();
            let unknown = comparison.layers.iter().filter(known).count();
            if unknown > 0 {
                let remark =
                    format!("{unknown} layers have no derived tolerance: judged by the mapping's limits");
                comparison.remarks.push(remark);
            }
        }
        if Precision::from_name(self.profile).is_none() {
            return Ok(());
        }
        let set = &subject.set;
        if is_another(self.reference, &subject) {
            let remark = format!(
                "this is not the committed set {set}: it has no derived tolerances and no known errors"
            );
            comparison.remarks.push(remark);
            return Ok(());
        }
        let committed = self.reference.manifest_path().is_some_and(|(root, _)| set::is_committed(root));
        let absent = [
            (Kind::Tolerances, self.tolerances.is_none()),
            (Kind::Errors, matches!(self.errors, Some(None))),
        ];
        for (kind, _) in absent.into_iter().filter(|(_, absent)| committed && *absent) {
            comparison.remarks.push(format!(
                "there are no {} of set {set} under profile {}: that bound is gone; {}",
                kind.name(),
                self.profile,
                kind.again_for(self.profile, set)
            ));
            if self.default_mapping {
                comparison.expect_entries(kind.name(), std::iter::empty(), ours);
            }
        }
        Ok(())
    }
}
