//! Where derived tolerances and known errors are kept, one folder for each reference set.

use std::path::PathBuf;

use harness::baseline::Baseline;
use harness::reference::Reference;
use harness::tolerances::Tolerances;

use crate::console::Failure;
use crate::paths;

/// The derived tolerances of a set under a profile.
pub(crate) fn tolerances_path(set: &str, profile: &str) -> PathBuf {
    paths::baselines().join(set).join(format!("{profile}.tolerances.json"))
}

/// The known errors of the encoder on a set under a profile.
pub(crate) fn errors_path(set: &str, profile: &str) -> PathBuf {
    paths::baselines().join(set).join(format!("{profile}.errors.json"))
}

/// Errors that wait for a review.
pub(crate) fn pending_path(set: &str, profile: &str) -> PathBuf {
    paths::baselines().join(set).join(format!("{profile}.errors.json.new"))
}

/// The day in UTC, such as `2026-11-24`.
pub(crate) fn today() -> String {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}

/// Whether this is continuous integration, where nothing may be written.
pub(crate) fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false" && ci != "0")
}

/// The derived tolerances of a reference, where it is a set that has some.
pub(crate) fn tolerances(reference: &Reference, profile: &str) -> Result<Option<Tolerances>, Failure> {
    let Some(manifest) = reference.manifest() else { return Ok(None) };
    let path = tolerances_path(&manifest.set, profile);
    if !path.is_file() {
        return Ok(None);
    }
    let again = "cargo xtask baseline derive";
    let tolerances = Tolerances::read(&path, &today()).map_err(|error| {
        Failure::usage(error.to_string(), format!("{again}, then look at the difference"))
    })?;
    for layer in &tolerances.layers {
        let floor = reference.noise_floor(&layer.reference).map(|floor| floor.figures());
        if floor != Some(layer.noise_floor) {
            let message = format!(
                "{}: `{}` has another noise floor than the manifest of the set: the tolerances are of another reference",
                path.display(),
                layer.name
            );
            return Err(Failure::usage(message, again));
        }
    }
    Ok(Some(tolerances))
}

/// The errors that the encoder is known to have on a reference, where it is a set that they are known of.
pub(crate) fn errors(reference: &Reference, profile: &str) -> Result<Option<Baseline>, Failure> {
    let Some(manifest) = reference.manifest() else { return Ok(None) };
    let path = errors_path(&manifest.set, profile);
    match path.is_file() {
        true => Baseline::read(&path).map(Some).map_err(Failure::unreadable),
        false => Ok(None),
    }
}
