//! Sentences about what explains findings.

use super::count;
use super::value_changes::value_change;
use crate::compare::explanation::{Explanation, ExplanationKind, InputChange, MappingPlace, Scaling};

/// Tensors that are named of those that come out right without another.
const LATER: usize = 3;

/// What explains findings, and what to do about it.
pub fn explanation(explanation: &Explanation) -> String {
    let Explanation { kind, explains, tried, ties } = explanation;
    let of = match explains.len() == *tried {
        true => count(*tried, "layer"),
        false => format!("{} of {}", explains.len(), count(*tried, "layer")),
    };
    let first = explains.first().map(String::as_str).unwrap_or_default();
    let sentence = of_kind(kind, &of, first, explains.len());
    match ties.as_slice() {
        [] => sentence,
        ties => format!("{sentence} (the values agree as well with {})", ties.join(", ")),
    }
}

fn of_kind(kind: &ExplanationKind, of: &str, first: &str, explains: usize) -> String {
    match kind {
        ExplanationKind::Layout { layout, place, exchanged: Some((a, b)) } => format!(
            "with {a} and {b} exchanged, {of} within the limits: the port computes or writes them so; {}{}",
            if *place == MappingPlace::Nowhere { "" } else { "where it only writes them so, " },
            line(place, "layout", "candidate_layout", &layout.to_string())
        ),
        ExplanationKind::Layout { layout, place, exchanged: None } => format!(
            "the candidate's axes are `{layout}`: so read, {of} within the limits; {}",
            line(place, "layout", "candidate_layout", &layout.to_string())
        ),
        ExplanationKind::ReferenceLayout { layout } => format!(
            "the reference's axes are `{layout}`: so read, {of} within the limits; under [reference] in the mapping: layout = \"{layout}\""
        ),
        ExplanationKind::ReversedExtents => format!(
            "extents are in reverse order: so read, {of} within the limits; let the writer reverse the shape (not the data), \
             or say in the mapping, under [candidate]: extents = \"reversed\""
        ),
        ExplanationKind::Memory { layout, place } => format!(
            "elements lie in memory as `{layout}`, under a header that says something else: so read, {of} within the limits; {}",
            line(place, "memory", "candidate_memory", &layout.to_string())
        ),
        ExplanationKind::Flipped { axis } => {
            format!("with {axis} in reverse, {of} within the limits: the port has it the other way round")
        }
        ExplanationKind::TransposedTokens { axis } => format!(
            "with {axis} taken column by column of a square map, {of} within the limits: rows and columns are exchanged"
        ),
        ExplanationKind::NoReading { orders } => format!(
            "{}: none of {orders} orders of axes makes the values agree: another tensor, or wrong values",
            subject(first, explains)
        ),
        ExplanationKind::Values { change, before, after, isolated } => {
            value_change(change, &subject(first, explains), *before, *after, *isolated)
        }
        ExplanationKind::NothingFinite => {
            "not finite from the first tensor on: was the dump read too late, when its buffers had been reused?".to_string()
        }
        ExplanationKind::ValuesOf { reference } => {
            format!("{first}: its values are those of {reference}: a wrong name, or a buffer that was reused")
        }
        ExplanationKind::BytesOf { dtype, stored } => format!(
            "{first}: its bytes, read as {dtype} from the start, are within the limits: the port is right, its dump is not: it \
             copied {dtype} into a buffer of {stored}"
        ),
        ExplanationKind::IntegersOf { dtype } => format!(
            "integers of two bytes are the bits of {dtype}: read so, {of} agree with the reference; in the mapping, under \
             [candidate]: two_byte_integers = \"{dtype}\""
        ),
        ExplanationKind::SameAs { other } => format!(
            "{first}: bit by bit what {other} holds, where the reference's two differ: one buffer was written out twice"
        ),
        ExplanationKind::Isolated => format!(
            "{first}: every layer after it is within its limits: its dump is wrong, it seems, and not the port"
        ),
        ExplanationKind::Prefix { side, prefixes } => format!(
            "{} of the {side} begin with {}, such as {first}; without it they fit: prefix = {} under [{side}] in the mapping",
            count(explains, "name"),
            prefixes
                .iter()
                .filter(|prefix| !prefix.is_empty())
                .map(|prefix| format!("`{prefix}`"))
                .collect::<Vec<_>>()
                .join(" or "),
            list(prefixes)
        ),
        ExplanationKind::Runs { side, pattern, numbers } => format!(
            "{} of the {side} {} the number of a run ({}), such as {first}; choose one under [{side}] in the mapping: \
             files = \"{pattern}\" and call = {}, call = \"last\", or call = \"must_agree\" where all must hold the same",
            count(explains, "name"),
            if pattern.find("{call}") < pattern.find("{name}") { "begin with" } else { "end in" },
            numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
            numbers.first().copied().unwrap_or_default()
        ),
        ExplanationKind::Separators { side, separators } => format!(
            "{} of the {side} have other separators than the mapping's, such as {first}; separators = \"{separators}\" under \
             [{side}] in the mapping lets them count as one",
            count(explains, "name")
        ),
        ExplanationKind::Input { changes, inherited } => {
            let changes = changes.iter().map(input_change).collect::<Vec<_>>().join(", ");
            match inherited {
                true => format!(
                    "the input {first} differs already: it is the reference's with {changes}; what comes after it inherits that"
                ),
                false => format!(
                    "the input {first} is the reference's with {changes}, and what comes after it is within its limits: the \
                     port is right, its input was dumped before or after another step"
                ),
            }
        }
        ExplanationKind::PartChange { part, change, before, after, margin, .. } => {
            let next = match margin.is_finite() {
                true => format!("the next best explanation leaves {margin:.1} times more"),
                false => "every other explanation leaves an error".to_string(),
            };
            format!("{part}: {change}: so computed, it is off by {after:.1e} and not {before:.1e}; {next}")
        }
        ExplanationKind::PartUnexplained { part, changes, before, nearest, between } => {
            let between = between.as_ref().map_or(String::new(), |(right, wrong)| {
                format!("; it goes wrong between {right}, which is right, and {wrong}")
            });
            let nearest = nearest.as_ref().map_or(String::new(), |(change, after)| {
                format!("; the nearest, {change}, leaves {after:.1e}")
            });
            format!(
                "{part}: unexplained: off by {before:.1e}, and none of {} that were tried comes within its limit{nearest}{between}",
                count(*changes, "change")
            )
        }
        ExplanationKind::NotGoneOnWith { part, later } => {
            let named: Vec<&str> = later.iter().take(LATER).map(String::as_str).collect();
            let more = match later.len() - named.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!(
                "{part}: {first} is not what the port went on with: {}{more} {} without it, so that it was dumped elsewhere, \
                 or overwritten before it was written",
                named.join(", "),
                if later.len() == 1 { "comes out right" } else { "come out right" }
            )
        }
        ExplanationKind::Change { change } => format!("as with {change}: {of} within the limits"),
    }
}

