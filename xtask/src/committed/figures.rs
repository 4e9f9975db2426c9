//! Where derived tolerances and known errors are kept, one folder for each reference set, and whether they still are of it.

use std::path::{Path, PathBuf};

use harness::limits::file::FigureKind;
use harness::limits::subject::Subject;
use harness::provenance::sha256;
use harness::reference::Reference;
use harness::reference::manifest;

use crate::committed::set;
use crate::shell::failure::Failure;
use crate::shell::paths;

/// What of a set's figures is kept in a file.
#[derive(Clone, Copy)]
pub(crate) enum FigureFile {
    /// Derived tolerances.
    Tolerances,
    /// Known errors.
    Errors,
    /// Errors that wait for a review.
    Pending,
}

impl FigureFile {
    /// The file of a set under a profile; both names are plain.
    pub(crate) fn path(self, subject: &Subject) -> PathBuf {
        let kind = match self {
            FigureFile::Tolerances => "tolerances.json",
            FigureFile::Errors => "errors.json",
            FigureFile::Pending => "errors.json.new",
        };
        let folder = paths::baselines().unwrap_or_default().join(&subject.set);
        folder.join(format!("{}.{kind}", subject.profile))
    }

    /// What it holds.
    pub(crate) fn kind(self) -> FigureKind {
        match self {
            FigureFile::Tolerances => FigureKind::DerivedTolerances,
            FigureFile::Errors | FigureFile::Pending => FigureKind::KnownErrors,
        }
    }

    /// The command that makes that of one set: of others it would forget what only other machines can measure.
    pub(crate) fn again_for(self, profile: &str, set: &str) -> String {
        format!("{} --set {set}", self.again(profile))
    }

    /// The command that makes it anew.
    pub(crate) fn again(self, profile: &str) -> String {
        let action = match self {
            FigureFile::Tolerances => "derive",
            FigureFile::Errors | FigureFile::Pending => "measure",
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

/// What figures of a reference under a profile are of; `None` where it is not a set. Refuses a name that would lead out
/// of the folder.
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
    let manifest_sha256 = sha256::hash_file(&path).map_err(Failure::unreadable)?.sha256;
    Ok(Some(Subject { set, profile: profile.to_string(), manifest_sha256 }))
}

/// Whether a file is there. Anything else at that path is an error, not an absence.
pub(crate) fn is_there(path: &Path) -> Result<bool, Failure> {
    let found = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => error.to_string(),
        Ok(_) => match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => return Ok(true),
            Ok(metadata) if metadata.is_dir() => "a folder".to_string(),
            Ok(_) => "a pipe or device".to_string(),
            Err(error) => format!("a link that leads nowhere ({error})"),
        },
    };
    Err(Failure::usage(
        format!("{}: expected a file or nothing, found {found}", paths::shown(path)),
        "git restore baselines, or remove what is there",
    ))
}

/// The SHA-256 of a file, where there is one.
pub(crate) fn hash(path: &Path) -> Result<Option<String>, Failure> {
    match is_there(path)? {
        true => Ok(Some(sha256::hash_file(path).map_err(Failure::unreadable)?.sha256)),
        false => Ok(None),
    }
}

/// Whether a set outside the checkout's has the name of one, but is another.
pub(crate) fn is_another(reference: &Reference, subject: &Subject) -> bool {
    let (Some((root, _)), Some(fixtures)) = (reference.manifest_path(), paths::fixtures()) else {
        return false;
    };
    let committed = fixtures.join(&subject.set).join(manifest::FILE_NAME);
    !set::is_committed(root)
        && sha256::hash_file(&committed).is_ok_and(|hashed| hashed.sha256 != subject.manifest_sha256)
}

/// A failure to read such a file, with what to do.
pub(crate) fn unusable(kind: FigureFile, subject: &Subject) -> impl Fn(String) -> Failure + use<'_> {
    move |message| {
        let again = kind.again_for(&subject.profile, &subject.set);
        Failure::usage(
            message,
            format!("git restore baselines, mend the entry, or {again} and look at the difference"),
        )
    }
}
