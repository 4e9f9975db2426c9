//! Derived tolerances of a reference set, as data: limit = k times a measured floor, with what it was measured on.
//!
//! The floor of a layer is the larger of the reference's own noise floor (its f32 run against its f64 run) and the
//! largest difference between runs of one program that differ only in instruction set or thread count.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The version of the schema that this program reads and writes.
pub const SCHEMA_VERSION: u32 = 1;
/// A tolerance of more than this many floors sees too little.
pub const MAX_FACTOR: f64 = 16.0;

/// Tolerances that cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what its fields are")]
pub enum TolerancesError {
    #[error("{}: cannot be read or written: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: expected derived tolerances, found {source}", path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("{}: expected schema_version {SCHEMA_VERSION}, found {found}; derive them anew", path.display())]
    Version { path: PathBuf, found: u32 },
    #[error(
        "{}: `{layer}`: {metric} {tolerance:e} is {} its floor of {floor:e}; derive it anew, or give it a waiver with a \
         reason and an expiry date",
        path.display(),
        if tolerance < floor { "under".to_string() } else { format!("more than {MAX_FACTOR} times") }
    )]
    OutOfBounds { path: PathBuf, layer: String, metric: &'static str, tolerance: f64, floor: f64 },
    #[error("{}: `{layer}`: the waiver expired on {expires} ({reason}); derive the tolerance anew", path.display())]
    Expired { path: PathBuf, layer: String, expires: String, reason: String },
    #[error("{}: `{layer}`: expected a waiver with a reason and a date such as 2026-12-31, found `{found}`", path.display())]
    Waiver { path: PathBuf, layer: String, found: String },
}

/// A figure for each metric that layers are judged by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// ‖d‖ / ‖b‖.
    pub rel_l2: f64,
    /// max |d| / max |b|.
    pub rel_linf: f64,
}

impl Figures {
    /// The smaller of each.
    pub fn min(self, other: Figures) -> Figures {
        Figures { rel_l2: self.rel_l2.min(other.rel_l2), rel_linf: self.rel_linf.min(other.rel_linf) }
    }

    /// The larger of each.
    pub fn max(self, other: Figures) -> Figures {
        Figures { rel_l2: self.rel_l2.max(other.rel_l2), rel_linf: self.rel_linf.max(other.rel_linf) }
    }
}

/// A tolerance out of bounds, for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// Why it must be so.
    pub reason: String,
    /// The last day, such as `2026-12-31`.
    pub expires: String,
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
    /// Where the tolerance is out of bounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiver: Option<Waiver>,
}

impl LayerTolerance {
    /// The larger of noise floor and spread.
    pub fn floor(&self) -> Figures {
        let storage =
            Figures { rel_l2: crate::tolerance::STORAGE_FLOOR, rel_linf: crate::tolerance::STORAGE_FLOOR };
        self.noise_floor.max(self.spread).max(storage)
    }
}

/// What tolerances were measured with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
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
pub struct Tolerances {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The reference set.
    pub set: String,
    /// The profile.
    pub profile: String,
    /// What they were measured with.
    pub measured: Measured,
    /// Multiples of the floor.
    pub k: Figures,
    /// In the order of execution.
    pub layers: Vec<LayerTolerance>,
}

impl Tolerances {
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
            waiver: None,
        };
        let floor = layer.floor();
        layer.tolerance = Figures { rel_l2: k.rel_l2 * floor.rel_l2, rel_linf: k.rel_linf * floor.rel_linf };
        layer
    }

    /// Reads tolerances; `today` such as `2026-11-24`.
    ///
    /// # Errors
    /// Files that are none, and tolerances out of bounds without a waiver that still holds.
    pub fn read(path: &Path, today: &str) -> Result<Tolerances, TolerancesError> {
        let io = |source| TolerancesError::Io { path: path.to_path_buf(), source };
        let bytes = std::fs::read(path).map_err(io)?;
        let json = |source| TolerancesError::Json { path: path.to_path_buf(), source };
        let tolerances: Tolerances = serde_json::from_slice(&bytes).map_err(json)?;
        if tolerances.schema_version != SCHEMA_VERSION {
            return Err(TolerancesError::Version {
                path: path.to_path_buf(),
                found: tolerances.schema_version,
            });
        }
        tolerances.check(path, today)?;
        Ok(tolerances)
    }

    /// Refuses tolerances out of bounds without a waiver that still holds on `today`.
    ///
    /// # Errors
    /// The first of them.
    pub fn check(&self, path: &Path, today: &str) -> Result<(), TolerancesError> {
        self.layers.iter().try_for_each(|layer| layer.check(path, today))
    }

    /// Writes tolerances as a whole, one line for each layer.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn write(&self, path: &Path) -> Result<(), TolerancesError> {
        let text = crate::lines::render(self, "layers", &self.layers)
            .map_err(|source| TolerancesError::Json { path: path.to_path_buf(), source })?;
        crate::atomic::write(path, |out| out.write_all(text.as_bytes()))
            .map_err(|source| TolerancesError::Io { path: path.to_path_buf(), source })
    }

    /// The tolerance of a pair.
    pub fn layer(&self, name: &str, reference: &str) -> Option<&LayerTolerance> {
        self.layers.iter().find(|layer| layer.name == name && layer.reference == reference)
    }
}

