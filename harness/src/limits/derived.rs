//! Derived tolerances of a reference set, as data: limit = k times a measured floor, with what it was measured on.
//!
//! The floor of a layer is the larger of the reference's own noise floor (its run in the profile's precision against its
//! f64 run) and the largest difference between runs of one program that differ only in instruction set.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::file::{self, FigureKind, FileError, Versioned};
use super::metric::{Figures, Metric};
use super::subject::{DaysUntil, Subject, duplicate, not_past};
use super::waiver::{self, Waiver, WaiverError, Waivers};

/// The version of the schema that this program reads and writes.
pub const SCHEMA_VERSION: u32 = 2;
/// A tolerance of more than this many floors sees too little.
pub const MAX_FACTOR: f64 = 16.0;

/// How far a stored tolerance may be from k times its floor: the rounding of its digits.
const EXACT: f64 = 1e-9;
/// A floor of more than this says that nothing was measured; runs in bf16 throughout have floors of up to 0.13.
const MAX_FLOOR: f64 = 0.15;
/// Under a larger tolerance a candidate of zeros, which is off by 1, would soon pass.
const MAX_TOLERANCE: f64 = 0.5;

/// Tolerances that cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what its fields are")]
pub enum DerivedTolerancesError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{}: {what}: expected {expected}, found {found}", crate::text::shown::path(path))]
    Unsound { path: PathBuf, what: String, expected: &'static str, found: String },
    #[error(
        "{}: `{layer}`: {metric} {tolerance:e} is not k ({k}) times its floor of {floor:e}, and has no waiver",
        crate::text::shown::path(path)
    )]
    NotDerived { path: PathBuf, layer: String, metric: Metric, tolerance: f64, k: f64, floor: f64 },
    #[error(
        "{}: `{layer}`: {metric} {tolerance:e} is {} its floor of {floor:e}; it needs a smaller k, or a waiver with a reason \
         and an expiry date",
        crate::text::shown::path(path),
        if tolerance < floor { "under".to_string() } else { format!("more than {MAX_FACTOR} times") }
    )]
    OutOfBounds { path: PathBuf, layer: String, metric: Metric, tolerance: f64, floor: f64 },
    #[error(
        "{}: `{layer}`: {metric} {tolerance:e} is more than {} times its noise floor of {floor:e}, which no waiver allows",
        crate::text::shown::path(path),
        waiver::MAX_FACTOR
    )]
    BeyondWaiving { path: PathBuf, layer: String, metric: Metric, tolerance: f64, floor: f64 },
    #[error(
        "{}: `{layer}`: the waiver of {metric} waives nothing: {tolerance:e} is k times its floor and within bounds; remove \
         it, or change the tolerance",
        crate::text::shown::path(path)
    )]
    Idle { path: PathBuf, layer: String, metric: Metric, tolerance: f64 },
    #[error("{}: `{layer}`: the waiver of {metric}: {source}", crate::text::shown::path(path))]
    Waiver { path: PathBuf, layer: String, metric: Metric, source: WaiverError },
}

/// The tolerance of one layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerTolerance {
    /// The candidate's name.
    pub name: String,
    /// The reference's name.
    pub reference: String,
    /// The reference's own noise floor.
    pub noise_floor: Figures,
    /// Largest difference between instruction sets and thread counts.
    pub spread: Figures,
    /// `k` times the larger of both.
    pub tolerance: Figures,
    /// Where the tolerance is another one.
    #[serde(default, skip_serializing_if = "Waivers::is_empty")]
    pub waivers: Waivers,
}

impl LayerTolerance {
    /// The larger of noise floor and spread.
    pub fn floor(&self) -> Figures {
        self.noise().max(self.spread)
    }

    /// The noise floor alone: the spread raises the least that a tolerance may be, not the most.
    fn noise(&self) -> Figures {
        let storage = super::tolerance::STORAGE_FLOOR;
        self.noise_floor.max(Figures::of_each(|_| storage))
    }

    /// Whether the tolerance is neither under its floor nor more than [`MAX_FACTOR`] noise floors.
    fn within_bounds(&self, metric: Metric) -> bool {
        (self.floor().of(metric)..=MAX_FACTOR * self.noise().of(metric)).contains(&self.tolerance.of(metric))
    }
}

