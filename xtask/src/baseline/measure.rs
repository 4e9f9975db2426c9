//! Runs of the encoder that differ only in instruction set and thread count, and what that does to every layer.

use std::collections::BTreeMap;
use std::path::Path;

use encoder::{Checkpoint, Isa, LoadOptions, Model, Precision, TapSink, TapTensor};
use harness::compare::comparison::Comparison;
use harness::compare::metrics::Metrics;
use harness::compare::session::Session;
use harness::compare::terms::Terms;
use harness::limits::known_errors::{KnownError, KnownErrors, LayerErrors};
use harness::limits::metric::Figures;
use harness::limits::subject::Subject;
use harness::reference::Reference;
use harness::reference::manifest::Manifest;
use harness::tensor::Tensor;

use crate::committed::conditions::conditions;
use crate::committed::figures;
use crate::encode::arguments::{EncoderArguments, as_candidate};
use crate::encode::input::read_input;
use crate::encode::settings;
use crate::gate::compare::Gate;
use crate::shell::dates;
use crate::shell::failure::Failure;

/// Thread counts that are run; the result must not depend on them.
pub(crate) const THREADS: [usize; 4] = [1, 2, 3, 8];

/// What was measured of a layer.
pub(crate) struct LayerMeasure {
    pub(crate) errors: LayerErrors,
    /// Of the reference in the encoder's precision.
    pub(crate) noise_floor: Figures,
    /// Largest difference between two instruction sets.
    pub(crate) spread: Figures,
}

/// What was measured on a set.
pub(crate) struct SetMeasure {
    pub(crate) subject: Subject,
    pub(crate) conditions: Vec<String>,
    /// In the order of execution.
    pub(crate) layers: Vec<LayerMeasure>,
    /// Versions that made the reference.
    pub(crate) versions: BTreeMap<String, String>,
}

impl SetMeasure {
    /// The errors, measured beside the accepted ones of that hash.
    pub(crate) fn errors(&self, beside: Option<String>) -> KnownErrors {
        KnownErrors {
            schema_version: harness::limits::known_errors::SCHEMA_VERSION,
            subject: self.subject.clone(),
            beside,
            layers: self.layers.iter().map(|layer| layer.errors.clone()).collect(),
        }
    }
}

/// The encoder and its version.
pub(crate) fn program() -> String {
    format!("encoder {}", env!("CARGO_PKG_VERSION"))
}

/// A comparison with the tensors that were compared.
struct MeasuredRun {
    comparison: Comparison,
    tensors: BTreeMap<String, Tensor>,
}

/// A set, and how the encoder is run on it.
struct MeasuredSet<'a> {
    terms: Terms<'a>,
    precision: Precision,
    settings: encoder::Settings,
    checkpoint: Checkpoint,
    image: TapTensor,
}

/// Runs the encoder on a set with every instruction set that this CPU has and several thread counts.
pub(crate) fn measure(compare: &Gate<'_>, precision: Precision, path: &Path) -> Result<SetMeasure, Failure> {
    let reference = &compare.reference(path)?;
    let (bench, manifest) = MeasuredSet::new(compare, precision, reference, path)?;
    let Some(subject) = figures::subject(reference, &compare.profile.name)? else {
        return Err(no_set(path));
    };
    let isas = Isa::ALL.into_iter().filter(|isa| isa.is_available());
    let runs = isas.map(|isa| Ok((conditions(isa, false), bench.on(isa)?)));
    let runs = runs.collect::<Result<Vec<_>, Failure>>()?;
    let rounded = compare.pool.install(|| bench.rounded())?;
    let Some((_, first)) = runs.first() else {
        return Err(Failure::unusable("no instruction set to run"));
    };
    let layers = (0..first.comparison.layers.len())
        .map(|order| layer(reference, order, &runs, rounded.as_ref()))
        .collect::<Result<_, _>>()?;
    let mut versions = manifest.generator.versions.clone();
    versions.insert("encoder".to_string(), env!("CARGO_PKG_VERSION").to_string());
    let conditions = runs.into_iter().map(|(conditions, _)| conditions).collect();
    Ok(SetMeasure { subject, conditions, layers, versions })
}

