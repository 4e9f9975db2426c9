//! One reference set with the encoder's correct tensors: what faults are planted in.

use std::collections::BTreeMap;
use std::path::Path;

use encoder::faults::{Fault, Site};
use encoder::{AllTaps, Checkpoint, Isa, LoadOptions, Model, Settings, TapTensor};
use harness::compare::metrics::Metrics;
use harness::compare::terms::Terms;
use harness::compare::verdict::CriterionKind;
use harness::limits::metric::{Figures, Metric};
use harness::mapping::pairing::Pair;
use harness::reference::Reference;
use harness::tensor::Tensor;

use crate::encode::arguments::EncoderArguments;
use crate::encode::input::read_input;
use crate::encode::settings;
use crate::shell::failure::Failure;

/// Strengths that are tried, strongest first.
const STRENGTHS: [f64; 9] = [1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8];

/// Tensors by the candidate's names.
pub(crate) type Tensors = BTreeMap<String, Tensor>;

pub(crate) struct TestBed<'a> {
    pub(crate) set: String,
    pub(crate) terms: Terms<'a>,
    /// In the order of execution.
    pub(crate) pairs: Vec<Pair>,
    pub(crate) references: Vec<Tensor>,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) settings: Settings,
    pub(crate) input: TapTensor,
    pub(crate) correct: Tensors,
}

impl<'a> TestBed<'a> {
    pub(crate) fn new(terms: Terms<'a>, reference: &Reference) -> Result<TestBed<'a>, Failure> {
        let path = reference.folder();
        let (Some(manifest), Some(weights), Some(input)) =
            (reference.manifest(), reference.weights(), reference.input())
        else {
            return Err(Failure::unusable(format!("{}: no reference set", path.display())));
        };
        let settings = settings::of_manifest(manifest)?;
        let checkpoint = EncoderArguments::default().open(Path::new(&weights))?;
        let input = read_input(&input)?;
        let mut bench = TestBed {
            set: manifest.set.clone(),
            terms,
            pairs: Vec::new(),
            references: Vec::new(),
            checkpoint,
            settings,
            input,
            correct: Tensors::new(),
        };
        bench.correct = bench.encode(&bench.checkpoint, settings, &bench.input, None)?;
        let names: Vec<String> = bench.correct.keys().cloned().collect();
        bench.pairs = bench.terms.pair(&names, &[]).pairs;
        for pair in &bench.pairs {
            bench.references.push(reference.dump().read(&pair.reference).map_err(Failure::unreadable)?);
        }
        for i in 0..bench.pairs.len() {
            if bench.sees(i, bench.correct_at(i).clone()) {
                let message = format!("{}: {} fails without any fault", bench.set, bench.pairs[i].name());
                return Err(Failure::unusable(message).help("cargo xtask parity"));
            }
        }
        Ok(bench)
    }

    /// The tensors of a run, with or without a fault in its computation.
    pub(crate) fn encode(
        &self,
        checkpoint: &Checkpoint,
        settings: Settings,
        input: &TapTensor,
        planted: Option<(Site, Fault)>,
    ) -> Result<Tensors, Failure> {
        // The kernels whose bits depend least on the machine: the compiler fuses their multiply-adds, or does not.
        let options = LoadOptions { settings, isa: Some(Isa::Portable), ..LoadOptions::default() };
        let model = Model::load(checkpoint, &options).map_err(Failure::unreadable)?;
        let mut taps = AllTaps::default();
        match planted {
            None => model.encode(&input.shape, &input.data, &mut taps),
            Some(planted) => model.encode_with_fault(planted, &input.shape, &input.data, &mut taps),
        }
        .map_err(Failure::unreadable)?;
        let tensors =
            taps.0.into_iter().filter_map(|(name, tap)| Some((name, Tensor::from_f32(tap.shape, tap.data)?)));
        Ok(tensors.collect())
    }

    /// The correct candidate of a pair.
    pub(crate) fn correct_at(&self, i: usize) -> &Tensor {
        &self.correct[&self.pairs[i].candidate]
    }

    /// Whether the gate refuses a tensor.
    pub(crate) fn sees(&self, i: usize, candidate: Tensor) -> bool {
        self.sees_against(i, candidate, &self.references[i])
    }

    /// Whether the gate refuses a tensor against another reference.
    pub(crate) fn sees_against(&self, i: usize, candidate: Tensor, reference: &Tensor) -> bool {
        self.terms
            .compare(&self.pairs[i], candidate, reference)
            .map_or(true, |compared| !compared.judgement.passed)
    }

    /// The limits of a layer; 0 where there is none, under which nothing is.
    pub(crate) fn limit(&self, i: usize) -> Figures {
        let compared = self.terms.compare(&self.pairs[i], self.correct_at(i).clone(), &self.references[i]);
        let limit = |metric: Metric| {
            let criteria = compared.iter().flat_map(|compared| &compared.judgement.criteria);
            criteria
                .filter(|criterion| criterion.kind == CriterionKind::Metric(metric))
                .map(|criterion| criterion.limit)
                .reduce(f64::min)
        };
        Figures::of_each(|metric| limit(metric).unwrap_or(0.0))
    }

    /// The smallest strength that is seen, if full strength is.
    pub(crate) fn smallest(&self, i: usize, plant: impl Fn(f64) -> Tensor) -> Option<f64> {
        STRENGTHS.into_iter().take_while(|strength| self.sees(i, plant(*strength))).last()
    }

    /// The smallest strength that is seen of a fault that takes the correct tensor some of the way to `faulty`, which has
    /// the same shape.
    pub(crate) fn smallest_towards(&self, i: usize, faulty: &Tensor) -> Option<f64> {
        let correct = self.correct_at(i);
        self.smallest(i, |strength| blend(correct, faulty, strength))
    }

    /// How far a tensor is from the correct one, in noise floors of the layer.
    pub(crate) fn floors(&self, i: usize, faulty: &Tensor) -> f64 {
        let correct = self.correct_at(i);
        if correct.shape() != faulty.shape() {
            return f64::INFINITY;
        }
        let metrics = Metrics::of(faulty, correct);
        let Some(floor) = self.terms.reference.noise_floor(&self.pairs[i].reference) else {
            return f64::INFINITY;
        };
        let share = |figure: Option<f64>, floor: f64| figure.map_or(f64::INFINITY, |figure| figure / floor);
        let floor = floor.figures;
        share(metrics.rel_l2, floor.rel_l2).max(share(metrics.rel_linf, floor.rel_linf))
    }
}

/// `correct + strength * (faulty - correct)`.
fn blend(correct: &Tensor, faulty: &Tensor, strength: f64) -> Tensor {
    let values = correct.iter().zip(faulty.iter()).map(|(a, b)| (a + strength * (b - a)) as f32).collect();
    Tensor::from_f32(correct.shape().to_vec(), values).unwrap_or_else(|| correct.clone())
}
