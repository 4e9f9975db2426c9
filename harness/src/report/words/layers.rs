//! Sentences about one layer.

use crate::compare::comparison::{Counted, Seen, Shortfall, Unreadable};
use crate::compare::verdict::{Criterion, CriterionKind, Diagnosis};
use crate::limits::known_errors::Change;
use crate::tensor::layout::{LaidOut, MismatchCause, ShapeMismatch};

/// A criterion that does not hold.
pub fn broken(criterion: &Criterion) -> String {
    let Criterion { kind, measured, limit, .. } = criterion;
    let name = kind.name();
    match (kind, measured) {
        (CriterionKind::Elements, _) => "there is no element to compare".to_string(),
        (CriterionKind::Limits, _) => {
            "this profile sets no limit for this layer; add one to the mapping".to_string()
        }
        (_, None) => format!("{name} is undefined, its limit is {limit:.1e}"),
        (
            CriterionKind::NonFinite | CriterionKind::NonFiniteMismatches | CriterionKind::Outliers,
            Some(measured),
        ) => format!("{name}: {measured:.0}, at most {limit:.0}"),
        (CriterionKind::Cosine, Some(measured)) => {
            format!("cosine {measured:.9} is under its limit {limit:.9}")
        }
        (_, Some(measured)) => format!("{name} {measured:.3e} is over its limit {limit:.3e}"),
    }
}

/// How much of a layer was seen, after its verdict.
pub fn seen(seen: Seen) -> String {
    format!(", partly seen ({} of {})", seen.elements, seen.of)
}

/// A cause that the figures prove.
pub fn diagnosis(diagnosis: Diagnosis) -> String {
    match diagnosis {
        Diagnosis::NoElements => "there is no element to compare".to_string(),
        Diagnosis::NonFinite(1) => "one element differs in NaN or Inf".to_string(),
        Diagnosis::NonFinite(count) => format!("{count} elements differ in NaN or Inf"),
        Diagnosis::ZeroCandidate => "every element of the candidate is 0".to_string(),
        Diagnosis::ZeroReference => "every element of the reference is 0".to_string(),
        Diagnosis::Factor(factor) => {
            let factor = match factor.abs() {
                1e-3..1e6 => format!("{factor:.6}"),
                _ => format!("{factor:.6e}"),
            };
            format!("the candidate is the reference times {factor}")
        }
    }
}

/// Two shapes that do not fit each other.
pub fn mismatch(mismatch: &ShapeMismatch) -> String {
    let ShapeMismatch { candidate, reference, cause } = mismatch;
    let laid_out = |LaidOut { layout, shape }: &LaidOut| layout.describe(shape);
    let remark = match cause {
        MismatchCause::Rank | MismatchCause::Extents => String::new(),
        MismatchCause::Exchanged(a, b) => {
            format!(": extents would fit with {a} and {b} exchanged")
        }
        MismatchCause::Axis { name, extents: [a, b] } => format!(": {name} is {a} and {b}"),
        MismatchCause::Product { axes, extent } => format!(": ({}) cannot be {extent}", axes.join(" ")),
        MismatchCause::DifferentAxes => ": the two layouts name different axes".to_string(),
    };
    format!("candidate has {}, reference has {}{remark}", laid_out(candidate), laid_out(reference))
}

/// Why a tensor cannot be read.
pub fn unreadable(name: &str, cause: &Unreadable) -> String {
    match cause {
        Unreadable::Store(error) => error.to_string(),
        Unreadable::NeverComputed => format!("{name}: announced, but never computed"),
    }
}

/// A layer that is worse than its known error.
pub fn trend(change: &Change) -> String {
    let Change { metric, old, new, allowed } = change;
    let times = new / old;
    format!(
        "{metric} {new:.3e} is {times:.2} times its known error {old:.3e}; {allowed:.2} times are allowed"
    )
}

/// Too little was compared.
pub fn shortfall(shortfall: &Shortfall) -> String {
    let Shortfall { of, compared, minimum } = shortfall;
    let of = match of {
        Counted::Layers => "layers",
        Counted::Elements => "elements",
        Counted::Evidence => {
            return "every reference holds zeros, or one magnitude throughout: nothing was seen to be right"
                .to_string();
        }
    };
    format!("{compared} {of}, at least {minimum} are asked for (coverage, in the mapping)")
}
