//! Faults that cannot be told from noise where they stand, each with the figure that shows it.
//!
//! An RMS norm divides a row of mean square m by sqrt(m + eps). On rows of unit energy ten times an eps of 1e-6 changes
//! nothing that arithmetic in f32 would keep, and neither does a constant factor in front of the norm. How far such a
//! fault moves every layer when nothing is rounded is computed by the graph in f64, run with the fault and without.

use std::collections::BTreeMap;

use encoder::faults::{Fault, Site};
use encoder::reference::{self, Tensor64};
use harness::compare::metrics::Metrics;
use harness::limits::metric::Figures;
use harness::tensor::Tensor;

use super::{Planted, TestBed, Verdict};
use crate::shell::failure::Failure;

/// What a fault alone does to the layer that it takes closest to a limit, or furthest over it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Effect {
    pub(crate) layer: String,
    /// Faulty against correct, both in f64.
    pub(crate) rel_l2: f64,
    pub(crate) rel_linf: f64,
    /// What the gate allows there.
    pub(crate) limit: Figures,
}

impl Effect {
    /// The largest share of a limit that it takes; infinite where there is no limit.
    pub(crate) fn share(&self) -> f64 {
        let share = |figure: f64, limit: f64| if figure == 0.0 { 0.0 } else { figure / limit };
        share(self.rel_l2, self.limit.rel_l2).max(share(self.rel_linf, self.limit.rel_linf))
    }
}

/// The graph in f64 of one set.
pub(super) struct Exact<'a> {
    bench: &'a TestBed<'a>,
    shape: [usize; 4],
    correct: BTreeMap<String, Tensor>,
    /// Of the bench's pairs.
    limits: Vec<Figures>,
}

impl<'a> Exact<'a> {
    pub(super) fn new(bench: &'a TestBed<'a>) -> Result<Self, Failure> {
        let shape = <[usize; 4]>::try_from(bench.input.shape.as_slice())
            .map_err(|_| Failure::unusable(format!("{}: expected an input of 4 axes", bench.set)))?;
        let precision = encoder::Precision::F32;
        let taps = reference::encode(&bench.checkpoint, &bench.settings, precision, shape, &bench.input.data)
            .map_err(Failure::unreadable)?;
        let limits = (0..bench.pairs.len()).map(|i| bench.limit(i)).collect();
        Ok(Exact { bench, shape, correct: tensors(taps), limits })
    }

    /// What a fault alone does; `None` for faults that the graph in f64 does not have. One that does nothing there is no
    /// small one: it was not planted.
    pub(super) fn effect(&self, planted: (Site, Fault)) -> Result<Option<Effect>, Failure> {
        if !planted.1.is_in_reference() {
            return Ok(None);
        }
        let TestBed { checkpoint, settings, input, .. } = self.bench;
        let taps = reference::encode_with_fault(checkpoint, settings, planted, self.shape, &input.data)
            .map_err(Failure::unreadable)?;
        let faulty = tensors(taps);
        let mut largest: Option<Effect> = None;
        for (pair, limit) in self.bench.pairs.iter().zip(&self.limits) {
            let name = &pair.candidate;
            let (Some(faulty), Some(correct)) = (faulty.get(name), self.correct.get(name)) else {
                return Err(Failure::unusable(format!("{}: the graph in f64 lacks {name}", self.bench.set)));
            };
            let metrics = Metrics::of(faulty, correct);
            let figure = |figure: Option<f64>| figure.unwrap_or(f64::INFINITY);
            let effect = Effect {
                layer: pair.name().to_string(),
                rel_l2: figure(metrics.rel_l2),
                rel_linf: figure(metrics.rel_linf),
                limit: *limit,
            };
            if largest.as_ref().is_none_or(|largest| effect.share() > largest.share()) {
                largest = Some(effect);
            }
        }
        match largest {
            Some(effect) if effect.share() > 0.0 => Ok(Some(effect)),
            _ => Err(Failure::unusable(format!(
                "{}: {planted:?} changes the encoder, but nothing in the graph in f64",
                self.bench.set
            ))),
        }
    }
}

fn tensors(taps: Vec<(String, Tensor64)>) -> BTreeMap<String, Tensor> {
    let taps = taps.into_iter();
    taps.filter_map(|(name, tap)| Some((name, Tensor::from_f64(tap.shape, tap.data)?))).collect()
}