/// What tolerances were measured with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredWith {
    /// The day, such as `2026-11-24`.
    pub date: String,
    /// The programs and their versions.
    pub versions: BTreeMap<String, String>,
    /// The instruction sets that were run.
    pub instruction_sets: Vec<String>,
    /// The thread counts that were run.
    pub threads: Vec<usize>,
}

/// The derived tolerances of one set under one profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DerivedTolerances {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The set and the profile.
    pub subject: Subject,
    /// What they were measured with.
    pub measured: MeasuredWith,
    /// Multiples of the floor.
    pub k: Figures,
    /// In the order of execution.
    pub layers: Vec<LayerTolerance>,
}

/// A waiver of older tolerances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarriedWaiver {
    /// The candidate's name of the layer.
    pub layer: String,
    /// What it waives.
    pub metric: Metric,
    /// The waiver.
    pub waiver: Waiver,
    /// Why it was not kept.
    pub dropped: Option<Dropped>,
}

/// Why a waiver of older tolerances was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// Its layer is gone.
    NoSuchLayer,
    /// What was derived now is as loose.
    NoSmaller,
    /// Its limit is under the floor that is measured now.
    UnderFloor,
    /// It does not hold today.
    Invalid(WaiverError),
}

impl Versioned for DerivedTolerances {
    const SCHEMA_VERSION: u32 = SCHEMA_VERSION;
    const KIND: FigureKind = FigureKind::DerivedTolerances;
    type Entry = LayerTolerance;

    fn subject(&self) -> &Subject {
        &self.subject
    }

    fn layers(&self) -> &[LayerTolerance] {
        &self.layers
    }
}

impl DerivedTolerances {
    /// Derives the tolerance of a layer.
    pub fn derive(
        name: &str,
        reference: &str,
        noise_floor: Figures,
        spread: Figures,
        k: Figures,
    ) -> LayerTolerance {
        let mut layer = LayerTolerance {
            name: name.to_string(),
            reference: reference.to_string(),
            noise_floor,
            spread,
            tolerance: noise_floor,
            waivers: Waivers::default(),
        };
        let floor = layer.floor();
        layer.tolerance = Figures::of_each(|metric| k.of(metric) * floor.of(metric));
        layer
    }

    /// Reads tolerances, which must be of `subject` and sound today.
    ///
    /// # Errors
    /// Malformed files, files of another set, tolerances that were not derived or are out of bounds, without a waiver
    /// that holds.
    pub fn read(
        path: &Path,
        subject: &Subject,
        days_until: &DaysUntil<'_>,
    ) -> Result<DerivedTolerances, DerivedTolerancesError> {
        let tolerances: DerivedTolerances = file::read(path, subject)?;
        tolerances.check(path, days_until)?;
        Ok(tolerances)
    }

    /// Reads tolerances as they are written, whatever they are of.
    ///
    /// # Errors
    /// Malformed files.
    pub fn parse(path: &Path) -> Result<DerivedTolerances, DerivedTolerancesError> {
        Ok(file::parse(path)?)
    }

