//! The errors that a program is known to have, layer by layer and for each instruction set: a ratchet under the tolerances.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::derived::DerivedTolerances;
use super::file::{self, FigureKind, FileError, Versioned};
use super::metric::{Figures, Metric};
use super::subject::{DaysUntil, Subject, duplicate, not_past};

/// The version of the schema that this program reads and writes.
pub const SCHEMA_VERSION: u32 = 2;
/// How much worse than its known error a layer may be under conditions that were measured. There a program gives the same
/// bits whatever the number of threads; the rest is for compilers, which may order a sum of squares in another way.
const MEASURED_ALLOWED: f64 = 1.05;
/// Under conditions that were not measured: the square of how far the measured ones are apart, within these bounds. The
/// maximum of a layer varies more than its sum of squares; three times worse is too much in both.
const REL_L2_ALLOWED: (f64, f64) = (1.9, 2.5);
const REL_LINF_ALLOWED: (f64, f64) = (2.5, 2.9);
/// Errors this small are rounding of the stored reference.
pub(crate) const ROUNDING: f64 = super::tolerance::STORAGE_FLOOR / 2.0;
/// A program that is this far off is not known, it is broken.
const MAX_ERROR: f64 = 1.0;

/// Known errors that cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what its fields are")]
pub enum KnownErrorsError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{}: {what}: expected {expected}, found {found}", crate::text::shown::path(path))]
    Unsound { path: PathBuf, what: String, expected: &'static str, found: String },
    #[error(
        "{}: `{layer}`: expected known errors within the tolerance ({:.3e}, {:.3e}), found {:.3e}, {:.3e} on {conditions}",
        crate::text::shown::path(path), tolerance.rel_l2, tolerance.rel_linf, error.rel_l2, error.rel_linf
    )]
    OverTolerance { path: PathBuf, layer: String, tolerance: Figures, error: Figures, conditions: String },
}

/// An error as it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownError {
    /// ‖d‖ / ‖b‖.
    pub rel_l2: f64,
    /// max |d| / max |b|.
    pub rel_linf: f64,
    /// The day on which it was measured, such as `2026-11-24`.
    pub date: String,
    /// The program and its version.
    pub program: String,
}

impl KnownError {
    /// Both metrics.
    pub fn figures(&self) -> Figures {
        Figures { rel_l2: self.rel_l2, rel_linf: self.rel_linf }
    }
}

/// The known errors of a layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerErrors {
    /// The candidate's name.
    pub name: String,
    /// The reference's name.
    pub reference: String,
    /// By the conditions under which the program gives the same bits, such as `x86_64 avx2`.
    pub errors: BTreeMap<String, KnownError>,
}

/// The known errors of a program on one set under one profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownErrors {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The set and the profile.
    pub subject: Subject,
    /// In a file that waits for a review: the SHA-256 of the accepted one that it was measured beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<String>,
    /// In the order of execution.
    pub layers: Vec<LayerErrors>,
}

/// A figure beside its known error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The metric.
    pub metric: Metric,
    /// The known error; where it is less than the rounding of the stored reference, that.
    pub old: f64,
    /// This run's.
    pub new: f64,
    /// The factor that a layer may be worse by.
    pub allowed: f64,
}

/// What became of a layer since its errors became known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trend {
    /// In one metric or both, by more than is allowed; the metric that is worse by most.
    Worse(Change),
    /// Not worse, and better by more than is allowed; the metric that is better by most.
    Better(Change),
    /// Neither.
    Same,
}

