//! What the gate must compare, as it was last reviewed: `baselines/coverage.json`. A set, a layer or a profile that is on this
//! list and not compared fails the gate, so that shrinking it is a change that somebody accepts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use encoder::Precision;
use harness::files::{atomic, regular};
use harness::limits::known_errors::KnownErrors;
use harness::limits::subject::Subject;
use serde::{Deserialize, Serialize};

use super::figures::{self, FigureFile};
use super::set;
use crate::shell::failure::Failure;
use crate::shell::paths;

const FILE_NAME: &str = "coverage.json";
const SCHEMA_VERSION: u32 = 1;
/// What makes the list again from what is there.
const REVIEW: &str = "cargo xtask baseline review";

/// The list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LockedCoverage {
    schema_version: u32,
    /// The sets in `fixtures/`, by name.
    sets: BTreeMap<String, LockedSet>,
    /// The names of those in `fixtures/inner/`, which are compared under the mapping of operations.
    inner: BTreeSet<String>,
}

/// What must be compared of a set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LockedSet {
    /// Under each of these.
    profiles: BTreeSet<String>,
    /// The candidate's name and the reference's of every pair.
    layers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct ListVersion {
    schema_version: u32,
}

impl LockedCoverage {
    /// The list of the checkout; `None` where it keeps none.
    pub(crate) fn read() -> Result<Option<LockedCoverage>, Failure> {
        let Some(path) = path() else { return Ok(None) };
        if !figures::is_there(&path)? {
            return Ok(None);
        }
        let shown = paths::shown(&path);
        let restore = format!("git restore baselines, or remove it and run {REVIEW}");
        let unusable = |found: String| Failure::usage(format!("{shown}: {found}"), restore.clone());
        let bytes = regular::read(&path).map_err(|error| unusable(format!("cannot be read: {error}")))?;
        let json = |error: serde_json::Error| unusable(format!("expected a list of sets, found {error}"));
        // The version first: of another one nothing else is known.
        match serde_json::from_slice(&bytes).map_err(json)? {
            ListVersion { schema_version: SCHEMA_VERSION } => serde_json::from_slice(&bytes).map_err(json),
            ListVersion { schema_version: found } => {
                Err(unusable(format!("expected schema_version {SCHEMA_VERSION}, found {found}")))
            }
        }
    }

    /// The list, for what cannot go without.
    pub(crate) fn required() -> Result<LockedCoverage, Failure> {
        LockedCoverage::read()?.ok_or_else(|| {
            let shown = path().map_or(FILE_NAME.to_string(), |path| paths::shown(&path));
            Failure::uncovered(
                format!("{shown}: not there: nothing says which sets must be compared"),
                format!("git restore baselines; {REVIEW} makes it from the known errors that are there"),
            )
        })
    }

    /// What is there to be compared: the sets with known errors, and those of operations.
    pub(crate) fn found() -> Result<LockedCoverage, Failure> {
        let mut sets = BTreeMap::new();
        for path in set::committed()? {
            let name = folder_name(&path);
            let mut found = LockedSet::default();
            for precision in Precision::ALL {
                let profile = precision.name().to_string();
                let subject = Subject { set: name.clone(), profile, manifest_sha256: String::new() };
                let path = FigureFile::Errors.path(&subject);
                if !figures::is_there(&path)? {
                    continue;
                }
                let errors = KnownErrors::parse(&path)
                    .map_err(|error| figures::unusable(FigureFile::Errors, &subject)(error.to_string()))?;
                let pairs = errors.layers.into_iter().map(|layer| (layer.name, layer.reference));
                found.layers.extend(pairs);
                found.profiles.insert(subject.profile);
            }
            sets.insert(name, found);
        }
        let inner = set::with_inner()?;
        Ok(LockedCoverage {
            schema_version: SCHEMA_VERSION,
            sets,
            inner: inner.iter().map(|path| folder_name(path)).collect(),
        })
    }

    /// A list of nothing.
    fn empty() -> LockedCoverage {
        LockedCoverage { schema_version: SCHEMA_VERSION, sets: BTreeMap::new(), inner: BTreeSet::new() }
    }

