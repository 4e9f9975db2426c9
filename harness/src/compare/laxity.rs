//! What a mapping asks for too little of: a pass by it would say less than its reader takes it to say.

use super::comparison::Layer;
use super::remark::{Remark, RemarkKind};
use super::verdict::CriterionKind;
use crate::limits::tolerance::{Basis, STORAGE_FLOOR};
use crate::limits::waiver;
use crate::mapping::{Mapping, Profile};
use crate::reference::Reference;

/// What is to be said of a mapping after a comparison by it.
pub(super) fn remarks(
    mapping: &Mapping,
    profile: &Profile,
    reference: &Reference,
    layers: &[Layer],
) -> Vec<Remark> {
    let asks_for_nothing = mapping.coverage.layers == 0;
    let nothing = asks_for_nothing.then(|| RemarkKind::NoMinimum.into());
    nothing.into_iter().chain(far_over_floor(profile, reference, layers)).collect()
}

/// Limits of which the profile says that they are multiples of the noise floor, and which are farther over it than a waiver
/// may put one. A profile of other arithmetic has limits of its own, which the floor says nothing of.
fn far_over_floor(profile: &Profile, reference: &Reference, layers: &[Layer]) -> Option<Remark> {
    let factors = profile.times_floor?;
    let times = |layer: &Layer| {
        let floor = reference.noise_floor(&layer.reference)?;
        let criteria = layer.compared().into_iter().flat_map(|compared| &compared.judgement.criteria);
        let times = criteria.filter_map(|criterion| match (criterion.kind, criterion.basis) {
            (CriterionKind::Metric(metric), Basis::Mapping | Basis::Cap | Basis::NoiseFloor { .. }) => {
                factors.of(metric)?;
                Some(criterion.limit / floor.figures.of(metric).max(STORAGE_FLOOR))
            }
            _ => None,
        });
        times.max_by(f64::total_cmp).filter(|times| *times > waiver::MAX_FACTOR)
    };
    let found: Vec<(&Layer, f64)> = layers.iter().filter_map(|layer| Some((layer, times(layer)?))).collect();
    let (layer, times) = found.iter().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let layer = layer.pair_name().to_string();
    Some(RemarkKind::FarOverFloor { layers: found.len(), layer, times: *times }.into())
}
