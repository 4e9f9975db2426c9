//! Sentences about tensors that met no partner.

use crate::compare::gap::{Counterpart, Gap};
use crate::limits::file::FigureKind;
use crate::mapping::order::UnknownOrder;
use crate::mapping::pairing::{AmbiguityCause, CountedLengths, Missing, UnmappedHint, WantedBy};

/// What asks for a missing tensor.
pub fn wanted_by(missing: &Missing) -> String {
    match &missing.wanted_by {
        WantedBy::Partner(partner) => format!("wanted by {} {partner}", missing.side.other()),
        WantedBy::Manifest => "listed in the manifest of the set".to_string(),
    }
}

/// What is known about a tensor that nothing takes.
pub fn unmapped(hint: Option<&UnmappedHint>) -> String {
    match hint {
        None => "no rule takes it and no ignore lists it".to_string(),
        Some(UnmappedHint::NearMissing(name)) => format!("`{name}` is missing: is this it?"),
        Some(UnmappedHint::NotNamedLike(pattern)) => format!("not named like {pattern}"),
        Some(UnmappedHint::BeyondLengths(counted)) => {
            let lengths = |CountedLengths { placeholder, lengths, .. }: &CountedLengths| {
                format!("`{placeholder}` has lengths {lengths:?}")
            };
            let lengths = counted.iter().map(lengths).collect::<Vec<_>>().join(", ");
            // Lengths of the mapping's own are not those of the reference's names.
            match counted.iter().all(|counted| counted.given) {
                true => format!("its number is beyond the lengths that the mapping gives: {lengths}"),
                false => format!(
                    "its number is beyond what the reference has: {lengths}; where the reference holds only some, give \
                     the mapping `lengths = [...]`"
                ),
            }
        }
    }
}

/// Why it cannot be said what a tensor belongs to.
pub fn ambiguity(cause: &AmbiguityCause) -> String {
    match cause {
        AmbiguityCause::TakenTwice { rules, ignore } => {
            let mut takers: Vec<String> = rules.iter().map(|rule| format!("rule `{rule}`")).collect();
            takers.extend(ignore.map(|line| format!("the ignore in line {line}")));
            format!("taken by {}", takers.join(" and "))
        }
        AmbiguityCause::SeveralFit { rule } => {
            format!("each is what rule `{rule}` asks for; one may be a file of an earlier run")
        }
        AmbiguityCause::Partner => "its partner is ambiguous".to_string(),
        AmbiguityCause::OneName { name, runs: false } => {
            format!("both are `{name}` to the mapping; the first is compared")
        }
        AmbiguityCause::OneName { name, runs: true } => format!(
            "runs of `{name}`; say in the mapping which one is compared: `call = 0`, `call = \"last\"` or, where all must \
             hold the same, `call = \"must_agree\"`"
        ),
        AmbiguityCause::RunsDiffer { name } => {
            format!("runs of `{name}`, which must agree, hold different values; the first is compared")
        }
    }
}

/// A layer without its entry in a file of figures, or an entry without its layer.
pub fn gap(gap: &Gap) -> String {
    let explanation = match (gap.missing, gap.of) {
        (Counterpart::Entry, FigureKind::Coverage) => "it is not on the",
        (Counterpart::Entry, _) => "no bound is known for it in the",
        (Counterpart::Pair, _) => "nothing was compared of this entry in the",
    };
    format!("({}) {explanation} {}", gap.reference, gap.of)
}

/// Why no layer can be called the first.
pub fn unknown_order(unknown: &UnknownOrder) -> String {
    let why = match unknown {
        UnknownOrder::NoOrder => {
            return "the mapping says that its rules are in no order (`rules_in_order`), and no manifest lists the layers: put \
                    the rules in the order of execution and take that line out"
                .to_string();
        }
        UnknownOrder::Within { rule } => {
            format!("the names of rule `{rule}` count in different orders on the two sides")
        }
        UnknownOrder::Words { rule } => {
            return format!(
                "rule `{rule}` takes tensors by words, which are in no order, and no manifest lists the layers: give each \
                 word a rule of its own, in the order of execution"
            );
        }
        UnknownOrder::Between { rule, next } => {
            format!("rules `{rule}` and `{next}` count different numbers")
        }
    };
    format!("{why}, and no manifest lists the layers; give the rules `order`")
}
