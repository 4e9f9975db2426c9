//! Runs of the encoder that differ only in instruction set and thread count, and what that does to every layer.

use std::collections::BTreeMap;
use std::path::Path;

use encoder::{Isa, LoadOptions, Model, TapSink, TapTensor};
use harness::baseline::LayerErrors;
use harness::comparison::Comparison;
use harness::metrics::Metrics;
use harness::run::{Session, Terms};
use harness::tensor::{Dtype, Tensor};
use harness::tolerances::Figures;

use crate::candidate::{EncoderArguments, as_candidate, read_input};
use crate::compare::Compare;
use crate::console::Failure;
use crate::set;

/// Thread counts that are run; the result must not depend on them.
pub(crate) const THREADS: [usize; 4] = [1, 2, 3, 8];

/// What was measured of a layer.
pub(crate) struct LayerMeasure {
    pub(crate) errors: LayerErrors,
    pub(crate) noise_floor: Figures,
    /// Largest difference between two runs.
    pub(crate) spread: Figures,
}

/// What was measured on a set.
pub(crate) struct SetMeasure {
    pub(crate) set: String,
    pub(crate) isas: Vec<Isa>,
    /// In the order of execution.
    pub(crate) layers: Vec<LayerMeasure>,
    /// Versions that made the reference.
    pub(crate) versions: BTreeMap<String, String>,
}

/// Runs the encoder on a set with every instruction set that this CPU has and several thread counts.
pub(crate) fn measure(compare: &Compare<'_>, path: &Path) -> Result<SetMeasure, Failure> {
    let reference = &compare.reference(path)?;
    let (Some(manifest), Some(weights), Some(input)) =
        (reference.manifest(), reference.weights(), reference.input())
    else {
        return Err(Failure::usage(
            format!("{} has no manifest.json: it is no reference set", path.display()),
            "baselines are kept for the sets in fixtures/",
        ));
    };
    let settings = set::settings(manifest)?;
    let checkpoint = EncoderArguments::default().open(&weights)?;
    let image = read_input(&input)?;
    let isas: Vec<Isa> = Isa::ALL.into_iter().filter(|isa| isa.is_available()).collect();
    let mut runs: Vec<(Comparison, BTreeMap<String, Tensor>)> = Vec::new();
    for isa in &isas {
        let model =
            Model::load(&checkpoint, &LoadOptions { settings, isa: Some(*isa), ..LoadOptions::default() })
                .map_err(Failure::unreadable)?;
        let names = match image.shape.as_slice() {
            [_, _, height, width] => model.tap_names(*height, *width),
            _ => Vec::new(),
        };
        for threads in THREADS {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .map_err(|error| Failure::usage(error.to_string(), "are there too many processes?"))?;
            // What is measured must not depend on what was measured before.
            let terms = Terms {
                mapping: compare.mapping,
                profile: compare.profile,
                reference,
                tolerances: None,
                baseline: None,
                measured: false,
            };
            let mut taps = Keeping { session: terms.session(&names), tensors: BTreeMap::new() };
            pool.install(|| model.encode(&image.shape, &image.data, &mut taps))
                .map_err(Failure::unreadable)?;
            runs.push((taps.session.finish(Default::default()), taps.tensors));
        }
    }
    let Some((first, _)) = runs.first() else {
        return Err(Failure::unusable("no instruction set to run"));
    };
    let mut layers = Vec::new();
    for (order, layer) in first.layers.iter().enumerate() {
        let figures = |metrics: &Metrics| metrics.rel_l2.zip(metrics.rel_linf);
        let errors: Option<Vec<Figures>> = runs
            .iter()
            .map(|(comparison, _)| {
                let (rel_l2, rel_linf) = figures(&comparison.layers.get(order)?.compared()?.metrics)?;
                Some(Figures { rel_l2, rel_linf })
            })
            .collect();
        let (Some(errors), Some(floor)) = (errors, reference.noise_floor(&layer.reference)) else {
            return Err(Failure::unusable(format!(
                "{}: cannot be measured; run `cargo xtask parity`",
                layer.name
            )));
        };
        let zero = Figures { rel_l2: 0.0, rel_linf: 0.0 };
        let largest = errors.iter().copied().fold(zero, Figures::max);
        let smallest = errors.iter().copied().fold(largest, Figures::min);
        let tensors: Vec<&Tensor> = runs.iter().filter_map(|(_, tensors)| tensors.get(&layer.name)).collect();
        let mut spread = zero;
        for (i, a) in tensors.iter().enumerate() {
            for b in &tensors[..i] {
                let metrics = Metrics::of(a.values(), b.values(), (Dtype::F32, Dtype::F32));
                if let Some((rel_l2, rel_linf)) = figures(&metrics) {
                    spread = spread.max(Figures { rel_l2, rel_linf });
                }
            }
        }
        let (name, reference) = (layer.pair_name().to_string(), layer.reference.clone());
        layers.push(LayerMeasure {
            errors: LayerErrors { name, reference, largest, smallest },
            noise_floor: floor.figures(),
            spread,
        });
    }
    let mut versions = manifest.generator.versions.clone();
    versions.insert("encoder".to_string(), env!("CARGO_PKG_VERSION").to_string());
    Ok(SetMeasure { set: manifest.set.clone(), isas, layers, versions })
}

/// Compares every tensor, and keeps it.
struct Keeping<'a> {
    session: Session<'a>,
    tensors: BTreeMap<String, Tensor>,
}

impl TapSink for Keeping<'_> {
    fn wants(&self, name: &str) -> bool {
        self.session.wants(name)
    }

    fn record(
        &mut self,
        name: &str,
        tensor: TapTensor,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let tensor = as_candidate(name, tensor)?;
        self.tensors.insert(name.to_string(), tensor.clone());
        self.session.record(name, tensor);
        Ok(())
    }
}