/// Calls a fault that is not seen equivalent where, in f64, it stays within the gate's limits in every layer and the same
/// fault is seen in the same kind of part of another set; the others stay missed.
pub(crate) fn settle(findings: &mut [Planted]) {
    let seen: Vec<(&str, &str, String)> = findings
        .iter()
        .filter(|finding| matches!(finding.verdict, Verdict::Seen { .. }))
        .map(|finding| (finding.fault, finding.place, finding.set.clone()))
        .collect();
    for finding in findings {
        let Verdict::Unseen { effect: Some(effect), .. } = &finding.verdict else { continue };
        let elsewhere = seen.iter().find(|(fault, place, set)| {
            (*fault, *place) == (finding.fault, finding.place) && *set != finding.set
        });
        if let Some((_, _, elsewhere)) = elsewhere
            && effect.share() <= 1.0
        {
            finding.verdict = Verdict::Equivalent { effect: effect.clone(), seen_in: elsewhere.clone() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(rel_l2: f64, rel_linf: f64) -> Effect {
        Effect { layer: "l".into(), rel_l2, rel_linf, limit: Figures { rel_l2: 1e-6, rel_linf: 2e-6 } }
    }

    #[test]
    fn the_share_is_that_of_the_metric_that_is_closer_to_its_limit() {
        assert_eq!(effect(5e-7, 5e-7).share(), 0.5);
        assert_eq!(effect(5e-7, 3e-6).share(), 1.5);
        assert_eq!(effect(f64::INFINITY, 0.0).share(), f64::INFINITY);
        let unlimited = Effect { limit: Figures { rel_l2: 0.0, rel_linf: 0.0 }, ..effect(1e-9, 0.0) };
        assert_eq!(unlimited.share(), f64::INFINITY);
    }

    /// What a committed set computes in f64.
    struct Variants {
        checkpoint: encoder::Checkpoint,
        settings: encoder::Settings,
        shape: [usize; 4],
        input: Vec<f32>,
    }

    impl Variants {
        fn open() -> Variants {
            let set = crate::shell::paths::required_fixtures().unwrap().join("variants");
            let input = crate::encode::input::read_input(&set.join("input.png")).unwrap();
            Variants {
                checkpoint: encoder::Checkpoint::open(&set.join("model.safetensors")).unwrap(),
                settings: encoder::Settings { output_resolution: (5, 3), ..encoder::Settings::default() },
                shape: input.shape.as_slice().try_into().unwrap(),
                input: input.data,
            }
        }

        fn correct(&self) -> Vec<(String, Tensor64)> {
            let Variants { checkpoint, settings, shape, input } = self;
            reference::encode(checkpoint, settings, encoder::Precision::F32, *shape, input).unwrap()
        }

        fn faulty(&self, planted: (Site, Fault)) -> Vec<(String, Tensor64)> {
            let Variants { checkpoint, settings, shape, input } = self;
            reference::encode_with_fault(checkpoint, settings, planted, *shape, input).unwrap()
        }
    }

    #[test]
    fn in_f64_a_fault_moves_something_wherever_it_is_planted() {
        let variants = Variants::open();
        let architecture = encoder::Architecture::read(&variants.checkpoint, &variants.settings).unwrap();
        let blocks = architecture.stages.iter().map(Vec::len).sum::<usize>();
        let sites = [Site::Stem, Site::Fusion, Site::Embedder].into_iter();
        let eps = sites.chain((0..blocks).map(Site::Block)).map(|site| (site, Fault::EpsilonTimes(10.0)));
        let correct = tensors(variants.correct());
        for planted in eps.chain([(Site::Embedder, Fault::NoFactor)]) {
            let faulty = tensors(variants.faulty(planted));
            let moved = correct.iter().any(|(name, tensor)| tensor.values() != faulty[name].values());
            assert!(moved, "{planted:?}");
        }
    }

    /// A row of mean square m comes out of a norm times sqrt((m + eps) / (m + f eps)).
    #[test]
    fn in_f64_a_fault_changes_each_row_as_the_formula_says() {
        let variants = Variants::open();
        let correct = variants.correct();
        let find = |taps: &[(String, Tensor64)], name: &str| {
            taps.iter().find(|(known, _)| known == name).unwrap().1.clone()
        };
        let (fused, normed) = (find(&correct, "msfa_concat_norm"), find(&correct, "mm_soft_emb_norm"));
        let (channels, pixels) = (fused.shape[1], fused.shape[2] * fused.shape[3]);
        // The norm follows a multiplication by sqrt(C); without it, eps is as if times C.
        let cases = [(Fault::EpsilonTimes(10.0), 10.0), (Fault::NoFactor, channels as f64)];
        for (fault, times) in cases {
            let faulty = variants.faulty((Site::Embedder, fault));
            assert_eq!(find(&faulty, "msfa_concat_norm"), fused, "in front of the fault");
            let faulty = find(&faulty, "mm_soft_emb_norm");
            for pixel in 0..pixels {
                let squares: f64 = (0..channels).map(|c| fused.data[c * pixels + pixel].powi(2)).sum();
                let expected = ((squares + 1e-6) / (squares + times * 1e-6)).sqrt();
                for i in pixel * channels..(pixel + 1) * channels {
                    let found = faulty.data[i] / normed.data[i];
                    assert!((found / expected - 1.0).abs() < 1e-12, "{fault:?}: {found} for {expected}");
                }
            }
        }
    }

    #[test]
    fn an_unseen_fault_is_equivalent_only_within_the_limits_and_if_seen_elsewhere() {
        let unseen = |rel_l2: f64, set: &str, place| Planted {
            fault: "f",
            set: set.into(),
            layer: "l".into(),
            planted: "l".into(),
            place,
            verdict: Verdict::Unseen { floors: 2.0, effect: Some(effect(rel_l2, rel_l2)) },
        };
        let seen = |set: &str, place| Planted {
            verdict: Verdict::Seen { strength: None, late: 0 },
            ..unseen(0.0, set, place)
        };
        let unknown =
            Planted { verdict: Verdict::Unseen { floors: 0.5, effect: None }, ..unseen(0.0, "a", "stem") };
        let mut findings = [
            unseen(9e-7, "a", "stem"),
            unseen(2e-6, "a", "stem"),
            unseen(9e-7, "a", "fusion"),
            unseen(9e-7, "b", "stem"),
            unknown,
            seen("b", "stem"),
            seen("a", "fusion"),
        ];
        settle(&mut findings);
        let equivalent = findings.map(|finding| matches!(finding.verdict, Verdict::Equivalent { .. }));
        assert_eq!(equivalent, [true, false, false, false, false, false, false]);
    }
}
