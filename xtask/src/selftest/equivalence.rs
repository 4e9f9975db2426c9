//! Faults that cannot be told from noise where they stand, each with the figure that shows it.
//!
//! An RMS norm divides a row of mean square m by sqrt(m + eps). With f * eps in the place of eps, the row comes out
//! times sqrt((m + eps) / (m + f eps)): on rows of unit energy and an eps of 1e-6 that is 1 to within 1e-5 for f = 10. A
//! constant factor c in front of the norm is the same as an eps divided by c^2. What becomes of every row in f64 is
//! computed from the energies of the rows at that place.

use encoder::Architecture;
use encoder::faults::{Fault, Site};
use encoder::reference::RowEnergies;

use super::{Finding, Verdict};

/// The epsilon of every RMS norm of the model, in f64 as the reference has it.
const EPSILON: f64 = 1e-6;

/// How much a fault changes the norms of its place, of the one that it changes most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bound {
    /// Root of the mean square over the rows of a row's relative change: ‖d‖ / ‖b‖ behind the norm, whose rows are of
    /// equal energy.
    pub(crate) rel_l2: f64,
    /// The largest relative change of a row: no element changes by more of itself.
    pub(crate) rel_linf: f64,
}

/// Limits that the gate holds the place to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limit {
    pub(crate) rel_l2: f64,
    pub(crate) rel_linf: f64,
}

impl Bound {
    /// What a fault does to the norms of a place; `None` for faults of which nothing is known from the rows.
    pub(crate) fn of(
        fault: Fault,
        site: Site,
        architecture: &Architecture,
        energies: &[RowEnergies],
    ) -> Option<Bound> {
        let prefix = prefix(site, architecture)?;
        let bounds = energies.iter().filter(|rows| rows.norm.starts_with(&prefix)).filter_map(|rows| {
            // What stands under the root in place of m + eps, over m + eps.
            let changed: Box<dyn Fn(f64) -> f64> = match fault {
                Fault::EpsilonTimes(factor) => {
                    Box::new(move |m| (m + f64::from(factor) * EPSILON) / (m + EPSILON))
                }
                Fault::NoFactor if rows.norm == "embed_vision.soft_embedding_norm.weight" => {
                    // The rows are those with the factor, whose square is the number of channels.
                    let channels = rows.channels as f64;
                    Box::new(move |m| (m + channels * EPSILON) / (m + EPSILON))
                }
                _ => return None,
            };
            Some(Bound::over(rows.mean_squares.iter().map(|m| (1.0 - changed(*m).sqrt().recip()).abs())))
        });
        bounds.reduce(|a, b| Bound { rel_l2: a.rel_l2.max(b.rel_l2), rel_linf: a.rel_linf.max(b.rel_linf) })
    }

    /// Of the relative changes of all rows.
    fn over(changes: impl Iterator<Item = f64>) -> Bound {
        let (mut rows, mut squares, mut largest) = (0usize, 0.0, 0.0f64);
        for change in changes {
            rows += 1;
            squares += change * change;
            largest = largest.max(change);
        }
        Bound { rel_l2: (squares / rows.max(1) as f64).sqrt(), rel_linf: largest }
    }

    /// Whether it is under both limits.
    fn is_under(&self, limit: &Limit) -> bool {
        self.rel_l2 <= limit.rel_l2 && self.rel_linf <= limit.rel_linf
    }
}

/// What the names of a place's norms begin with.
fn prefix(site: Site, architecture: &Architecture) -> Option<String> {
    Some(match site {
        Site::Stem => "conv_stem.".to_string(),
        Site::Fusion => "msfa.".to_string(),
        Site::Embedder => "embed_vision.".to_string(),
        Site::Block(number) => {
            let blocks = architecture.stages.iter().enumerate();
            let mut blocks = blocks.flat_map(|(stage, blocks)| (0..blocks.len()).map(move |i| (stage, i)));
            let (stage, index) = blocks.nth(number)?;
            format!("blocks.{stage}.{index}.")
        }
    })
}