/// Other parts that do the same.
pub fn same_in(parts: &[&str]) -> String {
    format!("the same in {}: {}", count(parts.len(), "other part"), parts.join(", "))
}

fn input_change(change: &InputChange) -> String {
    match change {
        InputChange::ChannelsReversed => "channels reversed (BGR for RGB)".to_string(),
        InputChange::ChannelsLast => "channels last in memory".to_string(),
        InputChange::Exchanged => "height and width exchanged".to_string(),
        InputChange::Flipped { axis } => format!("{axis} in reverse"),
        InputChange::Scaled(scaling) => match scaling {
            Scaling::To255 => "values from 0 to 255 for 0 to 1".to_string(),
            Scaling::MinusOneToOne => "values from -1 to 1 (mean 0.5, standard deviation 0.5)".to_string(),
            Scaling::ImageNet => "ImageNet's mean and standard deviation".to_string(),
            Scaling::Clip => "CLIP's mean and standard deviation".to_string(),
            Scaling::Other { factor, shift } => format!("values times {factor:.6} plus {shift:.6}"),
            Scaling::ByChannel => "a factor and a shift of their own for each channel".to_string(),
        },
        InputChange::Alike { correlation } => {
            format!(
                "other pixels of the same picture (correlation {correlation:.3}): decoded or resized otherwise"
            )
        }
    }
}

/// The layers that something is said of.
fn subject(first: &str, explains: usize) -> String {
    match explains {
        1 => first.to_string(),
        n => format!("{n} layers, such as {first}"),
    }
}

/// The line of a mapping to write, and where; or why there is none.
fn line(place: &MappingPlace, of_side: &str, of_rule: &str, value: &str) -> String {
    match place {
        MappingPlace::Nowhere => {
            "other tensors are right by the same line of the mapping, so that there is none to write"
                .to_string()
        }
        MappingPlace::Side => format!("under [candidate] in the mapping: {of_side} = \"{value}\""),
        MappingPlace::Rules(rules) => {
            let named: Vec<String> = rules.iter().map(|rule| format!("`{rule}`")).collect();
            let rules = if rules.len() == 1 { "rule" } else { "rules" };
            format!("in the mapping, under {rules} {}: {of_rule} = \"{value}\"", named.join(", "))
        }
    }
}

/// A list as TOML has it.
fn list(items: &[String]) -> String {
    match items {
        [one] => format!("\"{one}\""),
        several => {
            let quoted: Vec<String> = several.iter().map(|item| format!("\"{item}\"")).collect();
            format!("[{}]", quoted.join(", "))
        }
    }
}
