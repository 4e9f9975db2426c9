//! How many of the planted faults are seen, fault by fault: today, and when it was last accepted.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Planted, Verdict};

/// What became of one kind of fault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultScore {
    /// Places that it was planted in, and changes a bit of.
    pub(crate) planted: usize,
    /// Of these, where the gate saw it.
    pub(crate) seen: usize,
    /// Of these, where it did not.
    pub(crate) missed: usize,
    /// Of these, where it stays within the limits, in f64, and is seen in such a part of another set.
    pub(crate) equivalent: usize,
    /// The strength that is seen in every place that it is seen in.
    pub(crate) everywhere: Option<f64>,
    /// The smallest strength that is seen in any.
    pub(crate) anywhere: Option<f64>,
    /// By the smallest strength that is seen (`1e-5`): in how many places.
    pub(crate) from: BTreeMap<String, usize>,
    /// The largest share of a limit, of either metric in any layer, that it takes where it is equivalent, in f64.
    pub(crate) bound: Option<f64>,
    /// By set and first layer that it changes: how many layers later it is seen. Those where it is seen at once are left
    /// out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) late: BTreeMap<String, usize>,
}

/// Every kind of fault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Score {
    /// The sets that faults were planted in: places of other ones cannot make up for theirs.
    pub(crate) sets: BTreeSet<String>,
    /// By fault.
    pub(crate) faults: BTreeMap<String, FaultScore>,
}