    /// Refuses tolerances that are not what they say: k times a measured floor, within bounds, or waived today.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self, path: &Path, days_until: &DaysUntil<'_>) -> Result<(), DerivedTolerancesError> {
        let unsound = |what: &str, expected, found: String| {
            Err(DerivedTolerancesError::Unsound {
                path: path.to_path_buf(),
                what: what.to_string(),
                expected,
                found,
            })
        };
        let MeasuredWith { date, instruction_sets, threads, .. } = &self.measured;
        if let Some(found) = not_past(date, days_until) {
            return unsound("measured.date", "a day that is past, such as 2026-11-24", found);
        }
        if instruction_sets.is_empty() || threads.is_empty() {
            return unsound("measured", "instruction sets and thread counts that were run", "none".into());
        }
        for (what, k) in [("k.rel_l2", self.k.rel_l2), ("k.rel_linf", self.k.rel_linf)] {
            if !(1.0..=MAX_FACTOR).contains(&k) {
                return unsound(what, "a multiple of the floor from 1 to 16", k.to_string());
            }
        }
        if self.layers.is_empty() {
            return unsound("layers", "the layers of a model", "none".into());
        }
        if let Some((name, reference)) = duplicate(self.layers.iter().map(|l| (&l.name, &l.reference))) {
            return unsound(name, "one entry for each pair", format!("two of {reference}"));
        }
        self.layers.iter().try_for_each(|layer| layer.check(path, self.k, days_until))
    }

    /// Writes tolerances as a whole, one line for each layer.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn write(&self, path: &Path) -> Result<(), DerivedTolerancesError> {
        Ok(file::write(self, path)?)
    }

    /// Carries waivers over from older tolerances, with the tolerances that they are of, to where one is still asked for;
    /// what became of each.
    pub fn keep_waivers(
        &mut self,
        old: &DerivedTolerances,
        days_until: &DaysUntil<'_>,
    ) -> Vec<CarriedWaiver> {
        let mut carried = Vec::new();
        for (old, metric) in old.layers.iter().flat_map(|layer| Metric::ALL.map(|metric| (layer, metric))) {
            let Some(waiver) = old.waivers.of(metric) else { continue };
            let same =
                |layer: &&mut LayerTolerance| layer.name == old.name && layer.reference == old.reference;
            let limit = old.tolerance.of(metric);
            let dropped = match self.layers.iter_mut().find(same) {
                None => Some(Dropped::NoSuchLayer),
                Some(new) if new.tolerance.of(metric) >= limit && new.within_bounds(metric) => {
                    Some(Dropped::NoSmaller)
                }
                Some(new) if new.floor().of(metric) > limit => Some(Dropped::UnderFloor),
                Some(new) => match waiver.check(days_until) {
                    Err(error) => Some(Dropped::Invalid(error)),
                    Ok(()) => {
                        *new.tolerance.get_mut(metric) = limit;
                        *new.waivers.of_mut(metric) = Some(waiver.clone());
                        None
                    }
                },
            };
            carried.push(CarriedWaiver { layer: old.name.clone(), metric, waiver: waiver.clone(), dropped });
        }
        carried
    }

    /// The tolerance of a pair.
    pub fn layer(&self, name: &str, reference: &str) -> Option<&LayerTolerance> {
        let mut of_reference = self.layers.iter().filter(|layer| layer.reference == reference);
        let exact = of_reference.clone().find(|layer| layer.name == name);
        // A limit is the reference tensor's, whatever a port calls its own.
        exact.or_else(|| of_reference.next().filter(|_| of_reference.next().is_none()))
    }
}

impl LayerTolerance {
    fn check(
        &self,
        path: &Path,
        k: Figures,
        days_until: &DaysUntil<'_>,
    ) -> Result<(), DerivedTolerancesError> {
        for metric in Metric::ALL {
            let (path, layer) = (path.to_path_buf(), self.name.clone());
            let measured = [self.noise_floor.of(metric), self.spread.of(metric)];
            let sound = |figure: &f64| (0.0..=MAX_FLOOR).contains(figure);
            if let Some(found) = measured.into_iter().find(|figure| !sound(figure)) {
                let what = format!("`{layer}`: floor and spread of {metric}");
                let expected = "figures from 0 to 0.125";
                return Err(DerivedTolerancesError::Unsound {
                    path,
                    what,
                    expected,
                    found: format!("{found:e}"),
                });
            }
            let (tolerance, k) = (self.tolerance.of(metric), k.of(metric));
            let (floor, noise) = (self.floor().of(metric), self.noise().of(metric));
            let derived = (k * floor * (1.0 - EXACT)..=k * floor * (1.0 + EXACT)).contains(&tolerance);
            let within_bounds = self.within_bounds(metric);
            if let Some(waiver) = self.waivers.of(metric) {
                self.check_waiver(metric, waiver, &path, days_until)?;
                if derived && within_bounds {
                    return Err(DerivedTolerancesError::Idle { path, layer, metric, tolerance });
                }
                if !(0.0..=waiver::MAX_FACTOR * noise).contains(&tolerance) {
                    return Err(DerivedTolerancesError::BeyondWaiving {
                        path,
                        layer,
                        metric,
                        tolerance,
                        floor: noise,
                    });
                }
            } else if !derived {
                return Err(DerivedTolerancesError::NotDerived { path, layer, metric, tolerance, k, floor });
            } else if !within_bounds {
                let floor = if tolerance < floor { floor } else { noise };
                return Err(DerivedTolerancesError::OutOfBounds { path, layer, metric, tolerance, floor });
            }
            if tolerance > MAX_TOLERANCE {
                let what = format!("`{layer}`: tolerance of {metric}");
                let expected = "at most 0.5: a candidate of zeros is off by 1";
                return Err(DerivedTolerancesError::Unsound {
                    path,
                    what,
                    expected,
                    found: format!("{tolerance:e}"),
                });
            }
        }
        Ok(())
    }

