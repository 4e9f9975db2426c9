//! Which layers are kept as maps: the first that fail, and those that come closest to their limits.

use super::comparison::{Comparison, Layer};
use super::maps::LayerMaps;
use super::terms::Terms;
use crate::exit_code;
use crate::mapping::pairing::Pair;
use crate::provenance::Dump;
use crate::tensor::Tensor;

/// Elements of a layer above which it is not kept.
const MAX_ELEMENTS: usize = 1 << 25;

/// How many layers of a comparison are kept as maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MapLimits {
    /// Layers that fail.
    pub failing: usize,
    /// Layers that pass.
    pub passing: usize,
}

/// Layers that are kept as maps, with the positions of their pairs.
#[derive(Default)]
pub(super) struct KeptMaps {
    limits: MapLimits,
    failing: Vec<(usize, LayerMaps)>,
    /// With the shares of their limits that they use up.
    passing: Vec<(f64, usize, LayerMaps)>,
}

impl KeptMaps {
    pub(super) fn of(limits: MapLimits) -> KeptMaps {
        KeptMaps { limits, ..KeptMaps::default() }
    }

    /// Keeps a layer where there is room for it, or it comes closer to its limits than one that is kept.
    pub(super) fn offer(&mut self, at: usize, layer: &Layer, maps: impl FnOnce() -> Option<LayerMaps>) {
        let Some(compared) = layer.compared() else { return };
        if compared.metrics.n > MAX_ELEMENTS || layer.is_input {
            return;
        }
        if layer.exit_code() != exit_code::PASSED {
            if self.failing.len() < self.limits.failing {
                self.failing.extend(maps().map(|maps| (at, maps)));
            }
            return;
        }
        let used = layer.used();
        let place = self.passing.partition_point(|(known, ..)| *known >= used);
        if place < self.limits.passing
            && let Some(maps) = maps()
        {
            self.passing.insert(place, (used, at, maps));
            self.passing.truncate(self.limits.passing);
        }
    }

    /// All that are kept, in the order of their pairs.
    pub(super) fn finish(self) -> Vec<LayerMaps> {
        let passing = self.passing.into_iter().map(|(_, at, maps)| (at, maps));
        let mut kept: Vec<(usize, LayerMaps)> = self.failing.into_iter().chain(passing).collect();
        kept.sort_by_key(|(at, _)| *at);
        kept.into_iter().map(|(_, maps)| maps).collect()
    }
}

impl Terms<'_> {
    /// Keeps some layers of a dump that was compared as maps: their tensors are read once more.
    pub fn keep_maps(&self, candidate: &Dump, limits: MapLimits, comparison: &mut Comparison) {
        let mut kept = KeptMaps::of(limits);
        for (at, layer) in comparison.layers.iter().enumerate() {
            // Of a log no whole tensor is known.
            if candidate.printed(&layer.name).is_none() {
                kept.offer(at, layer, || self.maps_of_dump(layer, candidate));
            }
        }
        comparison.maps = kept.finish();
    }

    fn maps_of_dump(&self, layer: &Layer, candidate: &Dump) -> Option<LayerMaps> {
        let pair = self.pair_of(layer)?;
        self.maps_of_held(&pair, candidate.read(&pair.candidate).ok()?)
    }

    /// A tensor in memory and its partner as maps.
    pub(super) fn maps_of_held(&self, pair: &Pair, candidate: Tensor) -> Option<LayerMaps> {
        self.maps(pair, candidate, &self.reference.dump().read(&pair.reference).ok()?)
    }
}
