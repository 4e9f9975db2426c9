//! How sure a pair is.

use super::catalogue::{Catalogues, Places};
use super::closeness::Closeness;

/// How sure a pair is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// Little speaks for it: look at it.
    Low,
    /// The values are near, but others are too, or they differ by more than elsewhere.
    Medium,
    /// The values are near, and those of no other tensor are.
    High,
}

impl std::fmt::Display for Confidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Confidence::Low => "low",
            Confidence::Medium => "medium",
            Confidence::High => "high",
        })
    }
}

/// A pair further apart than this is never a sure one.
const NEAR: f64 = 0.05;
/// The next best must be this many times further.
const CLEAR_MARGIN: f64 = 4.0;
/// A sure pair is at most this many times as far apart as three quarters of the pairs are.
const USUAL: f64 = 4.0;
/// Fewer values than this agree by accident.
const MIN_ELEMENTS: usize = 32;
/// A pair further apart than this is not paired by its values alone while others may be better.
const FAR: f64 = 0.3;
const MARGIN: f64 = 1.5;
/// Values that follow each other this well, in another scale or with an offset.
const FOLLOWS: f64 = 0.05;
/// Rounding of the figures.
const NEGLIGIBLE: f64 = 1e-6;

/// What speaks for a pair and against it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Evidence {
    pub(super) closeness: Closeness,
    /// The distance of the nearest other tensor on either side.
    pub(super) next: Option<f64>,
    /// The same without scale and offset.
    next_unexplained: Option<f64>,
    enough: bool,
}

impl Evidence {
    /// Of a pair that was held against each other.
    pub(super) fn of(catalogues: &Catalogues<'_>, (c, r): Places) -> Option<Evidence> {
        let Catalogues { candidate, reference, trials, .. } = catalogues;
        let closeness = trials.get(&(c, r))?.closeness;
        // Equal tensors are no rivals: whichever it is, the values are the same.
        let rival =
            |(c2, r2): Places| (c2 == c && !reference.twins(r, r2)) || (r2 == r && !candidate.twins(c, c2));
        let rivals = || {
            let rivals = catalogues.rivals((c, r)).filter(|(pair, _)| rival(*pair));
            rivals.map(|(_, trial)| trial.closeness)
        };
        let signature = &reference.tensors[r].signature;
        Some(Evidence {
            closeness,
            next: rivals().map(|rival| rival.distance()).min_by(f64::total_cmp),
            next_unexplained: rivals().map(|rival| rival.unexplained()).min_by(f64::total_cmp),
            enough: signature.len >= MIN_ELEMENTS
                && signature.finite == signature.len
                && candidate.tensors[c].signature.finite == signature.len,
        })
    }

    /// How many times further the next best is.
    fn margin(&self) -> f64 {
        self.next.map_or(f64::INFINITY, |next| next / self.closeness.distance().max(NEGLIGIBLE))
    }

    /// Whether the values alone pair the two: near, and nearer than any other.
    pub(super) fn is_clear(&self) -> bool {
        let near = self.closeness.distance() <= FAR && self.margin() >= MARGIN;
        near || self.is_rescaled()
    }

    /// Whether only scale or offset keep the two apart.
    fn is_rescaled(&self) -> bool {
        let rivals = self.next_unexplained.is_none_or(|next| next >= CLEAR_MARGIN * FOLLOWS);
        self.enough && self.closeness.unexplained() <= FOLLOWS && rivals
    }

    /// `usual` is the distance that three quarters of the clear pairs have at most.
    pub(super) fn confidence(&self, usual: f64) -> Confidence {
        let distance = self.closeness.distance();
        let as_usual = |times: f64| distance <= (times * usual).max(NEGLIGIBLE);
        if self.enough && distance <= NEAR && self.margin() >= CLEAR_MARGIN && as_usual(USUAL) {
            Confidence::High
        } else if self.is_clear() && (distance <= NEAR || as_usual(USUAL) || self.is_rescaled()) {
            Confidence::Medium
        } else {
            Confidence::Low
        }
    }
}

/// The distance that three quarters of the pairs have at most; 0 without pairs.
pub(super) fn usual_distance(pairs: impl Iterator<Item = Evidence>) -> f64 {
    let mut distances: Vec<f64> = pairs.map(|evidence| evidence.closeness.distance()).collect();
    distances.sort_by(f64::total_cmp);
    distances.get(distances.len() * 3 / 4).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(rel_l2: f64, correlation: f64, next: Option<f64>) -> Evidence {
        let closeness = Closeness { rel_l2, correlation };
        Evidence { closeness, next, next_unexplained: next, enough: true }
    }

    #[test]
    fn sure_pairs_are_near_clear_and_usual() {
        let sure = evidence(1e-3, 0.999_999_9, Some(0.5));
        assert_eq!(sure.confidence(1e-3), Confidence::High);
        // The rest agrees a thousand times better: this may be a neighbour whose own partner is not there.
        assert_eq!(sure.confidence(1e-6), Confidence::Medium);
        assert_eq!(evidence(1e-3, 0.999_999_9, Some(3e-3)).confidence(1e-3), Confidence::Medium);
        assert_eq!(evidence(1e-3, 0.999_999_9, Some(1.2e-3)).confidence(1e-3), Confidence::Low);
        assert_eq!(evidence(1e-3, 0.999_999_9, None).confidence(1e-3), Confidence::High);
        assert_eq!(Evidence { enough: false, ..sure }.confidence(1e-3), Confidence::Medium);
    }

    #[test]
    fn another_scale_is_never_sure() {
        assert_eq!(evidence(1.0, 0.999_999, Some(0.9)).confidence(1e-3), Confidence::Medium);
        assert_eq!(evidence(1.0, 0.999_999, Some(0.01)).confidence(1e-3), Confidence::Low);
    }

    #[test]
    fn the_usual_distance_is_that_of_three_quarters() {
        let of = |distances: &[f64]| usual_distance(distances.iter().map(|d| evidence(*d, 1.0, None)));
        assert_eq!(of(&[0.4, 0.1, 0.2, 0.3]), 0.4);
        assert_eq!(of(&[0.1, 0.1, 0.1, 0.1, 0.9]), 0.1);
        assert_eq!(of(&[]), 0.0);
    }
}
