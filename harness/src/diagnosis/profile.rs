//! A run that is less exact from its first layer on, as rounding of all weights or values makes it: which profile has limits
//! for that.

use crate::compare::comparison::{Comparison, Layer};
use crate::compare::remark::{Remark, RemarkKind};
use crate::compare::terms::Terms;
use crate::compare::verdict::judge;
use crate::mapping::Profile;
use crate::mapping::pairing::Pair;

/// The share of the layers that rounding of everything breaks at the least.
const SHARE: f64 = 0.9;

/// The tightest other profile that all layers are within, where nearly all of them fail, the first one too. An error that
/// begins further down is not one of precision, however small it is.
pub(super) fn remark(terms: &Terms<'_>, comparison: &Comparison) -> Option<Remark> {
    let layers: Vec<&Layer> = comparison.computed().collect();
    let fails = |layer: &Layer| layer.compared().is_some_and(|compared| !compared.passed());
    let failing = layers.iter().filter(|layer| fails(layer)).count();
    let from_the_first = layers.first().is_some_and(|layer| fails(layer));
    if !from_the_first || (failing as f64) < SHARE * layers.len() as f64 {
        return None;
    }
    let limit = |profile: &Profile| profile.limits.rel_l2.unwrap_or(f64::INFINITY);
    let mut others: Vec<&Profile> =
        terms.mapping.profiles.values().filter(|other| other.name != terms.profile.name).collect();
    others.sort_by(|a, b| limit(a).total_cmp(&limit(b)));
    let within = |profile: &&&Profile| {
        let terms = Terms { profile, tolerances: None, known: None, ..*terms };
        layers.iter().all(|layer| is_within(&terms, layer))
    };
    let profile = others.iter().find(within)?;
    let (profile, description) = (profile.name.clone(), profile.description.clone());
    Some(RemarkKind::WithinProfile { profile, description, layers: layers.len() }.into())
}

/// Whether the figures of a layer are within the limits of other terms.
fn is_within(terms: &Terms<'_>, layer: &Layer) -> bool {
    let rule = terms.mapping.rules.iter().position(|rule| rule.name == layer.rule);
    let (Some(rule), Some(compared)) = (rule, layer.compared()) else { return false };
    let pair = Pair {
        rule,
        candidate: layer.name.clone(),
        reference: layer.reference.clone(),
        stands_for: layer.stands_for.clone(),
    };
    judge(&compared.metrics, &terms.resolve(&pair), compared.dtypes).passed
}