impl LayerErrors {
    /// Holds a run's errors against the known ones, under the run's conditions or, where those were not measured, against
    /// the range of all that were.
    pub fn trend(&self, new: Figures, conditions: &str) -> Trend {
        // With each change by which factor it is worse than the largest known error, and better than the smallest.
        let changes = Metric::ALL.map(|metric| {
            let (least, most) = match metric {
                Metric::RelL2 => REL_L2_ALLOWED,
                Metric::RelLinf => REL_LINF_ALLOWED,
            };
            let known = |error: &KnownError| error.figures().of(metric).max(ROUNDING);
            let (largest, smallest, allowed) = match self.errors.get(conditions) {
                Some(error) => (known(error), known(error), MEASURED_ALLOWED),
                None => {
                    let largest = self.errors.values().map(known).fold(ROUNDING, f64::max);
                    let smallest = self.errors.values().map(known).fold(largest, f64::min);
                    (largest, smallest, (largest / smallest).powi(2).clamp(least, most))
                }
            };
            let new = new.of(metric);
            let worse = if new.is_nan() { f64::INFINITY } else { new / largest };
            let better = smallest / new.max(ROUNDING);
            (Change { metric, old: largest, new, allowed }, worse, better)
        });
        let breaks = |(change, worse, _): &(Change, f64, f64)| *worse > change.allowed;
        let worst = changes.into_iter().filter(breaks).max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((change, ..)) = worst {
            return Trend::Worse(change);
        }
        let gains = |(change, _, better): &(Change, f64, f64)| *better > change.allowed;
        match changes.into_iter().filter(gains).max_by(|a, b| a.2.total_cmp(&b.2)) {
            Some((change, ..)) => Trend::Better(change),
            None => Trend::Same,
        }
    }
}

/// A layer whose measured errors are not those that were accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The candidate's name.
    pub name: String,
    /// The reference's name.
    pub reference: String,
    /// What was accepted; `None` for a layer that is new.
    pub old: Option<LayerErrors>,
    /// What was measured; `None` for a layer that is gone.
    pub new: Option<LayerErrors>,
}

impl Versioned for KnownErrors {
    const SCHEMA_VERSION: u32 = SCHEMA_VERSION;
    const KIND: FigureKind = FigureKind::KnownErrors;
    type Entry = LayerErrors;

    fn subject(&self) -> &Subject {
        &self.subject
    }

    fn layers(&self) -> &[LayerErrors] {
        &self.layers
    }
}

impl KnownErrors {
    /// Reads known errors, which must be of `subject`.
    ///
    /// # Errors
    /// Malformed files, files of another set, and impossible error values.
    pub fn read(
        path: &Path,
        subject: &Subject,
        days_until: &DaysUntil<'_>,
    ) -> Result<KnownErrors, KnownErrorsError> {
        let known: KnownErrors = file::read(path, subject)?;
        known.check(path, days_until)?;
        Ok(known)
    }

    /// Reads known errors as they are written, whatever they are of.
    ///
    /// # Errors
    /// Malformed files.
    pub fn parse(path: &Path) -> Result<KnownErrors, KnownErrorsError> {
        Ok(file::parse(path)?)
    }

    /// Refuses impossible error values.
    ///
    /// # Errors
    /// The first of them.
    pub fn check(&self, path: &Path, days_until: &DaysUntil<'_>) -> Result<(), KnownErrorsError> {
        let unsound = |what: String, expected, found: String| {
            Err(KnownErrorsError::Unsound { path: path.to_path_buf(), what, expected, found })
        };
        if let Some((name, reference)) = duplicate(self.layers.iter().map(|l| (&l.name, &l.reference))) {
            return unsound(format!("`{name}`"), "one entry for each pair", format!("two of {reference}"));
        }
        for layer in &self.layers {
            if layer.errors.is_empty() {
                let what = format!("`{}`", layer.name);
                return unsound(what, "errors of at least one instruction set", "none".into());
            }
            for (conditions, error) in &layer.errors {
                let what = || format!("`{}` on {conditions}", layer.name);
                let sound = |figure: &f64| (0.0..=MAX_ERROR).contains(figure);
                if let Some(found) = [error.rel_l2, error.rel_linf].into_iter().find(|figure| !sound(figure))
                {
                    return unsound(what(), "figures from 0 to 1", format!("{found:e}"));
                }
                if let Some(found) = not_past(&error.date, days_until) {
                    return unsound(what(), "a day that is past, such as 2026-11-24", found);
                }
            }
        }
        Ok(())
    }