/// Calls a fault that is not seen equivalent where its bound is under the gate's limits and the same fault is seen in the
/// same kind of place of another set; the others stay missed.
pub(crate) fn settle(findings: &mut [Finding]) {
    let seen: Vec<(&str, &str, String)> = findings
        .iter()
        .filter(|finding| matches!(finding.verdict, Verdict::Seen { .. }))
        .map(|finding| (finding.fault, finding.place, finding.set.clone()))
        .collect();
    for finding in findings {
        let Verdict::Unseen { bound: Some((bound, limit)), .. } = &finding.verdict else { continue };
        let elsewhere = seen.iter().find(|(fault, place, set)| {
            (*fault, *place) == (finding.fault, finding.place) && *set != finding.set
        });
        if let Some((_, _, elsewhere)) = elsewhere
            && bound.is_under(limit)
        {
            finding.verdict =
                Verdict::Equivalent { bound: *bound, limit: *limit, seen_in: elsewhere.clone() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn architecture() -> Architecture {
        let path = crate::paths::fixtures().join("symmetric/model.safetensors");
        let checkpoint = encoder::Checkpoint::open(&path).unwrap();
        Architecture::read(&checkpoint, &encoder::Settings::default()).unwrap()
    }

    fn rows(norm: &str, mean_squares: &[f64]) -> RowEnergies {
        RowEnergies { norm: norm.into(), channels: 4, mean_squares: mean_squares.to_vec() }
    }

    #[test]
    fn a_bound_by_hand() {
        let architecture = architecture();
        let energies = [
            rows("blocks.0.0.bn1.weight", &[3e-6, 1e9]),
            rows("blocks.0.1.bn1.weight", &[8e-6]),
            rows("embed_vision.soft_embedding_norm.weight", &[5e-6]),
            rows("embed_vision.post_projection_norm", &[1e-9]),
        ];
        let of = |fault, site| Bound::of(fault, site, &architecture, &energies);
        // (3 + 1) / (3 + 13) is a quarter, and the other row does not change.
        let bound = of(Fault::EpsilonTimes(13.0), Site::Block(0)).unwrap();
        assert!((bound.rel_linf - 0.5).abs() < 1e-6 && (bound.rel_l2 - 0.5 / 2f64.sqrt()).abs() < 1e-6);
        let bound = of(Fault::EpsilonTimes(0.0), Site::Block(1)).unwrap();
        assert!((bound.rel_linf - (9f64 / 8.0).sqrt() + 1.0).abs() < 1e-9, "{bound:?}");
        // 4 channels: (5 + 1) / (5 + 4).
        let bound = of(Fault::NoFactor, Site::Embedder).unwrap();
        assert!((bound.rel_linf - (1.0 - (6f64 / 9.0).sqrt())).abs() < 1e-9, "{bound:?}");
        assert_eq!(of(Fault::NoGelu, Site::Block(0)), None);
        assert_eq!(of(Fault::EpsilonTimes(10.0), Site::Stem), None);
    }

    #[test]
    fn an_unseen_fault_is_equivalent_only_under_the_limit_and_if_seen_elsewhere() {
        let unseen = |rel_l2: f64, set: &str, place| Finding {
            fault: "f",
            set: set.into(),
            layer: "l".into(),
            planted: "l".into(),
            place,
            verdict: Verdict::Unseen {
                floors: 2.0,
                bound: Some((Bound { rel_l2, rel_linf: rel_l2 }, Limit { rel_l2: 1e-6, rel_linf: 1e-6 })),
            },
        };
        let seen = |set: &str, place| Finding {
            verdict: Verdict::Seen { strength: None, late: 0 },
            ..unseen(0.0, set, place)
        };
        let no_bound =
            Finding { verdict: Verdict::Unseen { floors: 0.5, bound: None }, ..unseen(0.0, "a", "stem") };
        let mut findings = [
            unseen(9e-7, "a", "stem"),
            unseen(2e-6, "a", "stem"),
            unseen(9e-7, "a", "fusion"),
            unseen(9e-7, "b", "stem"),
            no_bound,
            seen("b", "stem"),
            seen("a", "fusion"),
        ];
        settle(&mut findings);
        let equivalent = findings.map(|finding| matches!(finding.verdict, Verdict::Equivalent { .. }));
        assert_eq!(equivalent, [true, false, false, false, false, false, false]);
    }
}
