//! The errors that a program is known to have, layer by layer: a ratchet under the tolerances.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::tolerances::{Figures, Measured};

/// The version of the schema that this program reads and writes.
pub const SCHEMA_VERSION: u32 = 1;
/// How much worse than its baseline a layer may be: the square of how far the measured runs are apart, within these
/// bounds. The maximum of a layer varies more from run to run than its sum of squares.
const REL_L2_ALLOWED: (f64, f64) = (1.5, 2.0);
const REL_LINF_ALLOWED: (f64, f64) = (2.5, 4.0);
/// On an instruction set that was not measured, so much more.
const UNMEASURED: f64 = 1.25;

/// A baseline that cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what its fields are")]
pub enum BaselineError {
    #[error("{}: cannot be read or written: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: expected a baseline, found {source}", path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("{}: expected schema_version {SCHEMA_VERSION}, found {found}; measure it anew", path.display())]
    Version { path: PathBuf, found: u32 },
    #[error("{}: `{layer}`: expected finite figures, 0 or more", path.display())]
    Figures { path: PathBuf, layer: String },
}

/// The known errors of a layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerErrors {
    /// The candidate's name.
    pub name: String,
    /// The reference's name.
    pub reference: String,
    /// The largest error of all measured runs.
    pub largest: Figures,
    /// The smallest.
    pub smallest: Figures,
}

/// The known errors of a program on one set under one profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The reference set.
    pub set: String,
    /// The profile.
    pub profile: String,
    /// What was measured.
    pub measured: Measured,
    /// In the order of execution.
    pub layers: Vec<LayerErrors>,
}

/// A figure beside its baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The metric.
    pub metric: &'static str,
    /// The baseline.
    pub old: f64,
    /// This run's.
    pub new: f64,
    /// The factor that a layer may be worse by.
    pub allowed: f64,
}

/// What became of a layer since its baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trend {
    /// By more than its spread allows.
    Worse(Change),
    /// By more than the spread allows too.
    Better(Change),
    /// Neither.
    Same,
}

impl LayerErrors {
    /// Holds a run's errors against the baseline; the worse figure decides. `measured`: the baseline was measured under
    /// the run's conditions, among others.
    pub fn trend(&self, new: Figures, measured: bool) -> Trend {
        let more = if measured { 1.0 } else { UNMEASURED };
        let change = |metric, largest: f64, smallest: f64, new: f64, (least, most): (f64, f64)| {
            // Errors this small are rounding of the stored reference.
            let floor = crate::tolerance::STORAGE_FLOOR / 2.0;
            let (old, smallest) = (largest.max(floor), smallest.max(floor));
            Change { metric, old, new, allowed: more * (old / smallest).powi(2).clamp(least, most) }
        };
        let changes = [
            change("rel_l2", self.largest.rel_l2, self.smallest.rel_l2, new.rel_l2, REL_L2_ALLOWED),
            change("rel_linf", self.largest.rel_linf, self.smallest.rel_linf, new.rel_linf, REL_LINF_ALLOWED),
        ];
        let holds = |change: &&Change| change.new <= change.old * change.allowed;
        if let Some(worse) = changes.iter().find(|change| !holds(change)) {
            return Trend::Worse(*worse);
        }
        let better = |change: &Change| change.new < self_smallest(change, self) / change.allowed;
        match changes.iter().all(better) {
            true => Trend::Better(changes[0]),
            false => Trend::Same,
        }
    }
}

/// The smallest error that was measured of a change's metric.
fn self_smallest(change: &Change, layer: &LayerErrors) -> f64 {
    match change.metric {
        "rel_l2" => layer.smallest.rel_l2,
        _ => layer.smallest.rel_linf,
    }
}

impl Baseline {
    /// Reads a baseline.
    ///
    /// # Errors
    /// Files that are none.
    pub fn read(path: &Path) -> Result<Baseline, BaselineError> {
        let bytes =
            std::fs::read(path).map_err(|source| BaselineError::Io { path: path.to_path_buf(), source })?;
        let baseline: Baseline = serde_json::from_slice(&bytes)
            .map_err(|source| BaselineError::Json { path: path.to_path_buf(), source })?;
        if baseline.schema_version != SCHEMA_VERSION {
            return Err(BaselineError::Version { path: path.to_path_buf(), found: baseline.schema_version });
        }
        for layer in &baseline.layers {
            let (a, b) = (layer.largest, layer.smallest);
            let sound = |x: f64| x.is_finite() && x >= 0.0;
            if ![a.rel_l2, a.rel_linf, b.rel_l2, b.rel_linf].into_iter().all(sound) {
                return Err(BaselineError::Figures { path: path.to_path_buf(), layer: layer.name.clone() });
            }
        }
        Ok(baseline)
    }