    fn check_waiver(
        &self,
        metric: Metric,
        waiver: &Waiver,
        path: &Path,
        days_until: &DaysUntil<'_>,
    ) -> Result<(), DerivedTolerancesError> {
        waiver.check(days_until).map_err(|source| {
            let (path, layer) = (path.to_path_buf(), self.name.clone());
            DerivedTolerancesError::Waiver { path, layer, metric, source }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As if today were 2026-11-24, by the calendar of that November.
    fn days_until(date: &str) -> Option<i64> {
        let day: i64 = date.strip_prefix("2026-11-")?.parse().ok()?;
        (1..=30).contains(&day).then_some(day - 24)
    }

    /// As above, and this one is far away.
    fn calendar(date: &str) -> Option<i64> {
        if date == "2027-12-31" { Some(402) } else { days_until(date) }
    }

    fn figures(rel_l2: f64, rel_linf: f64) -> Figures {
        Figures { rel_l2, rel_linf }
    }

    fn subject() -> Subject {
        Subject { set: "s".into(), profile: "f32".into(), manifest_sha256: "12ab".into() }
    }

    fn tolerances(change: impl FnOnce(&mut DerivedTolerances)) -> DerivedTolerances {
        let layer =
            DerivedTolerances::derive("a", "b", figures(1e-6, 2e-6), figures(3e-6, 1e-6), figures(4.0, 8.0));
        let mut tolerances = DerivedTolerances {
            schema_version: SCHEMA_VERSION,
            subject: subject(),
            measured: MeasuredWith {
                date: "2026-11-24".into(),
                versions: BTreeMap::new(),
                instruction_sets: vec!["portable".into()],
                threads: vec![1],
            },
            k: figures(4.0, 8.0),
            layers: vec![layer],
        };
        change(&mut tolerances);
        tolerances
    }

    fn layer(change: impl FnOnce(&mut LayerTolerance)) -> DerivedTolerances {
        tolerances(|tolerances| change(&mut tolerances.layers[0]))
    }

    fn read_back(tolerances: &DerivedTolerances) -> Result<DerivedTolerances, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.json");
        tolerances.write(&path).unwrap();
        DerivedTolerances::read(&path, &subject(), &calendar).map_err(|error| {
            error.to_string().replace(&folder.path().display().to_string(), "").replace(['/', '\\'], "")
        })
    }

    fn messages(cases: impl IntoIterator<Item = DerivedTolerances>) -> String {
        let messages = cases.into_iter().map(|case| read_back(&case).unwrap_err());
        messages.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_tolerance_is_k_times_the_larger_floor() {
        let tolerances = tolerances(|_| {});
        assert_eq!(tolerances.layers[0].tolerance, figures(4.0 * 3e-6, 8.0 * 2e-6));
        assert_eq!(read_back(&tolerances).unwrap(), tolerances);
    }

    #[test]
    fn tolerances_out_of_bounds_are_refused() {
        insta::assert_snapshot!(messages([
            layer(|layer| layer.tolerance.rel_l2 = 2e-6),
            layer(|layer| layer.tolerance.rel_linf = 1.0),
            layer(|layer| layer.tolerance.rel_linf = f64::MAX),
            layer(|layer| {
                layer.spread.rel_l2 = 0.1;
                layer.tolerance.rel_l2 = 0.4;
            }),
            layer(|layer| {
                layer.noise_floor.rel_linf = 0.1;
                layer.tolerance.rel_linf = 0.8;
            }),
        ]));
    }

    #[test]
    fn figures_that_cannot_have_been_measured_are_refused() {
        insta::assert_snapshot!(messages([
            layer(|layer| layer.spread.rel_l2 = -1e-6),
            layer(|layer| layer.noise_floor.rel_linf = 1.0),
            tolerances(|tolerances| tolerances.k.rel_l2 = -4.0),
            tolerances(|tolerances| tolerances.k.rel_linf = 17.0),
            tolerances(|tolerances| tolerances.measured.date = "2026-11-31".into()),
            tolerances(|tolerances| tolerances.measured.date = "2026-11-28".into()),
            tolerances(|tolerances| tolerances.measured.instruction_sets.clear()),
            tolerances(|tolerances| tolerances.layers.clear()),
            tolerances(|tolerances| tolerances.layers.push(tolerances.layers[0].clone())),
            tolerances(|tolerances| tolerances.subject.set = "t".into()),
            tolerances(|tolerances| tolerances.subject.manifest_sha256 = "34cd".into()),
            tolerances(|tolerances| tolerances.schema_version = 1),
        ]));
    }

    fn waived(reason: &str, expires: &str, times: f64) -> DerivedTolerances {
        layer(|layer| {
            layer.tolerance.rel_l2 = times * 1e-6;
            let (reason, expires) = (reason.into(), expires.into());
            *layer.waivers.of_mut(Metric::RelL2) = Some(Waiver { reason, expires });
        })
    }

    #[test]
    fn a_waiver_needs_a_reason_and_holds_until_its_last_day() {
        assert!(read_back(&waived("a table in f16", "2026-11-24", 64.0)).is_ok());
        insta::assert_snapshot!(messages([
            waived("a table", "2026-11-23", 64.0),
            waived(" ", "2026-11-30", 64.0),
            waived("a table", "soon", 64.0),
            waived("a table", "2026-11-31", 64.0),
            waived("a table", "2027-12-31", 64.0),
            waived("a table", "2026-11-30", 65.0),
            waived("a table", "2026-11-30", 1e306),
        ]));
    }

    #[test]
    fn a_waiver_that_waives_nothing_is_refused() {
        let error = read_back(&waived("a table", "2026-11-30", 12.0)).unwrap_err();
        assert!(
            error.contains("the waiver of rel_l2 waives nothing: 1.2e-5 is k times its floor"),
            "{error}"
        );
        // Under its floor or other than k times it a tolerance needs one.
        assert!(read_back(&waived("a table", "2026-11-30", 1.0)).is_ok());
        assert!(read_back(&waived("a table", "2026-11-30", 11.0)).is_ok());
    }

    #[test]
    fn waivers_are_kept_where_they_still_are_of_use() {
        let old = waived("a table", "2026-11-30", 64.0);
        let fate = |old: &DerivedTolerances, change: fn(&mut LayerTolerance)| {
            let mut new = layer(change);
            let carried = new.keep_waivers(old, &calendar);
            assert_eq!(carried.len(), 1);
            (new.layers[0].tolerance.rel_l2, carried[0].dropped.clone())
        };
        assert_eq!(fate(&old, |_| {}), (64e-6, None));
        // Derived to the same figure, within bounds: the noise floor is 1e-6.
        let no_smaller = |times: f64| waived("a table", "2026-11-30", times);
        assert_eq!(fate(&no_smaller(12.0), |_| {}), (12e-6, Some(Dropped::NoSmaller)));
        // A spread of five noise floors alone takes k times the floor out of bounds: without its waiver the file would
        // be refused.
        let far_apart = |layer: &mut LayerTolerance| {
            layer.spread.rel_l2 = 5e-6;
            layer.tolerance.rel_l2 = 20e-6;
        };
        assert_eq!(fate(&no_smaller(20.0), far_apart), (20.0 * 1e-6, None));
        assert_eq!(fate(&no_smaller(17.0), far_apart), (17.0 * 1e-6, None));
        let flaky = fate(&waived("a table", "2026-11-30", 4.0), far_apart);
        assert_eq!(flaky, (20e-6, Some(Dropped::UnderFloor)));
        let mut kept = layer(far_apart);
        assert!(read_back(&kept).unwrap_err().contains("more than 16 times"));
        kept.keep_waivers(&no_smaller(20.0), &calendar);
        assert_eq!(read_back(&kept), Ok(kept));
        let gone = |layer: &mut LayerTolerance| layer.name = "c".into();
        assert_eq!(fate(&old, gone).1, Some(Dropped::NoSuchLayer));
        let expired = waived("a table", "2026-11-23", 64.0);
        let (expires, reason) = ("2026-11-23".into(), "a table".into());
        let expired_on = Dropped::Invalid(WaiverError::Expired { expires, reason });
        assert_eq!(fate(&expired, |_| {}).1, Some(expired_on));
    }

    #[test]
    fn a_waiver_frees_its_own_metric_alone() {
        let mut waived = waived("a table", "2026-11-30", 64.0);
        waived.layers[0].tolerance.rel_linf *= 2.0;
        assert!(read_back(&waived).unwrap_err().contains("rel_linf 3.2e-5 is not k (8) times"));
    }
}