/// The noise floors of a set's layers in a precision, in the order of execution: pair of names, figures.
pub(crate) fn noise_floors(
    compare: &Gate<'_>,
    precision: Precision,
    reference: &Reference,
    path: &Path,
) -> Result<Vec<(String, String, Figures)>, Failure> {
    let (bench, _) = MeasuredSet::new(compare, precision, reference, path)?;
    let rounded = compare.pool.install(|| bench.reference_in_that_precision())?;
    let floors = rounded.layers.iter().enumerate().map(|(order, layer)| {
        let floor = noise_floor(reference, &layer.reference, Some((&rounded, order)));
        let floor = floor.ok_or_else(|| unmeasured(&layer.name))?;
        Ok((layer.pair_name().to_string(), layer.reference.clone(), floor))
    });
    floors.collect()
}

/// The reference's own floor, or what rounding does to the layer where that is more; `None` where one of them is unknown.
fn noise_floor(reference: &Reference, name: &str, rounded: Option<(&Comparison, usize)>) -> Option<Figures> {
    let own = reference.noise_floor(name)?.figures;
    match rounded {
        None => Some(own),
        Some((rounded, order)) => {
            // The same pairs in the same order: both were announced under the same names.
            rounded.layers.get(order).filter(|layer| layer.reference == name)?;
            Some(own.max(figures(rounded, order)?))
        }
    }
}

fn unmeasured(layer: &str) -> Failure {
    Failure::unusable(format!("{layer}: cannot be measured")).help("cargo xtask parity says why")
}

fn no_set(path: &Path) -> Failure {
    Failure::usage(
        format!("{} has no manifest.json: it is no reference set", path.display()),
        "baselines are kept for the sets in fixtures/",
    )
}

impl<'a> MeasuredSet<'a> {
    fn new(
        compare: &Gate<'a>,
        precision: Precision,
        reference: &'a Reference,
        path: &Path,
    ) -> Result<(Self, &'a Manifest), Failure> {
        let (Some(manifest), Some(weights), Some(input)) =
            (reference.manifest(), reference.weights(), reference.input())
        else {
            return Err(no_set(path));
        };
        // What is measured must not depend on what was measured before.
        let terms = Terms {
            input: None,
            mapping: compare.mapping,
            profile: compare.profile,
            reference,
            tolerances: None,
            known: None,
        };
        let bench = MeasuredSet {
            terms,
            precision,
            settings: settings::of_manifest(manifest)?,
            checkpoint: EncoderArguments::default().open(&weights)?,
            image: read_input(&input)?,
        };
        Ok((bench, manifest))
    }

    /// Runs one instruction set with several thread counts, which must give the same bits.
    fn on(&self, isa: Isa) -> Result<MeasuredRun, Failure> {
        let options = LoadOptions {
            settings: self.settings,
            isa: Some(isa),
            precision: self.precision,
            ..LoadOptions::default()
        };
        let model = Model::load(&self.checkpoint, &options).map_err(Failure::unreadable)?;
        let [_, _, height, width] = self.shape()?;
        let names = model.tap_names(height, width);
        let mut first: Option<MeasuredRun> = None;
        for threads in THREADS {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .map_err(|error| Failure::usage(error.to_string(), "are there too many processes?"))?;
            let mut taps = Keeping { session: self.terms.session(&names), tensors: BTreeMap::new() };
            pool.install(|| model.encode(&self.image.shape, &self.image.data, &mut taps))
                .map_err(Failure::unreadable)?;
            match &first {
                None => {
                    let comparison = taps.session.finish(Default::default());
                    first = Some(MeasuredRun { comparison, tensors: taps.tensors });
                }
                Some(first) => same_bits(isa, threads, &first.tensors, &taps.tensors)?,
            }
        }
        first.ok_or_else(|| Failure::unusable("no thread count to run"))
    }

    /// What rounding alone does to every layer; in f32 there is none.
    fn rounded(&self) -> Result<Option<Comparison>, Failure> {
        match self.precision {
            Precision::F32 => Ok(None),
            _ => self.reference_in_that_precision().map(Some),
        }
    }

    /// The graph in f64, with operands rounded to what the precision holds of them.
    fn reference_in_that_precision(&self) -> Result<Comparison, Failure> {
        let (shape, input) = (self.shape()?, &self.image.data);
        let taps = encoder::reference::encode(&self.checkpoint, &self.settings, self.precision, shape, input)
            .map_err(Failure::unreadable)?;
        let names: Vec<String> = taps.iter().map(|(name, _)| name.clone()).collect();
        let mut session = self.terms.session(&names);
        for (name, tap) in taps {
            let tensor = Tensor::from_f64(tap.shape, tap.data);
            let unfit = || Failure::unusable(format!("{name}: the shape does not hold the elements"));
            session.record(&name, tensor.ok_or_else(unfit)?);
        }
        Ok(session.finish(Default::default()))
    }