    /// Writes a baseline as a whole.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn write(&self, path: &Path) -> Result<(), BaselineError> {
        let text = crate::lines::render(self, "layers", &self.layers)
            .map_err(|source| BaselineError::Json { path: path.to_path_buf(), source })?;
        crate::atomic::write(path, |out| out.write_all(text.as_bytes()))
            .map_err(|source| BaselineError::Io { path: path.to_path_buf(), source })
    }

    /// The known errors of a pair.
    pub fn layer(&self, name: &str, reference: &str) -> Option<&LayerErrors> {
        self.layers.iter().find(|layer| layer.name == name && layer.reference == reference)
    }

    /// This baseline with the layers of `pending` that are accepted; those that `pending` has no more are gone.
    pub fn with_accepted(&self, pending: &Baseline, accepted: &dyn Fn(&LayerErrors) -> bool) -> Baseline {
        let layers = pending.layers.iter().filter_map(|new| match self.layer(&new.name, &new.reference) {
            Some(old) if !accepted(new) => Some(old.clone()),
            None if !accepted(new) => None,
            _ => Some(new.clone()),
        });
        Baseline { layers: layers.collect(), ..pending.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(rel_l2: f64, rel_linf: f64) -> Figures {
        Figures { rel_l2, rel_linf }
    }

    fn layer(name: &str, largest: Figures, smallest: Figures) -> LayerErrors {
        LayerErrors { name: name.into(), reference: name.into(), largest, smallest }
    }

    #[test]
    fn a_layer_is_worse_by_more_than_its_spread_allows() {
        // On what was not measured a quarter more is allowed.
        let known = layer("a", figures(1e-6, 1e-6), figures(1e-6, 1e-6));
        assert!(matches!(known.trend(figures(1.8e-6, 1e-6), true), Trend::Worse(_)));
        assert_eq!(known.trend(figures(1.8e-6, 1e-6), false), Trend::Same);
        assert!(matches!(known.trend(figures(3e-6, 1e-6), false), Trend::Worse(_)));
        // 1.2 squared is under 1.5, which is always allowed.
        let known = layer("a", figures(1.2e-6, 1.2e-6), figures(1e-6, 1e-6));
        assert_eq!(known.trend(figures(1.7e-6, 1e-6), true), Trend::Same);
        let Trend::Worse(change) = known.trend(figures(1.9e-6, 1e-6), true) else { panic!("expected worse") };
        assert_eq!((change.metric, change.old, change.new, change.allowed), ("rel_l2", 1.2e-6, 1.9e-6, 1.5));
        assert!(matches!(known.trend(figures(1e-6, 3.6e-6), true), Trend::Worse(_)));
        let wide = layer("a", figures(1e-5, 1e-5), figures(1e-6, 1e-6));
        assert_eq!(wide.trend(figures(1.9e-5, 1e-5), true), Trend::Same);
        assert!(matches!(wide.trend(figures(2.1e-5, 1e-5), true), Trend::Worse(_)));
    }

    #[test]
    fn nan_is_worse() {
        let known = layer("a", figures(1e-6, 1e-6), figures(1e-6, 1e-6));
        assert!(matches!(known.trend(figures(f64::NAN, 0.0), true), Trend::Worse(_)));
    }

    #[test]
    fn a_layer_that_improves_is_told() {
        let known = layer("a", figures(1e-6, 1e-6), figures(1e-6, 1e-6));
        assert!(matches!(known.trend(figures(3e-7, 3e-7), true), Trend::Better(_)));
        assert_eq!(known.trend(figures(3e-7, 9e-7), true), Trend::Same);
    }

    #[test]
    fn only_what_is_accepted_changes() {
        let baseline = |layers| Baseline {
            schema_version: SCHEMA_VERSION,
            set: "s".into(),
            profile: "f32".into(),
            measured: Measured {
                date: "2026-11-24".into(),
                versions: Default::default(),
                instruction_sets: Vec::new(),
                threads: Vec::new(),
            },
            layers,
        };
        let (one, two) = (figures(1.0, 1.0), figures(2.0, 2.0));
        let old = baseline(vec![layer("a", one, one), layer("b", one, one), layer("gone", one, one)]);
        let new = baseline(vec![layer("a", two, two), layer("b", two, two), layer("new", two, two)]);
        let merged = old.with_accepted(&new, &|layer| layer.name != "b");
        assert_eq!(merged.layers, [layer("a", two, two), layer("b", one, one), layer("new", two, two)]);
    }
}
