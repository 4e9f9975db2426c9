//! How many of the planted faults are seen, fault by fault: today, and when it was last accepted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Finding, Verdict};

/// What became of one kind of fault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// Layers that it was planted in.
    pub(crate) planted: usize,
    /// Of these, where the gate saw it.
    pub(crate) seen: usize,
    /// Of these, where it changes nothing beyond noise.
    pub(crate) equivalent: usize,
    /// The strength that is seen in every layer that it is seen in.
    pub(crate) everywhere: Option<f64>,
    /// The smallest strength that is seen in any.
    pub(crate) anywhere: Option<f64>,
    /// The most that it changes a layer where it is not seen, in noise floors of the layer.
    pub(crate) bound: Option<f64>,
}

/// Every kind of fault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Score {
    /// By fault.
    pub(crate) faults: BTreeMap<String, Entry>,
}

impl Score {
    pub(crate) fn of(findings: &[Finding]) -> Score {
        let mut score = Score::default();
        for finding in findings {
            let entry = score.faults.entry(finding.fault.to_string()).or_default();
            entry.planted += 1;
            let larger = |a: Option<f64>, b: f64| Some(a.map_or(b, |a| a.max(b)));
            match finding.verdict {
                Verdict::Seen(strength) => {
                    entry.seen += 1;
                    if let Some(strength) = strength {
                        entry.everywhere = larger(entry.everywhere, strength);
                        entry.anywhere = Some(entry.anywhere.map_or(strength, |a| a.min(strength)));
                    }
                }
                Verdict::Equivalent(floors) => {
                    entry.equivalent += 1;
                    entry.bound = larger(entry.bound, floors);
                }
                Verdict::Missed(floors) => {
                    entry.bound = larger(entry.bound, floors).filter(|b| b.is_finite())
                }
            }
        }
        score
    }

    /// (seen, planted without the equivalent ones)
    pub(crate) fn total(&self) -> (usize, usize) {
        let entries = self.faults.values();
        entries.fold((0, 0), |(seen, all), e| (seen + e.seen, all + e.planted - e.equivalent))
    }

    /// In what it falls short of what was accepted.
    pub(crate) fn shortfalls(&self, accepted: &Score) -> Vec<String> {
        let mut shortfalls = Vec::new();
        for (fault, old) in &accepted.faults {
            let new = self.faults.get(fault).cloned().unwrap_or_default();
            if new.planted < old.planted {
                shortfalls.push(format!("{fault}: planted in {} layers, was {}", new.planted, old.planted));
            }
            let share = |entry: &Entry| entry.seen as f64 / (entry.planted.max(1)) as f64;
            if share(&new) < share(old) {
                shortfalls.push(format!(
                    "{fault}: seen in {} of {} layers, was {} of {}",
                    new.seen, new.planted, old.seen, old.planted
                ));
            }
            if let (Some(new), Some(old)) = (new.everywhere, old.everywhere)
                && new > old
            {
                shortfalls.push(format!("{fault}: seen everywhere from {new:e}, was {old:e}"));
            }
        }
        shortfalls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(fault: &'static str, verdict: Verdict) -> Finding {
        Finding { fault, set: "s".into(), layer: "l".into(), verdict }
    }

    #[test]
    fn equivalent_faults_do_not_count() {
        let score = Score::of(&[
            finding("a", Verdict::Seen(Some(1e-3))),
            finding("a", Verdict::Seen(Some(1e-5))),
            finding("a", Verdict::Equivalent(0.1)),
            finding("b", Verdict::Missed(3.0)),
        ]);
        assert_eq!(score.total(), (2, 3));
        assert_eq!((score.faults["a"].everywhere, score.faults["a"].anywhere), (Some(1e-3), Some(1e-5)));
    }

    #[test]
    fn a_score_that_falls_is_named() {
        let old = Score::of(&[finding("a", Verdict::Seen(Some(1e-5))), finding("b", Verdict::Seen(None))]);
        assert!(old.shortfalls(&old).is_empty());
        let new = Score::of(&[finding("a", Verdict::Seen(Some(1e-3))), finding("b", Verdict::Missed(9.0))]);
        assert_eq!(new.shortfalls(&old).len(), 2);
        assert_eq!(Score::default().shortfalls(&old).len(), 4);
    }
}