impl Score {
    pub(crate) fn of(findings: &[Planted]) -> Score {
        let mut score = Score::default();
        for finding in findings {
            score.sets.insert(finding.set.clone());
            let entry = score.faults.entry(finding.fault.to_string()).or_default();
            entry.planted += 1;
            let larger = |a: Option<f64>, b: f64| Some(a.map_or(b, |a| a.max(b)));
            match &finding.verdict {
                Verdict::Seen { strength, late } => {
                    entry.seen += 1;
                    if let Some(strength) = *strength {
                        entry.everywhere = larger(entry.everywhere, strength);
                        entry.anywhere = Some(entry.anywhere.map_or(strength, |a| a.min(strength)));
                        *entry.from.entry(format!("{strength:e}")).or_default() += 1;
                    }
                    if *late > 0 {
                        let place = format!("{}: {}", finding.set, finding.planted);
                        let known = entry.late.entry(place).or_default();
                        *known = (*known).max(*late);
                    }
                }
                Verdict::Equivalent { effect, .. } => {
                    entry.equivalent += 1;
                    entry.bound = larger(entry.bound, effect.share());
                }
                Verdict::Unseen { .. } => entry.missed += 1,
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
        for (sets, others, what) in [
            (&accepted.sets, &self.sets, "no faults were planted there"),
            (&self.sets, &accepted.sets, "not in the accepted score"),
        ] {
            shortfalls.extend(sets.difference(others).map(|set| format!("set {set}: {what}")));
        }
        let share = |(part, whole): (usize, usize)| part as f64 / whole.max(1) as f64;
        let (new, old) = (self.total(), accepted.total());
        if share(new) < share(old) {
            shortfalls.push(format!("score: {} of {}, was {} of {}", new.0, new.1, old.0, old.1));
        }
        for (fault, old) in &accepted.faults {
            let new = self.faults.get(fault).cloned().unwrap_or_default();
            shortfalls.extend(new.shortfalls(old).into_iter().map(|text| format!("{fault}: {text}")));
        }
        for fault in self.faults.keys().filter(|fault| !accepted.faults.contains_key(*fault)) {
            shortfalls.push(format!("{fault}: not in the accepted score"));
        }
        shortfalls
    }
}

impl FaultScore {
    /// In how many places this strength is seen.
    fn seen_from(&self, strength: f64) -> usize {
        let at_most = |(from, _): &(&String, &usize)| from.parse::<f64>().is_ok_and(|from| from <= strength);
        self.from.iter().filter(at_most).map(|(_, places)| places).sum()
    }

    fn shortfalls(&self, old: &FaultScore) -> Vec<String> {
        let (new, mut shortfalls) = (self, Vec::new());
        if new.planted < old.planted {
            shortfalls.push(format!("planted in {} places, was {}", new.planted, old.planted));
        }
        let share = |entry: &FaultScore| entry.seen as f64 / entry.planted.max(1) as f64;
        if share(new) < share(old) {
            shortfalls.push(format!(
                "seen in {} of {} places, was {} of {}",
                new.seen, new.planted, old.seen, old.planted
            ));
        }
        if new.missed > old.missed {
            shortfalls.push(format!("missed in {} places, was {}", new.missed, old.missed));
        }
        match (new.everywhere, old.everywhere) {
            (Some(new), Some(old)) if new > old => {
                shortfalls.push(format!("seen everywhere from {new:e}, was {old:e}"));
            }
            (None, Some(old)) => shortfalls.push(format!("seen at no strength, was from {old:e}")),
            _ => {}
        }
        // What is lost above counts once.
        let strengths = old.from.keys().filter(|_| shortfalls.is_empty());
        for strength in strengths.filter_map(|strength| strength.parse::<f64>().ok()).collect::<Vec<_>>() {
            let (now, then) = (new.seen_from(strength), old.seen_from(strength));
            if now < then {
                shortfalls.push(format!("seen from {strength:e} in {now} places, was {then}"));
            }
        }
        if new.equivalent > old.equivalent {
            shortfalls.push(format!("equivalent in {} places, was {}", new.equivalent, old.equivalent));
        }
        for (place, late) in &new.late {
            let old = old.late.get(place).copied().unwrap_or(0);
            if *late > old {
                shortfalls.push(format!("{place}: seen {late} layers late, was {old}"));
            }
        }
        shortfalls
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harness::limits::metric::Figures;

    use crate::selftest::Effect;

    fn finding(fault: &'static str, verdict: Verdict) -> Planted {
        Planted { fault, set: "s".into(), planted: "p".into(), layer: "l".into(), place: "stem", verdict }
    }

    fn seen(strength: f64, late: usize) -> Verdict {
        Verdict::Seen { strength: Some(strength), late }
    }

    fn once() -> Verdict {
        Verdict::Seen { strength: None, late: 0 }
    }

    /// Its larger share is that of rel_linf.
    fn equivalent(share: f64) -> Verdict {
        let limit = Figures { rel_l2: 1e-6, rel_linf: 2e-6 };
        let effect = Effect { layer: "l".into(), rel_l2: 0.0, rel_linf: share * limit.rel_linf, limit };
        Verdict::Equivalent { effect, seen_in: "t".into() }
    }

    fn unseen() -> Verdict {
        Verdict::Unseen { floors: 0.5, effect: None }
    }

    fn score(verdicts: impl IntoIterator<Item = Verdict>) -> Score {
        Score::of(&verdicts.into_iter().map(|verdict| finding("a", verdict)).collect::<Vec<_>>())
    }

    #[test]
    fn equivalent_faults_do_not_count_and_missed_ones_do() {
        let score = Score::of(&[
            finding("a", seen(1e-3, 0)),
            finding("a", seen(1e-5, 2)),
            finding("a", equivalent(0.1)),
            finding("b", unseen()),
        ]);
        assert_eq!(score.total(), (2, 3));
        let a = &score.faults["a"];
        assert_eq!((a.seen, a.missed, a.equivalent, a.bound), (2, 0, 1, Some(0.1)));
        assert_eq!((a.everywhere, a.anywhere), (Some(1e-3), Some(1e-5)));
        assert_eq!(a.late["s: p"], 2);
        assert_eq!(score.faults["b"].missed, 1);
    }

    #[test]
    fn a_place_that_sees_later_shows_though_another_did_before() {
        let old = score([seen(1e-5, 0), seen(1e-6, 0), seen(1e-6, 0)]);
        let new = score([seen(1e-5, 0), seen(1e-5, 0), seen(1e-6, 0)]);
        assert_eq!(new.shortfalls(&old), ["a: seen from 1e-6 in 1 places, was 2"]);
        assert!(old.shortfalls(&new).is_empty());
    }

    /// Seen there, faults of the other sets would hide behind them.
    #[test]
    fn a_score_is_of_its_sets() {
        let old = score([seen(1e-5, 0)]);
        let another = Planted { set: "t".into(), ..finding("a", seen(1e-5, 0)) };
        let more = Score::of(&[finding("a", seen(1e-5, 0)), another]);
        assert_eq!(more.shortfalls(&old), ["set t: not in the accepted score"]);
        assert_eq!(old.shortfalls(&more)[0], "set t: no faults were planted there");
    }

    #[test]
    fn every_way_to_fall_short_is_named() {
        let old = score([seen(1e-5, 1), seen(1e-5, 0), equivalent(0.1)]);

        assert!(old.shortfalls(&old).is_empty());
        assert!(score([seen(1e-6, 0), seen(1e-6, 0), equivalent(0.01)]).shortfalls(&old).is_empty());
        let other = Score::of(&[finding("b", once())]);
        let cases = [
            ("a seen one missed", score([seen(1e-5, 1), unseen(), equivalent(0.1)])),
            ("an equivalent one missed", score([seen(1e-5, 1), seen(1e-5, 0), unseen()])),
            ("a seen one equivalent", score([seen(1e-5, 1), equivalent(0.01), equivalent(0.1)])),
            ("fewer", score([seen(1e-5, 1), seen(1e-5, 0)])),
            ("a larger strength", score([seen(1e-4, 1), seen(1e-5, 0), equivalent(0.1)])),
            ("no strength", score([once(), once(), equivalent(0.1)])),
            (
                "more equivalent ones behind more seen ones",
                score([
                    seen(1e-5, 1),
                    seen(1e-5, 0),
                    seen(1e-5, 0),
                    seen(1e-5, 0),
                    equivalent(0.1),
                    equivalent(0.1),
                ]),
            ),
            ("a later layer", score([seen(1e-5, 2), seen(1e-5, 0), equivalent(0.1)])),
            ("another fault", other),
        ];
        let text: Vec<String> =
            cases.map(|(case, new)| format!("{case}\n  {}", new.shortfalls(&old).join("\n  "))).into();
        insta::assert_snapshot!(text.join("\n"), @r"
        a seen one missed
          score: 1 of 2, was 2 of 2
          a: seen in 1 of 3 places, was 2 of 3
          a: missed in 1 places, was 0
        an equivalent one missed
          score: 2 of 3, was 2 of 2
          a: missed in 1 places, was 0
        a seen one equivalent
          a: seen in 1 of 3 places, was 2 of 3
          a: equivalent in 2 places, was 1
        fewer
          a: planted in 2 places, was 3
        a larger strength
          a: seen everywhere from 1e-4, was 1e-5
        no strength
          a: seen at no strength, was from 1e-5
        more equivalent ones behind more seen ones
          a: equivalent in 2 places, was 1
        a later layer
          a: s: p: seen 2 layers late, was 1
        another fault
          a: planted in 0 places, was 3
          a: seen in 0 of 0 places, was 2 of 3
          a: seen at no strength, was from 1e-5
          b: not in the accepted score
        ");
    }
}