    /// Refuses errors over their layer's tolerance: a ratchet there holds nothing.
    ///
    /// # Errors
    /// The first of them.
    pub fn check_within(&self, tolerances: &DerivedTolerances, path: &Path) -> Result<(), KnownErrorsError> {
        for layer in &self.layers {
            let Some(entry) = tolerances.layer(&layer.name, &layer.reference) else { continue };
            let over = |(_, known): &(&String, &KnownError)| {
                let known = known.figures();
                Metric::ALL.into_iter().any(|metric| known.of(metric) > entry.tolerance.of(metric))
            };
            if let Some((conditions, known)) = layer.errors.iter().find(over) {
                return Err(KnownErrorsError::OverTolerance {
                    path: path.to_path_buf(),
                    layer: layer.name.clone(),
                    tolerance: entry.tolerance,
                    error: known.figures(),
                    conditions: conditions.clone(),
                });
            }
        }
        Ok(())
    }

    /// Writes them as a whole.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn write(&self, path: &Path) -> Result<(), KnownErrorsError> {
        Ok(file::write(self, path)?)
    }

    /// The known errors of a pair.
    pub fn layer(&self, name: &str, reference: &str) -> Option<&LayerErrors> {
        self.layers.iter().find(|layer| layer.name == name && layer.reference == reference)
    }

    /// What was measured here, with what `older` knows of conditions that were not measured this time.
    pub fn with_conditions_of(mut self, older: &KnownErrors) -> KnownErrors {
        for layer in &mut self.layers {
            if let Some(old) = older.layer(&layer.name, &layer.reference) {
                for (conditions, error) in &old.errors {
                    layer.errors.entry(conditions.clone()).or_insert_with(|| error.clone());
                }
            }
        }
        self
    }

    /// The layers of `measured` whose errors are not those known here, and those known here that it has no
    /// more, in the order of execution. The day of a measurement is no difference, nor is the program.
    pub fn differences(&self, measured: &KnownErrors) -> Vec<Difference> {
        let difference = |name: &str, reference: &str| Difference {
            name: name.to_string(),
            reference: reference.to_string(),
            old: self.layer(name, reference).cloned(),
            new: measured.layer(name, reference).cloned(),
        };
        let figures = |layer: &LayerErrors| -> Vec<(String, Figures)> {
            layer.errors.iter().map(|(conditions, error)| (conditions.clone(), error.figures())).collect()
        };
        let all = measured.layers.iter().map(|layer| difference(&layer.name, &layer.reference));
        let gone = self.layers.iter().map(|layer| difference(&layer.name, &layer.reference));
        let gone = gone.filter(|difference| difference.new.is_none());
        all.filter(|d| d.old.as_ref().map(figures) != d.new.as_ref().map(figures)).chain(gone).collect()
    }

    /// Puts the layers of `other` in the place of its own, for the pairs of `differences`: changed, added where
    /// they stand in `other`, or taken out.
    pub fn take(&mut self, other: &KnownErrors, differences: &[&Difference]) {
        for Difference { name, reference, .. } in differences {
            let place = |layers: &[LayerErrors], name: &str, reference: &str| {
                layers.iter().position(|layer| layer.name == name && layer.reference == reference)
            };
            match (place(&self.layers, name, reference), other.layer(name, reference)) {
                (Some(own), Some(layer)) => self.layers[own] = layer.clone(),
                (Some(own), None) => {
                    self.layers.remove(own);
                }
                (None, Some(layer)) => {
                    let before = other.layers.iter().take_while(|before| *before != layer);
                    let after = before
                        .filter_map(|before| place(&self.layers, &before.name, &before.reference))
                        .max();
                    self.layers.insert(after.map_or(0, |after| after + 1), layer.clone());
                }
                (None, None) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(rel_l2: f64, rel_linf: f64) -> Figures {
        Figures { rel_l2, rel_linf }
    }

    fn errors(of: &[(&str, f64, f64)]) -> BTreeMap<String, KnownError> {
        let error = |(conditions, rel_l2, rel_linf): &(&str, f64, f64)| {
            let (date, program) = ("2026-11-24".to_string(), "p 1".to_string());
            (conditions.to_string(), KnownError { rel_l2: *rel_l2, rel_linf: *rel_linf, date, program })
        };
        of.iter().map(error).collect()
    }

    fn layer(name: &str, of: &[(&str, f64, f64)]) -> LayerErrors {
        LayerErrors { name: name.into(), reference: name.into(), errors: errors(of) }
    }

    fn known(layers: Vec<LayerErrors>) -> KnownErrors {
        let subject = Subject { set: "s".into(), profile: "f32".into(), manifest_sha256: "12ab".into() };
        KnownErrors { schema_version: SCHEMA_VERSION, subject, beside: None, layers }
    }

    #[test]
    fn what_was_measured_may_hardly_worsen_in_either_metric() {
        let known = layer("a", &[("one", 1e-6, 4e-6), ("two", 2e-6, 8e-6)]);
        assert_eq!(known.trend(figures(1.04e-6, 4.1e-6), "one"), Trend::Same);
        let metric = |new, conditions| match known.trend(new, conditions) {
            Trend::Worse(change) => change.metric,
            other => panic!("expected worse, found {other:?}"),
        };
        assert_eq!(metric(figures(1.06e-6, 4e-6), "one"), Metric::RelL2);
        assert_eq!(metric(figures(1e-6, 4.3e-6), "one"), Metric::RelLinf);
        // Three times worse in one metric, while the other is much better.
        assert_eq!(metric(figures(3e-6, 1e-6), "one"), Metric::RelL2);
        assert_eq!(metric(figures(1e-7, 12e-6), "one"), Metric::RelLinf);
        assert_eq!(metric(figures(6e-6, 8e-6), "two"), Metric::RelL2);
    }

    #[test]
    fn what_was_not_measured_may_be_as_far_off_as_the_measured_are_apart() {
        let near = layer("a", &[("one", 1e-6, 1e-6)]);
        assert_eq!(near.trend(figures(1.8e-6, 2.4e-6), "other"), Trend::Same);
        assert!(matches!(near.trend(figures(2e-6, 1e-6), "other"), Trend::Worse(_)));
        assert!(matches!(near.trend(figures(1e-6, 2.6e-6), "other"), Trend::Worse(_)));
        let far = layer("a", &[("one", 1e-6, 1e-6), ("two", 1e-5, 1e-5)]);
        assert_eq!(far.trend(figures(2.4e-5, 2.8e-5), "other"), Trend::Same);
        // However far apart they are: three times the largest.
        assert!(matches!(far.trend(figures(3e-5, 1e-5), "other"), Trend::Worse(_)));
        assert!(matches!(far.trend(figures(1e-5, 3e-5), "other"), Trend::Worse(_)));
        // The metric that breaks its bound is named, though the other is worse by a larger factor.
        let Trend::Worse(change) = near.trend(figures(2e-6, 2.4e-6), "other") else {
            panic!("expected worse")
        };
        assert_eq!((change.metric, change.allowed), (Metric::RelL2, REL_L2_ALLOWED.0));
    }

    #[test]
    fn nan_is_worse() {
        let known = layer("a", &[("one", 1e-6, 1e-6)]);
        for conditions in ["one", "other"] {
            assert!(matches!(known.trend(figures(f64::NAN, 0.0), conditions), Trend::Worse(_)));
            assert!(matches!(known.trend(figures(0.0, f64::NAN), conditions), Trend::Worse(_)));
        }
    }

    #[test]
    fn a_layer_that_improves_is_told() {
        let known = layer("a", &[("one", 1e-6, 1e-6)]);
        let Trend::Better(change) = known.trend(figures(9e-7, 1e-6), "one") else {
            panic!("expected better")
        };
        assert_eq!((change.metric, change.old, change.new), (Metric::RelL2, 1e-6, 9e-7));
        let exact = layer("a", &[("one", 0.0, 0.0)]);
        assert_eq!(exact.trend(figures(0.0, 0.0), "one"), Trend::Same);
    }

    #[test]
    fn only_what_is_accepted_changes_and_the_rest_stays_pending() {
        let (one, two) = ([("x", 0.1, 0.1)], [("x", 0.2, 0.2)]);
        let at = |names: &[&str], of| names.iter().map(|name| layer(name, of)).collect::<Vec<_>>();
        let mut accepted = known(at(&["a", "b", "c", "gone", "lost"], &one));
        let mut pending = known(at(&["a", "new", "b", "newer"], &two));
        pending.layers.push(layer("c", &one));
        let differences = accepted.differences(&pending);
        let names: Vec<&str> = differences.iter().map(|difference| difference.name.as_str()).collect();
        assert_eq!(names, ["a", "new", "b", "newer", "gone", "lost"]);
        let of = |names: &[&str]| -> Vec<&Difference> {
            differences.iter().filter(|difference| names.contains(&difference.name.as_str())).collect()
        };
        let old = accepted.clone();
        accepted.take(&pending, &of(&["a", "new", "gone"]));
        pending.take(&old, &of(&["b", "lost"]));
        let names = |known: &KnownErrors| {
            let name = |layer: &LayerErrors| format!("{} {}", layer.name, layer.errors["x"].rel_l2);
            known.layers.iter().map(name).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(names(&accepted), "a 0.2, new 0.2, b 0.1, c 0.1, lost 0.1");
        let left = accepted.differences(&pending);
        assert_eq!(left.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(), ["newer"]);
    }

    #[test]
    fn what_was_not_measured_again_stays_known() {
        let old = known(vec![layer("a", &[("one", 0.1, 0.1), ("two", 0.1, 0.1)])]);
        let new = known(vec![layer("a", &[("one", 0.2, 0.2)])]).with_conditions_of(&old);
        assert_eq!(new.layers, [layer("a", &[("one", 0.2, 0.2), ("two", 0.1, 0.1)])]);
        assert_eq!(old.differences(&new).len(), 1);
    }

    #[test]
    fn errors_that_cannot_have_been_measured_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.json");
        let sound = known(vec![layer("a", &[("one", 0.1, 0.1)])]);
        let days_until =
            |date: &str| date.strip_prefix("2026-11-").map(|day| day.parse::<i64>().unwrap() - 24);
        let read = |change: &dyn Fn(&mut KnownErrors)| {
            let mut known = sound.clone();
            change(&mut known);
            known.write(&path).unwrap();
            let read = KnownErrors::read(&path, &sound.subject, &days_until);
            read.map_err(|error| error.to_string().replace(&path.display().to_string(), "e.json"))
        };
        assert_eq!(read(&|_| {}).unwrap(), sound);
        let of_one = |errors: &mut KnownErrors, change: fn(&mut KnownError)| {
            change(errors.layers[0].errors.get_mut("one").unwrap());
        };
        let messages = [
            read(&|errors| of_one(errors, |error| error.rel_l2 = 1e300)),
            read(&|errors| of_one(errors, |error| error.rel_linf = -1.0)),
            read(&|errors| of_one(errors, |error| error.date = "2026-11-28".into())),
            read(&|errors| of_one(errors, |error| error.date = "today".into())),
            read(&|errors| errors.layers[0].errors.clear()),
            read(&|errors| errors.layers.push(errors.layers[0].clone())),
            read(&|errors| errors.subject.profile = "bf16".into()),
            read(&|errors| errors.schema_version = 1),
        ];
        insta::assert_snapshot!(messages.map(Result::unwrap_err).join("\n"));
        std::fs::write(&path, "").unwrap();
        let empty = KnownErrors::read(&path, &sound.subject, &days_until).unwrap_err().to_string();
        assert!(empty.contains("expected known errors, found EOF"), "{empty}");
    }
}