    fn shape(&self) -> Result<[usize; 4], Failure> {
        self.image.shape.as_slice().try_into().map_err(|_| {
            let shape = &self.image.shape;
            Failure::unusable(format!("expected an input of batch, channels, height, width, found {shape:?}"))
        })
    }
}

/// Refuses two runs of one instruction set that differ: a difference between thread counts is a race, not a spread.
fn same_bits(
    isa: Isa,
    threads: usize,
    first: &BTreeMap<String, Tensor>,
    other: &BTreeMap<String, Tensor>,
) -> Result<(), Failure> {
    let bits = |tensor: &Tensor| -> Vec<u64> { tensor.iter().map(f64::to_bits).collect() };
    let same = |(name, a): &(&String, &Tensor)| other.get(*name).is_some_and(|b| bits(a) == bits(b));
    match first.iter().find(|pair| !same(pair)) {
        None => Ok(()),
        Some((name, _)) => {
            let message = format!(
                "{name}: on {isa}, {threads} threads give other bits than {}: nothing can be measured",
                THREADS[0]
            );
            Err(Failure::unusable(message)
                .help("cargo test -p encoder --test random_models threads_and_taps"))
        }
    }
}

/// Both metrics of a layer of a comparison.
fn figures(comparison: &Comparison, order: usize) -> Option<Figures> {
    let metrics = &comparison.layers.get(order)?.compared()?.metrics;
    Some(Figures { rel_l2: metrics.rel_l2?, rel_linf: metrics.rel_linf? })
}

fn layer(
    reference: &Reference,
    order: usize,
    runs: &[(String, MeasuredRun)],
    rounded: Option<&Comparison>,
) -> Result<LayerMeasure, Failure> {
    let layer = &runs[0].1.comparison.layers[order];
    let unmeasured = || unmeasured(&layer.name);
    let mut errors = BTreeMap::new();
    for (conditions, run) in runs {
        let Figures { rel_l2, rel_linf } = figures(&run.comparison, order).ok_or_else(unmeasured)?;
        let error = KnownError { rel_l2, rel_linf, date: dates::today_as_text(), program: program() };
        errors.insert(conditions.clone(), error);
    }
    let rounded = rounded.map(|rounded| (rounded, order));
    let noise_floor = noise_floor(reference, &layer.reference, rounded).ok_or_else(unmeasured)?;
    let mut spread = Figures { rel_l2: 0.0, rel_linf: 0.0 };
    let tensors: Vec<&Tensor> = runs.iter().filter_map(|(_, run)| run.tensors.get(&layer.name)).collect();
    for (i, a) in tensors.iter().enumerate() {
        for b in &tensors[..i] {
            let metrics = Metrics::of(a, b);
            let (rel_l2, rel_linf) = metrics.rel_l2.zip(metrics.rel_linf).ok_or_else(unmeasured)?;
            spread = spread.max(Figures { rel_l2, rel_linf });
        }
    }
    let (name, reference) = (layer.pair_name().to_string(), layer.reference.clone());
    Ok(LayerMeasure { errors: LayerErrors { name, reference, errors }, noise_floor, spread })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_change_a_bit_are_no_spread() {
        let tensors = |x: f32| {
            let tensor = Tensor::from_f32(vec![2], vec![1.0, x]).unwrap();
            BTreeMap::from([("stem".to_string(), tensor)])
        };
        assert!(same_bits(Isa::Portable, 2, &tensors(1.0), &tensors(1.0)).is_ok());
        let failure = same_bits(Isa::Portable, 2, &tensors(1.0), &tensors(1.0f32.next_up())).unwrap_err();
        assert!(failure.message().starts_with("stem: on portable, 2 threads give other bits than 1"));
        assert!(same_bits(Isa::Portable, 2, &tensors(0.0), &tensors(-0.0)).is_err());
        assert!(same_bits(Isa::Portable, 2, &tensors(1.0), &BTreeMap::new()).is_err());
    }
}
