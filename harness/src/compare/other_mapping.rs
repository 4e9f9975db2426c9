//! Where a mapping of a user's own asks for less than another one, such as the one that a program brings.

use std::collections::BTreeSet;

use super::comparison::{Comparison, Layer};
use super::remark::{Remark, RemarkKind};
use super::terms::Terms;
use crate::limits::metric::Metric;
use crate::mapping::pairing::Pair;
use crate::side::Side;

/// Another mapping to which one of a user's own is held.
pub struct OtherMapping<'a> {
    /// The same terms but for the mapping, and the profile of the same name in it.
    pub terms: Terms<'a>,
    /// What it is called.
    pub name: &'a str,
    /// The candidate's names, of which a mapping of one's own may ask for fewer.
    pub candidates: &'a [String],
}

impl OtherMapping<'_> {
    /// What a comparison by these terms leaves out that the other mapping compares, and where its limits are looser. A mapping
    /// of another model pairs nothing of this one, and so nothing is said.
    pub fn remarks(&self, own: &Terms<'_>, comparison: &Comparison) -> Vec<Remark> {
        let pairing = self.terms.pair(self.candidates, &[]);
        let compared: BTreeSet<&str> =
            comparison.layers.iter().map(|layer| layer.reference.as_str()).collect();
        // What is missing or unmapped is told as that, and fails.
        let references: Vec<String> = comparison
            .ignored
            .iter()
            .filter(|ignored| ignored.side == Side::Reference && !compared.contains(ignored.name.as_str()))
            .filter(|ignored| pairing.pairs.iter().any(|pair| pair.reference == ignored.name))
            .map(|ignored| ignored.name.clone())
            .collect();
        let by_mapping = self.name.to_string();
        let left_out =
            (!references.is_empty()).then(|| RemarkKind::LeftOut { by_mapping, references }.into());
        left_out.into_iter().chain(self.looser_limits(own, &pairing.pairs, comparison)).collect()
    }

    fn looser_limits(&self, own: &Terms<'_>, pairs: &[Pair], comparison: &Comparison) -> Option<Remark> {
        /// A limit, and the smaller one of the other mapping.
        struct Looser<'a> {
            layer: &'a str,
            limit: f64,
            other: f64,
        }
        let of_layer = |layer: &Layer| {
            let other =
                self.terms.resolve(pairs.iter().find(|pair| pair.reference == layer.reference)?).limits;
            let limits = own.resolve(&own.pair_of(layer)?).limits;
            let both =
                Metric::ALL.iter().filter_map(|metric| Some((limits.of(*metric)?, other.of(*metric)?)));
            let looser = both.filter(|(limit, other)| *limit > other * (1.0 + f64::from(f32::EPSILON)));
            looser.max_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)))
        };
        let found: Vec<Looser<'_>> = comparison
            .layers
            .iter()
            .filter_map(|layer| {
                let (limit, other) = of_layer(layer)?;
                Some(Looser { layer: layer.pair_name(), limit, other })
            })
            .collect();
        let worst = found.iter().max_by(|a, b| (a.limit / a.other).total_cmp(&(b.limit / b.other)))?;
        let kind = RemarkKind::LooserLimits {
            than: self.name.to_string(),
            layers: found.len(),
            layer: worst.layer.to_string(),
            limit: worst.limit,
            other: worst.other,
        };
        Some(kind.into())
    }
}