    /// The profiles under which any set must be compared.
    pub(crate) fn profiles(&self) -> BTreeSet<&str> {
        self.sets.values().flat_map(|set| &set.profiles).map(String::as_str).collect()
    }

    /// The folders of the sets that are compared under the mapping of operations; all that are there must be on the list.
    pub(crate) fn inner(&self) -> Result<Vec<PathBuf>, Failure> {
        let there = set::with_inner()?;
        let names: BTreeSet<String> = there.iter().map(|path| folder_name(path)).collect();
        if let Some(gone) = self.inner.difference(&names).next() {
            return Err(gone_without_review(&format!("inner/{gone}"), "its operations"));
        }
        if let Some(new) = names.difference(&self.inner).next() {
            return Err(Failure::uncovered(
                format!("fixtures/inner/{new}: not on the list {FILE_NAME} of what must be compared"),
                REVIEW,
            ));
        }
        Ok(there)
    }

    /// Refuses sets of which one is missing.
    pub(crate) fn require(&self, sets: &[PathBuf]) -> Result<(), Failure> {
        let is_there =
            |name: &String| sets.iter().any(|path| path.file_name().is_some_and(|of| of == name.as_str()));
        let gone: Vec<(&String, &LockedSet)> = self.sets.iter().filter(|(name, _)| !is_there(name)).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = gone.iter().map(|(name, _)| name.as_str()).collect();
        let layers: usize = gone.iter().map(|(_, set)| set.layers.len()).sum();
        Err(gone_without_review(&names.join(", "), &format!("{layers} layers")))
    }

    /// The pairs of a set under a profile; none where it is not on the list.
    pub(crate) fn pairs(&self, set: &str, profile: &str) -> impl Iterator<Item = (&str, &str)> {
        let set = self.sets.get(set).filter(|set| set.profiles.contains(profile));
        set.into_iter()
            .flat_map(|set| &set.layers)
            .map(|(name, reference)| (name.as_str(), reference.as_str()))
    }

    /// Writes it into the checkout.
    fn write(&self) -> Result<(), Failure> {
        let Some(path) = path() else { return Ok(()) };
        let text = serde_json::to_string_pretty(self).map_err(Failure::unreadable)? + "\n";
        atomic::write(&path, |out| out.write_all(text.as_bytes()))
            .map_err(|error| Failure::write(&path, &error))
    }
}

/// A set that is on the list and not there.
fn gone_without_review(sets: &str, what: &str) -> Failure {
    Failure::uncovered(
        format!(
            "fixtures: {sets}: must be compared ({FILE_NAME}), and is not there: {what} would go unchecked"
        ),
        format!("git restore fixtures baselines; where that is meant: {REVIEW}"),
    )
}

/// How what is there differs from what was reviewed.
#[derive(Debug)]
pub(crate) struct CoverageReview {
    reviewed: LockedCoverage,
    found: LockedCoverage,
    /// What is on the list and not there any more, a line each.
    pub(crate) gone: Vec<String>,
    /// What is there and not on the list.
    pub(crate) new: Vec<String>,
}

impl CoverageReview {
    /// Where they differ.
    pub(crate) fn open() -> Result<Option<CoverageReview>, Failure> {
        let reviewed = LockedCoverage::read()?.unwrap_or_else(LockedCoverage::empty);
        let found = LockedCoverage::found()?;
        let (gone, new) = (lacking(&reviewed, &found), lacking(&found, &reviewed));
        let differs = reviewed != found;
        Ok(differs.then_some(CoverageReview { reviewed, found, gone, new }))
    }

    /// The file.
    pub(crate) fn shown() -> String {
        path().map_or(FILE_NAME.to_string(), |path| paths::shown(&path))
    }

    /// Takes what is new, and takes what is gone off the list where that was accepted.
    pub(crate) fn settle(self, shrinks: bool) -> Result<(), Failure> {
        match shrinks {
            true => self.found.write(),
            false => self.reviewed.with(self.found).write(),
        }
    }
}