impl LayerTolerance {
    fn check(&self, path: &Path, today: &str) -> Result<(), TolerancesError> {
        let (path, layer) = (path.to_path_buf(), self.name.clone());
        if let Some(Waiver { reason, expires }) = &self.waiver {
            if reason.trim().is_empty() || !is_date(expires) {
                return Err(TolerancesError::Waiver { path, layer, found: format!("{reason}, {expires}") });
            }
            // Dates of this form sort as text.
            if expires.as_str() < today {
                let (expires, reason) = (expires.clone(), reason.clone());
                return Err(TolerancesError::Expired { path, layer, expires, reason });
            }
            return Ok(());
        }
        let floor = self.floor();
        // The spread raises the least that a tolerance may be, not the most.
        let noise = LayerTolerance { spread: Figures { rel_l2: 0.0, rel_linf: 0.0 }, ..self.clone() }.floor();
        let figures = [
            ("rel_l2", self.tolerance.rel_l2, floor.rel_l2, noise.rel_l2),
            ("rel_linf", self.tolerance.rel_linf, floor.rel_linf, noise.rel_linf),
        ];
        for (metric, tolerance, floor, noise) in figures {
            if !(floor..=MAX_FACTOR * noise).contains(&tolerance) {
                let floor = if tolerance < floor { floor } else { noise };
                return Err(TolerancesError::OutOfBounds { path, layer, metric, tolerance, floor });
            }
        }
        Ok(())
    }
}

/// Whether a text is a date such as `2026-12-31`.
fn is_date(text: &str) -> bool {
    let digits = |range: std::ops::Range<usize>| {
        text.get(range).is_some_and(|t| t.bytes().all(|b| b.is_ascii_digit()))
    };
    text.len() == 10
        && digits(0..4)
        && digits(5..7)
        && digits(8..10)
        && [4, 7].iter().all(|at| text.as_bytes()[*at] == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: &str = "2026-11-24";

    fn figures(rel_l2: f64, rel_linf: f64) -> Figures {
        Figures { rel_l2, rel_linf }
    }

    fn tolerances(change: impl FnOnce(&mut LayerTolerance)) -> Tolerances {
        let mut layer =
            Tolerances::derive("a", "b", figures(1e-6, 2e-6), figures(3e-6, 1e-6), figures(4.0, 8.0));
        change(&mut layer);
        Tolerances {
            schema_version: SCHEMA_VERSION,
            set: "s".into(),
            profile: "f32".into(),
            measured: Measured {
                date: TODAY.into(),
                versions: BTreeMap::new(),
                instruction_sets: vec!["portable".into()],
                threads: vec![1],
            },
            k: figures(4.0, 8.0),
            layers: vec![layer],
        }
    }

    fn read_back(tolerances: &Tolerances) -> Result<Tolerances, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.json");
        tolerances.write(&path).unwrap();
        Tolerances::read(&path, TODAY).map_err(|error| {
            error.to_string().replace(&folder.path().display().to_string(), "").replace(['/', '\\'], "")
        })
    }

    #[test]
    fn a_tolerance_is_k_times_the_larger_floor() {
        let tolerances = tolerances(|_| {});
        assert_eq!(tolerances.layers[0].tolerance, figures(4.0 * 3e-6, 8.0 * 2e-6));
        assert_eq!(read_back(&tolerances).unwrap(), tolerances);
    }

    #[test]
    fn tolerances_out_of_bounds_are_refused() {
        let messages = [
            read_back(&tolerances(|layer| layer.tolerance.rel_l2 = 2e-6)).unwrap_err(),
            read_back(&tolerances(|layer| layer.tolerance.rel_linf = 1.0)).unwrap_err(),
            read_back(&tolerances(|layer| layer.spread.rel_l2 = 1.0)).unwrap_err(),
        ];
        insta::assert_snapshot!(messages.join("\n"));
    }

    #[test]
    fn a_waiver_needs_a_reason_and_holds_until_its_last_day() {
        let waived = |reason: &str, expires: &str| {
            read_back(&tolerances(|layer| {
                layer.tolerance.rel_l2 = 1.0;
                layer.waiver = Some(Waiver { reason: reason.into(), expires: expires.into() });
            }))
        };
        assert!(waived("a table in f16", TODAY).is_ok());
        let messages =
            [waived("a table", "2026-11-23"), waived(" ", "2026-12-31"), waived("a table", "soon")];
        insta::assert_snapshot!(messages.map(|message| message.unwrap_err()).join("\n"));
    }
}