impl LockedCoverage {
    /// What is on either.
    fn with(mut self, other: LockedCoverage) -> LockedCoverage {
        for (name, set) in other.sets {
            let of = self.sets.entry(name).or_default();
            of.profiles.extend(set.profiles);
            for (layer, reference) in set.layers {
                // A pair that is on the list leaves it by consent alone.
                of.layers.entry(layer).or_insert(reference);
            }
        }
        self.inner.extend(other.inner);
        self
    }
}

/// What the first list has and the second one has not.
fn lacking(first: &LockedCoverage, second: &LockedCoverage) -> Vec<String> {
    let none = LockedSet::default();
    let mut lines = Vec::new();
    for (name, set) in &first.sets {
        let other = second.sets.get(name).unwrap_or(&none);
        let profiles: Vec<&str> = set.profiles.difference(&other.profiles).map(String::as_str).collect();
        let layers: Vec<&str> = set
            .layers
            .iter()
            .filter(|(layer, reference)| other.layers.get(*layer) != Some(reference))
            .map(|(layer, _)| layer.as_str())
            .collect();
        let of_layers = match layers.as_slice() {
            [] => None,
            [one] => Some(format!("layer {one}")),
            [one, ..] => Some(format!("{} layers, such as {one}", layers.len())),
        };
        let of_profiles = (!profiles.is_empty()).then(|| format!("under {}", profiles.join(", ")));
        let what: Vec<String> = of_layers.into_iter().chain(of_profiles).collect();
        if !what.is_empty() || !second.sets.contains_key(name) {
            let name = format!("set {name}");
            let what = (!what.is_empty()).then(|| what.join("; "));
            lines.push([Some(name), what].into_iter().flatten().collect::<Vec<_>>().join(": "));
        }
    }
    lines.extend(first.inner.difference(&second.inner).map(|name| format!("set inner/{name}")));
    lines
}

/// The file of the list.
pub(crate) fn path() -> Option<PathBuf> {
    paths::baselines().map(|folder| folder.join(FILE_NAME))
}

fn folder_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(layers: &[&str], profiles: &[&str]) -> LockedCoverage {
        let set = LockedSet {
            profiles: profiles.iter().map(ToString::to_string).collect(),
            layers: layers.iter().map(|name| (name.to_string(), format!("of_{name}"))).collect(),
        };
        LockedCoverage { sets: [("a".to_string(), set)].into(), ..LockedCoverage::empty() }
    }

    #[test]
    fn what_shrinks_and_what_grows_is_told_apart() {
        let (before, after) = (list(&["x", "y", "z"], &["f32", "bf16"]), list(&["x", "w"], &["f32"]));
        assert_eq!(lacking(&before, &after), ["set a: 2 layers, such as y; under bf16"]);
        assert_eq!(lacking(&after, &before), ["set a: layer w"]);
        assert_eq!(lacking(&before, &before), [""; 0]);
        assert_eq!(lacking(&list(&[], &[]), &LockedCoverage::empty()), ["set a"]);
    }

    #[test]
    fn what_was_not_accepted_stays_on_the_list() {
        let both = list(&["x", "y"], &["f32"]).with(list(&["x", "w"], &["bf16"]));
        assert_eq!(both, list(&["w", "x", "y"], &["bf16", "f32"]));
        assert_eq!(both.pairs("a", "bf16").count(), 3);
        let mut paired_anew = list(&["x"], &["f32"]);
        paired_anew.sets.get_mut("a").unwrap().layers.insert("x".into(), "of_another".into());
        assert_eq!(list(&["x"], &["f32"]).with(paired_anew), list(&["x"], &["f32"]));
        assert_eq!(both.pairs("a", "exact").count(), 0);
        assert_eq!(both.profiles().len(), 2);
    }

    #[test]
    fn a_set_that_is_gone_is_named() {
        let failure = list(&["x", "y"], &["f32"]).require(&[PathBuf::from("fixtures/b")]).unwrap_err();
        assert!(failure.message().contains("a: must be compared (coverage.json)"), "{}", failure.message());
        assert!(failure.message().contains("2 layers would go unchecked"), "{}", failure.message());
        assert!(list(&["x"], &["f32"]).require(&[PathBuf::from("fixtures/a")]).is_ok());
    }
}
